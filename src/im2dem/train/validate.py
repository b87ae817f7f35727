"""Quick scores on held-out regions while training; the full table is `im2dem evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
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
from .reliefnet import GUIDE_CHANNELS

TILE_PX = 256
LEAST_RELIEF_M = 20.0
SNAPSHOT_TILES = 4
COARSE_FACTOR = 16


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

    def score(self, net: torch.nn.Module, device: torch.device) -> dict[str, float]:
        """Correlation, sun told and hidden, their mean (`score`), share of inverted tiles, sigma's factor; by scene."""
        scores = np.array(
            [[self._score_tile(net, i, which, device) for which in (0, 1)] for i in range(len(self.images))]
        )
        told, hidden = scores[:, 0, 0], scores[:, 1, 0]
        guided: dict[str, float] = {}
        if net.config.guide:
            ratios = [self._coarse_ratio(net, i, device) for i in range(len(self.images))]
            guided = {"coarse_16_rmse_ratio": float(np.mean(ratios))}
        return {
            **guided,
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

    def snapshot(self, net: torch.nn.Module, device: torch.device) -> dict[str, Any]:
        """What the net makes of some tiles, spread over the scenes: names, image, truth and relief in metres."""
        chosen = np.unique(np.linspace(0, len(self.images) - 1, SNAPSHOT_TILES).round().astype(int))
        reliefs = [self._predict(net, i, 1, None, device)[0] * SLOPE_UNIT * self.gsd_m[i] for i in map(int, chosen)]
        return {
            "names": np.array([self.scenes[i] for i in chosen]),
            "image": np.stack([np.rint(self.images[i] * 255).astype(np.uint8) for i in chosen]),
            "truth": np.stack([self.truths[i] for i in chosen]).astype(np.float32),
            "relief": np.stack(reliefs).astype(np.float32),
        }

    @torch.no_grad()
    def _predict(
        self, net: torch.nn.Module, i: int, which: int, guide: torch.Tensor | None, device: torch.device
    ) -> NDArray[np.float32]:
        image = torch.from_numpy(self.images[i])[None].to(device, memory_format=torch.channels_last)
        condition = torch.from_numpy(self.conditions[i][which]).to(device)
        if net.config.guide:
            guide = torch.zeros(GUIDE_CHANNELS, *self.truths[i].shape) if guide is None else guide
            return np.asarray(net(image, condition, guide[None].to(device))[0].float().cpu())
        return np.asarray(net(image, condition)[0].float().cpu())

    def _score_tile(self, net: torch.nn.Module, i: int, which: int, device: torch.device) -> tuple[float, float, float]:
        """Correlation with the truth; the factors on sigma and on the heights that would be right for the tile."""
        relief, log_b = self._predict(net, i, which, None, device)
        truth = self.truths[i]
        valid = np.isfinite(truth)
        p, z = relief[valid], truth[valid] / (SLOPE_UNIT * self.gsd_m[i])
        amplitude = float(z.std() / max(p.std(), 1e-6))
        dh = amplitude * (p - p.mean()) - (z - z.mean())
        # the median of |error| / b of a Laplace distribution is ln 2
        spread = float(np.median(np.abs(dh) / np.exp(log_b[valid])) / np.log(2))
        return float(np.corrcoef(p, z)[0, 1]), spread, amplitude

    def _coarse_ratio(self, net: torch.nn.Module, i: int, device: torch.device) -> float:
        """Error with a coarse model over that of the coarse model alone, RMSE about the mean."""
        truth = torch.from_numpy(self.truths[i] / np.float32(SLOPE_UNIT * self.gsd_m[i]))[None]
        valid = torch.isfinite(truth).float()
        guide = coarse_guide(torch.nan_to_num(truth), valid, COARSE_FACTOR)
        relief = torch.from_numpy(self._predict(net, i, 0, guide, device)[0])
        keep = valid[0] > 0
        own, coarse = (relief - truth[0])[keep], (guide[0] - truth[0])[keep]
        return float(own.std() / coarse.std())


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
