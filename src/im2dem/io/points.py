"""Known heights at single places: CSV, GeoJSON and GPX, and where they fall in a picture."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from im2dem.core.errors import InputError, UsageError
from im2dem.core.grid import Grid

from .datum import datum_of_crs

Numbers = NDArray[np.float64]

DEFAULT_SIGMA_M = 1.0
_LONLAT = "EPSG:4326"
_NAMES = {
    **dict.fromkeys(("x", "easting", "east", "e", "col"), "x"),
    **dict.fromkeys(("y", "northing", "north", "n", "row"), "y"),
    **dict.fromkeys(("lon", "long", "longitude", "lng"), "lon"),
    **dict.fromkeys(("lat", "latitude"), "lat"),
    **dict.fromkeys(("z", "h", "height", "elevation", "elev", "ele", "alt", "altitude", "height_m", "z_m"), "z"),
    **dict.fromkeys(("sigma", "sigma_m", "std", "accuracy", "error"), "sigma"),
}
_FAR_APART = 4.0  # standard deviations between two heights of one place


@dataclass(frozen=True, eq=False)
class ControlPoints:
    """Known heights.

    Parameters
    ----------
    x, y
        Coordinates in `crs`, shape (n,): east and north, or longitude and latitude in degrees, in this order.
    z, sigma
        Heights and their standard deviations, metres.
    crs
        Horizontal reference system; None: that of the picture.
    vertical_datum
        As `datum.datum_named` gives it; None: not said.
    name
        Where they are from.
    """

    x: Numbers
    y: Numbers
    z: Numbers
    sigma: Numbers
    crs: str | None
    vertical_datum: str | None
    name: str

    def __len__(self) -> int:
        return len(self.z)


@dataclass(frozen=True, eq=False)
class PlacedPoints:
    """Known heights in the pixels of a picture.

    Attributes
    ----------
    row, col
        Position in pixels from the upper left corner (the middle of the first pixel is 0.5, 0.5), shape (n,).
    z, sigma
        Metres.
    number
        Which point of the file each is, from 1.
    lon, lat
        Degrees, NaN where the picture has no place on Earth.
    messages
        One sentence for every point that was left out, joined with another or looks wrong.
    """

    row: Numbers
    col: Numbers
    z: Numbers
    sigma: Numbers
    number: NDArray[np.int64]
    lon: Numbers
    lat: Numbers
    messages: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.z)


def read_points(path: str | Path, crs: str | None = None) -> ControlPoints:
    """Known heights of a file.

    Parameters
    ----------
    path
        ``.csv`` or ``.txt``: columns x, y, z and perhaps sigma, or named in a first line (lon, lat, easting,
        northing, height, ...); ``.geojson``/``.json``: points whose third coordinate, or whose property "z",
        "height", "elevation" or "ele", is the height; ``.gpx``: way, route and track points with `ele`.
    crs
        Reference system of x and y ("EPSG:32633", "EPSG:4326+3855" for heights above EGM2008). Default: longitude
        and latitude for GeoJSON, GPX and columns of that name, else that of the picture.

    Raises
    ------
    InputError
        The file cannot be read, has no point, or a line is not understood (its number is told).
    UsageError
        A reference system that PROJ does not know, or a file of another kind.
    """
    source = Path(path)
    readers = {".csv": _csv, ".txt": _csv, ".tsv": _csv, ".geojson": _geojson, ".json": _geojson, ".gpx": _gpx}
    if source.suffix.lower() not in readers:
        raise UsageError(f"{source}: points come as .csv, .geojson or .gpx, not as {source.suffix or 'that'}")
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{source}: cannot be read ({error}); check the path and that it is text") from error
    rows, own_crs = readers[source.suffix.lower()](text, source)
    if not rows:
        raise InputError(f"{source}: holds no point with a height; wanted lines like 13.4,52.5,34.0")
    values = np.array(rows, np.float64)
    chosen = crs or own_crs
    datum = None
    if chosen is not None:
        try:
            datum = datum_of_crs(CRS.from_user_input(chosen))
        except CRSError as error:
            raise UsageError(f"the reference system of the points is not understood: {chosen!r}") from error
    x, y, z, sigma = values.T
    return ControlPoints(x, y, z, sigma, chosen, datum, source.name)


def _csv(text: str, path: Path) -> tuple[list[list[float]], str | None]:
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip() and line.lstrip()[0] != "#"]
    if not lines:
        return [], None
    separator = next((mark for mark in ",;\t" if mark in lines[0][1]), None)

    def split(line: str) -> list[str]:
        return line.split() if separator is None else [c.strip() for c in next(csv.reader([line], delimiter=separator))]

    head = [_NAMES.get(re.sub(r"[\s()]+|\[.*", "", name.lower())) for name in split(lines[0][1])]
    columns = {name: i for i, name in enumerate(head) if name}
    if columns:
        lonlat = {"lon", "lat"} <= columns.keys()
        if "z" not in columns or not (lonlat or {"x", "y"} <= columns.keys()):
            raise InputError(f"{path}: its columns are {lines[0][1]!r}; wanted x, y, z or lon, lat, z, maybe sigma")
        first, second = ("lon", "lat") if lonlat else ("x", "y")
        order = [columns[first], columns[second], columns["z"], *([columns["sigma"]] if "sigma" in columns else [])]
        lines = lines[1:]
    else:
        lonlat, order = False, []
    rows = []
    for number, line in lines:
        cells = split(line)
        try:
            picked = [float(cells[i]) for i in order] if order else [float(cell) for cell in cells[:4]]
            if len(picked) < 3:
                raise ValueError("too few columns")
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}, line {number}: {line.strip()!r} is not x,y,z[,sigma] ({error})") from error
        rows.append(_checked(picked, f"{path}, line {number}"))
    return rows, _LONLAT if lonlat else None


def _geojson(text: str, path: Path) -> tuple[list[list[float]], str | None]:
    try:
        content = json.loads(text)
        features = content.get("features", [content]) if isinstance(content, dict) else []
        rows: list[list[float]] = []
        for number, feature in enumerate(features, 1):
            geometry, known = feature.get("geometry") or feature, feature.get("properties") or {}
            many = geometry["coordinates"] if geometry["type"] == "MultiPoint" else [geometry["coordinates"]]
            if geometry["type"] not in ("Point", "MultiPoint"):
                raise InputError(f"{path}, feature {number}: a {geometry['type']} is no point; give points")
            named = {_NAMES.get(str(key).lower()): value for key, value in known.items() if value is not None}
            for place in many:
                height = place[2] if len(place) > 2 else named.get("z")
                if height is None:
                    raise InputError(f"{path}, feature {number}: no height; give a third coordinate or a property z")
                picked = [place[0], place[1], height, *([named["sigma"]] if "sigma" in named else [])]
                rows.append(_checked([float(v) for v in picked], f"{path}, feature {number}"))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is not GeoJSON with points ({error!r})") from error
    own = content
    for key in ("crs", "properties", "name"):
        own = own.get(key) if isinstance(own, dict) else None
    return rows, own.replace("urn:ogc:def:crs:OGC:1.3:CRS84", _LONLAT) if isinstance(own, str) else _LONLAT


def _gpx(text: str, path: Path) -> tuple[list[list[float]], str | None]:
    if "<!ENTITY" in text:
        raise InputError(f"{path}: defines XML entities, which no GPX file needs; remove them")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: is not GPX ({error})") from error
    rows: list[list[float]] = []
    for node in root.iter():
        if node.tag.rsplit("}", 1)[-1] in ("wpt", "rtept", "trkpt"):
            height = next((c.text for c in node if c.tag.rsplit("}", 1)[-1] == "ele"), None)
            if height is not None:
                try:
                    picked = [float(node.attrib["lon"]), float(node.attrib["lat"]), float(height)]
                except (KeyError, ValueError) as error:
                    raise InputError(f"{path}: point {len(rows) + 1} is not lon, lat and ele ({error!r})") from error
                rows.append(_checked(picked, str(path)))
    return rows, _LONLAT


def _checked(picked: list[float], where: str) -> list[float]:
    values = picked if len(picked) > 3 else [*picked, DEFAULT_SIGMA_M]
    if not all(math.isfinite(value) for value in values) or not -12_000 < values[2] < 9_500:
        raise InputError(f"{where}: {values[:3]} is no place with a height in metres")
    if values[3] <= 0:
        raise InputError(f"{where}: a standard deviation of {values[3]} m; wanted more than 0")
    return values


def place_points(points: ControlPoints, grid: Grid) -> PlacedPoints:
    """Where points fall in a picture; what is wrong with single ones is told, not passed over.

    Points outside are left out. Those of one pixel become one, the mean with weights 1 / sigma^2. Where x and y
    are swapped, the error says so.

    Parameters
    ----------
    points
        From `read_points`.
    grid
        Of the picture. One without reference system takes points in pixels: x along the columns, y along the rows.

    Raises
    ------
    InputError
        No point lies in the picture; or the points are georeferenced and the picture is not.
    """
    x, y = _on_grid(points.x, points.y, points.crs, grid)
    inside = _inside(x, y, grid)
    messages = []
    if not inside.all():
        swapped = _inside(*_on_grid(points.y, points.x, points.crs, grid), grid) & ~inside
        if not inside.any():
            hint = (
                "with x and y exchanged they would: the order is x (east, longitude) first, then y"
                if swapped.any()
                else "check the reference system of the points (--points-crs)"
            )
            raise InputError(f"{points.name}: none of its {len(points)} points lies in the picture; {hint}")
        for i in np.flatnonzero(~inside):
            more = "; with x and y exchanged it would lie inside" if swapped[i] else ""
            place = f"({points.x[i]:g}, {points.y[i]:g})"
            messages.append(f"point {i + 1} {place} lies outside the picture: left out{more}")
    kept = np.flatnonzero(inside)
    col, row = x[kept], y[kept]
    placed = PlacedPoints(row, col, points.z[kept], points.sigma[kept], kept + 1, *_lonlat(row, col, grid), ())
    return _without_doubles(placed, grid, messages)


def _without_doubles(placed: PlacedPoints, grid: Grid, messages: list[str]) -> PlacedPoints:
    pixel = np.floor(placed.row).astype(np.int64) * grid.width + np.floor(placed.col).astype(np.int64)
    keep, z, sigma = [], placed.z.copy(), placed.sigma.copy()
    for value in dict.fromkeys(pixel.tolist()):
        same = np.flatnonzero(pixel == value)
        keep.append(int(same[0]))
        if len(same) > 1:
            names = ", ".join(str(n) for n in placed.number[same])
            weight = 1 / placed.sigma[same] ** 2
            gap = float(np.ptp(placed.z[same]))
            contradiction = gap > _FAR_APART * math.sqrt(2) * float(placed.sigma[same].max())
            z[same[0]] = float((weight * placed.z[same]).sum() / weight.sum())
            sigma[same[0]] = max(float(weight.sum() ** -0.5), gap / 2 if contradiction else 0.0)
            messages.append(
                f"points {names} lie in one pixel and contradict each other by {gap:.1f} m: their mean counts, with an "
                f"error of {sigma[same[0]]:.1f} m"
                if contradiction
                else f"points {names} lie in one pixel: their mean counts"
            )
    pick = np.array(keep)
    fields = {name: getattr(placed, name)[pick] for name in ("row", "col", "number", "lon", "lat")}
    return replace(placed, z=z[pick], sigma=sigma[pick], messages=tuple(messages), **fields)


def _on_grid(x: Numbers, y: Numbers, crs: str | None, grid: Grid) -> tuple[Numbers, Numbers]:
    """Columns and rows, pixels; not finite where a place does not exist in the picture's system."""
    if grid.crs is None:
        if crs is not None:
            raise InputError(
                "the points have a reference system and the picture has none; georeference the picture, or give the "
                "points in pixels (x along the columns, y along the rows)"
            )
        return x, y
    if crs is not None and crs != grid.crs:
        flat = CRS.from_user_input(crs)
        flat = flat.sub_crs_list[0] if flat.is_compound else (flat.to_2d() if len(flat.axis_info) == 3 else flat)
        try:
            x, y = Transformer.from_crs(flat, grid.crs, always_xy=True).transform(x, y)
        except ProjError as error:
            raise InputError(f"the points cannot be brought into the picture's reference system: {error}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        col, row = ~grid.transform @ (np.asarray(x), np.asarray(y))
    return np.asarray(col), np.asarray(row)


def _inside(col: Numbers, row: Numbers, grid: Grid) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray((col >= 0) & (col < grid.width) & (row >= 0) & (row < grid.height))


def _lonlat(row: Iterable[float], col: Iterable[float], grid: Grid) -> tuple[Numbers, Numbers]:
    places = [grid.lonlat(r, c) or (math.nan, math.nan) for r, c in zip(row, col, strict=True)]
    lon, lat = np.array(places, np.float64).reshape(-1, 2).T
    return lon, lat
