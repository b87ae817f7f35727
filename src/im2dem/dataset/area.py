"""The area that a training set is asked for: polygons on the Earth, from GeoJSON or from a raster's outline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasterio.errors import RasterioError
from rasterio.warp import transform_geom

from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid

from .store import DAMAGED

GEOGRAPHIC = "OGC:CRS84"
Geometry = dict[str, Any]
_POLYGONS = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Area:
    """Polygons in degrees of longitude and latitude.

    Parameters
    ----------
    geometries
        GeoJSON polygons (WGS84 longitude, latitude); at least one.
    name
        Where they come from, for the record.
    """

    geometries: tuple[Geometry, ...]
    name: str

    @property
    def boxes(self) -> tuple[tuple[float, float, float, float], ...]:
        """west, south, east, north of each ring's polygon, degrees."""
        boxes = []
        for ring in (ring for geometry in self.geometries for ring in outer_rings(geometry)):
            lons, lats = [p[0] for p in ring], [p[1] for p in ring]
            boxes.append((min(lons), min(lats), max(lons), max(lats)))
        return tuple(boxes)


def outer_rings(geometry: Geometry) -> Iterator[list[list[float]]]:
    """Outer rings of a polygon or multi-polygon."""
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for part in parts:
        yield part[0]


def read_area(path: str | Path) -> Area:
    """The area in a GeoJSON file.

    Parameters
    ----------
    path
        A geometry, a feature, or a collection of them; points and lines are left out.

    Raises
    ------
    UsageError
        There is no such file.
    InputError
        Not GeoJSON, no polygon in it, a place that is not on Earth, or a polygon across the 180th meridian that is
        not cut there.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"{source}: no such file; an area is a GeoJSON file with polygons")
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        geometries = tuple(g for g in _geometries(content) if g.get("type") in _POLYGONS)
        for geometry in geometries:
            _check(geometry, source)
    except (OSError, *DAMAGED) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: not GeoJSON ({error}); export the area as GeoJSON in WGS84") from error
    if not geometries:
        raise InputError(f"{source}: holds no polygon; an area is one polygon or more")
    return Area(geometries, source.name)


def area_of_grid(grid: Grid, name: str) -> Area:
    """The outline of a raster.

    Parameters
    ----------
    grid
        Georeferenced.
    name
        For the record.

    Raises
    ------
    InputError
        The raster has no place on Earth.
    """
    if grid.crs is None or grid.lonlat(0, 0) is None:
        raise InputError(f"{name}: has no reference system, so nobody knows where it lies; georeference it first")
    height, width = grid.shape
    steps = 8
    edge = [(c / steps * width, 0.0) for c in range(steps)]
    edge += [(width, r / steps * height) for r in range(steps)]
    edge += [(width - c / steps * width, height) for c in range(steps)]
    edge += [(0.0, height - r / steps * height) for r in range(steps + 1)]
    ring = [[float(v) for v in grid.transform @ point] for point in edge]
    outline = {"type": "Polygon", "coordinates": [ring]}
    return Area((transform(outline, grid.crs, GEOGRAPHIC),), name)


def transform(geometry: Geometry, source: str, target: str) -> Geometry:
    """A geometry in another reference system; cut at the 180th meridian when that is geographic.

    Raises
    ------
    InputError
        The transformation fails.
    """
    try:
        return dict(transform_geom(source, target, geometry))
    except RasterioError as error:
        raise InputError(f"the area cannot be brought from {source[:40]} to {target[:40]} ({error})") from error


def _geometries(content: dict[str, Any]) -> Iterator[Geometry]:
    kind = content["type"]
    if kind == "FeatureCollection":
        for feature in content["features"]:
            yield from _geometries(feature)
    elif kind == "Feature":
        if content["geometry"] is not None:
            yield from _geometries(content["geometry"])
    elif kind == "GeometryCollection":
        for part in content["geometries"]:
            yield from _geometries(part)
    else:
        yield content


def _check(geometry: Geometry, source: Path) -> None:
    for ring in outer_rings(geometry):
        if len(ring) < 4:
            raise InputError(f"{source}: a polygon has {len(ring)} points; at least 4 are wanted, the last the first")
        for lon, lat, *_ in ring:
            if not (math.isfinite(lon) and math.isfinite(lat) and -180 <= lon <= 180 and -90 <= lat <= 90):
                raise InputError(
                    f"{source}: ({lon}, {lat}) is no longitude and latitude; export the area in WGS84 (EPSG:4326)"
                )
        if max(p[0] for p in ring) - min(p[0] for p in ring) > 180:
            raise InputError(f"{source}: a polygon is wider than half the Earth; cut it at the 180th meridian")
