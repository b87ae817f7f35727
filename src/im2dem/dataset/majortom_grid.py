"""The cells of Major TOM: squares of about 10 km, named by rows from the equator and columns from Greenwich.

Row r begins at latitude ``r * 180 / 2004`` degrees; a row has ``n = ceil(40075 cos(latitude) / 10)`` cells, and column
c begins at longitude ``c * 360 / n``. Northern rows end in U, southern in D; eastern columns in R, western in L, as in
451U_946L.

A cell's pictures are squares of 1068 px of 10 m in the UTM zone of the Sentinel-2 tile that they are cut from; their
lower left corner lies 340 m west and south of the cell's. The files' own georeference is that corner to a fraction of a
metre, but their pixels are those of the tile, untouched: so the corner is rounded to whole pixels here.

Source
------
Francis & Czerkawski (2024), "Major TOM: Expandable Datasets for Earth Observation", arXiv:2402.12095, section 3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache

from affine import Affine
from pyproj import Transformer

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid

from .area import GEOGRAPHIC, Area, outer_rings
from .plan import clip_ring

CELL_PX, CELL_GSD_M = 1068, 10.0
_MARGIN_M = 340.0
_ROWS = 2004
_EQUATOR_KM, _CELL_KM = 2 * math.pi * 6378.137, 10.0
_NAME = re.compile(r"(\d+)([UD])_(\d+)([RL])")


def cell_corner(name: str) -> tuple[float, float]:
    """Longitude and latitude of a cell's lower left corner, degrees.

    >>> [round(v, 5) for v in cell_corner("451U_946L")]
    [-111.76895, 40.50898]

    Raises
    ------
    UsageError
        Not the name of a cell.
    """
    row, col = cell_place(name)
    return col * 360.0 / _columns(row), row * 180.0 / _ROWS


def cell_place(name: str) -> tuple[int, int]:
    """Row from the equator northwards and column from Greenwich eastwards.

    Raises
    ------
    UsageError
        Not the name of a cell.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise UsageError(f"cells of Major TOM have names like 451U_946L, got {name!r}")
    return int(parts[1]) * (1 if parts[2] == "U" else -1), int(parts[3]) * (1 if parts[4] == "R" else -1)


def cells_of(area: Area) -> Iterator[str]:
    """Names of the cells that touch an area, from south to north."""
    height = 180.0 / _ROWS
    found: dict[tuple[int, int], None] = {}
    for geometry in area.geometries:
        for ring in outer_rings(geometry):
            points = [(p[0], p[1]) for p in ring]
            lats = [p[1] for p in points]
            for row in range(math.floor(min(lats) / height), math.floor(max(lats) / height) + 1):
                strip = clip_ring(points, (-180.0, row * height, 180.0, (row + 1) * height))
                width = 360.0 / _columns(row)
                for col in range(*_span([p[0] for p in strip], width)):
                    box = (col * width, row * height, (col + 1) * width, (row + 1) * height)
                    if len(clip_ring(strip, box)) >= 3:
                        found[row, col] = None
    for row, col in sorted(found):
        yield f"{abs(row)}{'U' if row >= 0 else 'D'}_{abs(col)}{'R' if col >= 0 else 'L'}"


def cell_grid(name: str, crs: str) -> Grid:
    """The grid of a cell's pictures.

    Parameters
    ----------
    name
        Of the cell.
    crs
        UTM zone of the picture, e.g. "EPSG:32612".

    Raises
    ------
    UsageError
        Not the name of a cell, or no such zone.
    """
    x, y = _to_utm(crs).transform(*cell_corner(name))
    left, top = x - _MARGIN_M, y - _MARGIN_M + CELL_PX * CELL_GSD_M
    return snapped(Grid((CELL_PX, CELL_PX), Affine(CELL_GSD_M, 0, left, 0, -CELL_GSD_M, top), crs))


def snapped(grid: Grid) -> Grid:
    """A grid with its corner on the lattice of its pixels, where Sentinel-2's own pixels lie."""
    t = grid.transform
    left, top = round(t.c / t.a) * t.a, round(t.f / t.e) * t.e
    return Grid(grid.shape, Affine(t.a, t.b, left, t.d, t.e, top), grid.crs)


def _columns(row: int) -> int:
    return math.ceil(_EQUATOR_KM * math.cos(math.radians(row * 180.0 / _ROWS)) / _CELL_KM)


def _span(lons: list[float], width: float) -> tuple[int, int]:
    return (math.floor(min(lons) / width), math.floor(max(lons) / width) + 1) if lons else (0, 0)


@lru_cache(maxsize=128)
def _to_utm(crs: str) -> Transformer:
    if not re.fullmatch(r"EPSG:32[67]\d\d", crs):
        raise UsageError(f"pictures of Major TOM lie in a UTM zone such as EPSG:32612, got {crs!r}")
    return Transformer.from_crs(GEOGRAPHIC, crs, always_xy=True)
