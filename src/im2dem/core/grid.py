"""The georeference of a raster: shape, affine transform of the pixel corner, coordinate reference system."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError

from .errors import UsageError

_LOCAL_METRE_CRS = 'LOCAL_CS["im2dem local grid",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a raster, in pixels; it may reach outside the raster."""

    row_off: int
    col_off: int
    height: int
    width: int

    @property
    def row_stop(self) -> int:
        """One past the last row."""
        return self.row_off + self.height

    @property
    def col_stop(self) -> int:
        """One past the last column."""
        return self.col_off + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def intersection(self, other: Window) -> Window | None:
        """The part that both windows cover, or None.

        >>> Window(0, 0, 4, 4).intersection(Window(2, 3, 4, 4))
        Window(row_off=2, col_off=3, height=2, width=1)
        >>> Window(0, 0, 2, 2).intersection(Window(2, 0, 2, 2)) is None
        True
        """
        row = max(self.row_off, other.row_off)
        col = max(self.col_off, other.col_off)
        height = min(self.row_stop, other.row_stop) - row
        width = min(self.col_stop, other.col_stop) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None

    def slices(self, origin: Window | None = None) -> tuple[slice, slice]:
        """Row and column slices of this window in an array that starts at `origin` (default: the raster's corner)."""
        row0, col0 = (origin.row_off, origin.col_off) if origin else (0, 0)
        return (
            slice(self.row_off - row0, self.row_stop - row0),
            slice(self.col_off - col0, self.col_stop - col0),
        )


