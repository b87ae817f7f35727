"""What a scale and a shift leave over at many points, as a smooth field with its uncertainty (kriging).

The difference of truth and prediction is a random field: near points are alike, far ones are not. Its reach and
roughness are found from the points; the field follows them where they agree and smooths where they do not. Far
from every point it fades to the line, and its standard deviation grows to that of the differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from .errors import GridMismatchError, UsageError

FloatArray = NDArray[np.floating]

_MOST_POINTS = 1200
_MOST_FOR_SEARCH = 400
_NOISES = (1e-4, 0.03, 0.1, 0.3, 1.0, 5.0)
_REACHES = (0.04, 0.08, 0.15, 0.3, 0.6, 1.2)
_OUTLIER = 6.0  # leave-one-out standard deviations
LEAST_POINTS = 10


@dataclass(frozen=True, eq=False)
class ResidualField:
    """A line with a field on top: ``truth = shift + scale x prediction + field(x, y)``.

    Attributes
    ----------
    scale, shift
        Of the line; the scale is >= 0.
    reach
        Distance over which differences are alike, units of the coordinates.
    noise
        Variance of what differs from one pixel to the next over that of the field.
    spread
        Standard deviation of the field, metres.
    outliers
        Points that contradict their neighbours and were left out, indexes into what was given.
    left_out_rmse
        RMSE at each point as foretold by the others, metres.
    """

    scale: float
    shift: float
    reach: float
    noise: float
    spread: float
    outliers: tuple[int, ...]
    left_out_rmse: float
    _xy: NDArray[np.float64]
    _alpha: NDArray[np.float64]
    _factor: tuple[NDArray[np.float64], bool]
    _drift: NDArray[np.float64]
    _drift_cov: NDArray[np.float64]

    def at(self, xy: FloatArray, pred: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The field and the standard deviation of the whole at some places.

        Parameters
        ----------
        xy
            Shape (m, 2), units of the coordinates given to `fit_field`.
        pred
            Prediction there, shape (m,), metres.

        Returns
        -------
        Field (to be added to ``shift + scale x prediction``) and standard deviation of the sum, metres, each (m,).
        """
        field, sigma = np.empty((2, len(xy)))
        for start in range(0, len(xy), 4096):
            part = slice(start, start + 4096)
            near = _matern(cdist(xy[part], self._xy), self.reach)
            field[part] = near @ self._alpha
            solved = linalg.cho_solve(self._factor, near.T)
            drift = _drift_of(np.asarray(pred[part], np.float64), self._drift.shape[1])
            gap = drift - solved.T @ self._drift
            own = 1 + self.noise - (near * solved.T).sum(axis=1)
            variance = self.spread**2 * np.maximum(own, 0) + ((gap @ self._drift_cov) * gap).sum(axis=1)
            sigma[part] = np.sqrt(variance)
        return field, sigma


