"""How far a predicted sigma can be trusted, and how far a mean over tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from .errors import GridMismatchError, UsageError
from .metrics import finite_pair, spearman_rho

FloatArray = NDArray[np.floating]
ErrorLaw = Literal["laplace", "gaussian"]

CURVE_LEVELS = tuple(step / 20 for step in range(1, 20))
"""Nominal shares of the calibration curve: 0.05, 0.10 ... 0.95."""

COVERAGE_LEVELS = tuple(sorted((*CURVE_LEVELS, 0.68)))


def interval_coverage(dh: FloatArray, sigma: FloatArray, level: float, law: ErrorLaw = "laplace") -> float:
    """Share of differences inside the central interval that should hold a share `level` of them.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres.
    sigma
        Predicted standard deviation, same shape, metres, >= 0. Pixels with NaN in either are ignored.
    level
        Nominal share, between 0 and 1.
    law
        "laplace": half width = -(sigma / sqrt 2) ln(1 - level); "gaussian": sigma sqrt 2 erfinv(level).

    Returns
    -------
    0 to 1; equal to `level` when calibrated.

    Raises
    ------
    NoDataError
        No pixel has both values.
    GridMismatchError
        The shapes differ.
    UsageError
        `level` is not between 0 and 1, or `law` is another word.
    """
    return coverage_curve(dh, sigma, (level,), law)[0]


def coverage_curve(
    dh: FloatArray, sigma: FloatArray, levels: Sequence[float] = CURVE_LEVELS, law: ErrorLaw = "laplace"
) -> tuple[float, ...]:
    """`interval_coverage` at several nominal shares, for the price of one.

    Parameters
    ----------
    dh, sigma, law
        As `interval_coverage`.
    levels
        Nominal shares, each between 0 and 1.

    Returns
    -------
    One share for each level, 0 to 1.

    Raises
    ------
    NoDataError, GridMismatchError, UsageError
        As `interval_coverage`.
    """
    error, spread = finite_pair(dh, sigma)
    widths = [half_width(level, law) for level in levels]
    # An error of 0 is inside every interval, also inside one of width 0.
    ratio = np.where(error == 0, 0.0, np.abs(error) / np.maximum(spread, 1e-300))
    inside = np.searchsorted(np.sort(ratio), widths, side="right") / ratio.size
    return tuple(inside.tolist())


def half_width(level: float, law: ErrorLaw) -> float:
    """Half width of the central interval that holds a share `level`, in standard deviations.

    Raises
    ------
    UsageError
        `level` is not between 0 and 1, or `law` is another word.

    >>> round(half_width(0.95, "gaussian"), 2), round(half_width(0.5, "laplace"), 2)
    (1.96, 0.49)
    """
    if not 0 < level < 1:
        raise UsageError(f"an interval holds a share between 0 and 1, got {level}; write 0.9 for 90 %")
    if law == "laplace":
        return -math.log(1 - level) / math.sqrt(2)
    if law == "gaussian":
        return math.sqrt(2) * float(special.erfinv(level))
    raise UsageError(f"errors are taken to be 'laplace' or 'gaussian', got {law!r}")


def expected_calibration_error(dh: FloatArray, sigma: FloatArray, law: ErrorLaw = "laplace") -> float:
    """Mean gap between nominal and observed coverage over the levels 0.05, 0.10 ... 0.95.

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres.
    sigma
        Predicted standard deviation, same shape, metres, >= 0. Pixels with NaN in either are ignored.
    law
        As `interval_coverage`.

    Returns
    -------
    0 (calibrated) to about 0.5.

    Raises
    ------
    NoDataError
        No pixel has both values.
    GridMismatchError
        The shapes differ.
    UsageError
        `law` is another word.

    Source
    ------
    Kuleshov, Fenner & Ermon (2018), ICML, section 3.5 (there squared gaps; here absolute ones, central
    intervals).
    """
    return float(calibration_gap(np.array(coverage_curve(dh, sigma, law=law))))


def calibration_gap(curve: FloatArray) -> NDArray[np.float64]:
    """Mean gap between observed and nominal coverage of calibration curves.

    The gap of a tile's own curve counts the tile's luck: a sigma that is right on average but cannot know
    whether this very tile came out well has a gap of about 0.1 on each tile, too wide on some and too narrow
    on others, and of 0 for the mean of their curves. Kuleshov's figure is the second: calibration is a property
    of many places.

    Parameters
    ----------
    curve
        Observed shares at `CURVE_LEVELS`, shape (..., 19).

    Returns
    -------
    Shape (...), 0 to 0.525.
    """
    return np.asarray(np.abs(np.asarray(curve, np.float64) - np.array(CURVE_LEVELS)).mean(axis=-1))


def sigma_error_correlation(dh: FloatArray, sigma: FloatArray) -> float:
    """Rank correlation of sigma with |dh|: does the model know where it is wrong?

    Parameters
    ----------
    dh
        Predicted minus reference height, any shape, metres.
    sigma
        Predicted standard deviation, same shape, metres. Pixels with NaN in either are ignored.

    Returns
    -------
    -1 to 1; NaN for a constant sigma.

    Raises
    ------
    NoDataError
        No pixel has both values.
    GridMismatchError
        The shapes differ.
    """
    return spearman_rho(sigma, np.abs(dh))


def bootstrap_means(
    values: FloatArray, regions: NDArray[np.integer], rng: np.random.Generator, draws: int = 1000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over tiles, and the same means when whole regions are drawn again with replacement.

    Neighbouring tiles resemble each other, so drawing tiles would feign a certainty that is not there.

    Parameters
    ----------
    values
        One figure a column, shape (tile, figure). NaN is left out of that figure's mean.
    regions
        Number of each tile's region, shape (tile,).
    rng
        Draws the regions.
    draws
        Bootstrap samples.

    Returns
    -------
    Means, shape (figure,), and the samples, shape (draw, figure); NaN where no value is finite.

    Raises
    ------
    GridMismatchError
        `values` and `regions` differ in length.

    Source
    ------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 8.3 (other units of resampling).
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape[0] != len(regions):
        raise GridMismatchError(f"{table.shape[0]} rows of figures given for {len(regions)} region numbers")
    groups, group = np.unique(regions, return_inverse=True)
    member = (group[None, :] == np.arange(len(groups))[:, None]).astype(np.float64)
    finite = np.isfinite(table)
    sums, counts = member @ np.where(finite, table, 0), member @ finite
    drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws).astype(np.float64)

    def ratio(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    return ratio(sums.sum(axis=0), counts.sum(axis=0)), ratio(drawn @ sums, drawn @ counts)


def bootstrap_interval(
    values: FloatArray,
    regions: NDArray[np.integer],
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean over tiles with its percentile interval when whole regions are drawn again with replacement.

    Parameters
    ----------
    values, regions, rng, draws
        As `bootstrap_means`.
    level
        Share of the samples inside the interval.

    Returns
    -------
    Mean, lower and upper end, each float64 of shape (figure,); NaN for a figure without a finite value.

    Raises
    ------
    GridMismatchError
        `values` and `regions` differ in length.

    Source
    ------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3 (percentile interval).
    """
    mean, samples = bootstrap_means(values, regions, rng, draws)
    low, high = percentile_interval(samples, level)
    return mean, low, high


def percentile_interval(
    samples: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the central interval of bootstrap samples (draw, figure), each of shape (figure,); NaN without any."""
    low, high = (np.full(samples.shape[1], np.nan) for _ in range(2))
    known = np.isfinite(samples).any(axis=0)
    if known.any():
        tails = [50 * (1 - level), 50 * (1 + level)]
        low[known], high[known] = np.nanpercentile(samples[:, known], tails, axis=0)
    return low, high
