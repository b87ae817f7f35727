"""Bring tiles to one level: an offset and a gain for each, from what neighbours say about the pixels they
share.

An image alone fixes the heights of a tile only up to an offset and a gain. Every overlap is one equation for
the two log-gains and one for the two offsets; all of them are solved at once, first the gains, then the
offsets given the gains, by iteratively reweighted sparse least squares, so that a few wrong overlaps
do no harm.

Choices that matter, and why:

- The ratio of two gains is the ratio of the *spreads* of both sides, never the slope of a regression: noise
  flattens a slope whichever side it is computed from, and over a chain of tiles the loss compounds.
- Without common relief there is no ratio: its weight falls with the correlation of both sides.
- A prior of gain 1 keeps long chains of noisy ratios from drifting. It is weighed against the noise of the
  ratios, so it leaves no trace where the overlaps agree well.

Source
------
Robust weights: Huber (1964), Ann. Math. Statist. 35, 73-101; Holland & Welsch (1977), Commun. Stat. A6,
813-827. Ratio of spreads as the symmetric slope ("reduced major axis"): Smith (2009), Am. J. Phys. Anthropol.
140, 476-486. The variance (1 - r^2) / n of its logarithm follows from the delta method for normal samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from .grid import Window
from .tiles import Overlap, Tile, TilePlan

_MIN_POINTS = 12
_CUT = 3.5  # points further off than this many robust standard deviations do not count
_HUBER, _CAUCHY = 1.345, 2.385  # 95 % efficiency for normal errors
_ROUNDS = 12
_MIN_CORRELATION = 0.3
_PRIOR_LOG_GAIN = 0.5  # standard deviation of a tile's log-gain before its neighbours were asked
# Errors of a network are smooth: about this many independent ones fit into a tile (eight along each side).
_INDEPENDENT_PER_TILE = 64.0
# Together well above the rounding of float64: a tile held by weak overlaps alone must not drop out of the sums.
_WEIGHT_RANGE, _LEAST_TRUST = 1e-8, 1e-5
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class OverlapStats:
    """What two neighbouring tiles say about the pixels they share, after wild points are set aside.

    Attributes
    ----------
    first, second
        Indices of the tiles.
    extent
        Shared valid area over the area of a tile, 0 to 1.
    mean_first, mean_second
        Mean height of the same points on both sides, in the unit of the heights.
    spread_first, spread_second
        Standard deviation of these points on both sides, same unit.
    correlation
        Pearson correlation of both sides; 0 where one is flat.
    """

    first: int
    second: int
    extent: float
    mean_first: float
    mean_second: float
    spread_first: float
    spread_second: float
    correlation: float


@dataclass(frozen=True, eq=False)
class Levels:
    """The levelled height of tile i is `gain[i] * height + offset[i]`; both arrays float64, shape (n,),
    offset in the unit of the heights. `components` counts the groups of tiles that overlaps tie together."""

    offset: NDArray[np.float64]
    gain: NDArray[np.float64]
    components: int

    @classmethod
    def none(cls, n_tiles: int) -> Levels:
        """Leave every tile as it is."""
        return cls(np.zeros(n_tiles), np.ones(n_tiles), n_tiles)


@dataclass(frozen=True)
class LevelOptions:
    """How to solve: whether gains are estimated at all, and the largest factor by which one may differ from
    1."""

    gain: bool = True
    max_gain: float = 4.0


def overlap_stats(
    overlap: Overlap, first: NDArray[np.floating], second: NDArray[np.floating], extent: float
) -> OverlapStats | None:
    """Compare two neighbours on shared points.

    Parameters
    ----------
    overlap
        Which tiles.
    first, second
        Heights of the same points in both tiles, any equal shape, NaN = not valid.
    extent
        Shared area over the area of a tile, before invalid points are taken off.

    Returns
    -------
    The comparison, or None with fewer than 12 points that are valid on both sides (a quarter of all where
    there are fewer than 48).
    """
    good = np.isfinite(first) & np.isfinite(second)
    n_good = int(good.sum())
    if n_good < max(1, min(_MIN_POINTS, first.size // 4)):
        return None
    a, b = first[good].astype(np.float64), second[good].astype(np.float64)
    keep = _inliers(a, b)
    a, b = a[keep], b[keep]
    spread_a, spread_b = float(a.std()), float(b.std())
    # Spread that is mere rounding of float32 heights is no relief.
    rounding = 1e-6 * (float(np.abs(a).max()) + float(np.abs(b).max()))
    correlation = 0.0
    if min(spread_a, spread_b) > rounding:
        correlation = float(np.mean((a - a.mean()) * (b - b.mean())) / (spread_a * spread_b))
    return OverlapStats(
        overlap.first,
        overlap.second,
        extent * n_good / good.size,
        float(a.mean()),
        float(b.mean()),
        spread_a,
        spread_b,
        min(1.0, correlation),
    )


def _inliers(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points where both sides agree up to one offset and one gain, as far as the others do."""
    keep = np.ones(a.shape, bool)
    if a.size < _MIN_POINTS:
        return keep
    mid_a, mid_b = np.median(a), np.median(b)
    mad_a, mad_b = np.median(np.abs(a - mid_a)), np.median(np.abs(b - mid_b))
    ratio = mad_b / mad_a if min(mad_a, mad_b) > 0 else 1.0
    for _ in range(3):
        rest = (b - ratio * a) / math.sqrt(max(ratio, _TINY))
        rest = np.abs(rest - np.median(rest[keep]))
        scale = 1.4826 * np.median(rest[keep])
        rounding = 1e-6 * (abs(mid_a) + abs(mid_b) + mad_a + mad_b)
        keep = rest <= _CUT * max(scale, rounding)
        spread_a, spread_b = a[keep].std(), b[keep].std()
        if min(spread_a, spread_b) <= rounding:
            break
        ratio = spread_b / spread_a
    return keep


