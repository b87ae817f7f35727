r"""Right-triangulated irregular networks: few triangles where the ground is simple, many where it is not.

A square of side 2^k is halved by a diagonal, each half by the line from its right angle to the middle of its longest
side, and so on. Diagonals alternate like a chessboard, so that halves of neighbours meet::

    level A: two halves a square        level B: four quarters a square
        +---+---+                           +---+---+
        | \ | / |                           | \ | / |
        +---+---+   (even | odd)            |  >+<  |
        | / | \ |                           | / | \ |
        +---+---+                           +---+---+

A triangle is split when any pixel under it lies farther from it than allowed, or when one of its parts is split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LARGEST_BLOCK_PX = 256
# Stands for "no data". A power of two: sums and halves of it are exact, so ground that is void throughout has error 0
# and stays one triangle, while one that is void in part has an error that nobody allows and is split to the pixel.
_VOID = 2.0**60


def bounded_triangles(
    dem: NDArray[np.floating], max_error: float, block_px: int = LARGEST_BLOCK_PX
) -> NDArray[np.int64]:
    """Triangles between pixels of which none lies farther than `max_error` above or below its triangle.

    Parameters
    ----------
    dem
        Heights, shape (row, col), at least 2 x 2, metres; NaN = no data.
    max_error
        Metres, at least 0.
    block_px
        Side of the squares that halving begins with, a power of two: no triangle crosses a row or a column whose number
        is a multiple of it.

    Returns
    -------
    Shape (n, 3): pixels as row * width + col. None has a corner without data; pixels with data are bare only where
    they are not part of any triangle of three neighbours with data.

    Source
    ------
    Evans, Kirkpatrick & Townsend (2001), Algorithmica 30, 264-286, doi:10.1007/s00453-001-0006-x. There, as in popular
    programs, only the middle of the longest side is measured; here every pixel under a triangle is, so that the bound
    holds for all of them.
    """
    height, width = dem.shape
    side = 1
    while side < min(max(height, width) - 1, block_px):
        side *= 2
    rows, cols = -(-(height - 1) // side), -(-(width - 1) // side)
    z = np.full((rows * side + 1, cols * side + 1), _VOID)
    z[:height, :width] = np.where(np.isfinite(dem), dem, _VOID)
    errors = _errors(z, side)
    corners = np.concatenate(list(_leaves(errors, max_error, side, (rows, cols), z.shape[1])))
    corners = corners[(z.reshape(-1)[corners] != _VOID).all(axis=1)]
    row, col = np.divmod(corners, z.shape[1])
    return np.asarray(row * width + col)


class _Level:
    """Errors of one size of square: at its centre, at the middle of its horizontal and of its vertical sides."""

    def __init__(self, centre: Floats, horizontal: Floats, vertical: Floats) -> None:
        self.centre, self.horizontal, self.vertical = centre, horizontal, vertical


def _errors(z: Floats, largest: int) -> dict[int, _Level]:
    """Per size of square, the largest error that stays when a longest side is not split at its middle."""
    levels: dict[int, _Level] = {}
    below = np.zeros((z.shape[0] - 1, z.shape[1] - 1))
    side = 2
    while side <= largest:
        north, south, west, east = _quarter_errors(z, side)
        a, b, c, d = below[0::2, 0::2], below[0::2, 1::2], below[1::2, 0::2], below[1::2, 1::2]
        for own, parts in ((north, (a, b)), (south, (c, d)), (west, (a, c)), (east, (b, d))):
            np.maximum(own, np.maximum(*parts), out=own)
        rows, cols = north.shape
        horizontal, vertical = np.zeros((rows + 1, cols)), np.zeros((rows, cols + 1))
        horizontal[:-1], vertical[:, :-1] = north, west
        np.maximum(horizontal[1:], south, out=horizontal[1:])
        np.maximum(vertical[:, 1:], east, out=vertical[:, 1:])
        below = np.maximum(_half_errors(z, side), np.maximum(horizontal[:-1], horizontal[1:]))
        np.maximum(below, np.maximum(vertical[:, :-1], vertical[:, 1:]), out=below)
        levels[side] = _Level(below, horizontal, vertical)
        side *= 2
    return levels


def _corners(z: Floats, side: int) -> tuple[Floats, Floats, Floats, Floats]:
    grid = z[::side, ::side]
    return grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]


def _squares_row(z: Floats, side: int, row: int) -> Floats:
    """Row `row` of every square, shape (rows, cols, side + 1); neighbours share their last and first column."""
    rows, cols = (z.shape[0] - 1) // side, (z.shape[1] - 1) // side
    step_row, step_col = z.strides
    return as_strided(z[row:], (rows, cols, side + 1), (step_row * side, step_col * side, step_col), writeable=False)


def _half_errors(z: Floats, side: int) -> Floats:
    """Largest distance of a pixel from the two halves of its square, shape (rows, cols)."""
    nw, ne, sw, se = _corners(z, side)
    odd = np.add.outer(np.arange(nw.shape[0]), np.arange(nw.shape[1])) % 2 == 1
    twist = se - ne - sw + nw  # 0 when the corners lie in one plane; else it bends along the diagonal
    v = np.arange(side + 1) / side
    worst = np.zeros(nw.shape)
    for row in range(side + 1):
        u = row / side
        shapes = np.stack([np.ones_like(v), v, np.minimum(u, v), np.maximum(0, u + v - 1)])
        weights = np.stack([nw + (sw - nw) * u, ne - nw, np.where(odd, 0, twist), np.where(odd, twist, 0)], axis=-1)
        gap = weights @ shapes
        gap -= _squares_row(z, side, row)
        np.maximum(worst, np.abs(gap, out=gap).max(axis=2), out=worst)
    return worst


def _quarter_errors(z: Floats, side: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Largest distance of a pixel from the north, south, west and east quarter of its square, each (rows, cols)."""
    nw, ne, sw, se = _corners(z, side)
    centre = z[side // 2 :: side, side // 2 :: side]
    worst = tuple(np.zeros(nw.shape) for _ in range(4))
    # Per quarter: height where its long side begins, change along that side, change towards the centre (per side).
    planes = (
        (nw, ne - nw, 2 * centre - nw - ne),
        (sw, se - sw, 2 * centre - sw - se),
        (nw, sw - nw, 2 * centre - nw - sw),
        (ne, se - ne, 2 * centre - ne - se),
    )
    for row in range(side + 1):
        near, far = min(row, side - row), max(row, side - row)
        squares = _squares_row(z, side, row)
        for quarter, (first, last) in enumerate(((near, far), (near, far), (0, near), (far, side))):
            if quarter == (1 if 2 * row < side else 0) and 2 * row != side:
                continue  # the upper half of a square has no southern quarter, the lower no northern one
            col = np.arange(first, last + 1) / side
            u = np.full_like(col, row / side)
            along, inward = ((col, u), (col, 1 - u), (u, col), (u, 1 - col))[quarter]
            start, change, rise = planes[quarter]
            weights = np.stack([start, change, rise], axis=-1)
            gap = weights @ np.stack([np.ones_like(col), along, inward])
            gap -= squares[:, :, first : last + 1]
            np.maximum(worst[quarter], np.abs(gap, out=gap).max(axis=2), out=worst[quarter])
    return worst[0], worst[1], worst[2], worst[3]


def _leaves(
    errors: dict[int, _Level], max_error: float, side: int, shape: tuple[int, int], width: int
) -> Iterator[NDArray[np.int64]]:
    """Corners of the triangles that are not split, as pixels of a raster of `width`, level by level from the top."""
    upper = np.ones(shape, dtype=np.bool_)
    lower = upper.copy()
    while True:
        rows, cols = upper.shape
        split = errors[side].centre > max_error if side > 1 else np.zeros_like(upper)
        yield from _halves(upper & ~split, lower & ~split, side, width)
        if side == 1:
            return
        odd = np.add.outer(np.arange(rows), np.arange(cols)) % 2 == 1
        upper, lower = upper & split, lower & split
        west, east = np.where(odd, upper, lower), np.where(odd, lower, upper)
        level = errors[side]
        cut_h, cut_v = level.horizontal > max_error, level.vertical > max_error
        quarters = ((upper, cut_h[:-1]), (lower, cut_h[1:]), (west, cut_v[:, :-1]), (east, cut_v[:, 1:]))
        yield from _quarters([here & ~cut for here, cut in quarters], side, width)
        north, south, west, east = (here & cut for here, cut in quarters)
        upper, lower = np.zeros((2 * rows, 2 * cols), dtype=np.bool_), np.zeros((2 * rows, 2 * cols), dtype=np.bool_)
        upper[0::2, 0::2] = upper[0::2, 1::2] = north
        lower[1::2, 0::2] = lower[1::2, 1::2] = south
        lower[0::2, 0::2] = upper[1::2, 0::2] = west
        lower[0::2, 1::2] = upper[1::2, 1::2] = east
        side //= 2


def _halves(upper: Flags, lower: Flags, side: int, width: int) -> Iterator[NDArray[np.int64]]:
    down = side * width
    # Offsets of the corners, in the order that is counter-clockwise seen from above with north up.
    for flags, even, odd in (
        (upper, (0, down + side, side), (0, down, side)),
        (lower, (0, down, down + side), (side, down, down + side)),
    ):
        row, col = np.nonzero(flags)
        origin = (row * down + col * side).astype(np.int64)
        yield origin[:, None] + np.where(((row + col) % 2 == 1)[:, None], odd, even)


def _quarters(flags: list[Flags], side: int, width: int) -> Iterator[NDArray[np.int64]]:
    down = side * width
    centre = side // 2 * (width + 1)
    corners = ((0, centre, side), (centre, down, down + side), (0, down, centre), (side, centre, down + side))
    for here, offsets in zip(flags, corners, strict=True):
        row, col = np.nonzero(here)
        yield (row * down + col * side).astype(np.int64)[:, None] + np.array(offsets)
