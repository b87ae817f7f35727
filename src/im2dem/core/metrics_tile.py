"""Every figure of one tile, for every alignment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .alignment import align, control_point_fits, parse_alignment, plane
from .errors import GridMismatchError, NoDataError
from .metrics_structure import (
    BLUR_SIGMAS_PX,
    OCTAVES_PX,
    SHADE_AZIMUTHS_DEG,
    Relief,
    gradient_cosines,
    hillshade_ssims,
    psd_log_ratios,
    slope_mae_deg,
)
from .metrics_uncertainty import (
    COVERAGE_LEVELS,
    CURVE_LEVELS,
    ErrorLaw,
    calibration_gap,
    coverage_curve,
    sigma_error_correlation,
)

FloatArray = NDArray[np.floating]
Scores = dict[str, float]

_ORDER_PAIRS = 2000
_CONTROL_SAMPLE_PX = 4096


@dataclass(frozen=True)
class TileOptions:
    """What is scored on a tile, and how.

    Parameters
    ----------
    alignments
        Names as `alignment.parse_alignment` understands them.
    sigma_law
        Law that turns sigma into intervals.
    seam_rows, seam_cols
        Rows and columns of the tile before which seams of the prediction lie.
    """

    alignments: tuple[str, ...] = ("A0", "A1", "A2", "A3")
    sigma_law: ErrorLaw = "laplace"
    seam_rows: tuple[int, ...] = ()
    seam_cols: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class TileTruth:
    """The true heights of a tile, with what can be computed once for all predictions.

    Parameters
    ----------
    dem
        Shape (row, col), metres; NaN = not scored (no data in truth or picture).
    pixel_size_m
        Ground size of a pixel along columns and rows, metres; None = unknown: no slopes, no shading.
    seed
        Seeds the pairs of the ordering accuracy and the control points of A4.
    """

    dem: FloatArray
    pixel_size_m: tuple[float, float] | None = None
    seed: int = 0

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where the tile is scored, shape (row, col)."""
        return np.isfinite(self.dem)

    @cached_property
    def relief(self) -> Relief:
        """Derivatives of the true heights; pixels of unknown size count as 1 m (enough for directions)."""
        return Relief(self.dem, self.pixel_size_m or (1.0, 1.0))

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """Ranks of the valid heights, shape (n,)."""
        return metrics.average_ranks(self.dem[self.valid])

    @cached_property
    def own_scale(self) -> tuple[float, float]:
        """Mean distance from the median, and span, of the heights, metres."""
        return _own_scale(self.dem[self.valid])

    @cached_property
    def detrended_scale(self) -> tuple[float, float]:
        """The same of the heights without their plane, metres."""
        return _own_scale((self.dem - plane(self.dem))[self.valid])

    def restricted(self, valid: NDArray[np.bool_]) -> TileTruth:
        """This truth without the pixels that a prediction lacks."""
        if valid[self.valid].all():
            return self
        return TileTruth(np.where(valid, self.dem, np.nan).astype(self.dem.dtype), self.pixel_size_m, self.seed)


def score_tile(
    pred: FloatArray, truth: TileTruth, options: TileOptions | None = None, sigma: FloatArray | None = None
) -> dict[str, Scores]:
    """All figures of a tile by alignment.

    Directions, ranks and order do not change with a positive scale and a shift, so A0, A1 and A2 share
    those of the prediction as given. Slopes, shading and spectra are given for A0, A1 and A2. A3 has the
    figures on heights and r, of both without their planes. A4(k) has the figures on heights, each the median
    over the draws (one draw of points on equal predicted heights would spoil a mean), on at most 4,096 of
    the other pixels.

    Parameters
    ----------
    pred
        Predicted heights, shape (row, col), metres or, for A2, A3 and A4, any unit. NaN = no data.
    truth
        The true heights of the same shape.
    options
        Alignments, law of sigma, seams.
    sigma
        Predicted standard deviation in the unit of `pred`, same shape. It is judged as it is under A0 and A1,
        and in the truth's unit (`Aligned.spread_ratio`) under A2 and A3.

    Returns
    -------
    For every alignment a dictionary of figures. A figure that is not defined for the tile is NaN.

    Raises
    ------
    NoDataError
        No pixel is valid in both.
    GridMismatchError
        The shapes differ.
    UsageError
        An alignment of another name, or more control points than pixels.
    """
    options = options or TileOptions()
    if pred.shape != truth.dem.shape:
        raise GridMismatchError(f"prediction {pred.shape} and truth {truth.dem.shape} differ in shape")
    truth = truth.restricted(np.isfinite(pred))
    if not truth.valid.any():
        raise NoDataError("no pixel of the tile is valid in both the prediction and the truth")
    pred = np.where(truth.valid, pred, np.nan)
    result: dict[str, Scores] = {}
    shape: Scores | None = None
    structures: dict[float, Scores] = {}
    for name in options.alignments:
        kind, points = parse_alignment(name)
        if kind == "A4":
            result[name] = _control_point_scores(pred, truth, points)
            continue
        aligned = align(pred, truth.dem, name)
        own_scale = truth.detrended_scale if kind == "A3" else truth.own_scale
        scores = _height_scores(aligned.pred[truth.valid], aligned.truth[truth.valid], own_scale)
        # Of level ground nobody can say whether it is upside down.
        scores["inverted"] = float(aligned.covariance <= 0) if truth.own_scale[1] > 0 else math.nan
        if kind == "A3":
            scores["pearson_r"] = aligned.correlation
        else:
            shape = shape if shape is not None else _shape_scores(pred, truth)
            # A shift changes no slope, nor does a scale that is 1 but for rounding.
            scale = 1.0 if math.isclose(aligned.scale, 1.0, rel_tol=1e-6) else aligned.scale
            if scale not in structures:
                structures[scale] = _structure_scores(aligned.pred, truth)
            scores |= shape | structures[scale]
        if sigma is not None:
            dh = aligned.pred - aligned.truth
            scores |= _sigma_scores(dh, aligned.spread_ratio * sigma, options.sigma_law)
        if options.seam_rows or options.seam_cols:
            dh = aligned.pred - aligned.truth
            scores["seam_ratio"] = metrics.seam_ratio(dh, options.seam_rows, options.seam_cols)
        result[name] = scores
    return result


