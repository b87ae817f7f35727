"""The index of a training set as GeoParquet, which QGIS, GeoPandas and DuckDB open: one row a chip, with its outline.

Source
------
OGC GeoParquet 1.1.0: metadata `geo` of the file, geometries as WKB, longitude and latitude (OGC:CRS84) by default.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from im2dem.core.errors import NoDataError
from im2dem.io.atomic import new_file
from im2dem.io.parquet import arrow_module

from .store import INDEX_COLUMNS, Store, index_row

_GEOMETRY = "geometry"
_WHOLE, _TEXT = ("height", "width", "observations"), ("name", "split", "cell", "crs", "dates", "vertical_datum")
_WHOLE_OR_TEXT = {*_WHOLE, *_TEXT, "licence", "sha256_rgb", "sha256_dem"}


def write_geoparquet(store: Store, path: Path, overwrite: bool = False) -> int:
    """Write the index of a set, typed, and return the number of chips.

    Parameters
    ----------
    store
        The set.
    path
        File to write.
    overwrite
        Replace it.

    Raises
    ------
    NoDataError
        The set has no chip.
    OutputError
        The disk is full or not writable.
    MissingDependencyError
        The extra is not installed.
    """
    arrow = arrow_module("pyarrow")
    rows = [index_row(meta) for meta in store.metas()]
    if not rows:
        raise NoDataError(f"{store.root} holds no chip; there is nothing to index")
    names = [name for name in INDEX_COLUMNS if name != "WKT"]
    fields = [(name, arrow.int32() if name in _WHOLE else arrow.string() if name in _WHOLE_OR_TEXT else arrow.float64())
              for name in names]  # fmt: skip
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in names}
    columns[_GEOMETRY] = [outline(row) for row in rows]
    schema = arrow.schema([*fields, (_GEOMETRY, arrow.binary())], {"geo": json.dumps(_told(rows))})
    with new_file(path, overwrite) as file:
        arrow_module("pyarrow.parquet").write_table(arrow.table(columns, schema), file)
    return len(rows)


def outline(row: Mapping[str, float]) -> bytes:
    """The outline of a chip as WKB: a polygon of one ring, counter-clockwise from the lower left corner.

    Source
    ------
    OGC 06-103r4, Simple Feature Access, section 8.2: well-known binary.
    """
    west, south, east, north = (float(row[side]) for side in ("west", "south", "east", "north"))
    ring = (west, south, east, south, east, north, west, north, west, south)
    return struct.pack("<BIII10d", 1, 3, 1, 5, *ring)


def _told(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sides = [min, min, max, max]
    box = [side(float(row[name]) for row in rows)
           for side, name in zip(sides, ("west", "south", "east", "north"), strict=True)]  # fmt: skip
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "bbox": box, "orientation": "counterclockwise"}
    return {"version": "1.1.0", "primary_column": _GEOMETRY, "columns": {_GEOMETRY: column}}
