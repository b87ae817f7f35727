"""The index as GeoParquet says what index.csv says, and where."""

from __future__ import annotations

import json
import struct

import pytest

pytest.importorskip("pyarrow", reason="the extra [data] is not installed")

import pyarrow.parquet as parquet

import drawing
from im2dem.core.errors import NoDataError, OutputExistsError
from im2dem.dataset.cells import SplitPlan
from im2dem.dataset.encode import Recipe
from im2dem.dataset.file_source import FileSource
from im2dem.dataset.geoparquet import write_geoparquet
from im2dem.dataset.store import INDEX_COLUMNS, Store
from im2dem.pipeline.build import BuildOptions, build_from_files


def test_rows_types_and_outlines(tmp_path):
    drawing.draw(tmp_path / "a.tif", drawing.colours(130, 200))
    drawing.draw_dem(tmp_path / "b.tif", drawing.heights(130, 200))
    source = FileSource(str(tmp_path / "a.tif"), str(tmp_path / "b.tif"), licence="mine", sun=(150.0, 30.0))
    options = BuildOptions(Recipe(split=SplitPlan(cell_km=1.0, buffer_m=100.0)))
    build_from_files(source, tmp_path / "set", 64, options=options)
    store = Store(tmp_path / "set")
    assert write_geoparquet(store, tmp_path / "index.parquet") == 6
    table = parquet.read_table(tmp_path / "index.parquet")
    assert table.column_names == [*(c for c in INDEX_COLUMNS if c != "WKT"), "geometry"]
    rows = {row["name"]: row for row in table.to_pylist()}
    for said in store.index():
        row = rows[said["name"]]
        for key in ("split", "crs", "licence", "sha256_dem"):
            assert row[key] == said[key]
        for key in ("gsd_m", "relief_m", "sun_azimuth_deg", "void_share"):
            assert row[key] == float(said[key])
        assert (row["height"], row["vertical_datum"]) == (64, None)
        order, kind, rings, points, *ring = struct.unpack("<BIII10d", row["geometry"])
        assert (order, kind, rings, points) == (1, 3, 1, 5)
        west, south, east, north = (row[side] for side in ("west", "south", "east", "north"))
        assert ring == [west, south, east, south, east, north, west, north, west, south]
    geo = json.loads(table.schema.metadata[b"geo"])
    (column,) = geo["columns"].values()
    assert geo["version"] == "1.1.0"
    assert column["encoding"] == "WKB"
    assert column["bbox"][0] == min(row["west"] for row in rows.values())
    assert column["bbox"][3] == max(row["north"] for row in rows.values())
    with pytest.raises(OutputExistsError):
        write_geoparquet(store, tmp_path / "index.parquet")


def test_an_empty_set_has_no_index(tmp_path):
    with pytest.raises(NoDataError, match="no chip"):
        write_geoparquet(Store(tmp_path), tmp_path / "index.parquet")