def _height_scores(p: FloatArray, z: FloatArray, scale: tuple[float, float]) -> Scores:
    """Figures on heights; `scale` is the mean distance from the median and the span of the truth, metres."""
    dh = p - z
    spread, span = scale
    mae = metrics.mae(dh)
    return {
        "mae": mae,
        "rmse": metrics.rmse(dh),
        "bias": metrics.bias(dh),
        "nmad": metrics.nmad(dh),
        "le90": metrics.le90(dh),
        "skill": 1 - mae / spread if spread > 0 else math.nan,
        "mae_unit": 2 * mae / span if span > 0 else math.nan,
    }


def _own_scale(z: FloatArray) -> tuple[float, float]:
    """Denominators of `metrics.skill` and `metrics.mae_unit`, metres: the truth's own, whatever the answer."""
    return metrics.mean_distance_from_median(z), float(np.ptp(z))


def _shape_scores(pred: FloatArray, truth: TileTruth) -> Scores:
    p, z = pred[truth.valid], truth.dem[truth.valid]
    relief = Relief(pred, truth.relief.pixel_size_m, truth.relief.footprint)
    cosines = gradient_cosines(relief, truth.relief)
    return {
        "pearson_r": metrics.pearson_r(p, z),
        "spearman_rho": metrics.pearson_r(metrics.average_ranks(p), truth.ranks),
        "ordering": metrics.ordering_accuracy(p, z, np.random.default_rng([truth.seed, 1]), _ORDER_PAIRS),
        **{f"gradcos_{sigma}": value for sigma, value in zip(BLUR_SIGMAS_PX, cosines, strict=True)},
    }


def _structure_scores(pred: FloatArray, truth: TileTruth) -> Scores:
    relief = Relief(pred, truth.relief.pixel_size_m, truth.relief.footprint)
    octaves = [f"psd_{low}_{high}" for low, high in pairwise(OCTAVES_PX)]
    scores = dict(zip(octaves, psd_log_ratios(relief, truth.relief), strict=True))
    if truth.pixel_size_m is None:
        return scores
    ssims = hillshade_ssims(relief, truth.relief)
    names = [f"hillshade_ssim_{azimuth:.0f}" for azimuth in SHADE_AZIMUTHS_DEG]
    return {
        "slope_mae_deg": slope_mae_deg(relief, truth.relief),
        **dict(zip(names, ssims, strict=True)),
        **scores,
    }


def coverage_key(level: float) -> str:
    """Name of the figure that holds the coverage at a nominal share.

    >>> coverage_key(0.9)
    'coverage_90'
    """
    return f"coverage_{100 * level:.0f}"


def _sigma_scores(dh: FloatArray, sigma: FloatArray, law: ErrorLaw) -> Scores:
    known = np.isfinite(dh) & np.isfinite(sigma)
    if not known.any():
        return {}
    error, spread = dh[known], sigma[known]
    coverage = coverage_curve(error, spread, COVERAGE_LEVELS, law)
    curve = [share for share, level in zip(coverage, COVERAGE_LEVELS, strict=True) if level in CURVE_LEVELS]
    return {
        **{coverage_key(level): share for share, level in zip(coverage, COVERAGE_LEVELS, strict=True)},
        "ece": float(calibration_gap(np.array(curve))),
        "sigma_rho": sigma_error_correlation(error, spread),
    }


def _control_point_scores(pred: FloatArray, truth: TileTruth, points: int) -> Scores:
    rng = np.random.default_rng([truth.seed, 4, points])
    fits = control_point_fits(pred, truth.dem, points, rng)
    p, z = pred[truth.valid].astype(np.float64), truth.dem[truth.valid].astype(np.float64)
    sample = rng.permutation(p.size)[: _CONTROL_SAMPLE_PX + points]
    draws = []
    for scale, shift, used in zip(fits.scale, fits.shift, fits.points, strict=True):
        others = sample[~np.isin(sample, used)]
        draws.append(_height_scores(scale * p[others] + shift, z[others], truth.own_scale))
    return {name: float(np.median([draw[name] for draw in draws])) for name in draws[0]}
