"""Overviews made of rows while they pass by on their way to a file: nothing is read a second time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from im2dem.core.grid import Window

Sink = Callable[[int, Window, NDArray[np.float32]], None]
"""Called with the number of a level, counted from 0, and rows of full width of it, float32 (band, row, col), NaN = no
data; each level comes from top to bottom."""


def overview_shapes(shape: tuple[int, int], block_px: int) -> list[tuple[int, int]]:
    """(height, width) of every overview, finest first: halved, rounded down, until one fits into a block.

    >>> overview_shapes((2100, 600), 512)
    [(1050, 300), (525, 150), (262, 75)]
    """
    shapes = [shape]
    while max(shapes[-1]) > block_px:
        height, width = shapes[-1]
        shapes.append((max(1, height // 2), max(1, width // 2)))
    return shapes[1:]


class Pyramid:
    """Every pixel of a level is the mean of the area that it covers in the level below, without what has no data.

    These are the averages of GDAL, to the last bit where sides are even.

    Parameters
    ----------
    shape
        (height, width) of the raster.
    block_px
        No level is made of one that fits into a square of this side.
    sink
        Gets the rows of all levels.
    """

    def __init__(self, shape: tuple[int, int], block_px: int, sink: Sink) -> None:
        shapes = [shape, *overview_shapes(shape, block_px)]
        self._levels = [_Level(below, own) for below, own in pairwise(shapes)]
        self._height, self._width = shape
        self._sink = sink
        self._next: int | None = 0

    def __len__(self) -> int:
        return len(self._levels)

    def feed(self, window: Window, data: NDArray[np.float32]) -> None:
        """Take a window, float32 (band, row, col), NaN = no data.

        What does not follow the rows before it over the full width ends it: `is_complete` stays False.
        """
        if window.row_off != self._next or (window.col_off, window.width) != (0, self._width):
            self._next = None
            self._levels.clear()
            return
        self._next = window.row_stop
        for number, level in enumerate(self._levels):
            top = level.done
            data = level.feed(data)
            if not data.shape[1]:
                return
            self._sink(number, Window(top, 0, *data.shape[1:]), data)

    @property
    def is_complete(self) -> bool:
        """Whether all rows came, in their order."""
        return self._next == self._height


class _Level:
    """Rows of one level out of those of the level below."""

    def __init__(self, below: tuple[int, int], own: tuple[int, int]) -> None:
        self.done = 0
        self._rows, self._cols = below[0] / own[0], below[1] / own[1]
        self._height = own[0]
        self._across = None if self._rows == self._cols == 2 else _areas(0, own[1], self._cols, 0, below[1])
        self._kept: NDArray[np.float32] | None = None
        self._first = 0  # row of the level below that `_kept` begins with

    def feed(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows that are final with these, maybe none."""
        if self._kept is not None and self._kept.shape[1]:
            rows = np.concatenate([self._kept, rows], axis=1)
        seen = self._first + rows.shape[1]
        # Rounding must not wait for a row beyond the last one, nor begin before the rows are there.
        stop = min(self._height, math.floor(seen / self._rows + 1e-9))
        out = self._averages(rows, stop)
        self.done = stop
        first = min(seen, math.floor(stop * self._rows + 1e-9))
        self._kept = rows[:, first - self._first :].copy()
        self._first = first
        return out

    def _averages(self, rows: NDArray[np.float32], stop: int) -> NDArray[np.float32]:
        if self._across is None:
            rows = rows[:, : 2 * (stop - self.done)]
            means = _quads(rows) * 0.25
            if np.isfinite(means).all():
                return means.astype(np.float32)
        valid = np.isfinite(rows)
        total, weight = (self._sums(part, stop) for part in (np.where(valid, rows, np.float32(0)), valid))
        out = np.full(total.shape, np.nan)
        np.divide(total, weight, out=out, where=weight > 0)
        return out.astype(np.float32)

    def _sums(self, rows: NDArray[Any], stop: int) -> NDArray[np.float64]:
        """Sums over the area of each pixel."""
        if self._across is None:
            return _quads(rows)
        down = _areas(self.done, stop, self._rows, self._first, rows.shape[1])
        return np.stack([(self._across @ (down @ band.astype(np.float64)).T).T for band in rows])


def _quads(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over 2 x 2 pixels."""
    with np.errstate(invalid="ignore"):  # infinity less infinity: neither is a value
        pairs = np.add(rows[:, ::2], rows[:, 1::2], dtype=np.float64)
        return np.asarray(pairs[..., ::2] + pairs[..., 1::2])


def _areas(start: int, stop: int, ratio: float, first: int, n_below: int) -> csr_matrix:
    """How much of each pixel below (columns, the first one is number `first`) lies in pixels start..stop (rows)."""
    edges = np.arange(start, stop + 1) * ratio - first
    row, col, share = [], [], []
    for number, (low, high) in enumerate(pairwise(edges)):
        for below in range(math.floor(low + 1e-9), min(n_below, math.ceil(high - 1e-9))):
            row.append(number)
            col.append(below)
            share.append(min(high, below + 1) - max(low, below))
    return csr_matrix((share, (row, col)), shape=(stop - start, n_below))