class OverlapCollector:
    """Compares neighbours while the tiles stream by; keeps at most `max_points` values a pair, and only those
    of pairs whose second tile is still to come.

    Parameters
    ----------
    plan
        Where the tiles lie. Feed them in the order of their index.
    max_points
        Points of a regular grid over each overlap that are compared.
    """

    def __init__(self, plan: TilePlan, max_points: int = 512) -> None:
        self._plan = plan
        self._max_points = max_points
        self._tile_area = plan.tile_px**2
        self._waiting: dict[int, list[tuple[Overlap, NDArray[np.float32]]]] = {}

    def feed(self, tile: Tile, height: NDArray[np.float32] | None) -> list[OverlapStats]:
        """The comparisons that a tile completes.

        Parameters
        ----------
        tile
            The next tile of the plan.
        height
            Its heights, (row, col), NaN = not valid, or None when it has none.
        """
        waiting = self._waiting.pop(tile.index, [])
        if height is None:
            return []
        done = []
        for overlap, first in waiting:
            second = self._sample(height, tile, overlap.window)
            extent = overlap.window.height * overlap.window.width / self._tile_area
            stats = overlap_stats(overlap, first, second, extent)
            if stats is not None:
                done.append(stats)
        for overlap in self._plan.overlaps(tile):
            sample = self._sample(height, tile, overlap.window)
            self._waiting.setdefault(overlap.second, []).append((overlap, sample))
        return done

    def _sample(self, height: NDArray[np.float32], tile: Tile, window: Window) -> NDArray[np.float32]:
        rows, cols = window.slices(tile.window)
        step = max(1, math.ceil(math.sqrt(window.height * window.width / self._max_points)))
        while math.ceil(window.height / step) * math.ceil(window.width / step) > self._max_points:
            step += 1
        return height[rows, cols][step // 2 :: step, step // 2 :: step].copy()


def solve_levels(
    n_tiles: int,
    pairs: Sequence[OverlapStats],
    *,
    mean: NDArray[np.floating] | None = None,
    mass: NDArray[np.floating] | None = None,
    options: LevelOptions | None = None,
) -> Levels:
    """Offset and gain of every tile.

    What overlaps cannot tell is fixed so: in each group of tiles tied together, the mean log-gain is 0 and
    the mean height stays what it was, both weighted by `mass`.

    Parameters
    ----------
    n_tiles
        Number of tiles of the plan.
    pairs
        Comparisons of neighbours; no pair twice.
    mean
        Mean height of every tile, shape (n_tiles,), unit of the heights; default 0, which is right for
        heights relative to the tile's mean.
    mass
        Weight of every tile in these means, shape (n_tiles,), e.g. its number of valid pixels; default 1.
    options
        Whether and how far gains may differ from 1.

    Returns
    -------
    Offsets and gains; a tile without neighbours keeps 0 and 1.
    """
    options = options or LevelOptions()
    level = _per_tile(n_tiles, mean, 0.0)
    share = np.maximum(_per_tile(n_tiles, mass, 1.0), _TINY)
    gain = _solve_gains(n_tiles, pairs, share, options.max_gain) if options.gain else np.ones(n_tiles)
    if not pairs:
        return Levels(np.zeros(n_tiles), gain, n_tiles)
    first, second = _ends(pairs)
    step = np.array([gain[p.second] * p.mean_second - gain[p.first] * p.mean_first for p in pairs])
    variance = np.array([_offset_variance(p, gain[p.first], gain[p.second]) for p in pairs])
    # A floor, so that an overlap which agrees by chance to the last bit does not outweigh all the others.
    relief = np.median([max(gain[p.first] * p.spread_first, gain[p.second] * p.spread_second) for p in pairs])
    weight = 1.0 / (variance + max(1e-4 * float(relief), 1e-6) ** 2)
    weight = np.maximum(weight, _WEIGHT_RANGE * weight.max())
    count, label = _groups(n_tiles, first, second)
    offset = _robust_solve(_Equations(n_tiles, first, second, step, weight), _pins(label))
    offset -= _group_mean(offset + (gain - 1.0) * level, share, label, count)
    return Levels(offset, gain, count)


def _per_tile(n: int, values: NDArray[np.floating] | None, default: float) -> NDArray[np.float64]:
    return np.full(n, default) if values is None else np.asarray(values).astype(np.float64)


def _solve_gains(
    n_tiles: int, pairs: Sequence[OverlapStats], mass: NDArray[np.float64], max_gain: float
) -> NDArray[np.float64]:
    useful = [p for p in pairs if p.correlation > _MIN_CORRELATION]
    if not useful:
        return np.ones(n_tiles)
    first, second = _ends(useful)
    # gain_first * spread_first = gain_second * spread_second
    step = np.array([math.log(p.spread_second / p.spread_first) for p in useful])
    rho2 = np.array([p.correlation**2 for p in useful])
    count = np.maximum(1.0, _INDEPENDENT_PER_TILE * np.array([p.extent for p in useful]))
    weight = rho2 * count / (1.0 - rho2 + 1e-6)
    prior = np.full(n_tiles, _PRIOR_LOG_GAIN**-2)
    equations = _Equations(n_tiles, first, second, step, weight)
    log_gain = _robust_solve(equations, np.zeros(n_tiles, bool), prior)
    groups, label = _groups(n_tiles, first, second)
    log_gain -= _group_mean(log_gain, mass, label, groups)
    limit = math.log(max_gain)
    return np.exp(np.clip(log_gain, -limit, limit))


def _offset_variance(pair: OverlapStats, gain_first: float, gain_second: float) -> float:
    """Variance of the mean difference of a pair: its smooth errors, over the number of independent ones."""
    a, b = gain_first * pair.spread_first, gain_second * pair.spread_second
    rest = max(0.0, a * a + b * b - 2.0 * pair.correlation * a * b)
    return rest / max(1.0, _INDEPENDENT_PER_TILE * pair.extent)


@dataclass(frozen=True, eq=False)
class _Equations:
    """x[first] - x[second] = step, each with a weight (inverse variance)."""

    n: int
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    step: NDArray[np.float64]
    weight: NDArray[np.float64]

    def matrix(self) -> csr_matrix:
        row = np.arange(len(self.step))
        ones = np.ones(len(row))
        index = (np.concatenate([row, row]), np.concatenate([self.first, self.second]))
        return coo_matrix((np.concatenate([ones, -ones]), index), shape=(len(row), self.n)).tocsr()


def _robust_solve(
    equations: _Equations, pinned: NDArray[np.bool_], prior: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Robust estimate of x, with x = 0 where `pinned` and a pull to 0 of weight `prior`.

    Huber weights first: they have one solution, wherever one starts. From there Cauchy weights, which go on falling
    with the residual, so that an overlap far off loses its pull altogether; they never reach 0, so none is cut.
    """
    free = ~pinned
    x = np.zeros(equations.n)
    if not free.any():
        return x
    a = equations.matrix()[:, free]
    pull = diags(np.zeros(int(free.sum())) if prior is None else prior[free])
    trust = np.ones(len(equations.step))
    for weigh in (_huber, _cauchy):
        for _ in range(_ROUNDS):
            w = equations.weight * trust
            x[free] = spsolve((a.T @ diags(w) @ a + pull).tocsc(), a.T @ (w * equations.step))
            rest = np.abs(equations.step - (x[equations.first] - x[equations.second]))
            rest *= np.sqrt(equations.weight)
            # Never below 1: the variances say how large honest residuals are, and a system that fits better
            # than that has no outliers to fight.
            scaled = rest / max(1.0, 1.4826 * float(np.median(rest)))
            before, trust = trust, np.maximum(weigh(scaled), _LEAST_TRUST)
            if np.abs(trust - before).max() < 1e-3:
                break
    return x


def _huber(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.minimum(1.0, _HUBER / np.maximum(rest, _TINY))


def _cauchy(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + (rest / _CAUCHY) ** 2))


def _ends(pairs: Sequence[OverlapStats]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.array([p.first for p in pairs], np.intp), np.array([p.second for p in pairs], np.intp)


def _groups(n: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> tuple[int, NDArray[np.int32]]:
    """Number of groups of connected tiles, and the group of each tile, shape (n,)."""
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    return int(count), label


def _pins(label: NDArray[np.int32]) -> NDArray[np.bool_]:
    """One tile of each group, where differences alone leave its level open."""
    pinned = np.zeros(len(label), bool)
    pinned[np.unique(label, return_index=True)[1]] = True
    return pinned


def _group_mean(
    x: NDArray[np.float64], mass: NDArray[np.float64], label: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Weighted mean of each tile's group, shape (n,)."""
    total = np.bincount(label, mass * x, count)
    return np.asarray((total / np.bincount(label, mass, count))[label])