def fit_field(xy: FloatArray, pred: FloatArray, truth: FloatArray, sigma: FloatArray | None = None) -> ResidualField:
    """The line and the residual field of at least 10 points, by kriging with the prediction as drift.

    Reach and noise are those of the largest restricted likelihood over a fixed set; points that their
    neighbours foretell wrongly by more than 6 standard deviations are left out. A drift with a negative scale is
    replaced by a mere shift.

    Parameters
    ----------
    xy
        Coordinates, shape (n, 2), any unit that is the same in both directions.
    pred, truth
        Predicted and known heights, shape (n,), metres, finite.
    sigma
        Standard deviations of the known heights, metres, > 0; default: all alike. Only their ratios count.

    Returns
    -------
    See `ResidualField`. Of more than 1,200 points, every k-th is used.

    Raises
    ------
    UsageError
        Fewer than 10 points.
    GridMismatchError
        Arrays of different lengths.

    Source
    ------
    Universal kriging: Chilès & Delfiner (2012), Geostatistics, 2nd ed., section 3.4; restricted likelihood:
    Patterson & Thompson (1971), Biometrika 58(3), 545-554; covariance of Matérn with nu = 3/2: Rasmussen & Williams
    (2006), eq. 4.17.
    """
    xy, p, z = (np.asarray(a, np.float64) for a in (xy, pred, truth))
    if not (xy.shape == (len(p), 2) and z.shape == p.shape):
        raise GridMismatchError(f"places {xy.shape}, predictions {p.shape} and heights {z.shape} do not match")
    if len(p) < LEAST_POINTS:
        raise UsageError(f"a field of residuals needs at least {LEAST_POINTS} points, got {len(p)}; fit a line instead")
    every = -(-len(p) // _MOST_POINTS)
    chosen = np.arange(0, len(p), every)
    noise = np.ones(len(p)) if sigma is None else np.asarray(sigma, np.float64) ** 2
    noise = noise / np.exp(np.mean(np.log(noise)))
    columns = 2 if np.ptp(p) > 1e-6 * max(1e-300, float(np.abs(p).max())) else 1
    fit = _best(xy[chosen], p[chosen], z[chosen], noise[chosen], columns)
    if columns == 2 and fit.beta[1] < 0:
        columns, fit = 1, _best(xy[chosen], p[chosen], z[chosen], noise[chosen], 1)
    outliers: list[int] = []
    for _ in range(5):
        error, scatter = fit.left_out()
        robust = max(1.4826 * float(np.median(np.abs(error / scatter))), 1e-12)
        bad = np.abs(error / scatter) > _OUTLIER * max(robust, 1e-6)
        worst = int(np.argmax(np.abs(error / scatter)))
        if not bad[worst] or len(chosen) <= LEAST_POINTS or abs(error[worst]) < 1e-6 * max(float(np.ptp(z)), 1e-300):
            break
        outliers.append(int(chosen[worst]))
        chosen = np.delete(chosen, worst)
        fit = _best(xy[chosen], p[chosen], z[chosen], noise[chosen], columns)
    error, _ = fit.left_out()
    scale = float(fit.beta[1]) if columns == 2 else 0.0
    return ResidualField(
        max(scale, 0.0),
        float(fit.beta[0]),
        fit.reach,
        fit.noise,
        fit.spread,
        tuple(sorted(outliers)),
        float(np.sqrt(np.mean(error**2))),
        xy[chosen],
        fit.alpha,
        fit.factor,
        fit.drift,
        fit.spread**2 * fit.beta_cov,
    )


def _matern(distance: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    scaled = np.sqrt(3.0) * distance / reach
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _drift_of(pred: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    return np.column_stack([np.ones(len(pred)), pred])[:, :columns]


class _Fit:
    """One reach and one noise, solved."""

    def __init__(
        self, xy: NDArray[np.float64], drift: NDArray[np.float64], z: NDArray[np.float64], own: NDArray[np.float64],
        reach: float, noise: float,
    ) -> None:  # fmt: skip
        self.reach, self.noise, self.drift, self.z = reach, noise, drift, z
        # A little more on the diagonal than rounding: doubled points would make the matrix singular.
        matrix = _matern(cdist(xy, xy), reach) + np.diag(noise * own + 1e-9)
        self.factor = linalg.cho_factor(matrix, lower=True)
        solved = linalg.cho_solve(self.factor, drift)
        self.information = drift.T @ solved
        self.beta_cov = np.linalg.pinv(self.information)
        self.beta = self.beta_cov @ (solved.T @ z)
        self.alpha = linalg.cho_solve(self.factor, z - drift @ self.beta)
        free = len(z) - drift.shape[1]
        self.spread = float(np.sqrt(max(float((z - drift @ self.beta) @ self.alpha) / free, 1e-300)))
        logs = 2 * np.log(np.diag(self.factor[0])).sum() + np.linalg.slogdet(self.information)[1]
        self.badness = free * 2 * np.log(self.spread) + logs

    def left_out(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Error at each point as foretold by all others, and its standard deviation, metres."""
        inverse = linalg.cho_solve(self.factor, np.eye(len(self.z)))
        solved = inverse @ self.drift
        inverse -= solved @ self.beta_cov @ solved.T
        own = np.maximum(np.diag(inverse), 1e-300)
        return (inverse @ self.z) / own, self.spread / np.sqrt(own)


def _best(
    xy: NDArray[np.float64], p: NDArray[np.float64], z: NDArray[np.float64], noise: NDArray[np.float64], columns: int
) -> _Fit:
    span = float(np.linalg.norm(np.ptp(xy, axis=0))) or 1.0
    some = slice(None, None, -(-len(p) // _MOST_FOR_SEARCH))
    drift = _drift_of(p, columns)
    least = float(np.median(KDTree(xy).query(xy, k=2)[0][:, 1])) if len(xy) > 1 else span
    found = [
        _Fit(xy[some], drift[some], z[some], noise[some], max(share * span, 0.5 * least, 1e-9 * span), level)
        for share in _REACHES
        for level in _NOISES
    ]
    best = min(found, key=lambda fit: fit.badness)
    return _Fit(xy, drift, z, noise, best.reach, best.noise)
