"""A coarse height model and a predicted relief in one: the low frequencies of the first, the detail of the second.

::

    height = surface(prior - means(w detail)) + w detail,      detail = prediction - surface(means(prediction))

`surface` is the spline of `anchor_surface`, corrected towards the prior's cell means. Neither the correction (which
rings where mountains meet a plain) nor the detail is believed: both must prove themselves, from place to place, one
octave above the cells, where the prior itself knows the answer. Where they do not, their weights are exactly zero
and what is left is a bicubic interpolation of the prior.
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

_REACH_CELLS = 4.0  # standard deviation of the window in which weights are measured
_NEAR_CELLS = 1.5  # and of the one in which the size of detail is
# What two neighbouring octaves share says ever less of those further below: factor on the weight for cells of 8, 16,
# 32, 64 and 128 pixels or more, as it served best on validation scenes.
_SURE_OCTAVES, _HOLDS = 3, (1.0, 0.8, 0.65, 0.45, 0.3)
_CELLS_A_VOTE = 8.0  # neighbouring cells say nearly the same: so many count as one independent comparison
_LEAST_VOTES = 3.0
_MARGIN = 0.5  # standard errors by which a slope must exceed zero before it counts
_FEW_CELLS = 400.0  # of a scene: about so few have to prove more
_LEAST_CELLS = 8  # along each axis; below that there is no octave to learn from
_FADE = (1.3, 6.0)  # plausible ratios of the variance of one octave of relief to that of the next finer one
_USUAL_FADE, _FADE_CELLS = 2.0, 1500.0  # with a spectrum that falls with the third power; counts as so many cells
# Height models are smooth at their own pixels, so that the finest octaves hold less than the fade foretells: factor
# on the standard deviation of what is missing for cells of 8, 16, 32 and 64 pixels, calibrated on validation scenes.
_HELD = (0.82, 0.85, 1.0, 1.08)
_LEVEL_M = 0.3  # standard deviation of the rounding to whole metres: relief below it says nothing
_FLOOR = 1e-3  # of the scene's variance: keeps flat land from counting without limit
_EDGE = 10.0  # where a cell near by has a variance that many times less than the surroundings, a plain begins
_STRIP_PX = 512
_CROSS = np.array([[0.0, -0.25, 0.0], [-0.25, 1.0, -0.25], [0.0, -0.25, 0.0]])


@dataclass(frozen=True, eq=False)
class DetailTrust:
    """How far a prediction's detail is to be believed, cell by cell of a prior.

    Attributes
    ----------
    weight
        Factor on the detail, >= 0, shape (row, col) of the cells, no unit.
    correction
        How much of the surface's correction towards the means is believed, 0 to 1, same shape.
    sigma
        Standard deviation of the detail that is missing from ``weight x detail``, same shape, metres.
    overall
        Mean of the weights, no unit.
    correlation
        Of both sides one octave above the cell, over the whole scene; NaN where there was nothing to compare.
    """

    weight: NDArray[np.float64]
    correction: NDArray[np.float64]
    sigma: NDArray[np.float64]
    overall: float
    correlation: float


def trust_detail(
    prior: FloatArray, pred: FloatArray, factor: int, prior_sigma: float = 0.0, *, told: bool = False
) -> DetailTrust:
    """How far the detail of a prediction is to be believed, from what the prior knows better.

    Prior and prediction are averaged over 2 x 2 cells and interpolated back; what is missing then is the finest
    octave. That of the prior is regressed, in a Gaussian window, on that of the prediction brought to the same
    local size; every cell counts alike, however high its relief, so that mountains do not speak for the plain at
    their foot. Of the slope its standard error is subtracted, and what falls below zero is zero. The same is done
    with the surface's correction instead of the prediction, with hardly a margin. Both fade out where the octave is
    no larger than the vertical error of the prior.

    Parameters
    ----------
    prior, pred
        Means over the cells, same shape, metres; NaN = not known, left out.
    factor
        Fine pixels along a cell: how many octaves lie below it.
    prior_sigma
        Vertical error of the prior from cell to cell, standard deviation, metres.
    told
        Whether the prediction is that of a net that was told the prior at twice its cell: then it is tested on the
        octave below what it was told, as it is used, and less is to be feared from the octaves further below.

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
    Weighted least squares with the standard error of a slope: Draper & Smith (1998), Applied Regression Analysis,
    3rd ed., eq. 1.4.5. The octaves of relief fade by a constant ratio, as for a self-affine surface: Mandelbrot
    (1975), PNAS 72(10), 3825-3828.
    """
    if prior.shape != pred.shape:
        raise GridMismatchError(f"prior of {prior.shape} cells and prediction of {pred.shape} differ")
    known = np.isfinite(prior) & np.isfinite(pred)
    z, p = fill_cells(prior, known), fill_cells(pred, known)
    (octave_z, correction), (octave_p, of_pred) = _octave(z), _octave(p)
    rest_z, rest_p = octave_z - correction, octave_p - of_pred
    inside = _clear_of_voids(known).astype(np.float64)
    below = _octaves_below(_fade_of(z), factor)
    if min(z.shape) < _LEAST_CELLS or inside.sum() < _LEAST_CELLS**2:
        spread = math.sqrt(below * float(np.mean(rest_z**2)))
        nothing = np.zeros(z.shape)
        return DetailTrust(nothing, nothing.copy(), np.full(z.shape, spread), 0.0, math.nan)
    var_z = float((rest_z**2 * inside).sum() / inside.sum())
    near_z, near_p = _smooth(rest_z**2, _NEAR_CELLS), _smooth(rest_p**2, _NEAR_CELLS)
    counts = inside / (near_z + _FLOOR * var_z + 1e-12)
    # Detail of the prior's own size: a net that draws hills into a plain does so with the shape of hills.
    size = np.sqrt(near_z / np.maximum(near_p, 1e-12))
    few = _FEW_CELLS / (_FEW_CELLS + z.size)
    slope, explained = _proven(rest_z, rest_p * size, counts, _MARGIN * (1 + few))
    # The correction is right more often than not: only where few cells speak it has to prove itself.
    base, _ = _proven(octave_z, correction, counts, _MARGIN * few)
    # The octave rings into the plain; a difference of neighbours does not.
    rough = ndimage.convolve(z, _CROSS, mode="nearest") ** 2
    least = ndimage.minimum_filter(ndimage.uniform_filter(rough, 3, mode="nearest"), 5)
    sure = np.clip(1 - max(prior_sigma, _LEVEL_M) ** 2 / np.maximum(least, 1e-30), 0.0, 1.0)
    sure *= np.clip(_EDGE * least / np.maximum(near_z, 1e-30), 0.0, 1.0)
    holds = float(np.interp(math.log2(max(factor, 1)) - _SURE_OCTAVES, range(len(_HOLDS)), _HOLDS))
    holds = math.sqrt(holds) if told else holds
    holds_here = holds + (1 - holds) * explained**2  # a prediction that is right here is right below, too
    weight = holds_here * sure * slope * size
    held = float(np.interp(math.log2(max(factor, 1)) - _SURE_OCTAVES, range(len(_HELD)), _HELD))
    missing = held**2 * below * (near_z * (1 - explained * sure) + 1e-4 * var_z)
    cov, var_p = float((rest_z * rest_p * inside).sum()), float((rest_p**2 * inside).sum())
    correlation = cov / math.sqrt(var_p * var_z * inside.sum()) if var_p * var_z > 0 else math.nan
    return DetailTrust(weight, sure * np.clip(base, 0.0, 1.0), np.sqrt(missing), float(weight.mean()), correlation)


def _octave(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What cells show that interpolated blocks of 2 x 2 do not, and what the correction of the surface adds to it."""
    double = CellSurface((cells.shape[0], cells.shape[1]), 2)
    means = double.means(cells)
    plain, corrected = double.plain_coefficients(means), double.coefficients(means)
    rows = cells.shape[0]
    return cells - double.rows(plain, 0, rows), double.rows(corrected - plain, 0, rows)


