"""Heights whose slopes are the predicted ones and which meet a prior and known points: a Poisson equation.

The heights z that minimise, over neighbouring valid pixels and over all pixels,

    sum (dz - dp)^2 + sum a (z - prior)^2 + sum w_k (z_k - h_k)^2

solve ``(L + D)(z - p) = D (target - p)`` with the Laplacian L of the valid pixels (free slopes at its border) and the
diagonal D of the weights. Conjugate gradients do it, with one cycle of geometric multigrid as preconditioner, so
the work grows with the number of pixels only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import GridMismatchError, NoDataError, UsageError

FloatArray = NDArray[np.floating]
Single = NDArray[np.float32]

HARD = 1e4
"""Weight of a point that is met to about a ten-thousandth of the misfit of its surroundings."""

_DAMPING = 0.8
_SWEEPS = 2
_LEAST_SIDE = 4
_COARSEST_SWEEPS = 30


@dataclass(frozen=True, eq=False)
class Anchors:
    """What the heights have to meet.

    Parameters
    ----------
    prior
        Heights of a smooth prior, shape of the prediction, metres; NaN = none there. None: no prior.
    prior_weight
        The a above, per pixel: slopes longer than about ``1 / sqrt(a)`` pixels follow the prior.
    rows, cols
        Pixels of the known points, shape (n,).
    heights
        Of the points, metres.
    weights
        The w_k, > 0; `HARD` for exact ones.
    """

    prior: FloatArray | None = None
    prior_weight: float = 0.0
    rows: NDArray[np.int64] | None = None
    cols: NDArray[np.int64] | None = None
    heights: FloatArray | None = None
    weights: FloatArray | float = HARD


def solve_poisson(
    pred: FloatArray, anchors: Anchors, *, tolerance: float = 1e-4, most_rounds: int = 200
) -> NDArray[np.float64]:
    """Heights with the slopes of a prediction, tied to a prior and to points.

    Parameters
    ----------
    pred
        Predicted heights, shape (row, col), metres up to a shift; NaN = no data, and stays so.
    anchors
        Prior and points; at least one of them must touch the valid pixels.
    tolerance
        Stop when the energy of what is wrong has fallen to this share (of its root) of that of the first guess.
    most_rounds
        Rounds of conjugate gradients, at most.

    Returns
    -------
    float64, shape of `pred`, metres. A part of the valid pixels that no anchor touches keeps the prediction plus
    the mean shift of the others.

    Raises
    ------
    NoDataError
        Nothing ties the heights down.
    GridMismatchError
        A prior of another shape.
    UsageError
        A negative weight.

    Source
    ------
    Screened Poisson equation: Bhat et al. (2008), ECCV, eq. 4; multigrid as a preconditioner: Tatebe (1993), NASA
    CP-3224, 621-634.

    Examples
    --------
    One point fixes the level, whatever the slopes are:

    >>> anchors = Anchors(rows=np.array([0]), cols=np.array([1]), heights=np.array([100.0]))
    >>> solve_poisson(np.array([[0.0, 1.0], [2.0, 5.0]]), anchors).round(3).tolist()
    [[99.0, 100.0], [101.0, 104.0]]
    """
    valid = np.isfinite(pred)
    p = np.where(valid, pred, 0.0).astype(np.float64)
    pull, target = _targets(p, valid, anchors)
    if not pull.any():
        raise NoDataError("neither a prior nor a point touches a valid pixel; there is nothing to tie the heights to")
    mean = float((pull * target).sum() / pull.sum())
    right = pull * (target - mean)
    levels = _levels(valid, pull)
    found = _conjugate_gradients(levels, right, valid, tolerance, most_rounds)
    return np.where(valid, p + mean + found, np.nan)


def _targets(
    p: NDArray[np.float64], valid: NDArray[np.bool_], anchors: Anchors
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of every pixel, and what its height should exceed the prediction by."""
    pull, wanted = np.zeros((2, *p.shape))
    if anchors.prior is not None:
        if anchors.prior.shape != p.shape:
            raise GridMismatchError(f"a prior of {anchors.prior.shape} given for a prediction of {p.shape}")
        there = valid & np.isfinite(anchors.prior)
        pull[there] = anchors.prior_weight
        wanted[there] = anchors.prior_weight * (anchors.prior - p)[there]
    if anchors.rows is not None and anchors.cols is not None and anchors.heights is not None:
        weights = np.broadcast_to(np.asarray(anchors.weights, np.float64), anchors.heights.shape)
        inside = valid[anchors.rows, anchors.cols]
        at = anchors.rows[inside], anchors.cols[inside]
        np.add.at(pull, at, weights[inside])
        np.add.at(wanted, at, weights[inside] * (np.asarray(anchors.heights, np.float64)[inside] - p[at]))
    if (pull < 0).any():
        raise UsageError("weights of prior and points must not be negative")
    return pull, np.divide(wanted, pull, out=np.zeros_like(wanted), where=pull > 0)


