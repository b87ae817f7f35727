"""Bringing a predicted height model onto the true one before scoring: A0 to A4, and the coarse prior of A5.

======  =====================================================================================================
A0      nothing: absolute metres
A1      shift by median(truth - prediction)
A2      scale s >= 0 and shift, least squares: s = max(0, cov(p, z) / var(p)), t = mean z - s mean p
A3      the least-squares plane is taken from both, then A2: pure relief
A4(k)   robust scale s >= 0 and shift from k random control points, scored on the other pixels
======  =====================================================================================================

A free sign of the scale would hand points to noise, so it is never free; the sign is reported instead.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .errors import GridMismatchError, NoDataError, UsageError

FloatArray = NDArray[np.floating]

_HUBER = 1.345  # 95 % efficiency for normal errors


@dataclass(frozen=True, eq=False)
class Aligned:
    """A prediction that was brought onto the truth.

    Parameters
    ----------
    pred, truth
        Shape (row, col), metres, NaN where either was NaN. For A3 both are without their plane.
    scale, shift
        pred = scale x original + shift (for A3: of the original without its plane).
    covariance
        Covariance of the two before alignment (for A3: without planes); <= 0 means an inverted relief.
    correlation
        Their Pearson r, which an alignment with s = 0 would hide; NaN when either is constant.
    spread_ratio
        What a sigma is multiplied by: 1 for A0 and A1; for A2 and A3 the truth's standard deviation over the
        prediction's, NaN when either is constant. The scale itself would be wrong for that: it is the ratio
        times r, so that a prediction with r near 0 would seem certain of what it does not know.
    """

    pred: FloatArray
    truth: FloatArray
    scale: float
    shift: float
    covariance: float
    correlation: float
    spread_ratio: float = 1.0


def parse_alignment(name: str) -> tuple[str, int]:
    """Kind and number of control points of an alignment's name.

    Raises
    ------
    UsageError
        The name is none of A0, A1, A2, A3, A4(k) with k >= 2.

    >>> parse_alignment("A2"), parse_alignment("A4(10)")
    (('A2', 0), ('A4', 10))
    """
    match = re.fullmatch(r"(A[0-3])|(A4)\((\d+)\)", name)
    points = int(match[3]) if match and match[3] else 0
    if match is None or (match[2] and points < 2):
        raise UsageError(f"{name!r} is no alignment; give A0, A1, A2, A3 or A4(k) with k control points, e.g. A4(10)")
    return match[1] or match[2], points


def align(pred: FloatArray, truth: FloatArray, name: str = "A2") -> Aligned:
    """A prediction brought onto the truth by A0, A1, A2 or A3.

    Parameters
    ----------
    pred, truth
        Heights, same shape (row, col); metres, or any unit for a prediction under A2 and A3. NaN = no data.
    name
        "A0", "A1", "A2" or "A3".

    Returns
    -------
    Both sides, float64, with the scale, the shift and the sign.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    NoDataError
        No pixel is valid in both.
    UsageError
        Another name; control points (A4) have `control_point_fits`.

    Source
    ------
    Least squares with a positive scale; the alignment by scale and shift follows Ranftl et al. (2022),
    TPAMI 44(3), 1623-1637, doi:10.1109/TPAMI.2020.3019967, eq. 4, there without the constraint.
    """
    if parse_alignment(name)[0] == "A4":
        raise UsageError(f"{name} is fitted on control points; use control_point_fits")
    valid = _valid_in_both(pred, truth)
    p = np.where(valid, pred, np.nan).astype(np.float64)
    z = np.where(valid, truth, np.nan).astype(np.float64)
    # Single precision keeps seven digits of the heights as they came.
    rounding_p, rounding_z = ((1e-6 * float(np.abs(side[valid]).max())) ** 2 for side in (p, z))
    if name == "A3":
        p, z = p - plane(p), z - plane(z)
    pv, zv = p[valid], z[valid]
    mean_p, mean_z = float(pv.mean()), float(zv.mean())
    dp, dz = pv - mean_p, zv - mean_z
    variance, covariance, variance_z = (float(x @ y) / pv.size for x, y in ((dp, dp), (dp, dz), (dz, dz)))
    # A constant (or a plane under A3) has a variance of rounding errors, not of zero, and these correlate.
    has_relief = variance > rounding_p and variance_z > rounding_z
    if not has_relief:
        covariance = 0.0
    scale, shift, spread_ratio = 1.0, 0.0, 1.0
    if name == "A1":
        shift = float(np.median(zv - pv))
    elif name in ("A2", "A3"):
        scale = max(0.0, covariance / variance) if has_relief else 0.0
        shift = mean_z - scale * mean_p
        spread_ratio = math.sqrt(variance_z / variance) if has_relief else math.nan
    correlation = covariance / math.sqrt(variance * variance_z) if has_relief else math.nan
    return Aligned(scale * p + shift, z, scale, shift, covariance, correlation, spread_ratio)


def _valid_in_both(pred: FloatArray, truth: FloatArray) -> NDArray[np.bool_]:
    if pred.shape != truth.shape:
        raise GridMismatchError(
            f"prediction {pred.shape} and truth {truth.shape} differ in shape; warp one to the other"
        )
    valid = np.isfinite(pred) & np.isfinite(truth)
    if not valid.any():
        raise NoDataError(
            "no pixel is valid in both the prediction and the truth; check that they cover the same place"
        )
    return valid


def plane(dem: FloatArray) -> NDArray[np.float64]:
    """The least-squares plane through the valid heights, on every pixel.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.

    Returns
    -------
    float64, shape of `dem`, metres, without NaN. Where the pixels determine no plane (fewer than three,
    or on one line) it is the flattest one that fits.

    Raises
    ------
    NoDataError
        No finite height.
    """
    valid = np.isfinite(dem)
    if not valid.any():
        raise NoDataError("no plane fits a height model without a valid pixel")
    row = np.linspace(-1, 1, dem.shape[0])[:, None] if dem.shape[0] > 1 else np.zeros((1, 1))
    col = np.linspace(-1, 1, dem.shape[1])[None, :] if dem.shape[1] > 1 else np.zeros((1, 1))
    z = np.where(valid, dem, 0).astype(np.float64)
    mean = z.sum() / valid.sum()
    z = np.where(valid, z - mean, 0)
    ones = valid.astype(np.float64)
    by_col, by_row = ones.sum(axis=0), ones.sum(axis=1)
    r, c = row[:, 0], col[0]
    # The normal equations need only sums over rows and columns, far cheaper than a (pixels x 3) matrix.
    cross = float(r @ ones @ c)
    normal = np.array(
        [
            [ones.sum(), by_row @ r, by_col @ c],
            [by_row @ r, by_row @ (r * r), cross],
            [by_col @ c, cross, by_col @ (c * c)],
        ]
    )
    right = np.array([z.sum(), z.sum(axis=1) @ r, z.sum(axis=0) @ c])
    level, slope_row, slope_col = np.linalg.lstsq(normal, right, rcond=1e-12)[0]
    return np.asarray(mean + level + slope_row * row + slope_col * col, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ControlPointFits:
    """Scale and shift from random control points, one pair a draw.

    Parameters
    ----------
    scale, shift
        float64, shape (draw,).
    points
        Positions of the control points among the valid pixels in row order, int64, shape (draw, k).
    """

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    points: NDArray[np.int64]


def control_point_fits(
    pred: FloatArray, truth: FloatArray, k: int, rng: np.random.Generator, draws: int = 20
) -> ControlPointFits:
    """Robust scale (>= 0) and shift from `k` random pixels whose height is known (A4).

    Parameters
    ----------
    pred, truth
        Heights, same shape, metres; NaN = no data.
    k
        Control points a draw, at least 2 and fewer than the valid pixels.
    rng
        Draws the points.
    draws
        Independent draws.

    Returns
    -------
    One scale and shift a draw, with the points used, so that they can be left out of the score.

    Raises
    ------
    UsageError
        `k` is below 2, or leaves no other pixel to score.
    GridMismatchError, NoDataError
        As `align`.

    Source
    ------
    Huber (1964), Ann. Math. Stat. 35(1), 73-101, doi:10.1214/aoms/1177703732, by iteratively reweighted
    least squares with the scale of the residuals from their median.
    """
    valid = _valid_in_both(pred, truth)
    p, z = pred[valid].astype(np.float64), truth[valid].astype(np.float64)
    if not 2 <= k < p.size:
        raise UsageError(f"{k} control points asked for on {p.size} valid pixels; give at least 2 and fewer than that")
    points = np.stack([rng.choice(p.size, size=k, replace=False) for _ in range(draws)]).astype(np.int64)
    scale, shift = _huber_lines(p[points], z[points])
    return ControlPointFits(scale, shift, points)


def _huber_lines(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Robust lines y = s x + t with s >= 0, one a row of (draw, k)."""
    weight = np.ones_like(x)
    tiny = 1e-9 * (np.ptp(y, axis=1) + 1e-12)
    scale, shift = np.zeros(len(x)), np.zeros(len(x))
    for _ in range(25):
        total = weight.sum(axis=1)
        mean_x, mean_y = (weight * x).sum(axis=1) / total, (weight * y).sum(axis=1) / total
        dx, dy = x - mean_x[:, None], y - mean_y[:, None]
        variance, covariance = (weight * dx * dx).sum(axis=1), (weight * dx * dy).sum(axis=1)
        rounding = total * (1e-6 * np.abs(x).max(axis=1)) ** 2
        scale = np.where(variance > rounding, np.maximum(covariance, 0) / np.maximum(variance, 1e-300), 0.0)
        shift = mean_y - scale * mean_x
        residual = np.abs(y - scale[:, None] * x - shift[:, None])
        spread = 1.4826 * np.median(residual, axis=1) + tiny
        weight = np.minimum(1.0, _HUBER * spread[:, None] / np.maximum(residual, 1e-300))
    return scale, shift


