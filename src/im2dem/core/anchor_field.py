"""Heights from known points and a prediction, each believed as far as the points themselves bear it out (kriging).

The truth is taken for ``scale x prediction + field(x, y)``. The field is random: near points are alike, far ones are
not. Neither its reach and roughness nor the scale is known. Every value on a short list is weighed by how likely it
makes the known heights, and the answers are averaged. A scale of 0 is on the list: where the picture does not help,
what is left is an interpolation of the points alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.spatial.distance import cdist

from .errors import GridMismatchError, UsageError

FloatArray = NDArray[np.floating]
Float = NDArray[np.float64]

LEAST_POINTS = 3
_MOST_POINTS = 1200
_MOST_FOR_SEARCH = 400
_NOISES = (1e-3, 0.03, 0.1, 1.0)
# Reach as a share of the extent, whether the field is smooth, and how often it is like that: relief itself is rough
# and knows no reach.
_KINDS = ((1.0, False, 0.8), (0.3, False, 0.05), (0.1, False, 0.05), (0.3, True, 0.05), (0.1, True, 0.05))
_SCALES = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32]) / 8
_STEPS = np.array([-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
# Of shipped weights on validation tiles: how often the picture was of no use and what the scale was otherwise, by the
# ratio of the net's own sigma to the spread of its heights. Now and then the scale is odd.
_RATIOS, _USELESS, _SCALE_MEAN = (0.4, 0.7, 1.0, 1.5), (0.2, 0.35, 0.55, 0.8), (0.9, 0.8, 0.65, 0.4)
_USUAL_RATIO, _SCALE_SPREAD, _ODD = 1.05, 0.35, 0.02
_LEAST_WEIGHT = 0.01
_MOST_MEMBERS = 6
_OUTLIER = 6.0  # leave-one-out standard deviations
_NEIGHBOURS, _RELIEF = 4, 0.3
_LEAST_FOR_OUTLIERS = 8
_MOST_OUTLIERS = 5


@dataclass(frozen=True, eq=False)
class ResidualField:
    """``truth = shift + scale x prediction + field(x, y)``, the average of several answers.

    Attributes
    ----------
    scale, shift
        The scale, >= 0, and the height where prediction and field are 0, metres; means over the answers.
    spread
        Standard deviation of the field, metres.
    outliers
        Points that contradict their neighbours and were left out, indexes into what was given.
    left_out_rmse
        RMSE at each point as foretold by the others, metres.
    """

    scale: float
    shift: float
    spread: float
    outliers: tuple[int, ...]
    left_out_rmse: float
    _members: tuple[_Member, ...]
    _weights: Float

    def at(self, xy: FloatArray, pred: FloatArray) -> tuple[Float, Float]:
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
            p = np.asarray(pred[part], np.float64)
            mean, square = np.zeros((2, len(p)))
            for member, weight in zip(self._members, self._weights, strict=True):
                own, variance = member.at(np.asarray(xy[part], np.float64), p)
                # The answers differ: the more so, the less is known.
                own -= self.shift + self.scale * p
                mean += weight * own
                square += weight * (variance + own**2)
            field[part], sigma[part] = mean, np.sqrt(np.maximum(square - mean**2, 0.0))
        return field, sigma


@dataclass(frozen=True)
class FieldOptions:
    """What is known besides the points.

    Parameters
    ----------
    extent
        Side of the scene, units of the coordinates; default: that of the points.
    unit_known
        Whether the prediction is in metres; otherwise its scale is looked for about the ratio of the spreads.
    doubt
        Standard deviation that the prediction claims over the spread of its heights, >= 0: what the picture is worth
        before any point is looked at. Default: nobody knows.

    Raises
    ------
    UsageError
        An extent that is not positive.
    """

    extent: float | None = None
    unit_known: bool = True
    doubt: float | None = None

    def __post_init__(self) -> None:
        if self.extent is not None and not self.extent > 0:
            raise UsageError(f"the extent of a scene must be positive, got {self.extent}")


def fit_field(
    xy: FloatArray,
    pred: FloatArray,
    truth: FloatArray,
    sigma: FloatArray | None = None,
    options: FieldOptions | None = None,
) -> ResidualField:
    """Scale and residual field of at least 3 points: kriging averaged over scales, reaches and noises.

    With few points what is usual decides: more often than not a picture tells nothing of the heights between them.
    Of 8 points or more, those that their neighbours foretell wrongly by more than 6 standard deviations are left out.

    Parameters
    ----------
    xy
        Coordinates, shape (n, 2), any unit that is the same in both directions.
    pred, truth
        Predicted and known heights, shape (n,), metres, finite.
    sigma
        Standard deviations of the known heights, metres, > 0; default: all alike. Only their ratios count.
    options
        See `FieldOptions`.

    Returns
    -------
    See `ResidualField`. Of more than 1,200 points, every k-th is used.

    Raises
    ------
    UsageError
        Fewer than 3 points.
    GridMismatchError
        Arrays of different lengths.

    Source
    ------
    Bayesian model averaging: Hoeting et al. (1999), Statistical Science 14(4), 382-417, eq. 1 to 3; kriging with an
    external drift: Chilès & Delfiner (2012), Geostatistics, 2nd ed., section 5.7; its likelihood with mean and
    variance integrated out: Rasmussen & Williams (2006), section 2.7, Patterson & Thompson (1971), Biometrika 58(3),
    545-554; covariances: Rasmussen & Williams, eq. 4.17 (nu = 3/2) and 4.18 (exponential).

    Examples
    --------
    Prediction and truth differ by a factor and a shift:

    >>> xy = np.column_stack([np.arange(12.0), np.arange(12.0) % 5])
    >>> fit = fit_field(xy, np.sin(xy[:, 0]), 300 + 2 * np.sin(xy[:, 0]))
    >>> round(fit.scale, 2), round(fit.shift)
    (2.0, 300)
    """
    options = options or FieldOptions()
    xy, p, z = (np.asarray(a, np.float64) for a in (xy, pred, truth))
    if not (xy.shape == (len(p), 2) and z.shape == p.shape):
        raise GridMismatchError(f"places {xy.shape}, predictions {p.shape} and heights {z.shape} do not match")
    if len(p) < LEAST_POINTS:
        raise UsageError(f"a field of residuals needs at least {LEAST_POINTS} points, got {len(p)}; fit a line instead")
    chosen = np.arange(0, len(p), -(-len(p) // _MOST_POINTS))
    noise = np.ones(len(p)) if sigma is None else np.asarray(sigma, np.float64) ** 2
    noise = noise / np.exp(np.mean(np.log(noise)))
    extent = options.extent or float(np.ptp(xy, axis=0).max()) or 1.0
    prior = _ScalePrior.of(p, z, options)

    def average() -> tuple[list[_Member], Float]:
        return _average(xy[chosen], p[chosen], z[chosen], noise[chosen], (extent, prior))

    members, weights = average()
    outliers: list[int] = []
    while len(chosen) >= _LEAST_FOR_OUTLIERS and len(outliers) < min(_MOST_OUTLIERS, len(p) / 5):
        error, scatter = _left_out(members, weights)
        strange = np.abs(error / scatter)
        worst = int(np.argmax(strange))
        if abs(error[worst]) < 1e-6 * float(np.ptp(z)) or strange[worst] <= _OUTLIER * 1.4826 * np.median(strange):
            break
        # A summit is strange too, but without it its neighbours are foretold no better.
        near = np.argsort(np.hypot(*(xy[chosen] - xy[chosen[worst]]).T))[1 : 1 + _NEIGHBOURS]
        kept = chosen
        chosen = np.delete(chosen, worst)
        fewer = average()
        without = np.insert(_left_out(*fewer)[0], worst, np.nan)
        if np.sum(without[near] ** 2) > _RELIEF**2 * np.sum(error[near] ** 2):
            chosen = kept
            break
        outliers.append(int(kept[worst]))
        members, weights = fewer
    error, _ = _left_out(members, weights)
    scale, shift, variance = (
        float(weights @ [getattr(m, name) for m in members]) for name in ("scale", "shift", "variance")
    )
    rmse = float(np.sqrt(np.mean(error**2)))
    return ResidualField(scale, shift, math.sqrt(variance), tuple(sorted(outliers)), rmse, tuple(members), weights)


@dataclass(frozen=True)
class _ScalePrior:
    """What the scale is worth before any point is looked at: 0, or about `mean` times `unit`; None: only 0."""

    unit: float | None
    useless: float = 1.0
    mean: float = 0.0

    @classmethod
    def of(cls, pred: Float, truth: Float, options: FieldOptions) -> _ScalePrior:
        size = float(np.abs(pred - pred.mean()).max())
        if size <= 1e-6 * max(1e-300, float(np.abs(pred).max())):
            return cls(None)
        doubt = _USUAL_RATIO if options.doubt is None else options.doubt
        useless, mean = (float(np.interp(doubt, _RATIOS, values)) for values in (_USELESS, _SCALE_MEAN))
        if options.unit_known:
            return cls(1.0, useless, mean)
        return cls(max(float(truth.std() / pred.std()), 1e-12), useless, mean)

    def shares(self, likely: float, width: float) -> tuple[Float, Float]:
        """Scales to try, closer together about the one that the points say, and the logarithm of their worth."""
        if self.unit is None:
            return np.zeros(1), np.zeros(1)
        near = likely + width * _STEPS
        scales = np.unique(np.concatenate([_SCALES, near[near > 0] / self.unit]))
        usual = np.exp(-0.5 * ((scales - self.mean) / _SCALE_SPREAD) ** 2) / (_SCALE_SPREAD * math.sqrt(2 * math.pi))
        # And a wide tail: many points may say any scale.
        density = (1 - _ODD) * usual + _ODD * np.exp(-scales / 2) / 2 + 1e-9
        worth = (1 - self.useless) * density * np.gradient(scales)
        return self.unit * np.append(scales, 0.0), np.log(np.append(worth, self.useless))


class _Member:
    """One reach and one noise: the field that they make of the points, with the scale averaged."""

    def __init__(
        self, points: tuple[Float, Float, Float, Float], kind: tuple[float, bool], noise: float, prior: _ScalePrior
    ) -> None:
        self._xy, p, z, own = points
        self._reach, self._is_smooth = kind
        self._noise = noise
        matrix = _alike(cdist(self._xy, self._xy), *kind)
        # A little more on the diagonal than rounding: doubled points would make the matrix singular.
        matrix[np.diag_indices_from(matrix)] += noise * own + 1e-9
        self._factor = linalg.cho_factor(matrix, lower=True)
        self._ones = linalg.cho_solve(self._factor, np.ones(len(z)))
        self._total = float(self._ones.sum())
        both = np.column_stack([z, p])
        middle = self._ones @ both / self._total
        solved = linalg.cho_solve(self._factor, both - middle)
        moments = (both - middle).T @ solved
        free = len(z) - 1
        least = 1e-12 * (1 + moments[0, 0])
        likely = moments[0, 1] / max(moments[1, 1], 1e-300)
        width = math.sqrt(max(moments[0, 0] - likely * moments[0, 1], least) / free / max(moments[1, 1], 1e-300))
        scales, worth = prior.shares(likely, width)
        misfit = np.maximum(moments[0, 0] - 2 * scales * moments[0, 1] + scales**2 * moments[1, 1], least)
        worth -= 0.5 * free * np.log(misfit)
        share = np.exp(worth - worth.max())
        logs = 2 * float(np.log(np.diag(self._factor[0])).sum()) + math.log(self._total)
        self.likelihood = float(worth.max() + np.log(share.sum())) - 0.5 * logs
        share /= share.sum()
        self.scale = float(share @ scales)
        # One less than unbiased: of few points the spread is hardly known, and small as often as large.
        self.variance = float(share @ misfit) / max(free - 1, 1)
        self._scale_variance = float(share @ (scales - self.scale) ** 2)
        self._middle_pred = float(middle[1])
        self.shift = float(middle[0] - self.scale * middle[1])
        self._residual = z - self.shift - self.scale * p
        self._solved_pred = solved[:, 1]
        self._alpha = solved[:, 0] - self.scale * solved[:, 1]

    def at(self, xy: Float, pred: Float) -> tuple[Float, Float]:
        """Height and its variance."""
        near = _alike(cdist(xy, self._xy), self._reach, self._is_smooth)
        height = self.shift + self.scale * pred + near @ self._alpha
        unexplained = 1 - near @ self._ones
        # By how much a wrong scale would be wrong here, in spite of the points.
        lever = pred - self._middle_pred - near @ self._solved_pred
        half = linalg.solve_triangular(self._factor[0], near.T, lower=True, overwrite_b=True, check_finite=False)
        own = 1 + self._noise - np.einsum("ij,ij->j", half, half) + unexplained**2 / self._total
        return np.asarray(height), np.asarray(self.variance * np.maximum(own, 0) + self._scale_variance * lever**2)

    def left_out(self) -> tuple[Float, Float]:
        """Error at each point as foretold by all others, and its standard deviation, metres."""
        inverse = linalg.cho_solve(self._factor, np.eye(len(self._alpha)))
        inverse -= np.outer(self._ones, self._ones) / self._total
        own = np.maximum(np.diag(inverse), 1e-300)
        return (inverse @ self._residual) / own, np.sqrt(self.variance / own)


def _alike(distance: Float, reach: float, is_smooth: bool) -> Float:
    scaled = distance / reach
    if is_smooth:
        scaled *= math.sqrt(3.0)
        return np.asarray((1 + scaled) * np.exp(-scaled))
    return np.asarray(np.exp(-scaled))


def _average(
    xy: Float, p: Float, z: Float, noise: Float, known: tuple[float, _ScalePrior]
) -> tuple[list[_Member], Float]:
    """The answers that count, and their weights."""
    extent, prior = known
    every = slice(None, None, -(-len(p) // _MOST_FOR_SEARCH))
    some = xy[every], p[every], z[every], noise[every]
    tried = [((share * extent, is_smooth), level) for share, is_smooth, _ in _KINDS for level in _NOISES]
    found = [_Member(some, kind, level, prior) for kind, level in tried]
    usual = np.repeat(np.log([often for _, _, often in _KINDS]), len(_NOISES))
    likelihood = np.array([member.likelihood for member in found]) + usual
    weights = np.exp(likelihood - likelihood.max())
    most = _MOST_MEMBERS if len(p) <= _MOST_FOR_SEARCH else 2  # each costs time with the square of the points
    best = [int(i) for i in np.argsort(-weights)[:most] if weights[i] > _LEAST_WEIGHT * weights.sum()]
    if len(some[1]) < len(p):
        members = [_Member((xy, p, z, noise), *tried[i], prior) for i in best]
    else:
        members = [found[i] for i in best]
    return members, np.asarray(weights[best] / weights[best].sum())


def _left_out(members: list[_Member], weights: Float) -> tuple[Float, Float]:
    both = np.array([member.left_out() for member in members])
    error, scatter = np.tensordot(weights, both, axes=1)
    return error, scatter
