"""Quick scores on held-out regions while training; the full table is `im2dem evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from im2dem.core.errors import InputError
from im2dem.core.nodata import fill
from im2dem.core.scaling import SLOPE_UNIT, Stretch
from im2dem.dataset.chips import Chips
from im2dem.runtime.session import Condition

from .guide import coarse_guide
from .reliefnet import GUIDE_CHANNELS, ReliefNet

TILE_PX = 256
LEAST_RELIEF_M = 20.0
SNAPSHOT_TILES = 4
COARSE_FACTOR = 16
BATCH = 16


class Validator:
    """Tiles of held-out scenes, scored by correlation with the truth, sun known and unknown.

    A net with a guide is scored without one, and also with block means of 16 pixels as its coarse model: the ratio of
    its error to that of the coarse heights interpolated.
    """

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

    def score(self, net: ReliefNet, device: torch.device) -> dict[str, float]:
        """Correlation, sun told and hidden, their mean (`score`), share of inverted tiles, sigma's factor; by scene.

        `score` is the mean over scenes, so that a large one does not outvote the others; the rest are means over tiles.
        """
        scores = np.array([self._score_tiles(net, which, device) for which in (0, 1)])
        told, hidden = scores[0, :, 0], scores[1, :, 0]
        guided: dict[str, float] = {}
        if net.config.guide:
            guided = {"coarse_16_rmse_ratio": float(np.mean(self._coarse_ratios(net, device)))}
        own = {name: np.array([s == name for s in self.scenes]) for name in dict.fromkeys(self.scenes)}
        return {
            **guided,
            "score": float(np.mean([(told[at].mean() + hidden[at].mean()) / 2 for at in own.values()])),
            "r_sun_told": float(told.mean()),
            "r_sun_hidden": float(hidden.mean()),
            "inverted_hidden": float((hidden <= 0).mean()),
            "sigma_scale": float(np.median(scores[1, :, 1])),
            "amplitude_scale": float(np.median(scores[1, :, 2])),
            "tiles": float(len(self.images)),
            **{f"r {name}": float(hidden[at].mean()) for name, at in own.items()},
        }

    def snapshot(self, net: ReliefNet, device: torch.device) -> dict[str, Any]:
        """What the net makes of some tiles, spread over the scenes: names, image, truth and relief in metres."""
        chosen = np.unique(np.linspace(0, len(self.images) - 1, SNAPSHOT_TILES).round().astype(int))
        predicted = self._predict(net, chosen.tolist(), 1, None, device)
        reliefs = [relief * SLOPE_UNIT * self.gsd_m[i] for (relief, _), i in zip(predicted, chosen, strict=True)]
        return {
            "names": np.array([self.scenes[i] for i in chosen]),
            "image": np.stack([np.rint(self.images[i] * 255).astype(np.uint8) for i in chosen]),
            "truth": np.stack([self.truths[i] for i in chosen]).astype(np.float32),
            "relief": np.stack(reliefs).astype(np.float32),
        }

    @torch.no_grad()
    def _predict(
        self, net: ReliefNet, tiles: Sequence[int], which: int, guide: torch.Tensor | None, device: torch.device
    ) -> NDArray[np.float32]:
        """Relief and log b of some tiles, float32 (tile, 2, row, col)."""
        images = torch.from_numpy(np.stack([self.images[i] for i in tiles]))
        image = images.to(device, memory_format=torch.channels_last)
        condition = torch.from_numpy(np.concatenate([self.conditions[i][which] for i in tiles])).to(device)
        if net.config.guide:
            guide = torch.zeros(len(tiles), GUIDE_CHANNELS, *image.shape[2:]) if guide is None else guide
            return np.asarray(net(image, condition, guide.to(device)).float().cpu())
        return np.asarray(net(image, condition).float().cpu())

    def _batches(self) -> Iterator[range]:
        return (range(i, min(i + BATCH, len(self.images))) for i in range(0, len(self.images), BATCH))

    def _score_tiles(self, net: ReliefNet, which: int, device: torch.device) -> list[tuple[float, float, float]]:
        """Of each tile: correlation with the truth; the factors on sigma and on the heights that would be right."""
        return [
            self._score_tile(i, *predicted)
            for tiles in self._batches()
            for i, predicted in zip(tiles, self._predict(net, tiles, which, None, device), strict=True)
        ]

    def _score_tile(
        self, i: int, relief: NDArray[np.float32], log_b: NDArray[np.float32]
    ) -> tuple[float, float, float]:
        truth = self.truths[i]
        valid = np.isfinite(truth)
        p, z = relief[valid], truth[valid] / (SLOPE_UNIT * self.gsd_m[i])
        amplitude = float(z.std() / max(p.std(), 1e-6))
        dh = amplitude * (p - p.mean()) - (z - z.mean())
        # the median of |error| / b of a Laplace distribution is ln 2
        spread = float(np.median(np.abs(dh) / np.exp(log_b[valid])) / np.log(2))
        return float(np.corrcoef(p, z)[0, 1]), spread, amplitude

    def _coarse_ratios(self, net: ReliefNet, device: torch.device) -> list[float]:
        """Error with a coarse model over that of the coarse model alone, RMSE about the mean, of each tile."""
        ratios = []
        for tiles in self._batches():
            truths = [torch.from_numpy(self.truths[i] / np.float32(SLOPE_UNIT * self.gsd_m[i]))[None] for i in tiles]
            valids = [torch.isfinite(truth) for truth in truths]
            guides = [
                coarse_guide(torch.nan_to_num(truth), valid.float(), COARSE_FACTOR)
                for truth, valid in zip(truths, valids, strict=True)
            ]
            reliefs = self._predict(net, tiles, 0, torch.stack(guides), device)[:, 0]
            for relief, truth, valid, guide in zip(reliefs, truths, valids, guides, strict=True):
                own, coarse = (torch.from_numpy(relief) - truth[0])[valid[0]], (guide[0] - truth[0])[valid[0]]
                ratios.append(float(own.std() / coarse.std()))
        return ratios


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
