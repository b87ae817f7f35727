"""The plan of a training set: chips on the UTM grid, gathered in blocks that are read together.

Chips lie on a fixed lattice of their zone: chip (row, col) begins at ``x = col * side``, ``y = row * side`` metres, so
that pixels are snapped to whole multiples of their size and two requests for one place give one chip with one name.
A chip belongs to the zone that its centre lies in; at the border of two zones chips may overlap, or leave a gap, by
part of a chip. The split knows of overlaps, because it works in degrees.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window

from .area import GEOGRAPHIC, Area, Geometry, outer_rings, transform
from .cells import LonLatBox

_NORTH_POLAR, _SOUTH_POLAR = 32661, 32761
# UTM is used by convention from 80 degrees south to 84 degrees north.
_NORTH_LIMIT, _SOUTH_LIMIT = 84.0, -80.0
# An area is drawn on a raster of one pixel a chip; wider than this it is divided.
_MOST_CHIPS_A_SIDE = 20_000
MOST_BLOCK_CHIPS = 16


@dataclass(frozen=True)
class Chip:
    """One square of the plan.

    Parameters
    ----------
    name
        Zone, row, column and pixel size, e.g. "u32634-r+001445-c+000172-10m-256px".
    grid
        Georeference.
    """

    name: str
    grid: Grid

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the centre, degrees."""
        west, south, east, north = self.box
        return ((west + east) / 2 + 180.0) % 360.0 - 180.0, (south + north) / 2

    @property
    def gsd_m(self) -> float:
        """Metres a pixel: the step of the grid on the UTM lattice, what the ellipsoid says on other grids."""
        crs = str(self.grid.crs)
        if crs.startswith(("EPSG:326", "EPSG:327")):
            return float(self.grid.transform.a)
        return round(self.grid.gsd_m or abs(self.grid.transform.a), 6)

    @property
    def box(self) -> LonLatBox:
        """west, south, east, north, degrees; east beyond 180 where the chip lies across that meridian."""
        return lonlat_box(self.grid)


@dataclass(frozen=True)
class Block:
    """Neighbouring chips that are read in one go.

    Parameters
    ----------
    name
        For the record.
    grid
        Covers all chips.
    chips
        With their windows in `grid`.
    """

    name: str
    grid: Grid
    chips: tuple[tuple[Chip, Window], ...]


@dataclass(frozen=True)
class Portion:
    """How an area is divided.

    Parameters
    ----------
    size_px, gsd_m
        Side of a chip and metres a pixel.
    most_pixels
        Pixels that a block may have.
    limit
        Take this many chips at most, or None.
    """

    size_px: int
    gsd_m: float
    most_pixels: float
    limit: int | None = None


def lonlat_box(grid: Grid) -> LonLatBox:
    """west, south, east, north of a grid in degrees; east may be beyond 180.

    Parameters
    ----------
    grid
        Georeferenced.

    Raises
    ------
    UsageError
        It has no place on Earth.
    """
    height, width = grid.shape
    steps = [i / 4 for i in range(5)]
    places = [(0.5, 0.5), *((r, c) for r in steps for c in steps if r in (0, 1) or c in (0, 1))]
    points = [grid.transform @ (c * width, r * height) for r, c in places]
    lons, lats = _to_lonlat(grid.crs, threading.get_ident()).transform(*np.transpose(points))
    if not (np.isfinite(lons).all() and np.isfinite(lats).all()):
        raise UsageError("a raster reaches beyond the Earth's map")
    # Within half a turn of the middle, so that a chip across the 180th meridian is not 360 degrees wide.
    lons = lons[0] + (lons - lons[0] + 180.0) % 360.0 - 180.0
    return float(lons.min()), float(lats.min()), float(lons.max()), float(lats.max())


@lru_cache(maxsize=256)
def _to_lonlat(crs: str | None, thread: int) -> Transformer:
    """Making one takes longer than all else that is done with a chip's outline; PROJ's are not shared by threads."""
    del thread
    if crs is None:
        raise UsageError("a raster without reference system has no longitude and latitude")
    return Transformer.from_crs(crs, GEOGRAPHIC, always_xy=True)


