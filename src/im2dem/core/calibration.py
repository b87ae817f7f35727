"""The factor that makes a predicted sigma mean what it says, and the proof on places it has not seen.

Sigma speaks of the heights as they are published: relative, so right up to a shift (A1). One factor is enough when
the errors follow the law that turns sigma into intervals; `SigmaCalibration.multiples` shows whether they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import NoDataError, UsageError
from .metrics import finite_pair
from .metrics_uncertainty import CURVE_LEVELS, ErrorLaw, calibration_gap, coverage_curve, half_width

FloatArray = NDArray[np.floating]
Sample = tuple[FloatArray, FloatArray]

# How finely and how far factors are tried: by a hundredth, from 0.67 to 1.5 times the first guess.
STEP, STEPS = 1.01, 41


@dataclass(frozen=True)
class SigmaCalibration:
    """How a predicted sigma is put right.

    Parameters
    ----------
    factor
        On sigma, no unit.
    multiples
        Half widths of the central intervals at `CURVE_LEVELS` that would have held exactly that share, in
        calibrated standard deviations. A law with the same half widths needs nothing but the factor.
    law
        The law that intervals are read with.
    """

    factor: float
    multiples: tuple[float, ...]
    law: ErrorLaw = "laplace"

    def apply(self, sigma: FloatArray) -> FloatArray:
        """Calibrated standard deviation of a predicted one, same shape and unit."""
        return np.asarray(sigma * self.factor)

    def misfit(self) -> float:
        """Largest difference of `multiples` from the law's half widths, as a share of the latter.

        >>> law = [half_width(level, "laplace") for level in CURVE_LEVELS]
        >>> SigmaCalibration(0.8, tuple(law)).misfit()
        0.0
        """
        wanted = np.array([half_width(level, self.law) for level in CURVE_LEVELS])
        return float(np.abs(np.array(self.multiples) / wanted - 1).max())


def fit_calibration(samples: Mapping[str, Sample], law: ErrorLaw = "laplace") -> SigmaCalibration:
    """The factor on sigma with which the worst calibrated region is as well calibrated as can be.

    A user's picture is one more region, so the worst of those known says more of it than their mean. The search is
    around the factor with which half of all errors lie inside their 50 % interval, regions counting alike.

    Parameters
    ----------
    samples
        For each region the differences after a shift (A1) and their predicted sigma, any shape, one unit.
        Pixels with NaN in either are ignored.
    law
        The law that intervals are read with, see `metrics_uncertainty.interval_coverage`.

    Returns
    -------
    Factor, and half widths of the errors' own law.

    Raises
    ------
    NoDataError
        No region, or one without a pixel.
    GridMismatchError
        Differences and sigma of a region differ in shape.
    UsageError
        Half of the errors are 0, or sigma is 0: no factor can be right.

    Source
    ------
    Kuleshov, Fenner & Ermon (2018), ICML, section 3.3, with a monotone map of one parameter.
    """
    if not samples:
        raise NoDataError("no region was given, so sigma cannot be calibrated")
    ratios, weights = [], []
    for dh, sigma in samples.values():
        error, spread = finite_pair(dh, sigma)
        ratios.append(np.abs(error) / np.maximum(spread, 1e-300))
        weights.append(np.full(error.size, 1 / error.size))
    ratio, weight = np.concatenate(ratios), np.concatenate(weights)
    order = np.argsort(ratio)
    middle = np.cumsum(weight[order]) - weight[order] / 2
    quantiles = np.interp(CURVE_LEVELS, middle / weight.sum(), ratio[order])
    half = float(quantiles[CURVE_LEVELS.index(0.5)])
    if not 0 < half < 1e100:
        raise UsageError(f"the median of |error| / sigma is {half:g}; no factor on sigma makes that right")
    around = half / half_width(0.5, law)
    factors = around * STEP ** np.arange(-STEPS, STEPS + 1)
    worst = [max(_gap(sample, factor, law) for sample in samples.values()) for factor in factors]
    factor = float(factors[int(np.argmin(worst))])
    return SigmaCalibration(factor, tuple((quantiles / factor).tolist()), law)


def _gap(sample: Sample, factor: float, law: ErrorLaw) -> float:
    dh, sigma = sample
    return float(calibration_gap(np.array(coverage_curve(dh, sigma * factor, law=law))))


def held_out_gaps(samples: Mapping[str, Sample], law: ErrorLaw = "laplace") -> dict[str, tuple[float, float]]:
    """Calibration of every region when the factor comes from the others.

    Parameters
    ----------
    samples, law
        As `fit_calibration`; at least two regions.

    Returns
    -------
    For each region the gap (`metrics_uncertainty.calibration_gap`) before and after, 0 to 0.525.

    Raises
    ------
    UsageError
        Fewer than two regions, or as `fit_calibration`.
    NoDataError, GridMismatchError
        As `fit_calibration`.
    """
    if len(samples) < 2:
        raise UsageError(f"{len(samples)} regions given; to hold one out there must be at least two")
    gaps = {}
    for region, (dh, sigma) in samples.items():
        fit = fit_calibration({name: sample for name, sample in samples.items() if name != region}, law)
        gaps[region] = (_gap((dh, sigma), 1.0, law), _gap((dh, sigma), fit.factor, law))
    return gaps
