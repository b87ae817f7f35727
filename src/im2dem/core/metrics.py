"""Figures on heights and ranks, one function each, for `evaluate`.

`dh` is predicted minus reference height. NaN is no data everywhere and left out. Figures on relief
(slopes, shading, spectra) are in `metrics_structure`, all figures of one tile together in `metrics_tile`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import GridMismatchError, NoDataError

FloatArray = NDArray[np.floating]


def _finite(dh: FloatArray) -> NDArray[np.float64]:
    values = np.asarray(dh, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise NoDataError("no finite height difference; check that prediction and truth cover the same place")
    return values


def finite_pair(a: FloatArray, b: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values where both arrays have one, two float64 arrays of shape (n,), units as given.

    Raises
    ------
    GridMismatchError
        The shapes differ.
    NoDataError
        No pixel is valid in both.
    """
    if np.shape(a) != np.shape(b):
        raise GridMismatchError(f"two arrays of one shape are wanted, got {np.shape(a)} and {np.shape(b)}")
    left, right = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    both = np.isfinite(left) & np.isfinite(right)
    if not both.any():
        raise NoDataError("no pixel is valid in both arrays; check that both cover the same place")
    return left[both], right[both]


def bias(dh: FloatArray) -> float:
    """Mean difference.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres; positive where the prediction is too high.

    Raises
    ------
    NoDataError
        No finite value in `dh`.
    """
    return float(_finite(dh).mean())


def mae(dh: FloatArray) -> float:
    """Mean absolute difference: mean |dh|.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres, >= 0.

    Raises
    ------
    NoDataError
        No finite value in `dh`.
    """
    return float(np.abs(_finite(dh)).mean())


def rmse(dh: FloatArray) -> float:
    """Root of the mean square difference: sqrt(mean dh^2).

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres, >= 0.

    Raises
    ------
    NoDataError
        No finite value in `dh`.
    """
    return float(np.sqrt(np.mean(_finite(dh) ** 2)))


def nmad(dh: FloatArray) -> float:
    """Normalised median absolute deviation: 1.4826 median |dh - median dh|.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres, >= 0; the standard deviation for normal differences, whatever a few outliers do.

    Raises
    ------
    NoDataError
        No finite value in `dh`.

    Source
    ------
    Höhle & Höhle (2009), ISPRS J. 64, 398-406, doi:10.1016/j.isprsjprs.2009.02.003.
    """
    values = _finite(dh)
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def le90(dh: FloatArray) -> float:
    """Linear error 90: the 90th percentile of |dh|.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres, >= 0.

    Raises
    ------
    NoDataError
        No finite value in `dh`.

    Source
    ------
    The sample quantile of |dh|, as Höhle & Höhle (2009) advise instead of 1.645 times a standard deviation.
    """
    return float(np.percentile(np.abs(_finite(dh)), 90))


def skill(pred: FloatArray, truth: FloatArray) -> float:
    """Share of the flat answer's error that the prediction takes away: 1 - MAE / mean |z - median z|.

    Parameters
    ----------
    pred, truth
        Heights, same shape, metres. NaN is ignored.

    Returns
    -------
    1 = perfect, 0 = no better than level ground at the true median, negative = worse; NaN for a level truth.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.

    Source
    ------
    Murphy (1988), Mon. Weather Rev. 116, 2417-2424: skill against a reference forecast, here on absolute
    errors.
    """
    p, z = finite_pair(pred, truth)
    spread = mean_distance_from_median(z)
    return 1 - float(np.abs(p - z).mean()) / spread if spread > 0 else math.nan


def mean_distance_from_median(truth: FloatArray) -> float:
    """What level ground at the median height scores: mean |z - median z|.

    Parameters
    ----------
    truth
        Heights, any shape, metres. NaN is ignored.

    Returns
    -------
    Metres, >= 0.

    Raises
    ------
    NoDataError
        No finite height.
    """
    z = _finite(truth)
    return float(np.abs(z - np.median(z)).mean())


def mae_unit(pred: FloatArray, truth: FloatArray) -> float:
    """Mean absolute difference when the truth's own lowest and highest height become -1 and 1.

    Parameters
    ----------
    pred, truth
        Heights of one tile, same shape, metres. NaN is ignored.

    Returns
    -------
    2 MAE / (max z - min z), no unit; NaN for a level truth.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.
    """
    p, z = finite_pair(pred, truth)
    span = float(np.ptp(z))
    return 2 * float(np.abs(p - z).mean()) / span if span > 0 else math.nan


