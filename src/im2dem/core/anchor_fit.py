"""One scale and one shift from a few known heights: robust, with the scale never below 0, and with error bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import GridMismatchError, NoDataError, UsageError

FloatArray = NDArray[np.floating]

_HUBER = 1.345  # 95 % efficiency for normal errors
_ROUNDS = 50


@dataclass(frozen=True, eq=False)
class LineFit:
    """``truth = shift + scale x prediction``.

    Attributes
    ----------
    scale
        Factor on the prediction, >= 0.
    shift
        Metres.
    spread
        Standard deviation of what is left, in units of the `sigma` given to `fit_line` (metres when none was).
    centre
        Prediction at which shift and scale are independent, metres.
    variances
        Of the height at `centre`, metres squared, and of the scale.
    weights
        Huber weight of each point, 0 to 1; far below 1 for a point that contradicts the others.
    """

    scale: float
    shift: float
    spread: float
    centre: float
    variances: tuple[float, float]
    weights: NDArray[np.float64]

    def apply(self, pred: FloatArray) -> NDArray[np.float64]:
        """Heights of a prediction, any shape, metres."""
        return np.asarray(self.shift + self.scale * np.asarray(pred, np.float64))

    def sigma(self, pred: FloatArray, sigma: FloatArray | float = 1.0) -> NDArray[np.float64]:
        """Standard deviation of `apply`, metres: what is left of errors, and what the fit itself does not know.

        `sigma` is the prediction's own, as it was given to `fit_line`, at the same places.
        """
        of_fit = self.variances[0] + self.variances[1] * (np.asarray(pred, np.float64) - self.centre) ** 2
        return np.asarray(np.sqrt(of_fit + (self.spread * np.asarray(sigma, np.float64)) ** 2))


def fit_line(
    pred: FloatArray,
    truth: FloatArray,
    sigma: FloatArray | None = None,
    *,
    scale_prior: tuple[float, float] | None = None,
) -> LineFit:
    """Robust scale (>= 0) and shift from points whose height is known.

    Parameters
    ----------
    pred, truth
        Predicted and known heights of the points, shape (n,), metres, finite.
    sigma
        Standard deviations of their differences, metres, > 0; default: all alike.
    scale_prior
        Scale expected beforehand and its standard deviation (0: the scale is fixed); without it the points alone
        decide. Its weight is that of points with the spread of the residuals.

    Returns
    -------
    See `LineFit`.

    Raises
    ------
    NoDataError
        No point.
    GridMismatchError
        Arrays of different lengths.
    UsageError
        One point and no fixed scale, or a sigma that is not positive.

    Source
    ------
    Huber (1964), Ann. Math. Stat. 35(1), 73-101, by iteratively reweighted least squares; the prior on the scale
    is one more (Gaussian) observation.

    Examples
    --------
    The third point is wrong by 300 m:

    >>> fit = fit_line(np.array([0.0, 10, 20, 30, 40]), np.array([100.0, 120, 440, 160, 180]))
    >>> round(fit.scale, 2), round(fit.shift), bool(fit.weights[2] < 0.1)
    (2.0, 100, True)
    """
    p, z = np.asarray(pred, np.float64), np.asarray(truth, np.float64)
    if p.size == 0:
        raise NoDataError("not one known height lies on valid pixels; heights stay relative without any")
    s = np.ones(p.shape) if sigma is None else np.asarray(sigma, np.float64)
    if not p.shape == z.shape == s.shape or p.ndim != 1:
        raise GridMismatchError(f"predictions {p.shape}, heights {z.shape} and sigmas {s.shape} differ")
    if not (s > 0).all():
        raise UsageError("standard deviations of points must be positive")
    expected, doubt = scale_prior if scale_prior is not None else (1.0, np.inf)
    if p.size == 1 and doubt == np.inf:
        raise UsageError("one point fixes a shift, not a scale; give at least 2, or a scale")
    return _irls(p, z, s, expected, doubt)


def _irls(
    p: NDArray[np.float64], z: NDArray[np.float64], s: NDArray[np.float64], expected: float, doubt: float
) -> LineFit:
    weight, spread = np.ones(p.shape), 1.0
    for _ in range(_ROUNDS):
        w = weight / s**2
        centre = float((w * p).sum() / w.sum())
        middle = float((w * z).sum() / w.sum())
        dp, dz = p - centre, z - middle
        # In units of the residuals' spread, so that exact points leave the prior nothing to say.
        own = 0.0 if doubt == np.inf else (np.inf if doubt == 0 else max(spread, 1e-12) ** 2 / doubt**2)
        moment = float((w * dp * dp).sum())
        if own == np.inf:
            scale = expected
        elif moment + own > (1e-6 * max(float(np.abs(p).max()), 1e-300)) ** 2 * w.sum() * 1e-6:
            scale = max(0.0, (float((w * dp * dz).sum()) + own * expected) / max(moment + own, 1e-300))
        else:
            scale = 0.0
        residual = dz - scale * dp
        middle_gap = _weighted_median(residual / s, weight) if p.size > 2 else 0.0
        normal = np.abs(residual / s - middle_gap)
        free = max(p.size - (1 if own == np.inf else 2), 0)
        robust = 1.4826 * float(np.median(normal)) * (np.sqrt(p.size / free) if free else 1.0)
        if free:
            spread = robust + 1e-9 * float(np.ptp(z)) / float(np.median(s))
        previous, weight = weight, np.minimum(1.0, _HUBER * spread / np.maximum(normal, 1e-300))
        if free == 0 or np.abs(weight - previous).max() < 1e-9:
            break
    if free:
        spread = float(np.sqrt(((weight * residual / s) ** 2).sum() / max(weight.sum() - (p.size - free), 0.5)))
    total = float((weight / s**2).sum())
    of_scale = 0.0 if own == np.inf else spread**2 / max(moment + own, 1e-300)
    return LineFit(scale, middle - scale * centre, spread, centre, (spread**2 / total, of_scale), weight)


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][int(np.searchsorted(total, total[-1] / 2))])
