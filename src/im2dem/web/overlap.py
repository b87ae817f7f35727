"""The part of a raster that lies over another one, so that only that much is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader

_MARGIN_PX = 2
_EDGE_POINTS = 21


@dataclass(frozen=True)
class Cropped:
    """A reader that sees only a window of another one."""

    reader: RasterReader
    window: Window

    @property
    def grid(self) -> Grid:
        """Georeference of the window."""
        return self.reader.grid.crop(self.window)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands."""
        return self.reader.bands

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window of the window, shape (band, row, col), NaN outside."""
        here = self.window
        moved = Window(window.row_off + here.row_off, window.col_off + here.col_off, window.height, window.width)
        return self.reader.read(moved)


def same_crs(one: str, other: str) -> bool:
    """Whether two texts name one reference system."""
    if one == other:
        return True
    try:
        return CRS.from_user_input(one).equals(CRS.from_user_input(other), ignore_axis_order=True)
    except CRSError:
        return False


def cropped_to(reader: RasterReader, grid: Grid, what: str) -> RasterReader:
    """`reader` cut to the ground of `grid` and a small margin; both must have a reference system.

    Parameters
    ----------
    reader
        Any raster.
    grid
        Where it is wanted, in any reference system.
    what
        Name of the raster for the message: "image" or "truth".

    Raises
    ------
    GridMismatchError
        They share no ground, or no transformation leads from one system to the other.
    """
    own = reader.grid
    if own.crs is None or grid.crs is None:
        raise GridMismatchError(f"the {what} and the DEM need a reference system each to be laid over one another")
    edge = np.linspace(0, 1, _EDGE_POINTS)
    cols = np.concatenate([edge, edge, np.zeros_like(edge), np.ones_like(edge)]) * grid.width
    rows = np.concatenate([np.zeros_like(edge), np.ones_like(edge), edge, edge]) * grid.height
    t = grid.transform
    x, y = t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
    if not same_crs(own.crs, grid.crs):
        try:
            x, y = Transformer.from_crs(grid.crs, own.crs, always_xy=True).transform(x, y)
        except (CRSError, ProjError) as error:
            raise GridMismatchError(f"no way from the DEM's reference system to that of the {what}: {error}") from error
    back = ~own.transform
    col, row = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
    col, row = col[np.isfinite(col)], row[np.isfinite(row)]
    if col.size and row.size:
        left, top = math.floor(col.min()) - _MARGIN_PX, math.floor(row.min()) - _MARGIN_PX
        right, bottom = math.ceil(col.max()) + _MARGIN_PX, math.ceil(row.max()) + _MARGIN_PX
        touches = col.max() > 0 and row.max() > 0 and col.min() < own.width and row.min() < own.height
        shared = Window(top, left, bottom - top, right - left).intersection(own.window)
        if touches and shared is not None:
            return reader if shared == own.window else Cropped(reader, shared)
    raise GridMismatchError(f"the {what} and the DEM share no ground; give rasters of the same place")