def pearson_r(pred: FloatArray, truth: FloatArray) -> float:
    """Linear correlation.

    Parameters
    ----------
    pred, truth
        Heights, same shape, any unit. NaN is ignored.

    Returns
    -------
    -1 to 1; NaN when either is constant (to single precision).

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.
    """
    p, z = finite_pair(pred, truth)
    size_p, size_z = np.abs(p).max(), np.abs(z).max()
    p, z = p - p.mean(), z - z.mean()
    # A constant field differs from its mean by rounding errors, which correlate with anything.
    if p.std() <= 1e-6 * size_p or z.std() <= 1e-6 * size_z:
        return math.nan
    return float(np.clip(p @ z / math.sqrt((p @ p) * (z @ z)), -1, 1))


def average_ranks(values: FloatArray) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing the mean of theirs.

    Parameters
    ----------
    values
        Shape (n,), any unit, without NaN.

    Returns
    -------
    float64, shape (n,).

    >>> average_ranks(np.array([3.0, 1.0, 3.0]))
    array([1.5, 0. , 1.5])
    """
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    count = np.diff(np.append(first, values.size))
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(first + (count - 1) / 2, count)
    return ranks


def spearman_rho(pred: FloatArray, truth: FloatArray) -> float:
    """Rank correlation: Pearson's r of the ranks, ties sharing theirs.

    Parameters
    ----------
    pred, truth
        Same shape, any unit. NaN is ignored.

    Returns
    -------
    -1 to 1; NaN when either is constant.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.

    Source
    ------
    Spearman (1904), Am. J. Psychol. 15(1), 72-101.
    """
    p, z = finite_pair(pred, truth)
    return pearson_r(average_ranks(p), average_ranks(z))


def is_inverted(pred: FloatArray, truth: FloatArray) -> bool:
    """True when the prediction has hills where valleys are: cov(p, z) <= 0; also when it is constant.

    Parameters
    ----------
    pred, truth
        Same shape, any unit. NaN is ignored.

    Returns
    -------
    The mean of it over tiles is the inversion rate.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.
    """
    return not pearson_r(pred, truth) > 0


def ordering_accuracy(pred: FloatArray, truth: FloatArray, rng: np.random.Generator, pairs: int = 2000) -> float:
    """Share of random pixel pairs of which the prediction knows the higher one.

    Parameters
    ----------
    pred, truth
        Heights, same shape, any unit. NaN is ignored.
    rng
        Draws the pairs.
    pairs
        Pairs drawn; those of equal true height are left out, a tie in the prediction counts one half.

    Returns
    -------
    0 to 1, 0.5 by chance; NaN when no pair differs in truth.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.

    Source
    ------
    Chen et al. (2016), "Single-Image Depth Perception in the Wild", NeurIPS, section 4 (their error is 1
    - this, without their class of equal depth).
    """
    p, z = finite_pair(pred, truth)
    one, two = rng.integers(p.size, size=(2, pairs))
    true_sign = np.sign(z[one] - z[two])
    told_apart = true_sign != 0
    if not told_apart.any():
        return math.nan
    agreement = np.sign(p[one] - p[two])[told_apart] * true_sign[told_apart]
    return float((agreement.mean() + 1) / 2)


def seam_ratio(dh: FloatArray, seam_rows: tuple[int, ...], seam_cols: tuple[int, ...], within_px: int = 8) -> float:
    """RMSE near the seams of a tiled prediction over RMSE elsewhere.

    Parameters
    ----------
    dh
        Predicted minus reference height, shape (row, col), metres. NaN is ignored.
    seam_rows, seam_cols
        Seams lie before these rows and columns.
    within_px
        Pixels on each side of a seam that count as near.

    Returns
    -------
    1 = seams cannot be seen in the error; NaN when no pixel is near, none is far, or all far ones are exact.

    Raises
    ------
    NoDataError
        No finite value in `dh`.
    """
    near = np.zeros(dh.shape, dtype=bool)
    for row in seam_rows:
        near[max(row - within_px, 0) : max(row + within_px, 0)] = True
    for col in seam_cols:
        near[:, max(col - within_px, 0) : max(col + within_px, 0)] = True
    _finite(dh)
    near_dh, far_dh = dh[near], dh[~near]
    if not np.isfinite(near_dh).any() or not np.isfinite(far_dh).any():
        return math.nan
    elsewhere = rmse(far_dh)
    return rmse(near_dh) / elsewhere if elsewhere > 0 else math.nan
