"""Contour lines as GeoJSON and GeoPackage."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import MissingDependencyError

_EVERY_BOLD = 5
_UNKNOWN_PLANE = -1
_WGS84_WKT = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)


@dataclass(frozen=True, eq=False)
class Contour:
    """One line of equal height.

    Parameters
    ----------
    height_m
        Metres.
    is_index
        Every fifth height, which maps draw bold.
    line
        Shape (n, 2): x, y; closed lines end where they begin.
    """

    height_m: float
    is_index: bool
    line: NDArray[np.float64]


def trace_contours(dem: NDArray[np.floating], levels_m: NDArray[np.float64], interval_m: float) -> Iterator[Contour]:
    """Contour lines in pixel positions, x = column and y = row of pixel *corners*, higher ground to the left.

    Parameters
    ----------
    dem
        Heights at pixel centres, shape (row, col), at least 2 x 2, metres; NaN = no data, lines end there.
    levels_m
        Heights of the lines, metres.
    interval_m
        Metres between them, which says which are bold.

    Raises
    ------
    MissingDependencyError
        contourpy is not installed.
    """
    try:
        from contourpy import LineType, contour_generator
    except ImportError as error:
        raise MissingDependencyError(
            "contours need contourpy, which is not installed; run: pip install 'im2dem[export]'"
        ) from error
    masked = np.ma.masked_invalid(dem)
    generator = contour_generator(z=masked, name="serial", line_type=LineType.Separate, corner_mask=True)
    for level in levels_m:
        bold = round(float(level) / interval_m) % _EVERY_BOLD == 0
        for line in generator.lines(float(level)):
            points = np.asarray(line, dtype=np.float64)
            if len(points) > 1:
                yield Contour(float(level), bold, points + 0.5)


def write_geojson(sink: BinaryIO, contours: Iterator[Contour], facts: Mapping[str, Any]) -> int:
    """Write lines whose x, y are longitude and latitude on WGS 84; returns how many.

    Source
    ------
    RFC 7946, sections 3.1.4 (LineString), 3.3 (FeatureCollection), 4 (reference system), 6.1 (foreign members).
    """
    sink.write(b'{"type":"FeatureCollection"')
    for key, value in facts.items():
        sink.write(f",{json.dumps(key)}:{json.dumps(value)}".encode())
    sink.write(b',"features":[')
    count = 0
    for contour in contours:
        # Seven digits of a degree are a centimetre on the ground.
        feature = {
            "type": "Feature",
            "properties": {"height_m": contour.height_m, "index": contour.is_index},
            "geometry": {"type": "LineString", "coordinates": np.round(contour.line, 7).tolist()},
        }
        sink.write((b",\n" if count else b"\n") + json.dumps(feature, separators=(",", ":")).encode())
        count += 1
    sink.write(b"]}\n")
    return count


@dataclass(frozen=True)
class LayerCrs:
    """Reference system of a layer: EPSG code (None: has none), name and WKT; all None: a plane without a place."""

    epsg: int | None
    name: str | None
    wkt: str | None


def write_geopackage(sink: BinaryIO, contours: Iterator[Contour], crs: LayerCrs, facts: Mapping[str, Any]) -> int:
    """Write lines as the layer "contours" of a GeoPackage; returns how many.

    Parameters
    ----------
    sink
        Where it goes.
    contours
        x, y in units of `crs`.
    crs
        Reference system.
    facts
        Told in the description of the layer.

    Source
    ------
    OGC 12-128r19, GeoPackage 1.4: 1.1.1 (file), 1.1.2 (spatial reference systems), 1.1.3 (contents), 2.1 (features);
    geometry: table "GeoPackageBinaryHeader", then well-known binary.
    """
    base = sqlite3.connect(":memory:")
    try:
        base.executescript(_SCHEMA)
        number = _UNKNOWN_PLANE if crs.wkt is None else (crs.epsg or 100_000)
        systems = {
            -1: ("Undefined Cartesian SRS", "NONE", -1, "undefined"),
            0: ("Undefined geographic SRS", "NONE", 0, "undefined"),
            4326: ("WGS 84", "EPSG", 4326, _WGS84_WKT),
        }
        if crs.wkt is not None:
            owner = "EPSG" if crs.epsg else "NONE"
            systems[number] = (crs.name or "unnamed", owner, number, crs.wkt)
        base.executemany(
            "INSERT INTO gpkg_spatial_ref_sys VALUES (?,?,?,?,?,NULL)",
            [(name, key, owner, code, wkt) for key, (name, owner, code, wkt) in systems.items()],
        )
        box = np.array([np.inf, np.inf, -np.inf, -np.inf])

        def rows() -> Iterator[tuple[bytes, float, bool]]:
            for contour in contours:
                low, high = contour.line.min(axis=0), contour.line.max(axis=0)
                np.minimum(box[:2], low, out=box[:2])
                np.maximum(box[2:], high, out=box[2:])
                yield _geometry(contour.line, number), contour.height_m, contour.is_index

        base.executemany("INSERT INTO contours (geom, height_m, is_index) VALUES (?,?,?)", rows())
        count = int(base.execute("SELECT count(*) FROM contours").fetchone()[0])
        about = "; ".join(f"{key}: {value}" for key, value in facts.items())
        extent = box.tolist() if count else [None] * 4
        base.execute(
            "INSERT INTO gpkg_contents VALUES ('contours','features','contours',?,"
            "strftime('%Y-%m-%dT%H:%M:%fZ','now'),?,?,?,?,?)",
            (about, *extent, number),
        )
        base.execute("INSERT INTO gpkg_geometry_columns VALUES ('contours','geom','LINESTRING',?,0,0)", (number,))
        base.commit()
        sink.write(base.serialize())
    finally:
        base.close()
    return count


_SCHEMA = """
PRAGMA application_id = 1196444487;
PRAGMA user_version = 10300;
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
  srs_id INTEGER REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL REFERENCES gpkg_contents(table_name), column_name TEXT NOT NULL,
  geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys(srs_id),
  z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name));
CREATE TABLE contours (
  fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom LINESTRING, height_m DOUBLE, is_index BOOLEAN);
"""


def _geometry(line: NDArray[np.float64], srs: int) -> bytes:
    low, high = line.min(axis=0), line.max(axis=0)
    # Flags: little-endian header (1) with an envelope of x and y (code 1, shifted by one bit).
    header = struct.pack("<2sBBi4d", b"GP", 0, 0b11, srs, low[0], high[0], low[1], high[1])
    return header + struct.pack("<BII", 1, 2, len(line)) + line.astype("<f8").tobytes()