@dataclass(frozen=True)
class Grid:
    """Shape, transform and reference system of a raster.

    Parameters
    ----------
    shape
        (height, width) in pixels, both at least 1.
    transform
        Maps (column, row) of a pixel's upper-left *corner* to (x, y) in the units of `crs`.
        Files with pixel-is-point registration are converted where they are read.
    crs
        Any text that PROJ understands ("EPSG:32634", WKT, PROJJSON), or None: not georeferenced.

    Raises
    ------
    UsageError
        A shape below 1 x 1 or a transform that cannot be inverted.
    """

    shape: tuple[int, int]
    transform: Affine
    crs: str | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise UsageError(f"a grid needs at least 1 x 1 pixel, got {self.shape[0]} x {self.shape[1]}")
        if self.transform.is_degenerate:
            raise UsageError(f"the transform {tuple(self.transform)[:6]} maps every pixel to one line")

    @classmethod
    def local(cls, shape: tuple[int, int], gsd_m: float | None) -> Grid:
        """A grid without a place on Earth: north up, square pixels of `gsd_m` metres, or of unknown size."""
        if gsd_m is None:
            return cls(shape, Affine.identity(), None)
        if not (math.isfinite(gsd_m) and gsd_m > 0):
            raise UsageError(f"metres per pixel must be a positive number, got {gsd_m}")
        return cls(shape, Affine(gsd_m, 0, 0, 0, -gsd_m, shape[0] * gsd_m), _LOCAL_METRE_CRS)

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    @property
    def window(self) -> Window:
        """The whole grid as a window."""
        return Window(0, 0, *self.shape)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the axis-parallel box around the grid, in units of the CRS."""
        corners = [self.transform @ (c, r) for c in (0, self.width) for r in (0, self.height)]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def crop(self, window: Window) -> Grid:
        """The grid of a window; the window may reach outside, so this also pads."""
        return replace(
            self,
            shape=window.shape,
            transform=self.transform @ Affine.translation(window.col_off, window.row_off),
        )

    def coarsen(self, factor: int) -> Grid:
        """The grid of pixels `factor` times as large; the last row and column may reach outside."""
        if factor < 1:
            raise UsageError(f"a grid is coarsened by a whole number of at least 1, got {factor}")
        return replace(
            self,
            shape=(-(-self.height // factor), -(-self.width // factor)),
            transform=self.transform @ Affine.scale(factor),
        )

    @cached_property
    def _crs(self) -> CRS | None:
        if self.crs is None:
            return None
        try:
            return CRS.from_user_input(self.crs)
        except CRSError as error:
            raise UsageError(f"the coordinate reference system is not understood: {self.crs[:80]!r}") from error

    def lonlat(self, row: float, col: float) -> tuple[float, float] | None:
        """(longitude, latitude) in degrees of a pixel position, or None when the grid has no place on a body."""
        crs = self._crs
        if crs is None or crs.geodetic_crs is None or crs.is_engineering:
            return None
        x, y = self.transform @ (col, row)
        if crs.is_geographic:
            factor = math.degrees(crs.axis_info[0].unit_conversion_factor)
            return x * factor, y * factor
        try:
            lon, lat = _to_lonlat(str(self.crs), threading.get_ident()).transform(x, y)
        except ProjError:
            return None
        return (lon, lat) if math.isfinite(lon) and math.isfinite(lat) else None

    def pixel_size_m(self, row: float | None = None) -> tuple[float, float] | None:
        """Ground size of a pixel along columns and along rows, in metres, or None when unknown.

        Measured on the ellipsoid of the CRS, so degrees, feet and the stretch of a map projection
        (web Mercator at 60 degrees: a factor of two) are all accounted for.

        Parameters
        ----------
        row
            Where to measure; default the middle row. The column is always the middle one.
        """
        crs = self._crs
        if crs is None:
            return None
        row = self.height / 2 if row is None else row
        col = self.width / 2
        here, east, south = (self.lonlat(r, c) for r, c in ((row, col), (row, col + 1), (row + 1, col)))
        if here and east and south and crs.ellipsoid is not None:
            geod = Geod(a=crs.ellipsoid.semi_major_metre, b=crs.ellipsoid.semi_minor_metre)
            return geod.inv(*here, *east)[2], geod.inv(*here, *south)[2]
        if crs.is_geographic or not crs.axis_info:
            return None
        metres = crs.axis_info[0].unit_conversion_factor
        t = self.transform
        return math.hypot(t.a, t.d) * metres, math.hypot(t.b, t.e) * metres

    @cached_property
    def gsd_m(self) -> float | None:
        """Ground sampling distance in metres at the centre (geometric mean of both directions), or None."""
        size = self.pixel_size_m()
        return math.sqrt(size[0] * size[1]) if size else None

    def azimuth_in_picture(self, azimuth_deg: float) -> float:
        """Turn a direction on the ground into one in the picture.

        Parameters
        ----------
        azimuth_deg
            Degrees clockwise from the north of the grid.

        Returns
        -------
        Degrees clockwise from "up" in the picture, 0 to 360; unchanged when north is up.

        >>> Grid((4, 4), Affine(10, 0, 0, 0, 10, 0), "EPSG:32633").azimuth_in_picture(150.0)  # south is up
        30.0
        """
        if self.crs is None:
            return azimuth_deg % 360.0
        t = self.transform
        east, north = math.sin(math.radians(azimuth_deg)), math.cos(math.radians(azimuth_deg))
        det = t.a * t.e - t.b * t.d
        col, row = (t.e * east - t.b * north) / det, (t.a * north - t.d * east) / det
        return round(math.degrees(math.atan2(col, -row)) % 360.0, 9)

    @property
    def north_deg(self) -> float:
        """Direction of "up" in the picture, degrees clockwise from the north of the grid: 0 when north is up."""
        t = self.transform
        return math.degrees(math.atan2(-t.b, -t.e)) % 360.0 if self.crs is not None else 0.0


@lru_cache(maxsize=256)
def _to_lonlat(crs: str, thread: int) -> Transformer:
    """Making one takes a thousand times as long as using it; PROJ's are not shared by threads."""
    del thread
    its = CRS.from_user_input(crs)
    return Transformer.from_crs(its, its.geodetic_crs, always_xy=True)