def utm_zone(lon: float, lat: float) -> int:
    """EPSG code of the UTM zone of a place, or of the polar projection beyond 84 N and 80 S.

    Zones are 6 degrees wide without Norway's exceptions: each place has one zone, which is all that is asked.

    >>> utm_zone(139.7, 35.7), utm_zone(-70.0, -33.4), utm_zone(20.0, 85.0)
    (32654, 32719, 32661)
    """
    if lat >= _NORTH_LIMIT:
        return _NORTH_POLAR
    if lat < _SOUTH_LIMIT:
        return _SOUTH_POLAR
    zone = min(math.floor(((lon + 180.0) % 360.0) / 6.0), 59) + 1
    return (32600 if lat >= 0 else 32700) + zone


def chip_at(epsg: int, row: int, col: int, size_px: int, gsd_m: float) -> Chip:
    """The chip at a place of the lattice; `row` counts northwards."""
    side_m = size_px * gsd_m
    grid = Grid((size_px, size_px), Affine(gsd_m, 0.0, col * side_m, 0.0, -gsd_m, (row + 1) * side_m), f"EPSG:{epsg}")
    return Chip(f"u{epsg}-r{row:+07d}-c{col:+07d}-{gsd_m:g}m-{size_px}px", grid)


def plan_chips(area: Area, size_px: int, gsd_m: float) -> Iterator[Chip]:
    """Chips that touch an area, zone by zone, from north to south.

    Parameters
    ----------
    area
        Polygons.
    size_px
        Side of a chip, at least 16.
    gsd_m
        Metres a pixel, above 0.

    Raises
    ------
    UsageError
        A size out of range.
    """
    if size_px < 16 or not 0 < gsd_m <= 10_000:
        raise UsageError(f"chips have at least 16 pixels of 0 to 10,000 m, got {size_px} px of {gsd_m} m")
    for epsg in zones(area):
        shapes = [transform(g, GEOGRAPHIC, f"EPSG:{epsg}") for g in _clip_to_zone(area, epsg)]
        for row, col in _lattice(shapes, size_px * gsd_m):
            chip = chip_at(epsg, row, col, size_px, gsd_m)
            if utm_zone(*chip.lonlat) == epsg:
                yield chip


def zones(area: Area) -> list[int]:
    """EPSG codes of the UTM zones that an area may touch, sorted."""
    found = set()
    for west, south, east, north in area.boxes:
        lats = {south, north} | ({-1e-9, 0.0} if south < 0 <= north else set())
        lats |= {limit for limit in (_NORTH_LIMIT, _SOUTH_LIMIT - 1e-9, _SOUTH_LIMIT) if south <= limit <= north}
        lons = [*np.arange(west, east, 6.0).tolist(), east]
        found |= {utm_zone(lon, lat) for lat in lats for lon in lons}
    return sorted(found)


