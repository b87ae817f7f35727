"""A coarse height model and a predicted relief in one: the low frequencies of the first, the detail of the second.

::

    height = surface(prior - means(w detail)) + w detail,      detail = prediction - surface(means(prediction))

`surface` is the spline of `anchor_surface` whose cell means are prescribed, so the result, averaged over the
cells of the prior, *is* the prior, whatever was predicted. How much the detail is trusted, ``w >= 0``, is not
believed but measured, from place to place: the prior shows its own detail one octave above its cells, and the
prediction, averaged over the same cells, must know it. Where the two disagree, w goes to zero and what is left
is a smooth interpolation of the prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .anchor_surface import CellSurface, fill_cells
from .errors import GridMismatchError

FloatArray = NDArray[np.floating]

_REACH_CELLS = 6.0  # standard deviation of the window in which w is measured
_NEAR_CELLS = 1.5  # and of the one in which the size of detail is
_MOST = 1.5  # the size of detail near by over that around, at most
# What two neighbouring octaves share says ever less of those further below: the weight falls by so many powers of
# the correlation with every octave beyond the first three.
_SURE_OCTAVES, _DOUBT = 3, 0.5
_CELLS_A_VOTE = 8.0  # neighbouring cells say nearly the same: so many count as one independent comparison
_LEAST_CELLS = 8  # along each axis; below that there is no octave to learn from
_FADE = (1.3, 6.0)  # plausible ratios of the variance of one octave of relief to that of the next finer one
_STRIP_PX = 512


@dataclass(frozen=True, eq=False)
class DetailTrust:
    """How far a prediction's detail is to be believed, cell by cell of a prior.

    Attributes
    ----------
    weight
        Factor on the detail, >= 0, shape (row, col) of the cells, no unit.
    sigma
        Standard deviation of the detail that is missing from ``weight x detail``, same shape, metres.
    overall
        The one weight of the whole scene, no unit.
    correlation
        Of both sides one octave above the cell, over the whole scene; NaN where there was nothing to compare.
    """

    weight: NDArray[np.float64]
    sigma: NDArray[np.float64]
    overall: float
    correlation: float


def trust_detail(prior: FloatArray, pred: FloatArray, factor: int) -> DetailTrust:
    """How far the detail of a prediction is to be believed, from what the prior knows better.

    Both are split at twice the cell: the finest octave of the prior is regressed on that of the prediction in a
    Gaussian window. The slope is drawn to that of the scene where a window is flat, and to zero by the share of
    it that chance would give: ``1 - (1 / r^2 - 1) / n`` with n independent comparisons in the window.

    Parameters
    ----------
    prior, pred
        Means over the cells, same shape, metres; NaN = not known, left out.
    factor
        Fine pixels along a cell: how many octaves lie below it.

    Returns
    -------
    See `DetailTrust`; all weights 0 where the prior has fewer than 8 x 8 cells.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    NoDataError
        No cell is known.

    Source
    ------
    The shrinkage is the positive-part rule of James & Stein (1961) for one regression slope. The octaves of relief
    fade by a constant ratio, as for a self-affine surface: Mandelbrot (1975), PNAS 72(10), 3825-3828.
    """
    if prior.shape != pred.shape:
        raise GridMismatchError(f"prior of {prior.shape} cells and prediction of {pred.shape} differ")
    known = np.isfinite(prior) & np.isfinite(pred)
    z, p = fill_cells(prior, known), fill_cells(pred, known)
    octave_z, octave_p = _octave(z), _octave(p)
    inside = _clear_of_voids(known).astype(np.float64)
    if min(z.shape) < _LEAST_CELLS or inside.sum() < _LEAST_CELLS**2:
        spread = math.sqrt(_octaves_below(_fade_of(z), factor) * float(np.mean(octave_z**2)))
        return DetailTrust(np.zeros(z.shape), np.full(z.shape, spread), 0.0, math.nan)
    products = (octave_z * octave_p, octave_p**2, octave_z**2)
    cov, var_p, var_z = (float((x * inside).sum() / inside.sum()) for x in products)
    overall = float(_shrunk(np.array(cov), np.array(var_p), np.array(var_z), inside.sum() / _CELLS_A_VOTE))
    share = _smooth(inside, _REACH_CELLS)
    votes = 4 * math.pi * _REACH_CELLS**2 / _CELLS_A_VOTE * share
    # A window that holds little relief says little: the scene's own slope weighs as much as a tenth of its variance.
    local = [_smooth(x * inside, _REACH_CELLS) for x in products]
    flat = 0.1 * var_p
    slope = _shrunk(local[0] + flat * overall, local[1] + flat, local[2] + flat * var_z / max(var_p, 1e-300), votes)
    # A net that draws hills into a plain does so with the shape of hills: what is near decides the size of detail.
    near_p, near_z = (_smooth(x, _NEAR_CELLS) for x in products[1:])
    ratio = np.sqrt((local[1] + flat) / np.maximum(local[2] + flat * var_z / max(var_p, 1e-300), 1e-300))
    size = np.sqrt(near_z / np.maximum(near_p, 1e-300)) * ratio
    known_r = np.clip(slope * ratio, 0.0, 1.0)
    octaves = max(0.0, math.log2(max(factor, 1)) - _SURE_OCTAVES)
    weight = slope * np.clip(size, 0.0, _MOST) * known_r ** (_DOUBT * octaves)
    left = near_z * (1 - known_r**2)
    missing = _octaves_below(_fade_of(z), factor) * (left + 0.01 * var_z)
    correlation = cov / math.sqrt(var_p * var_z) if var_p * var_z > 0 else math.nan
    return DetailTrust(weight, np.sqrt(missing), overall, correlation)


def _octave(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """What cells show that blocks of 2 x 2 of them do not."""
    double = CellSurface((cells.shape[0], cells.shape[1]), 2)
    smooth = double.rows(double.coefficients(double.means(cells)), 0, cells.shape[0])
    return np.asarray(cells - smooth)


def _clear_of_voids(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Known cells with no void within 2 cells: the split of the octaves smears filled values that far."""
    if known.all():
        return known
    return np.asarray(ndimage.binary_erosion(known, iterations=2, border_value=1))


