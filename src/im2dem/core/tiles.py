"""The plan of tiles over a raster: where each one starts, and where neighbours overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .errors import UsageError
from .grid import Window

# Right, lower left, lower, lower right: each pair of neighbours is met exactly once, the lower index first.
_FORWARD = ((0, 1), (1, -1), (1, 0), (1, 1))


def tile_starts(n: int, tile: int, overlap: int) -> tuple[int, ...]:
    """First pixel of every tile along one axis.

    The first tile starts at 0, the last one ends with the axis, and the overlap between neighbours is spread
    evenly and never below the one asked for.

    Parameters
    ----------
    n
        Length of the axis, pixels.
    tile, overlap
        Side of a tile and least overlap of neighbours, pixels; `0 <= overlap < tile`.

    Returns
    -------
    Strictly increasing starts; `(0,)` when `n <= tile`.

    Raises
    ------
    UsageError
        `n` or `tile` below 1, or an overlap outside `0 .. tile - 1`.

    >>> tile_starts(10, 4, 1)
    (0, 3, 6)
    >>> tile_starts(3, 4, 1)
    (0,)
    """
    if n < 1 or tile < 1:
        raise UsageError(f"an axis and a tile need at least 1 pixel, got {n} and {tile}")
    if not 0 <= overlap < tile:
        raise UsageError(
            f"the overlap must be at least 0 and less than the tile ({tile} px), got {overlap} px; "
            "an eighth of the tile is a good choice"
        )
    if n <= tile:
        return (0,)
    free, step = n - tile, tile - overlap
    k = -(-free // step)
    # round(i * free / k), half up, in integers: exact for any size, and two neighbours are then never more
    # than ceil(free / k) <= step apart.
    return tuple((2 * i * free + k) // (2 * k) for i in range(k + 1))


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a plan: its place in reading order, in the plan's rows and columns, and in the raster."""

    index: int
    row_index: int
    col_index: int
    window: Window


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two neighbouring tiles share: tile indices (`first < second`) and the window in the raster."""

    first: int
    second: int
    window: Window


@dataclass(frozen=True)
class TilePlan:
    """All tiles of a raster, in rows from the top, each row from the left.

    All tiles of a plan have the same shape, `tile_shape`: where the raster is smaller than a tile, the tile
    is as large as the raster (the engine pads it for the model and crops the answer).

    Parameters
    ----------
    shape
        (height, width) of the raster, pixels.
    tile_px, overlap_px
        Side of a tile and least overlap of neighbours, pixels.

    Raises
    ------
    UsageError
        See `tile_starts`.
    """

    shape: tuple[int, int]
    tile_px: int
    overlap_px: int

    def __post_init__(self) -> None:
        # Both are needed by everything below, and a wrong plan should fail where it is made.
        _ = self.row_starts, self.col_starts

    @cached_property
    def row_starts(self) -> tuple[int, ...]:
        """First raster row of every row of tiles."""
        return tile_starts(self.shape[0], self.tile_px, self.overlap_px)

    @cached_property
    def col_starts(self) -> tuple[int, ...]:
        """First raster column of every column of tiles."""
        return tile_starts(self.shape[1], self.tile_px, self.overlap_px)

    @property
    def tile_shape(self) -> tuple[int, int]:
        """(height, width) that every tile has, pixels."""
        return min(self.tile_px, self.shape[0]), min(self.tile_px, self.shape[1])

    def __len__(self) -> int:
        return len(self.row_starts) * len(self.col_starts)

    def tile(self, row_index: int, col_index: int) -> Tile:
        """The tile at a place of the plan."""
        window = Window(self.row_starts[row_index], self.col_starts[col_index], *self.tile_shape)
        return Tile(row_index * len(self.col_starts) + col_index, row_index, col_index, window)

    def row(self, row_index: int) -> tuple[Tile, ...]:
        """One row of tiles, from the left."""
        return tuple(self.tile(row_index, c) for c in range(len(self.col_starts)))

    @property
    def rows(self) -> tuple[tuple[Tile, ...], ...]:
        """All rows of tiles, from the top."""
        return tuple(self.row(r) for r in range(len(self.row_starts)))

    def __iter__(self) -> Iterator[Tile]:
        for r in range(len(self.row_starts)):
            yield from self.row(r)

    def overlaps(self, tile: Tile) -> tuple[Overlap, ...]:
        """What a tile shares with its right, lower left, lower and lower right neighbour, as far as they
        touch.

        Going through all tiles names every pair of neighbours exactly once.
        """
        found = []
        for d_row, d_col in _FORWARD:
            r, c = tile.row_index + d_row, tile.col_index + d_col
            if r < len(self.row_starts) and 0 <= c < len(self.col_starts):
                other = self.tile(r, c)
                shared = tile.window.intersection(other.window)
                if shared is not None:
                    found.append(Overlap(tile.index, other.index, shared))
        return tuple(found)