def gather(chips: Sequence[Chip], side_chips: int) -> list[Block]:
    """Chips in blocks of `side_chips` x `side_chips` lattice places, in the order of their first chip.

    Parameters
    ----------
    chips
        From `plan_chips`, all of one size.
    side_chips
        At least 1.
    """
    groups: dict[tuple[str, int, int], list[Chip]] = defaultdict(list)
    for chip in chips:
        row, col = lattice_place(chip)
        groups[str(chip.grid.crs), row // side_chips, col // side_chips].append(chip)
    return [_block(group) for group in groups.values()]


def lattice_blocks(area: Area, portion: Portion) -> list[Block]:
    """Chips on the lattice that touch an area, in square blocks as large as the memory allows.

    Parameters
    ----------
    area
        Polygons.
    portion
        Size of chips, of pixels, and of blocks.

    Raises
    ------
    UsageError
        A size out of range.
    """
    chips = list(islice(plan_chips(area, portion.size_px, portion.gsd_m), portion.limit))
    side = int(math.sqrt(portion.most_pixels) // portion.size_px)
    return gather(chips, min(max(side, 1), MOST_BLOCK_CHIPS))


def lattice_place(chip: Chip) -> tuple[int, int]:
    """(row, col) of a chip in the lattice of its zone; rows count northwards."""
    t = chip.grid.transform
    side = t.a * chip.grid.width
    return round(t.f / side) - 1, round(t.c / side)


def _block(chips: list[Chip]) -> Block:
    first = chips[0].grid
    left = min(c.grid.transform.c for c in chips)
    top = max(c.grid.transform.f for c in chips)
    gsd = first.transform.a
    windows = []
    for chip in chips:
        t = chip.grid.transform
        windows.append((chip, Window(round((top - t.f) / gsd), round((t.c - left) / gsd), *chip.grid.shape)))
    shape = (max(w.row_stop for _, w in windows), max(w.col_stop for _, w in windows))
    grid = Grid(shape, Affine(gsd, 0.0, left, 0.0, -gsd, top), first.crs)
    return Block(chips[0].name, grid, tuple(windows))


def _clip_to_zone(area: Area, epsg: int) -> Iterator[Geometry]:
    """Polygons near a zone: far from their zone, UTM coordinates mean nothing."""
    if epsg in (_NORTH_POLAR, _SOUTH_POLAR):
        low, high = (80.0, 90.0) if epsg == _NORTH_POLAR else (-90.0, -76.0)
        window = (-180.0, low, 180.0, high)
    else:
        west = (epsg % 100 - 1) * 6.0 - 180.0
        south, north = (-0.5, 84.5) if epsg < 32700 else (-80.5, 0.5)
        window = (west - 0.5, south, west + 6.5, north)
    for geometry in area.geometries:
        for ring in outer_rings(geometry):
            clipped = clip_ring([(p[0], p[1]) for p in ring], window)
            if len(clipped) >= 3:
                dense = densify([*clipped, clipped[0]], 0.25)
                yield {"type": "Polygon", "coordinates": [[list(p) for p in dense]]}


def clip_ring(ring: Sequence[tuple[float, float]], box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    """The part of a ring within a box; holes of the polygon are not looked at.

    Parameters
    ----------
    ring
        Points (x, y), the last may repeat the first.
    box
        left, bottom, right, top.

    Source
    ------
    Sutherland & Hodgman (1974), Communications of the ACM 17(1), 32-42.
    """
    points = list(ring[:-1] if ring[0] == ring[-1] else ring)
    for axis, limit, sign in ((0, box[0], 1), (1, box[1], 1), (0, box[2], -1), (1, box[3], -1)):
        kept: list[tuple[float, float]] = []
        for i, here in enumerate(points):
            before = points[i - 1]
            inside, was_inside = ((p[axis] - limit) * sign >= 0 for p in (here, before))
            if inside != was_inside:
                t = (limit - before[axis]) / (here[axis] - before[axis])
                kept.append((before[0] + t * (here[0] - before[0]), before[1] + t * (here[1] - before[1])))
            if inside:
                kept.append(here)
        points = kept
    return points


def densify(ring: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """A ring with points at most `step` apart, so that its edges stay where they are in another projection."""
    out: list[tuple[float, float]] = []
    for a, b in pairwise(ring):
        n = max(1, math.ceil(max(abs(b[0] - a[0]), abs(b[1] - a[1])) / step))
        out += [(a[0] + (b[0] - a[0]) * i / n, a[1] + (b[1] - a[1]) * i / n) for i in range(n)]
    return [*out, ring[-1]]


def _lattice(shapes: list[Geometry], side_m: float) -> Iterator[tuple[int, int]]:
    """Places (row, col) of the lattice that the shapes touch, from north to south."""
    points = [p for shape in shapes for ring in outer_rings(shape) for p in ring]
    if not points:
        return
    low_col, high_col = (math.floor(f(p[0] for p in points) / side_m) for f in (min, max))
    low_row, high_row = (math.floor(f(p[1] for p in points) / side_m) for f in (min, max))
    width = high_col - low_col + 1
    if width > _MOST_CHIPS_A_SIDE:
        raise UsageError(f"the area is {width} chips wide in one zone; divide it, or take larger chips")
    for top in range(high_row, low_row - 1, -1024):
        rows = min(1024, top - low_row + 1)
        transform_ = Affine(side_m, 0.0, low_col * side_m, 0.0, -side_m, (top + 1) * side_m)
        touched: NDArray[np.uint8] = rasterize(
            shapes, out_shape=(rows, width), transform=transform_, all_touched=True, dtype="uint8"
        )
        for r, c in zip(*np.nonzero(touched), strict=True):
            yield top - int(r), low_col + int(c)
