"""Contours run at their height and read back as GeoJSON and GeoPackage."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from im2dem.core.errors import MissingDependencyError
from im2dem.export.contours import Contour, LayerCrs, trace_contours, write_geojson, write_geopackage

pytest.importorskip("contourpy", reason="contourpy (extra export) traces the lines")


def cone(n=41):
    row, col = np.mgrid[0:n, 0:n]
    return (1000 - 10 * np.hypot(row - n // 2, col - n // 2)).astype(np.float32)


def test_lines_of_a_cone_are_circles_at_the_right_radius():
    lines = list(trace_contours(cone(), np.array([850.0, 900.0]), 50.0))
    assert [line.height_m for line in lines] == [850, 900]
    for line in lines:
        # x and y count from the corner: the middle of pixel 20 is at 20.5.
        radius = np.hypot(*(line.line - 20.5).T)
        # Linear interpolation between pixels of a cone is off by at most about 1 / (8 r) pixels.
        np.testing.assert_allclose(radius, (1000 - line.height_m) / 10, atol=0.05)
        np.testing.assert_array_equal(line.line[0], line.line[-1])


def test_every_fifth_line_is_bold_and_voids_end_lines():
    z = cone()
    z[:, 20] = np.nan
    lines = list(trace_contours(z, np.array([850.0, 900.0, 950.0, 1000.0]), 50.0))
    assert {line.height_m for line in lines if line.is_index} <= {1000.0}
    assert {line.height_m for line in lines} >= {850.0, 900.0}
    assert not any((line.line[0] == line.line[-1]).all() for line in lines)
    assert not any(((line.line[:, 0] > 20) & (line.line[:, 0] < 21)).any() for line in lines)


def lines():
    yield Contour(100.0, True, np.array([[7.0, 46.0], [7.1, 46.0], [7.1, 46.123456789]]))
    yield Contour(120.0, False, np.array([[7.0, 46.5], [7.2, 46.5]]))


def test_geojson():
    sink = io.BytesIO()
    assert write_geojson(sink, lines(), {"heights": "relative"}) == 2
    read = json.loads(sink.getvalue())
    assert read["type"] == "FeatureCollection"
    assert read["heights"] == "relative"
    first = read["features"][0]
    assert first["properties"] == {"height_m": 100.0, "index": True}
    assert first["geometry"]["coordinates"][2] == [7.1, 46.1234568]
    empty = io.BytesIO()
    assert write_geojson(empty, iter(()), {}) == 0
    assert json.loads(empty.getvalue())["features"] == []


def test_geojson_read_back_by_ogr(tmp_path):
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio (extra test) reads the GeoJSON back")
    path = tmp_path / "c.geojson"
    with open(path, "wb") as sink:
        write_geojson(sink, lines(), {"heights": "relative"})
    about = pyogrio.read_info(path)
    assert (about["features"], about["geometry_type"], about["crs"]) == (2, "LineString", "EPSG:4326")
    _, _, geometry, fields = pyogrio.raw.read(path)
    assert dict(zip(about["fields"], (field.tolist() for field in fields), strict=True)) == {
        "height_m": [100.0, 120.0],
        "index": [True, False],
    }
    for made, expected in zip(geometry, lines(), strict=True):
        # Seven digits after the point: a centimetre.
        np.testing.assert_allclose(np.frombuffer(made[9:], "<f8").reshape(-1, 2), expected.line, atol=5.1e-8)


@pytest.mark.parametrize(
    "crs", [LayerCrs(None, None, None), LayerCrs(32654, "UTM 54N", None), LayerCrs(None, "own", "own")], ids=str
)
def test_geopackage_read_back_by_ogr(crs, tmp_path):
    pyogrio = pytest.importorskip("pyogrio", reason="pyogrio (extra test) reads the GeoPackage back")
    from pyproj import CRS

    if crs.name is not None:
        wkt = CRS.from_epsg(32654).to_wkt("WKT1_GDAL") if crs.epsg else CRS.from_proj4(
            "+proj=tmerc +lon_0=138.3 +ellps=GRS80 +units=m"
        ).to_wkt("WKT1_GDAL")  # fmt: skip
        crs = LayerCrs(crs.epsg, crs.name, wkt)
    sink = io.BytesIO()
    assert write_geopackage(sink, lines(), crs, {"heights": "relative"}) == 2
    path = tmp_path / "c.gpkg"
    path.write_bytes(sink.getvalue())
    about = pyogrio.read_info(path, layer="contours")
    assert about["features"] == 2
    assert about["geometry_type"] == "LineString"
    np.testing.assert_allclose(about["total_bounds"], (7.0, 46.0, 7.2, 46.5))
    _, _, geometry, fields = pyogrio.raw.read(path, layer="contours")
    assert fields[0].tolist() == [100.0, 120.0]
    assert fields[1].tolist() == [True, False]
    points = np.frombuffer(geometry[0][9:], "<f8").reshape(-1, 2)
    np.testing.assert_array_equal(points, next(lines()).line)
    if crs.epsg:
        assert CRS.from_user_input(about["crs"]).to_epsg() == crs.epsg
    elif crs.wkt:
        assert "138.3" in about["crs"]


def test_without_contourpy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "contourpy", None)
    with pytest.raises(MissingDependencyError, match=r"im2dem\[export\]"):
        next(trace_contours(cone(), np.array([900.0]), 50.0))
