"""How held-out ground comes out: distances, and a sheet of pictures."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from im2dem.export.png import write_png
from im2dem.runtime.colouring_condition import VARIETY_SIZE

from .data import Batch, Pool
from .losses import colour_distance
from .nets import draw_noise, see
from .run import ColourRun

CHIPS = 16
SHOWN = 6


class Validator:
    """The same crops of held-out pictures at every validation.

    Parameters
    ----------
    pool
        Held-out pictures; where there is none, some that are learned from are shown instead, and nothing is scored.
    side
        Of a crop, pixels.
    """

    def __init__(self, pool: Pool, side: int) -> None:
        numbers = torch.linspace(0, len(pool) - 1, CHIPS, device=pool.device).round().long()
        self.batch: Batch = pool.crops(numbers, side)
        chance = torch.Generator(device=pool.device)
        chance.manual_seed(7)
        self.noise = draw_noise(CHIPS, side, chance)
        self.variety = torch.randn(CHIPS, VARIETY_SIZE, generator=chance, device=pool.device)

    @torch.no_grad()
    def score(self, run: ColourRun) -> tuple[dict[str, float], NDArray[np.uint8]]:
        """`l1_told`: distance with the variety of the true picture; `l1_plain`: with none; and a sheet of pictures.

        The sheet has a crop a row: light, the true picture, the made one with its variety, with none, with another.
        """
        batch = self.batch
        relief, light = see(run.ema.features, batch.dem, batch.condition)
        true = batch.rgb * batch.valid
        told, _ = run.encoder(true)
        varieties = (told, torch.zeros_like(told), self.variety)
        rows = [run.ema.paint(relief, light, batch.condition, v, self.noise).clamp(0, 1) for v in varieties]
        scores = {
            "l1_told": float(colour_distance(rows[0], true, batch.valid)),
            "l1_plain": float(colour_distance(rows[1], true, batch.valid)),
            "spread": float((rows[1] - rows[2]).abs().mean()),
        }
        shade = (light[:, :1] * light[:, 1:] / 2).clamp(0, 1).expand(-1, 3, -1, -1)
        return scores, _sheet([shade, true, *rows])


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 (rows, columns, 3), as PNG."""
    sink = io.BytesIO()
    write_png(sink, (picture.shape[0], picture.shape[1]), [picture])
    return sink.getvalue()


def _sheet(columns: list[Tensor]) -> NDArray[np.uint8]:
    shown = np.linspace(0, CHIPS - 1, SHOWN).round().astype(int)
    cells = [torch.cat([column[i] for column in columns], dim=2) for i in shown]
    whole = torch.cat(cells, dim=1).permute(1, 2, 0)
    return np.asarray((whole * 255).round().to(torch.uint8).cpu().numpy())
