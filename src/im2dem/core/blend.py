"""Join overlapping tiles into one raster, row of tiles by row of tiles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .grid import Window
from .tiles import Tile, TilePlan

# Least taper before normalisation. Far above the rounding of float32 even when multiplied over both axes
# (1e-6), so that no pixel ever depends on a division by almost nothing.
_FLOOR = 1e-3


def axis_weights(n: int, starts: tuple[int, ...], tile: int) -> NDArray[np.float32]:
    """Weight of every pixel of every tile along one axis; the weights of the tiles over a pixel add up to 1.

    A raised cosine rises over the overlap with the neighbour before and falls over the overlap with the one
    after. Sides at the edge of the raster keep their full weight. The weight of a tile in the raster is the
    outer product of its two axes, which adds up to 1 as well.

    Parameters
    ----------
    n
        Length of the axis, pixels.
    starts
        First pixel of every tile, see `tile_starts`.
    tile
        Length of a tile along this axis, pixels.

    Returns
    -------
    float32 (len(starts), tile), every value > 0.

    >>> weights = axis_weights(6, (0, 2), 4)
    >>> (weights[0, 2:] + weights[1, :2]).tolist()
    [1.0, 1.0]
    """
    taper = np.ones((len(starts), tile))
    for i, (start, following) in enumerate(pairwise(starts)):
        shared = start + tile - following
        phase = (np.arange(shared) + 0.5) / max(shared, 1)
        rise = _FLOOR + (1 - _FLOOR) * 0.5 * (1 - np.cos(np.pi * phase))
        taper[i, tile - shared :] *= rise[::-1]
        taper[i + 1, :shared] *= rise
    total = np.zeros(n)
    for row, start in zip(taper, starts, strict=True):
        total[start : start + tile] += row
    for row, start in zip(taper, starts, strict=True):
        row /= total[start : start + tile]
    return taper.astype(np.float32)


class Blender:
    """Weighted mean of overlapping tiles with the memory of one row of tiles.

    Tiles come row by row of the plan, in any order within a row. After each row, `rows_done` tells how far
    the raster is final; take that part with `result` before the first tile of the next row is fed, which
    forgets it. A standard deviation band is blended as its weighted mean: neighbouring tiles see the same
    pixels, so their errors are far from independent and the mean is the careful side of the truth.

    Parameters
    ----------
    plan
        Where the tiles lie.
    bands
        Bands of a tile.
    """

    def __init__(self, plan: TilePlan, bands: int) -> None:
        self._plan = plan
        self._rise = plan.tile_shape[0]
        self._row_weights = axis_weights(plan.shape[0], plan.row_starts, plan.tile_shape[0])
        self._col_weights = axis_weights(plan.shape[1], plan.col_starts, plan.tile_shape[1])
        # Raster row r lives at r modulo the ring's height, so advancing never moves memory.
        self._sum = np.zeros((bands, self._rise, plan.shape[1]), np.float32)
        self._weight = np.zeros((self._rise, plan.shape[1]), np.float32)
        self._scratch = np.empty(plan.tile_shape, np.float32)
        self._row_index = 0
        self._seen: set[int] = set()

    def weight(self, tile: Tile) -> NDArray[np.float32]:
        """Weight of each pixel of a tile, float32 (row, col); over the raster they add up to 1."""
        return np.outer(self._row_weights[tile.row_index], self._col_weights[tile.col_index])

    def feed(self, tile: Tile, data: NDArray[np.float32] | None, valid: NDArray[np.bool_] | None = None) -> None:
        """Add one tile.

        Parameters
        ----------
        tile
            A tile of the plan.
        data
            float32 (band, row, col) in the shape of the tile, or None: there is nothing here.
        valid
            (row, col), True where the tile counts; default: where all bands are finite.

        Raises
        ------
        UsageError
            The tile was fed before, belongs to a row that is over, or comes before its row is due; or the
            data do not have the tile's shape.
        """
        self._turn_to(tile)
        self._seen.add(tile.col_index)
        if data is None:
            return
        if data.shape != (len(self._sum), *tile.window.shape):
            wanted = (len(self._sum), *tile.window.shape)
            raise UsageError(f"tile {tile.index} wants data of shape {wanted}, got {data.shape}")
        good: NDArray[np.bool_] = np.asarray(np.isfinite(data).all(axis=0) if valid is None else valid)
        weight = self.weight(tile)
        if not good.all():
            weight[~good] = 0.0
            data = np.where(good, data, np.float32(0))
        cols = slice(tile.window.col_off, tile.window.col_stop)
        for ring, part in self._segments(tile.window.row_off, tile.window.row_stop):
            self._weight[ring, cols] += weight[part]
            for total, band in zip(self._sum, data, strict=True):
                total[ring, cols] += np.multiply(weight[part], band[part], out=self._scratch[part])

    def rows_done(self) -> int:
        """Raster rows, counted from the top, that no later tile can change."""
        starts = self._plan.row_starts
        row = self._row_index + (len(self._seen) == len(self._plan.col_starts))
        return starts[row] if row < len(starts) else self._plan.shape[0]

    def result(self, window: Window) -> NDArray[np.float32]:
        """Blended values of finished rows, float32 (band, row, col), NaN where no tile had a valid pixel.

        Raises
        ------
        UsageError
            The window has rows that are not finished yet or that are forgotten already, or leaves the raster.
        """
        top, done = self._plan.row_starts[self._row_index], self.rows_done()
        if window.row_off < top or window.row_stop > done:
            raise UsageError(
                f"rows {window.row_off} to {window.row_stop} were asked for, rows {top} to {done} can be had"
            )
        if window.col_off < 0 or window.col_stop > self._plan.shape[1]:
            raise UsageError(f"{window} leaves a raster that is {self._plan.shape[1]} pixels wide")
        out = np.full((len(self._sum), *window.shape), np.nan, np.float32)
        cols = slice(window.col_off, window.col_stop)
        for ring, part in self._segments(window.row_off, window.row_stop):
            weight = self._weight[ring, cols]
            np.divide(self._sum[:, ring, cols], weight, out=out[:, part], where=weight > 0)
        return out

    def _turn_to(self, tile: Tile) -> None:
        """Make `tile`'s row the current one: forget the rows above it."""
        complete = len(self._seen) == len(self._plan.col_starts)
        if tile.row_index == self._row_index + 1 and complete:
            starts = self._plan.row_starts
            for ring, _ in self._segments(starts[self._row_index], starts[tile.row_index]):
                self._sum[:, ring] = 0.0
                self._weight[ring] = 0.0
            self._row_index = tile.row_index
            self._seen.clear()
        elif tile.row_index != self._row_index or tile.col_index in self._seen:
            raise UsageError(
                f"tile {tile.index} (row {tile.row_index}) does not fit: row {self._row_index} is at work "
                f"and has {len(self._seen)} of {len(self._plan.col_starts)} tiles; feed each tile once"
            )

    def _segments(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """Raster rows start..stop as (rows of the ring, rows counted from `start`), in at most two pieces."""
        row = start
        while row < stop:
            ring = row % self._rise
            count = min(self._rise - ring, stop - row)
            yield slice(ring, ring + count), slice(row - start, row - start + count)
            row += count
