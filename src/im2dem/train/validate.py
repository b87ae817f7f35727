"""Quick scores on held-out regions while training; the full table is `im2dem evaluate`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from im2dem.core.errors import InputError
from im2dem.core.nodata import fill
from im2dem.core.scaling import SLOPE_UNIT, Stretch
from im2dem.dataset.chips import Chips
from im2dem.runtime.session import Condition

TILE_PX = 256
LEAST_RELIEF_M = 20.0


class Validator:
    """Tiles of held-out scenes, scored by correlation with the truth, sun known and unknown."""

    def __init__(self, scenes: Sequence[Chips]) -> None:
        self.images: list[NDArray[np.float32]] = []
        self.truths: list[NDArray[np.float32]] = []
        self.conditions: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        self.gsd_m: list[float] = []
        self.scenes: list[str] = []
        for chips in scenes:
            for i in range(len(chips)):
                self._add(chips, i)
        if not self.images:
            raise InputError(
                f"the held-out packs (val-*) have no tile of {TILE_PX} px with {LEAST_RELIEF_M:g} m of relief; "
                "give larger or steeper pairs, or none"
            )

    def _add(self, chips: Chips, i: int) -> None:
        dem = chips.heights_m(i)
        raw = chips.rgb[i].astype(np.float32)
        raw[:, raw.max(axis=0) <= 2] = np.nan
        image = Stretch.from_samples(raw[:, ::4, ::4].reshape(3, -1)).apply(raw)
        azimuth, elevation = float(chips.sun_azimuth_deg[i]), float(chips.sun_elevation_deg[i])
        place = {"gsd_m": float(chips.gsd_m[i]), "latitude_deg": _known(chips.latitude_deg[i])}
        told = Condition(sun_azimuth_deg=_known(azimuth), sun_elevation_deg=_known(elevation), **place).vector()
        hidden = Condition(**place).vector()
        for row in range(0, dem.shape[0] - TILE_PX + 1, TILE_PX):
            for col in range(0, dem.shape[1] - TILE_PX + 1, TILE_PX):
                part = (slice(row, row + TILE_PX), slice(col, col + TILE_PX))
                truth = dem[part]
                valid = np.isfinite(truth)
                if valid.mean() < 0.5 or truth[valid].std() < LEAST_RELIEF_M:
                    continue
                self.images.append(fill(image[(slice(None), *part)]))
                self.truths.append(truth)
                self.gsd_m.append(float(chips.gsd_m[i]))
                self.scenes.append(chips.names[i])
                self.conditions.append((told, hidden))

    def score(self, net: torch.nn.Module, device: torch.device) -> dict[str, float]:
        """Correlation, sun told and hidden, their mean (`score`), share of inverted tiles, sigma's factor; by scene."""
        scores = np.array(
            [[self._score_tile(net, i, which, device) for which in (0, 1)] for i in range(len(self.images))]
        )
        told, hidden = scores[:, 0, 0], scores[:, 1, 0]
        return {
            "score": float((told.mean() + hidden.mean()) / 2),
            "r_sun_told": float(told.mean()),
            "r_sun_hidden": float(hidden.mean()),
            "inverted_hidden": float((hidden <= 0).mean()),
            "sigma_scale": float(np.median(scores[:, 1, 1])),
            "amplitude_scale": float(np.median(scores[:, 1, 2])),
            "tiles": float(len(self.images)),
            **{
                f"r {name}": float(hidden[[s == name for s in self.scenes]].mean())
                for name in dict.fromkeys(self.scenes)
            },
        }

    @torch.no_grad()
    def _score_tile(self, net: torch.nn.Module, i: int, which: int, device: torch.device) -> tuple[float, float, float]:
        """Correlation with the truth; the factors on sigma and on the heights that would be right for the tile."""
        image = torch.from_numpy(self.images[i])[None].to(device, memory_format=torch.channels_last)
        relief, log_b = net(image, torch.from_numpy(self.conditions[i][which]).to(device))[0].float().cpu().numpy()
        truth = self.truths[i]
        valid = np.isfinite(truth)
        p, z = relief[valid], truth[valid] / (SLOPE_UNIT * self.gsd_m[i])
        amplitude = float(z.std() / max(p.std(), 1e-6))
        dh = amplitude * (p - p.mean()) - (z - z.mean())
        # the median of |error| / b of a Laplace distribution is ln 2
        spread = float(np.median(np.abs(dh) / np.exp(log_b[valid])) / np.log(2))
        return float(np.corrcoef(p, z)[0, 1]), spread, amplitude


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