def block_mean(dem: FloatArray, factor: int) -> NDArray[np.float64]:
    """A coarse height model: the mean of blocks of `factor` x `factor` pixels.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data, left out of the means.
    factor
        Side of a block, pixels, at least 1.

    Returns
    -------
    float64, shape (ceil(row / factor), ceil(col / factor)), metres; NaN where a block has no valid pixel.
    Blocks at the right and lower edge may have fewer pixels.

    Raises
    ------
    UsageError
        `factor` is below 1.
    """
    if factor < 1:
        raise UsageError(f"blocks need a side of at least 1 pixel, got {factor}")
    rows, cols = -(-dem.shape[0] // factor), -(-dem.shape[1] // factor)
    padded = np.full((rows * factor, cols * factor), np.nan)
    padded[: dem.shape[0], : dem.shape[1]] = dem
    blocks = padded.reshape(rows, factor, cols, factor)
    count = np.isfinite(blocks).sum(axis=(1, 3))
    return np.where(count > 0, np.nansum(blocks, axis=(1, 3)) / np.maximum(count, 1), np.nan)


def upsample(coarse: FloatArray, factor: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A coarse height model on fine pixels by cubic splines; the corners of both grids coincide.

    Parameters
    ----------
    coarse
        Heights, shape (row, col), metres; NaN is filled from the nearest valid cell.
    factor
        Fine pixels a coarse cell.
    shape
        (height, width) wanted, at most `factor` times that of `coarse`.

    Returns
    -------
    float64 of `shape`, metres, without NaN.

    Raises
    ------
    NoDataError
        No finite cell.
    """
    missing = ~np.isfinite(coarse)
    if missing.all():
        raise NoDataError("a coarse height model without one valid cell cannot be refined")
    if missing.any():
        nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        coarse = coarse[tuple(nearest)]
    # grid_mode counts from pixel edges, so a coarse cell's centre lands in the middle of its block.
    fine = ndimage.zoom(np.asarray(coarse, np.float64), factor, order=3, mode="nearest", grid_mode=True)
    return np.asarray(fine[: shape[0], : shape[1]], dtype=np.float64)
