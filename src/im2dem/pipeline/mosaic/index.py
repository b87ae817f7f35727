"""Which pictures a mosaic is made of: a folder, a VRT, or an index file that names them."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from im2dem.core.errors import InputError, MissingDependencyError, NoDataError
from im2dem.io.environment import is_virtual

RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".img")
COLUMNS = ("location", "path", "filename", "file")
"""Where an index keeps the paths, the first that it has; "location" is what gdaltindex writes."""


def scene_paths(index: str | os.PathLike[str]) -> tuple[str, ...]:
    """Paths of the pictures of a mosaic, the lowest first: where two overlap, the later one is seen.

    Parameters
    ----------
    index
        A folder (its rasters in the order of their names), a raster (VRT, GeoTIFF ...), a text file with one path a
        line ("#" begins a remark), JSON (a list of paths), GeoJSON, GeoPackage or GeoParquet whose features have the
        path in one of `COLUMNS`. Paths are relative to the index.

    Raises
    ------
    InputError
        There is no such index, or it cannot be read.
    NoDataError
        It names no picture.
    MissingDependencyError
        A GeoParquet index without the extra [data].
    """
    name = str(index)
    if is_virtual(name):
        return (name,)
    path = Path(name)
    if path.is_dir():
        found: Iterable[str] = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in RASTERS and p.is_file())
        where = f"no raster ({', '.join(RASTERS)}) lies in it"
    elif not path.exists():
        raise InputError(f"{name}: there is no such file or folder; give a VRT, a folder of scenes or an index of them")
    elif path.suffix.lower() not in _READERS:
        return (name,)
    else:
        try:
            listed = _READERS[path.suffix.lower()](path)
        except (OSError, ValueError, RecursionError, sqlite3.Error) as error:
            raise InputError(f"{name}: not an index that can be read ({error}); write it again") from error
        found = [_beside(path, text) for text in listed]
        where = f"it names none; wanted: one path a line, or features with the field {' or '.join(COLUMNS)}"
    paths = tuple(dict.fromkeys(found))
    if not paths:
        raise NoDataError(f"{name}: no scenes: {where}")
    return paths


def _beside(index: Path, text: str) -> str:
    return text if is_virtual(text) or os.path.isabs(text) else str(index.parent / text)


def _from_text(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _from_json(path: Path) -> list[str]:
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        content = content.get("features", content.get("scenes"))
    if not isinstance(content, list):
        raise InputError(f"{path}: neither a list of paths nor a FeatureCollection; see docs/how-to/mosaics.md")
    return [_path_of(item, path) for item in content]


def _path_of(item: Any, index: Path) -> str:
    fields = item.get("properties", item) if isinstance(item, dict) else {"location": item}
    for column in COLUMNS:
        if isinstance(fields, dict) and isinstance(fields.get(column), str):
            return str(fields[column])
    raise InputError(f"{index}: an entry has no path; wanted: one of the fields {', '.join(COLUMNS)}")


def _from_geopackage(path: Path) -> list[str]:
    # A GeoPackage is an SQLite database that lists its layers; no geometry is needed, so no vector library is.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        layers = [row[0] for row in connection.execute("SELECT table_name FROM gpkg_contents ORDER BY table_name")]
        for layer in map(str, layers):
            table = '"' + layer.replace('"', '""') + '"'
            have = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for column in COLUMNS:
                if column in have:
                    rows = connection.execute(f"SELECT {column} FROM {table} ORDER BY rowid")
                    return [str(row[0]) for row in rows if row[0]]
    finally:
        connection.close()
    raise InputError(f"{path}: no layer has one of the fields {', '.join(COLUMNS)}")


def _from_parquet(path: Path) -> list[str]:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")  # it has no types
    except ImportError as error:
        raise MissingDependencyError(
            "a GeoParquet index needs a package that is not installed (pyarrow); run: pip install 'im2dem[data]'"
        ) from error
    table: Any = parquet.ParquetFile(path)
    for column in COLUMNS:
        if column in table.schema_arrow.names:
            return [str(v) for v in table.read([column]).column(0).to_pylist() if v]
    raise InputError(f"{path}: no column is called {' or '.join(COLUMNS)}")


_READERS = {
    ".txt": _from_text,
    ".lst": _from_text,
    ".json": _from_json,
    ".geojson": _from_json,
    ".gpkg": _from_geopackage,
    ".parquet": _from_parquet,
    ".geoparquet": _from_parquet,
}
