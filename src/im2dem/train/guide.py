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
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .reliefnet import GUIDE_CHANNELS

FACTORS = (4, 8, 16, 32, 64)
POINTS = (3, 100)
POINT_RADIUS_PX = 2
VOID_CHANCE = 0.15


def draw_guide(relief: Tensor, valid: Tensor, chances: tuple[float, float], rng: np.random.Generator) -> Tensor:
    """The guide of one chip, drawn at random.

    Parameters
    ----------
    relief
        True heights in slope units, shape (1, h, w), 0 where not valid.
    valid
        1 where there is truth, same shape.
    chances
        Of a coarse model and of points; otherwise the guide is all zeros.

    Returns
    -------
    Shape (4, h, w), float32.
    """
    guide = torch.zeros(GUIDE_CHANNELS, *relief.shape[1:])
    kind = rng.random()
    if kind < chances[0]:
        guide[0:1], guide[1:2] = _coarse(relief, valid, rng)
        if rng.random() < 0.2:
            _paint(guide, relief - _mean(guide[0:1], torch.ones_like(valid)), valid, rng)
        guide[0] -= guide[0].mean()
    elif kind < chances[0] + chances[1]:
        _paint(guide, relief, valid, rng)
        guide[2] -= _mean(guide[2], guide[3])
        guide[2] *= guide[3]
    return guide


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum() / weight.sum().clamp_min(1)


def coarse_guide(relief: Tensor, valid: Tensor, factor: int) -> Tensor:
    """The guide of exact block means, shape (4, h, w); `relief` and `valid` (1, h, w), multiples of `factor`."""
    guide = torch.zeros(GUIDE_CHANNELS, *relief.shape[1:])
    means, known = _block_means(relief, valid, factor)
    guide[0:1], guide[1:2] = _interpolate(means, known, relief.shape[1:])
    guide[0] -= guide[0].mean()
    return guide


def _coarse(relief: Tensor, valid: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Block means with some error, interpolated back; where they are known."""
    height, width = relief.shape[1:]
    factor = int(rng.choice([f for f in FACTORS if height % f == 0 and width % f == 0 and 2 * f <= height]))
    means, known = _block_means(relief, valid, factor)
    error = float(rng.exponential(0.03)) * float(relief.std())
    means = means + error * torch.from_numpy(rng.standard_normal(tuple(means.shape), dtype=np.float32))
    if rng.random() < VOID_CHANCE:
        drawn = torch.from_numpy(rng.random(tuple(known.shape), dtype=np.float32))
        known = known * (drawn > rng.uniform(0, 0.3))
    return _interpolate(means, known, relief.shape[1:])


def _block_means(relief: Tensor, valid: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    known = F.avg_pool2d(valid[None], factor, ceil_mode=True)
    return F.avg_pool2d((relief * valid)[None], factor, ceil_mode=True) / known.clamp_min(1e-6), known


def _interpolate(means: Tensor, known: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    is_known = (known > 0.25).float()
    means = _fill(means * is_known, is_known)
    coarse = F.interpolate(means, size=shape, mode="bicubic", align_corners=False)
    return coarse[0], F.interpolate(is_known, size=shape, mode="nearest")[0]


def _fill(means: Tensor, known: Tensor) -> Tensor:
    """Unknown cells from the means of ever wider surroundings."""
    weight = known
    while float(weight.min()) == 0 and float(weight.max()) > 0:
        near = F.avg_pool2d(weight, 3, 1, 1, count_include_pad=False)
        spread = F.avg_pool2d(means * weight, 3, 1, 1, count_include_pad=False) / near.clamp_min(1e-6)
        means = torch.where(weight > 0, means, spread)
        weight = torch.where(weight > 0, weight, (near > 0).float())
    return means


def _paint(guide: Tensor, relief: Tensor, valid: Tensor, rng: np.random.Generator) -> None:
    """Squares about random valid pixels, with some error, into channels 2 and 3."""
    rows, cols = np.nonzero(valid[0].numpy() > 0.5)
    if not len(rows):
        return
    count = int(np.exp(rng.uniform(*np.log(POINTS))))
    error = float(rng.exponential(0.02)) * float(relief.std())
    chosen: NDArray[np.int64] = rng.integers(len(rows), size=count)
    for k in chosen:
        row, col = int(rows[k]), int(cols[k])
        at = (slice(max(row - POINT_RADIUS_PX, 0), row + POINT_RADIUS_PX + 1),)
        at = (*at, slice(max(col - POINT_RADIUS_PX, 0), col + POINT_RADIUS_PX + 1))
        guide[2][at] = float(relief[0, row, col]) + error * float(rng.standard_normal())
        guide[3][at] = 1.0