def _smooth(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    return np.asarray(ndimage.gaussian_filter(values, cells, mode="nearest", truncate=3.0))


def _shrunk(
    cov: NDArray[np.float64], var_p: NDArray[np.float64], var_z: NDArray[np.float64], votes: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slope of a regression, at least 0, less what chance gives."""
    slope = np.maximum(cov, 0.0) / np.maximum(var_p, 1e-300)
    squared = np.clip(cov**2 / np.maximum(var_p * var_z, 1e-300), 1e-12, 1.0)
    return np.asarray(slope * np.clip(1 - (1 / squared - 1) / np.maximum(votes, 1e-9), 0.0, 1.0))


def _fade_of(z: NDArray[np.float64]) -> float:
    """Variance of the second finest octave of the prior over that of the finest."""
    if min(z.shape) < 2 * _LEAST_CELLS:
        return 2.0  # relief with a spectrum that falls with the third power of the frequency
    coarse = CellSurface((z.shape[0], z.shape[1]), 2).means(z)
    fine, above = float(np.mean(_octave(z) ** 2)), float(np.mean(_octave(coarse) ** 2))
    return float(np.clip(above / max(fine, 1e-300), *_FADE))


def _octaves_below(fade: float, factor: int) -> float:
    """Variance of all octaves below a cell over that of the octave above it."""
    return sum(fade**-k for k in range(1, max(1, math.ceil(math.log2(max(factor, 1)))) + 1)) if factor > 1 else 0.0


class Fusion:
    """A prior and a prediction joined, strip by strip of fine rows.

    Three passes over the prediction: its cell means (`CellSurface.sums`) go in here, then every strip goes
    through `add_detail`, then every strip through `rows`.

    Parameters
    ----------
    surface
        How the cells of the prior lie over the pixels.
    prior
        Heights of the cells, metres; NaN = void.
    pred_means
        Means of the prediction over the cells; NaN = no pixel.
    trust
        Of `trust_detail`.
    prior_sigma
        Standard deviation of the prior, metres, >= 0.

    Raises
    ------
    GridMismatchError
        Shapes that do not belong together.
    NoDataError
        The prior has no known cell.
    """

    def __init__(
        self, surface: CellSurface, prior: FloatArray, pred_means: FloatArray, trust: DetailTrust, prior_sigma: float
    ) -> None:
        if not prior.shape == pred_means.shape == trust.weight.shape == surface.cells:
            raise GridMismatchError(
                f"prior {prior.shape}, prediction {pred_means.shape} and weights {trust.weight.shape} are given for "
                f"{surface.cells} cells"
            )
        self.surface, self.trust, self._within = surface, trust, prior_sigma
        known = np.isfinite(prior)
        pred = fill_cells(pred_means) if np.isfinite(pred_means).any() else np.zeros(prior.shape)
        # In voids the shape of the prediction goes on, and only what it lacks is filled smoothly.
        self._cells = fill_cells(prior - trust.overall * pred, known) + trust.overall * pred
        self._pred = surface.coefficients(pred)
        self._sigma = np.sqrt(trust.sigma**2 + prior_sigma**2 + _void_variance(prior))
        self._total, self._count = np.zeros((2, *surface.cells))
        self._base: NDArray[np.float64] | None = None

    def add_detail(self, pred: FloatArray, row_off: int) -> None:
        """Count what the weighted detail of some rows adds to the cells' means; every row once, in any order."""
        total, count = self.surface.sums(self._detail(pred, row_off), row_off)
        self._total += total
        self._count += count

    def rows(self, pred: FloatArray, row_off: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Heights and their standard deviation, metres, where `pred` (row, width) begins at row `row_off`.

        NaN where `pred` has no value.
        """
        if self._base is None:
            added = self._total / np.maximum(self._count, 1)
            self._base = self.surface.coefficients(self._cells - added, self._within)
        stop = row_off + len(pred)
        height = self.surface.rows(self._base, row_off, stop) + self._detail(pred, row_off)
        sigma = np.where(np.isfinite(height), self.surface.linear_rows(self._sigma, row_off, stop), np.nan)
        return height.astype(np.float32), sigma.astype(np.float32)

    def _detail(self, pred: FloatArray, row_off: int) -> NDArray[np.float64]:
        stop = row_off + len(pred)
        weight = self.surface.linear_rows(self.trust.weight, row_off, stop)
        return np.asarray(weight * (pred - self.surface.rows(self._pred, row_off, stop)))


def _void_variance(prior: FloatArray) -> NDArray[np.float64]:
    """Variance of heights in voids: that of a random walk from the nearest known cell, at most the scene's own."""
    known = np.isfinite(prior)
    if known.all():
        return np.zeros(prior.shape)
    steps = np.concatenate([np.diff(prior, axis=axis).ravel() for axis in (0, 1)])
    steps = steps[np.isfinite(steps)]
    step = float(np.mean(steps**2)) if steps.size else 0.0
    distance = ndimage.distance_transform_edt(~known)
    return np.asarray(np.minimum(distance * step, np.nanvar(prior)))


def fuse(
    pred: FloatArray, surface: CellSurface, prior: FloatArray, prior_sigma: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], DetailTrust]:
    """A whole prediction fused with a prior in memory.

    Parameters
    ----------
    pred
        Predicted heights, shape of the surface's grid, metres up to a shift; NaN = no data.
    surface, prior, prior_sigma
        See `Fusion`.

    Returns
    -------
    Heights and standard deviation, float32, metres, NaN where `pred` is; and how far the detail was believed.

    Raises
    ------
    GridMismatchError, NoDataError
        As `Fusion`.

    Examples
    --------
    A prior without a prediction comes back with its cell means unchanged:

    >>> surface = CellSurface((16, 16), 8)
    >>> height, sigma, trust = fuse(np.zeros((16, 16)), surface, np.array([[100.0, 200.0], [150.0, 400.0]]))
    >>> surface.means(height).round(3).tolist(), trust.overall
    ([[100.0, 200.0], [150.0, 400.0]], 0.0)
    """
    means = surface.means(pred)
    fusion = Fusion(surface, prior, means, trust_detail(prior, means, surface.factor), prior_sigma)
    starts = range(0, surface.shape[0], _STRIP_PX)
    for start in starts:
        fusion.add_detail(pred[start : start + _STRIP_PX], start)
    strips = [fusion.rows(pred[start : start + _STRIP_PX], start) for start in starts]
    height, sigma = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    return height, sigma, fusion.trust
