"""The grid of blocks: fixed in the world, whatever part of it somebody asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from affine import Affine

from im2dem.core.errors import GridMismatchError, UsageError
from im2dem.core.grid import Grid, Window

_SNAP = 1e-3  # of a pixel: nearer to a multiple of the pixel size than this is on it
_DRIFT = 0.01  # of a pixel, over a whole scene: two pixel sizes that differ by more are two


@dataclass(frozen=True, order=True)
class Block:
    """Place of a block in the world: rows southwards and columns eastwards from the origin of the CRS."""

    row: int
    col: int

    @property
    def name(self) -> str:
        """East or west and north or south, in blocks, of the lower left corner.

        >>> Block(-3, 12).name
        'e00012_n00002'
        """
        north = -self.row - 1
        return f"{'w' if self.col < 0 else 'e'}{abs(self.col):05d}_{'s' if north < 0 else 'n'}{abs(north):05d}"

    def neighbour(self, rows: int, cols: int) -> Block:
        """The block some blocks further south and east."""
        return Block(self.row + rows, self.col + cols)


@dataclass(frozen=True)
class World:
    """Endless rows and columns of pixels of one CRS, cut into square blocks.

    Pixel (0, 0) has its upper left corner at `phase`; block (0, 0) as well. `phase` is 0, 0 for pictures whose pixel
    corners are multiples of the pixel size, and less than a pixel for others, so that no picture is resampled.

    Parameters
    ----------
    crs
        Of all pictures, any text that PROJ understands.
    size
        (width, height) of a pixel in the unit of the CRS, both above 0.
    phase
        (x, y) of the corner of pixel (0, 0), unit of the CRS, 0 <= phase < size.
    block_px, halo_px
        Side of a block, and by how much it is predicted further on each side.

    Raises
    ------
    UsageError
        A block of fewer than 16 pixels, or narrower than twice its halo.
    """

    crs: str
    size: tuple[float, float]
    phase: tuple[float, float]
    block_px: int
    halo_px: int

    def __post_init__(self) -> None:
        if self.block_px < 16:
            raise UsageError(f"a block needs at least 16 pixels, got {self.block_px}; --block-px 4096 is a good choice")
        if not 1 <= self.halo_px <= self.block_px // 2:
            raise UsageError(
                f"a halo must be from 1 to half of the block ({self.block_px // 2} px), got {self.halo_px} px; "
                "choose larger blocks (--block-px) or a smaller overlap (--overlap)"
            )

    @classmethod
    def of(cls, grid: Grid, name: str, block_px: int, halo_px: int) -> World:
        """The world that a picture lies in.

        Raises
        ------
        GridMismatchError
            No reference system, or not north up.
        """
        t = grid.transform
        if grid.crs is None or grid.lonlat(0, 0) is None:
            raise GridMismatchError(f"{name}: no georeference; a mosaic is made of scenes with a place on Earth")
        if t.b or t.d or t.a <= 0 or t.e >= 0:
            raise GridMismatchError(f"{name}: not north up; warp it first (gdalwarp IN OUT)")
        return cls(grid.crs, (t.a, -t.e), (_phase(t.c, t.a), _phase(t.f, -t.e)), block_px, halo_px)

    def place(self, grid: Grid, name: str) -> Window:
        """The pixels of the world that a picture of the same CRS covers.

        Raises
        ------
        GridMismatchError
            Other pixel size, or pixels that do not fall on those of the world.
        """
        other = World.of(grid, name, self.block_px, self.halo_px)
        sides = zip(other.size, self.size, (grid.width, grid.height), strict=True)
        if any(abs(a - b) * n > _DRIFT * b for a, b, n in sides):
            raise GridMismatchError(
                f"{name}: pixels of {other.size[0]:g} x {other.size[1]:g}, those of the first scene are "
                f"{self.size[0]:g} x {self.size[1]:g}; bring all to one size (gdalwarp -tr {self.size[0]:g} "
                f"{self.size[1]:g} -tap) or make a VRT (gdalbuildvrt)"
            )
        col, row = (grid.transform.c - self.phase[0]) / self.size[0], (self.phase[1] - grid.transform.f) / self.size[1]
        if max(abs(col - round(col)), abs(row - round(row))) > _DRIFT:
            raise GridMismatchError(
                f"{name}: its pixels lie {col - math.floor(col):.2f}, {row - math.floor(row):.2f} of a pixel beside "
                f"those of the first scene; bring all to one grid (gdalwarp -tr {self.size[0]:g} {self.size[1]:g} -tap)"
            )
        return Window(round(row), round(col), *grid.shape)

    def core(self, block: Block) -> Window:
        """The pixels of a block."""
        n = self.block_px
        return Window(block.row * n, block.col * n, n, n)

    def haloed(self, block: Block) -> Window:
        """The pixels that are predicted for a block: its own and the halo's."""
        core, halo = self.core(block), self.halo_px
        side = self.block_px + 2 * halo
        return Window(core.row_off - halo, core.col_off - halo, side, side)

    def grid(self, window: Window) -> Grid:
        """Georeference of some pixels."""
        x, y = self.phase[0] + window.col_off * self.size[0], self.phase[1] - window.row_off * self.size[1]
        return Grid(window.shape, Affine(self.size[0], 0, x, 0, -self.size[1], y), self.crs)

    def window_of(self, bounds: tuple[float, float, float, float]) -> Window:
        """The least pixels that cover (left, bottom, right, top) in the unit of the CRS.

        Raises
        ------
        UsageError
            Not in this order, or not finite.
        """
        left, bottom, right, top = bounds
        if not (all(map(math.isfinite, bounds)) and left < right and bottom < top):
            raise UsageError(f"--bbox wants left,bottom,right,top in the unit of the scenes' CRS, got {bounds}")
        (x, y), (width, height) = self.phase, self.size
        cols = math.floor((left - x) / width + _SNAP), math.ceil((right - x) / width - _SNAP)
        rows = math.floor((y - top) / height + _SNAP), math.ceil((y - bottom) / height - _SNAP)
        return Window(rows[0], cols[0], max(1, rows[1] - rows[0]), max(1, cols[1] - cols[0]))

    def block_range(self, window: Window) -> tuple[range, range]:
        """Rows and columns of the blocks that hold some of these pixels."""
        n = self.block_px
        return (
            range(window.row_off // n, -(-window.row_stop // n)),
            range(window.col_off // n, -(-window.col_stop // n)),
        )


def _phase(origin: float, size: float) -> float:
    share = origin / size - math.floor(origin / size)
    if share < _SNAP or share > 1 - _SNAP:
        return 0.0
    return round(share, 6) * size
