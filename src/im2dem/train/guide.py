"""Heights that a guided net is told while it learns: a coarse height model, or some points.

A guide is (4, h, w), in slope units above one reference height of the tile:

====  ==============================================================================================
0     the coarse heights, interpolated to the picture's pixels; 0 everywhere when there are none
1     1 where they are known, else 0 (voids are filled smoothly in channel 0)
2     heights of points, each painted as a square of 5 x 5 pixels; 0 elsewhere
3     1 where a point is painted, else 0
====  ==============================================================================================

The reference is the mean of channel 0 over the tile; without coarse heights, the mean of the points.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .reliefnet import GUIDE_CHANNELS

FACTORS = (4, 8, 16, 32, 64)
POINTS = (3, 100)
POINT_RADIUS_PX = 2
VOID_CHANCE = 0.15
POINTS_WITH_PRIOR = 0.2
# A void as wide as this many coarse cells is filled from its edges; what lies deeper takes the mean.
FILLED_CELLS = 12


def draw_guides(relief: Tensor, valid: Tensor, chances: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """The guides of a batch, drawn at random; chance comes from `rng` alone, on any device.

    Parameters
    ----------
    relief
        True heights in slope units, shape (n, 1, h, w), 0 where not valid.
    valid
        1 where there is truth, same shape.
    chances
        Of a coarse model and of points; otherwise the guide is all zeros.

    Returns
    -------
    Shape (n, 4, h, w), float32, on the device of `relief`.
    """
    n, _, height, width = relief.shape
    guide = torch.zeros(n, GUIDE_CHANNELS, height, width, device=relief.device)
    kind = rng.random(n)
    is_coarse = kind < chances[0]
    is_pointed = (~is_coarse & (kind < chances[0] + chances[1])) | (is_coarse & (rng.random(n) < POINTS_WITH_PRIOR))
    spread = relief.std(dim=(1, 2, 3), keepdim=True)
    factors = rng.choice([f for f in FACTORS if height % f == 0 and width % f == 0 and 2 * f <= height], n)
    for factor in np.unique(factors[is_coarse]):
        at = torch.from_numpy(np.flatnonzero(is_coarse & (factors == factor))).to(relief.device)
        guide[at, :2] = _coarse(relief[at], valid[at], int(factor), spread[at], rng)
    guide[:, :1] -= guide[:, :1].mean(dim=(2, 3), keepdim=True)
    if is_pointed.any():
        at = torch.from_numpy(np.flatnonzero(is_pointed)).to(relief.device)
        guide[at, 2:] = _points(relief[at], valid[at], spread[at], rng)
        # without coarse heights the points' own mean is the reference
        alone = torch.from_numpy(np.flatnonzero(is_pointed & ~is_coarse)).to(relief.device)
        z, known = guide[alone, 2:3], guide[alone, 3:4]
        guide[alone, 2:3] = (z - _mean(z, known)) * known
    return guide


def coarse_guide(relief: Tensor, valid: Tensor, factor: int) -> Tensor:
    """The guide of exact block means, shape (4, h, w); `relief` and `valid` (1, h, w), multiples of `factor`."""
    guide = torch.zeros(GUIDE_CHANNELS, *relief.shape[1:], device=relief.device)
    means, known = _block_means(relief[None], valid[None], factor)
    guide[:2] = _interpolate(means, known, relief.shape[1:])[0]
    guide[0] -= guide[0].mean()
    return guide


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)


def _coarse(relief: Tensor, valid: Tensor, factor: int, spread: Tensor, rng: np.random.Generator) -> Tensor:
    """Block means with some error, interpolated back, and where they are known; shape (n, 2, h, w)."""
    n = len(relief)
    means, known = _block_means(relief, valid, factor)
    error = rng.exponential(0.03, (n, 1, 1, 1)) * rng.standard_normal(tuple(means.shape))
    means = means + _like(error, relief) * spread
    holes = rng.uniform(0, 0.3, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < VOID_CHANCE)
    known = known * _like(rng.random(tuple(known.shape)) >= holes, relief)
    return _interpolate(means, known, relief.shape[2:])


def _like(values: np.ndarray, wanted: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(wanted.device, non_blocking=True)


def _block_means(relief: Tensor, valid: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    known = F.avg_pool2d(valid, factor, ceil_mode=True)
    return F.avg_pool2d(relief * valid, factor, ceil_mode=True) / known.clamp_min(1e-6), known


def _interpolate(means: Tensor, known: Tensor, shape: torch.Size) -> Tensor:
    is_known = (known > 0.25).float()
    means = _fill(means * is_known, is_known)
    coarse = F.interpolate(means, size=shape, mode="bicubic", align_corners=False)
    return torch.cat([coarse, F.interpolate(is_known, size=shape, mode="nearest")], dim=1)


def _fill(means: Tensor, known: Tensor) -> Tensor:
    """Unknown cells from the means of ever wider surroundings."""
    weight, overall = known, _mean(means, known)
    # a fixed count: asking whether any is left would make the device wait for the host
    for _ in range(min(FILLED_CELLS, max(means.shape[2:]))):
        near = F.avg_pool2d(weight, 3, 1, 1, count_include_pad=False)
        spread = F.avg_pool2d(means * weight, 3, 1, 1, count_include_pad=False) / near.clamp_min(1e-6)
        means = torch.where(weight > 0, means, spread)
        weight = torch.where(weight > 0, weight, (near > 0).float())
    return torch.where(weight > 0, means, overall)


def _points(relief: Tensor, valid: Tensor, spread: Tensor, rng: np.random.Generator) -> Tensor:
    """Squares about random valid pixels, with some error: heights and where they are, shape (n, 2, h, w)."""
    n, _, height, width = relief.shape
    most = POINTS[1]
    fewest, largest = np.log(POINTS)
    counts = np.exp(rng.uniform(fewest, largest, n)).astype(int)
    position = torch.from_numpy(rng.integers(height * width, size=(n, most))).to(relief.device)
    is_used = _like(np.arange(most) < counts[:, None], relief) * valid.flatten(1).gather(1, position)
    error = _like(rng.exponential(0.02, (n, 1)) * rng.standard_normal((n, most)), relief) * spread.view(n, 1)
    z = (relief.flatten(1).gather(1, position) + error) * is_used
    flat = torch.zeros(2, n, height * width, device=relief.device)
    flat[0].scatter_add_(1, position, z)
    flat[1].scatter_add_(1, position, is_used)
    side = 2 * POINT_RADIUS_PX + 1
    sums, counted = (
        F.avg_pool2d(plane.view(n, 1, height, width), side, 1, POINT_RADIUS_PX, divisor_override=1) for plane in flat
    )
    # where squares overlap, their mean
    return torch.cat([sums / counted.clamp_min(1), (counted > 0.5).float()], dim=1)
