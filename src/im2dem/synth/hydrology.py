"""Where water goes: pit filling, receivers, drained area, stream order, drainage density.

Source
------
Barnes, Lehman & Mulla (2014), Priority-flood, Computers & Geosciences 62, 117-127, doi:10.1016/j.cageo.2013.04.024
(algorithm 2, with an increment per step); Zhou, Sun & Fu (2016), doi:10.1016/j.cageo.2016.02.021 (climbing without
a queue of priorities); O'Callaghan & Mark (1984) for D8; Tarboton (1997), doi:10.1029/96WR03137 (facets between two
neighbours, table 1), one of the two at random as in Fairfield & Leymarie (1991), doi:10.1029/90WR02658; Strahler
(1957) for stream order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

from .compiled import compiled, require_speed

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

# Rise of a filled surface per pixel towards the inside of a pit. Float32 still tells it apart at 8,000 m.
EPSILON_M = 2e-3
_ROWS = np.array([-1, -1, -1, 0, 0, 1, 1, 1])
_COLS = np.array([-1, 0, 1, -1, 1, -1, 0, 1])
_STEPS = np.array([2**0.5, 1.0, 2**0.5, 1.0, 1.0, 2**0.5, 1.0, 2**0.5])
# Eight facets around a pixel, each between a neighbour beside or above it and one at a corner.
_SIDE_ROWS, _SIDE_COLS = np.array([0, -1, -1, 0, 0, 1, 1, 0]), np.array([1, 0, 0, -1, -1, 0, 0, 1])
_CORNER_ROWS, _CORNER_COLS = np.array([-1, -1, -1, -1, 1, 1, 1, 1]), np.array([1, 1, -1, -1, -1, -1, 1, 1])


@dataclass(frozen=True, eq=False)
class Drainage:
    """The way of water over a height model.

    Parameters
    ----------
    filled
        Heights without pits, shape (row, col), metres: every pixel but the outlets has a lower neighbour.
    order
        Flat pixel numbers, each after its receiver; shape (row * col,).
    receiver
        Flat number of the neighbour that takes a pixel's water, its own number at outlets; shape (row * col,).
    """

    filled: F64
    order: I32
    receiver: I32


def drainage(dem: NDArray[np.floating[Any]], sea_m: float | None = None, wander_seed: int | None = None) -> Drainage:
    """Pits filled and a receiver for every pixel.

    Parameters
    ----------
    dem
        Heights, shape (row, col), at least 3 x 3, metres, no NaN.
    sea_m
        Pixels at or below are outlets, besides the edge of the raster.
    wander_seed
        None: the steepest of the eight neighbours. A number: of the two neighbours between which it is steepest one
        at random, so that on average water goes straight down and channels made by erosion do not keep to multiples
        of 45 degrees; still always downhill.

    Returns
    -------
    See `Drainage`.

    Raises
    ------
    UsageError
        Not two axes, less than 3 x 3 pixels, or NaN.
    MissingDependencyError
        A large raster without Numba.
    """
    z = np.ascontiguousarray(dem, dtype=np.float64)
    if z.ndim != 2 or min(z.shape) < 3:
        raise UsageError(f"water needs heights of at least 3 x 3 pixels, got shape {dem.shape}")
    if not np.isfinite(z).all():
        raise UsageError("water cannot be routed over missing heights; fill NaN first")
    require_speed(20 * z.size, f"routing water over {z.shape[1]} x {z.shape[0]} pixels")
    sea = -np.inf if sea_m is None else sea_m
    filled = _flood(z, sea, EPSILON_M)
    seed = np.uint64(0 if wander_seed is None else (wander_seed * 2 + 1) & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):  # plain Python tells of products that are meant to wrap around
        receiver = _receivers(filled, sea, seed)
    return Drainage(filled, _order(receiver), receiver)


def flow_accumulation(way: Drainage) -> F64:
    """Drained area in pixels, the pixel itself included, shape (row, col)."""
    return np.asarray(_accumulate(way.order, way.receiver).reshape(way.filled.shape))


def strahler_order(way: Drainage, least_area_px: float) -> NDArray[np.int8]:
    """Strahler order of streams, 0 off them; a stream starts where `least_area_px` pixels are drained."""
    area = _accumulate(way.order, way.receiver)
    return np.asarray(_strahler(way.order, way.receiver, area, least_area_px).reshape(way.filled.shape))


def drainage_density(dem: NDArray[np.floating[Any]], gsd_m: float, least_area_m2: float = 2e5) -> float:
    """Length of streams by area, km per km2; a stream starts where `least_area_m2` is drained."""
    way = drainage(dem)
    stream = flow_accumulation(way).ravel() * gsd_m**2 >= least_area_m2
    width = dem.shape[1]
    at = np.flatnonzero(stream)
    to = way.receiver[at]
    length = np.hypot(at // width - to // width, at % width - to % width).sum() * gsd_m
    return float(length / (dem.size * gsd_m**2) * 1000.0)


def count_pits(dem: NDArray[np.floating[Any]], sea_m: float | None = None) -> int:
    """Pixels inside the raster, above the sea, without a lower neighbour."""
    z = np.asarray(dem)
    lowest = np.full((z.shape[0] - 2, z.shape[1] - 2), np.inf)
    for r, c in zip(_ROWS, _COLS, strict=True):
        lowest = np.minimum(lowest, z[1 + r : z.shape[0] - 1 + r, 1 + c : z.shape[1] - 1 + c])
    pit = lowest >= z[1:-1, 1:-1]
    return int((pit if sea_m is None else pit & (z[1:-1, 1:-1] > sea_m)).sum())


@compiled()
def _push(keys: Any, items: Any, n: Any, key: Any, item: Any) -> None:
    i = n
    while i > 0:
        parent = (i - 1) >> 1
        if keys[parent] < key or (keys[parent] == key and items[parent] <= item):
            break
        keys[i], items[i] = keys[parent], items[parent]
        i = parent
    keys[i], items[i] = key, item


@compiled()
def _pop(keys: Any, items: Any, n: Any) -> None:
    """Take the top away; `n` is the count before."""
    last = n - 1
    key, item = keys[last], items[last]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        right = child + 1
        if right < last and (keys[right] < keys[child] or (keys[right] == keys[child] and items[right] < items[child])):
            child = right
        if key < keys[child] or (key == keys[child] and item <= items[child]):
            break
        keys[i], items[i] = keys[child], items[child]
        i = child
    keys[i], items[i] = key, item


@compiled()
def _flood(z: F64, sea: float, epsilon: float) -> F64:
    """Heights without pits.

    What can be climbed from an outlet needs no priority: only rims from which the land falls again wait in the heap.
    """
    height, width = z.shape
    filled = np.empty((height, width))
    seen = np.zeros((height, width), np.bool_)
    climb = np.empty(height * width, np.int32)
    keys, items = np.empty(4 * (height + width) + 64), np.empty(4 * (height + width) + 64, np.int32)
    n, first, last = 0, 0, 0
    for r in range(height):
        for c in range(width):
            if r == 0 or c == 0 or r == height - 1 or c == width - 1 or z[r, c] <= sea:
                seen[r, c] = True
                filled[r, c] = z[r, c]
                climb[last] = r * width + c
                last += 1
    while True:
        while first < last:
            at = climb[first]
            first += 1
            r, c = at // width, at % width
            least, is_rim = filled[r, c] + epsilon, False
            for k in range(8):
                i, j = r + _ROWS[k], c + _COLS[k]
                if 0 <= i < height and 0 <= j < width and not seen[i, j]:
                    if z[i, j] >= least:
                        seen[i, j] = True
                        filled[i, j] = z[i, j]
                        climb[last] = i * width + j
                        last += 1
                    else:
                        is_rim = True
            if is_rim:
                if n == keys.size:
                    keys, items = np.append(keys, np.empty_like(keys)), np.append(items, np.empty_like(items))
                _push(keys, items, n, filled[r, c], at)
                n += 1
        if n == 0:
            return filled
        at = items[0]
        _pop(keys, items, n)
        n -= 1
        r, c = at // width, at % width
        for k in range(8):
            i, j = r + _ROWS[k], c + _COLS[k]
            if 0 <= i < height and 0 <= j < width and not seen[i, j]:
                seen[i, j] = True
                filled[i, j] = filled[r, c] + epsilon
                climb[last] = i * width + j
                last += 1


@compiled()
def _order(receiver: I32) -> I32:
    """Pixels such that each comes after its receiver."""
    # 255: has its place. A pixel gets one when all that drain into it have theirs.
    waiting = np.zeros(receiver.size, np.uint8)
    for i in range(receiver.size):
        if receiver[i] != i:
            waiting[receiver[i]] += np.uint8(1)
    order = np.empty(receiver.size, np.int32)
    place = receiver.size
    for i in range(receiver.size):
        at = i
        while waiting[at] == 0:
            place -= 1
            order[place] = at
            waiting[at] = np.uint8(255)
            if receiver[at] == at:
                break
            at = receiver[at]
            waiting[at] -= np.uint8(1)
    return order


@compiled()
def _receivers(z: F64, sea: float, seed: Any) -> I32:
    """Where each pixel drains to: itself at the edge and in the sea; with a seed other than 0 it wanders."""
    height, width = z.shape
    receiver = np.empty(height * width, np.int32)
    for r in range(height):
        for c in range(width):
            at = r * width + c
            if r == 0 or c == 0 or r == height - 1 or c == width - 1 or z[r, c] <= sea:
                receiver[at] = at
            elif seed == np.uint64(0):
                receiver[at] = _steepest(z, r, c)
            else:
                receiver[at] = _leaning(z, r, c, _chance(at, seed))
    return receiver


@compiled()
def _steepest(z: F64, r: int, c: int) -> int:
    """The steepest of the eight neighbours."""
    width = z.shape[1]
    best, to = 0.0, r * width + c
    for k in range(8):
        slope = (z[r, c] - z[r + _ROWS[k], c + _COLS[k]]) / _STEPS[k]
        if slope > best:
            best, to = slope, (r + _ROWS[k]) * width + c + _COLS[k]
    return int(to)


@compiled()
def _leaning(z: F64, r: int, c: int, chance: float) -> int:
    """Of the steepest facet the corner as often as the way down leans towards it, else the side."""
    width = z.shape[1]
    best, to = 0.0, r * width + c
    for k in range(8):
        side = (r + _SIDE_ROWS[k]) * width + c + _SIDE_COLS[k]
        corner = (r + _CORNER_ROWS[k]) * width + c + _CORNER_COLS[k]
        along = z[r, c] - z[r + _SIDE_ROWS[k], c + _SIDE_COLS[k]]
        fall = z[r, c] - z[r + _CORNER_ROWS[k], c + _CORNER_COLS[k]]
        across = fall - along
        if along > 0.0 and 0.0 <= across <= along:
            steep, way = along * along + across * across, corner if chance * along < across else side
        elif fall > 0.0 and 0.5 * fall * fall > along * max(along, 0.0):
            steep, way = 0.5 * fall * fall, corner
        else:
            steep, way = along * max(along, 0.0), side
        if steep > best:
            best, to = steep, way
    return int(to)


@compiled()
def _chance(at: int, seed: Any) -> float:
    """A number from 0 to 1 that belongs to a pixel and a seed."""
    h = (np.uint64(at) * np.uint64(0x9E3779B97F4A7C15)) ^ (seed * np.uint64(0xD6E8FEB86659FD93))
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xFF51AFD7ED558CCD)
    h = h ^ (h >> np.uint64(29))
    return float((h >> np.uint64(11)) & np.uint64(0xFFFFF)) / 1048576.0


@compiled()
def _accumulate(order: I32, receiver: I32) -> F64:
    area = np.ones(order.size)
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        if receiver[i] != i:
            area[receiver[i]] += area[i]
    return area


@compiled()
def _strahler(order: I32, receiver: I32, area: F64, least: float) -> Any:
    rank, twice = np.zeros(order.size, np.int8), np.zeros(order.size, np.bool_)
    for k in range(order.size - 1, -1, -1):
        i = order[k]
        if area[i] < least:
            continue
        rank[i] = 1 if rank[i] == 0 else rank[i] + 1 if twice[i] else rank[i]
        to = receiver[i]
        if to != i:
            if rank[i] > rank[to]:
                rank[to], twice[to] = rank[i], False
            elif rank[i] == rank[to]:
                twice[to] = True
    return rank