class _Level:
    """The operator L + D on one grid: strength of the edges to the right and down, and the diagonal."""

    def __init__(self, right: Single, down: Single, pull: Single) -> None:
        self.right, self.down, self.pull = right, down, pull
        self.diagonal = pull.copy()
        self.diagonal[:, :-1] += right
        self.diagonal[:, 1:] += right
        self.diagonal[:-1] += down
        self.diagonal[1:] += down
        self.step = np.divide(_DAMPING, self.diagonal, out=np.zeros_like(pull), where=self.diagonal > 0)
        self.step = self.step.astype(np.float32)

    def apply(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        out = self.pull * x
        flow = x[:, :-1] - x[:, 1:]
        flow *= self.right
        out[:, :-1] += flow
        out[:, 1:] -= flow
        flow = x[:-1] - x[1:]
        flow *= self.down
        out[:-1] += flow
        out[1:] -= flow
        return out

    def smooth(self, x: Single, right_side: Single, sweeps: int) -> Single:
        for _ in range(sweeps):
            left = self.apply(x)
            np.subtract(right_side, left, out=left)
            left *= self.step
            x += left
        return x

    def coarser(self) -> _Level:
        pull = _pad_even(self.pull)
        right, down = _pad_to(self.right, pull.shape), _pad_to(self.down, pull.shape)
        # A slope over twice the distance: two edges side by side, each half as strong.
        across = 0.5 * (right[0::2, 1::2] + right[1::2, 1::2])[:, :-1]
        along = 0.5 * (down[1::2, 0::2] + down[1::2, 1::2])[:-1]
        return _Level(across, along, pull[0::2, 0::2] + pull[1::2, 0::2] + pull[0::2, 1::2] + pull[1::2, 1::2])


def _levels(valid: NDArray[np.bool_], pull: NDArray[np.float64]) -> list[_Level]:
    good = valid.astype(np.float32)
    levels = [_Level(good[:, :-1] * good[:, 1:], good[:-1] * good[1:], pull.astype(np.float32))]
    while min(levels[-1].pull.shape) > _LEAST_SIDE:
        levels.append(levels[-1].coarser())
    return levels


def _pad_even(x: Single) -> Single:
    return np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)))


def _pad_to(x: Single, shape: tuple[int, ...]) -> Single:
    return np.pad(x, ((0, shape[0] - x.shape[0]), (0, shape[1] - x.shape[1])))


def _prolong(coarse: Single, shape: tuple[int, ...]) -> Single:
    """Linear interpolation between the middles of cells."""
    for axis in (0, 1):
        moved = np.moveaxis(coarse, axis, 0)
        before, after = (moved[np.r_[0, 0 : len(moved) - 1]], moved[np.r_[1 : len(moved), len(moved) - 1]])
        fine = np.empty((2 * len(moved), moved.shape[1]), np.float32)
        fine[0::2], fine[1::2] = 0.75 * moved + 0.25 * before, 0.75 * moved + 0.25 * after
        coarse = np.moveaxis(fine[: shape[axis]], 0, axis)
    return coarse


def _restrict(fine: Single) -> Single:
    """The transpose of `_prolong`."""
    for axis in (1, 0):
        moved = np.moveaxis(fine, axis, 0)
        if len(moved) % 2:
            moved = np.concatenate([moved, np.zeros_like(moved[:1])])
        even, odd = moved[0::2], moved[1::2]
        coarse = 0.75 * (even + odd)
        coarse[:-1] += 0.25 * even[1:]
        coarse[0] += 0.25 * even[0]
        coarse[1:] += 0.25 * odd[:-1]
        coarse[-1] += 0.25 * odd[-1]
        fine = np.moveaxis(coarse, 0, axis)
    return fine


def _cycle(levels: list[_Level], k: int, right_side: Single) -> Single:
    """One V-cycle from zero; symmetric, so that conjugate gradients may use it."""
    level = levels[k]
    x = level.step * right_side
    if k == len(levels) - 1:
        return level.smooth(x, right_side, _COARSEST_SWEEPS)
    x = level.smooth(x, right_side, _SWEEPS - 1)
    left = right_side - level.apply(x)
    x = x + _prolong(_cycle(levels, k + 1, _restrict(left)), x.shape) * (level.step > 0)
    return level.smooth(x, right_side, _SWEEPS)


def _conjugate_gradients(
    levels: list[_Level], right: NDArray[np.float64], valid: NDArray[np.bool_], tolerance: float, most_rounds: int
) -> NDArray[np.float64]:
    x, left = np.zeros_like(right), right.copy()
    direction, strength, first = np.zeros_like(right), 0.0, 0.0
    for _ in range(most_rounds):
        size = float(np.abs(left).max())
        if size == 0:
            break
        # Scaled, so that single precision neither overflows nor drowns.
        guess = _cycle(levels, 0, (left / size).astype(np.float32)).astype(np.float64) * size
        guess *= valid
        now = float((left * guess).sum())
        first = first or now
        if now <= tolerance**2 * first:
            break
        direction = guess + (now / strength if strength else 0.0) * direction
        strength = now
        image = levels[0].apply(direction)
        step = now / float((direction * image).sum())
        x += step * direction
        left -= step * image
    return x