def _proven(
    truth: NDArray[np.float64], guess: NDArray[np.float64], counts: NDArray[np.float64], margin: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local slope of truth on guess, >= 0, less a margin of standard errors; and the share of variance it explains."""
    cov, var_g, var_t = (_smooth(counts * x, _REACH_CELLS) for x in (truth * guess, guess**2, truth**2))
    cells = (counts > 0).astype(np.float64)
    votes = np.minimum(4 * math.pi * _REACH_CELLS**2 * _smooth(cells, _REACH_CELLS), cells.sum()) / _CELLS_A_VOTE
    raw = cov / np.maximum(var_g, 1e-300)
    left = np.maximum(var_t - raw * cov, 0.0)
    error = np.sqrt(left / np.maximum(var_g, 1e-300) / np.maximum(votes - 1, 0.5))
    slope = np.where(votes > _LEAST_VOTES, np.maximum(raw - margin * error, 0.0), 0.0)
    explained = np.clip((2 * slope * cov - slope**2 * var_g) / np.maximum(var_t, 1e-300), 0.0, 1.0)
    return slope, explained


def _clear_of_voids(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Known cells with no void within 2 cells: the split of the octaves smears filled values that far."""
    if known.all():
        return known
    return np.asarray(ndimage.binary_erosion(known, iterations=2, border_value=1))


def _smooth(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    return np.asarray(ndimage.gaussian_filter(values, cells, mode="nearest", truncate=3.0))


def _fade_of(z: NDArray[np.float64]) -> float:
    """Variance of the second finest octave of the prior over that of the finest."""
    if min(z.shape) < 2 * _LEAST_CELLS:
        return _USUAL_FADE
    coarse = CellSurface((z.shape[0], z.shape[1]), 2).means(z)
    fine, above = _rest(z), _rest(coarse)
    measured = float(np.clip(above / max(fine, 1e-300), *_FADE))
    return float(_USUAL_FADE * (measured / _USUAL_FADE) ** (z.size / (z.size + _FADE_CELLS)))


def _rest(cells: NDArray[np.float64]) -> float:
    """Variance of the finest octave, as the corrected surface sees it."""
    octave, correction = _octave(cells)
    return float(np.mean((octave - correction) ** 2))


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
        outside = ~np.isfinite(pred_means)
        if outside.any() and not (outside & known).any() and (known & ~outside).any():
            # Where there is no picture nothing is wanted; the nearest height bends the border least.
            nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
            self._cells = self._cells[tuple(nearest)]
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
            cells = self._cells - added
            self._base = self.surface.plain_coefficients(cells)
            self._correction = self.surface.coefficients(cells, self._within) - self._base
        stop = row_off + len(pred)
        believed = self.surface.linear_rows(self.trust.correction, row_off, stop)
        height = self.surface.rows(self._base, row_off, stop) + self._detail(pred, row_off)
        height += believed * self.surface.rows(self._correction, row_off, stop)
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
    A prediction that says nothing leaves an interpolation of the prior:

    >>> surface = CellSurface((16, 16), 8)
    >>> height, sigma, trust = fuse(np.zeros((16, 16)), surface, np.full((2, 2), 100.0))
    >>> float(height.min()), float(height.max()), trust.overall
    (100.0, 100.0, 0.0)
    """
    means = surface.means(pred)
    fusion = Fusion(surface, prior, means, trust_detail(prior, means, surface.factor, prior_sigma), prior_sigma)
    starts = range(0, surface.shape[0], _STRIP_PX)
    for start in starts:
        fusion.add_detail(pred[start : start + _STRIP_PX], start)
    strips = [fusion.rows(pred[start : start + _STRIP_PX], start) for start in starts]
    height, sigma = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    return height, sigma, fusion.trust
