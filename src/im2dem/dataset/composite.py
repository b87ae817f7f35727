"""One picture from several dates: median, medoid, the clearest date, the date with the lowest sun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.scaling import strips

Float32 = NDArray[np.float32]
Composite = Literal["best", "low-sun", "median", "medoid"]
COMPOSITES: tuple[Composite, ...] = ("best", "low-sun", "median", "medoid")
SINGLE_DATE = ("best", "low-sun")
# A date with a low sun is taken when it shows nearly as much of the ground as the clearest one does.
NEARLY_AS_CLEAR = 0.01
_ROWS = 128


def median(stack: Float32) -> tuple[Float32, NDArray[np.uint16]]:
    """Median of each band over the dates.

    Parameters
    ----------
    stack
        Reflectance, shape (date, band, row, col), NaN = not clear.

    Returns
    -------
    Shape (band, row, col), NaN where no date is clear; and the number of clear dates, shape (row, col).
    """
    return _by_strips(stack, _median_strip)


def medoid(stack: Float32) -> tuple[Float32, NDArray[np.uint16]]:
    """For each pixel the one observation that is nearest to all others: its bands are of one date.

    Parameters
    ----------
    stack
        As in `median`.

    Returns
    -------
    As `median`.

    Source
    ------
    Flood (2013), Remote Sensing 5(12), 6481-6500, eq. 1: least sum of Euclidean distances.
    """
    return _by_strips(stack, _medoid_strip)


def clearest(clear_shares: Sequence[float]) -> int:
    """The date that shows most of the ground; of equals the first.

    Raises
    ------
    UsageError
        No date.
    """
    if not clear_shares:
        raise UsageError("a composite needs at least one date")
    return int(np.argmax(clear_shares))


def lowest_sun(clear_shares: Sequence[float], sun_elevations_deg: Sequence[float]) -> int:
    """The date with the lowest sun among those that show nearly as much of the ground as the clearest one.

    Parameters
    ----------
    clear_shares
        Share of clear pixels of each date, 0 to 1.
    sun_elevations_deg
        Of each date.

    Raises
    ------
    UsageError
        No date, or lists of different lengths.
    """
    if not clear_shares or len(clear_shares) != len(sun_elevations_deg):
        raise UsageError(
            f"{len(clear_shares)} dates and {len(sun_elevations_deg)} suns given; one sun a date is wanted"
        )
    enough = max(clear_shares) - NEARLY_AS_CLEAR
    return min((i for i, share in enumerate(clear_shares) if share >= enough), key=lambda i: (sun_elevations_deg[i], i))


def _by_strips(
    stack: Float32, reduce: Callable[[Float32, NDArray[np.bool_]], Float32]
) -> tuple[Float32, NDArray[np.uint16]]:
    """Strip by strip: sorting copies what it sorts, and a block of dates may be large."""
    if stack.ndim != 4 or stack.shape[0] == 0:
        raise UsageError(f"a stack has the shape (date, band, row, col) with at least one date, got {stack.shape}")
    out = np.empty(stack.shape[1:], dtype=np.float32)
    count = np.empty(stack.shape[2:], dtype=np.uint16)
    for window in strips(Grid.local((stack.shape[2], stack.shape[3]), None), _ROWS):
        rows = slice(window.row_off, window.row_stop)
        part = stack[:, :, rows]
        clear: NDArray[np.bool_] = np.asarray(np.isfinite(part).all(axis=1))
        part = np.where(clear[:, None], part, np.float32(np.nan))
        out[:, rows] = reduce(part, clear)
        count[rows] = clear.sum(axis=0)
    return out, count


def _median_strip(part: Float32, clear: NDArray[np.bool_]) -> Float32:
    # NaN sorts to the end, so the middle of the clear ones is found by counting, without numpy's slow nanmedian.
    ordered = np.sort(part, axis=0)
    count = clear.sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    middle = [np.take_along_axis(ordered, k[None, None], axis=0)[0] for k in (low, np.minimum(high, len(part) - 1))]
    return np.asarray((middle[0] + middle[1]) / 2, dtype=np.float32)


def _medoid_strip(part: Float32, clear: NDArray[np.bool_]) -> Float32:
    dates = part.shape[0]
    cost = np.zeros((dates, *part.shape[2:]), dtype=np.float32)
    for i in range(dates):
        for j in range(i + 1, dates):
            apart = np.sqrt(((part[i] - part[j]) ** 2).sum(axis=0))
            apart[~np.isfinite(apart)] = 0.0
            cost[i] += apart
            cost[j] += apart
    cost[~clear] = np.inf
    chosen = cost.argmin(axis=0)
    return np.asarray(np.take_along_axis(part, chosen[None, None], axis=0)[0])
