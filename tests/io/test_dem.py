"""`open_dem`: heights in metres, whatever the file stores."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio

import drawing
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.io.cog import write_raster
from im2dem.io.geotiff import open_dem


def read_all(path, **options):
    with open_dem(path, **options) as reader:
        assert reader.bands == ("height",)
        return reader.read(reader.grid.window)[0]


def describe(path, **facts):
    with rasterio.open(path, "r+") as dataset:
        for name, value in facts.items():
            setattr(dataset, name, (value,))
    return path


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
def test_heights_of_any_type(tmp_path, dtype):
    stored = drawing.heights().astype(dtype)
    path = drawing.draw_dem(tmp_path / "dem.tif", stored)
    np.testing.assert_array_equal(read_all(path), stored.astype(np.float32))


@pytest.mark.parametrize(
    ("unit", "metres"),
    [
        ("", 1.0),
        ("m", 1.0),
        ("metre", 1.0),
        ("ft", 0.3048),
        ("Feet", 0.3048),
        ("US survey foot", 1200 / 3937),
        ("cm", 0.01),
    ],
)
def test_units_become_metres(tmp_path, unit, metres):
    path = describe(drawing.draw_dem(tmp_path / "dem.tif"), units=unit)
    with open_dem(path) as reader:
        assert reader.info.unit == "m"
    np.testing.assert_allclose(read_all(path), drawing.heights() * metres, rtol=1e-6)  # float32


def test_foot_of_the_vertical_axis(tmp_path):
    """EPSG:6360 is NAVD88 height (ftUS); the band itself says nothing."""
    path = drawing.draw_dem(tmp_path / "dem.tif", crs="EPSG:32615+6360")
    with open_dem(path) as reader:
        assert reader.grid.crs == "EPSG:32615"
        assert reader.info.vertical_datum == "NAVD88 height (ftUS)"
    np.testing.assert_allclose(read_all(path), drawing.heights() * 1200 / 3937, rtol=1e-6)  # float32


def test_relative_heights_stay_in_pixels(tmp_path):
    path = describe(drawing.draw_dem(tmp_path / "dem.tif"), units="px")
    with open_dem(path) as reader:
        assert reader.info.unit == "px"
    np.testing.assert_array_equal(read_all(path), drawing.heights())


def test_unknown_unit_is_said(tmp_path, caplog):
    path = describe(drawing.draw_dem(tmp_path / "dem.tif"), units="cubits")
    with caplog.at_level(logging.WARNING, "im2dem"):
        np.testing.assert_array_equal(read_all(path), drawing.heights())
    assert "cubits" in caplog.text


def test_scale_and_offset(tmp_path):
    stored = np.rint((drawing.heights() - 400) * 50).astype(np.int16)
    path = describe(drawing.draw_dem(tmp_path / "dem.tif", stored, nodata=-1), scales=0.02, offsets=400.0)
    np.testing.assert_allclose(read_all(path), drawing.heights(), atol=0.0101)  # half a step of 0.02 m


@pytest.mark.parametrize(
    ("dtype", "sentinel"),
    [
        ("int16", -32768),
        ("int16", 32767),
        ("uint16", 65535),
        ("int32", -(2**31)),
        ("int32", -99999),
        ("float32", -32768.0),
        ("float32", -3.4028235e38),
        ("float32", float("inf")),
        ("float64", 1e300),
    ],
)
def test_undeclared_sentinels_are_missing(tmp_path, dtype, sentinel):
    stored = drawing.heights().astype(dtype)
    stored[3, 4] = sentinel
    missing = np.isnan(read_all(drawing.draw_dem(tmp_path / "dem.tif", stored)))
    assert missing[3, 4]
    assert missing.sum() == 1


def test_heights_in_another_unit_are_said_to_be_left_out_and_sentinels_are_not(tmp_path, caplog):
    in_centimetres = (drawing.heights() * 100).astype(np.int32)  # above 30,000 everywhere
    path = drawing.draw_dem(tmp_path / "dem.tif", in_centimetres)
    with caplog.at_level(logging.WARNING, "im2dem"):
        assert np.isnan(read_all(path)).all()
        assert caplog.text.count("-scale 0.01") == 1
        np.testing.assert_allclose(read_all(describe(path, scales=0.01)), drawing.heights(), atol=0.0101)
        stored = drawing.heights().astype(np.float32)
        stored[2:6] = -99999.0
        read_all(drawing.draw_dem(tmp_path / "other.tif", stored))
    assert caplog.text.count("-scale 0.01") == 1


def test_undeclared_least_integer_is_missing_after_scaling_too(tmp_path):
    stored = drawing.heights().astype(np.int16)
    stored[3, 4] = -32768  # -3276.8 m would look like a height
    path = describe(drawing.draw_dem(tmp_path / "dem.tif", stored), scales=0.1)
    assert np.isnan(read_all(path)[3, 4])


def test_declared_nodata_and_zero_heights(tmp_path):
    stored = drawing.heights()
    stored[3, 4], stored[5, 6] = -9999, 0
    heights = read_all(drawing.draw_dem(tmp_path / "dem.tif", stored, nodata=-9999))
    assert np.isnan(heights[3, 4])
    assert heights[5, 6] == 0, "sea level is a height"
    assert np.isnan(heights).sum() == 1


def test_trench_and_summit_are_heights(tmp_path):
    stored = np.array([[-10_935.0, 8_849.0]], dtype=np.float32)
    np.testing.assert_array_equal(read_all(drawing.draw_dem(tmp_path / "dem.tif", stored)), stored)


@pytest.mark.parametrize(
    ("crs", "tags", "horizontal", "datum"),
    [
        ("EPSG:32634", {}, "EPSG:32634", None),
        ("EPSG:32634", {"VERTICAL_DATUM": "EGM2008"}, "EPSG:32634", "EGM2008"),
        ("EPSG:32634+5773", {}, "EPSG:32634", "EGM96"),
        ("EPSG:9518", {}, "EPSG:4326", "EGM2008"),
        ("EPSG:4979", {}, "EPSG:4326", "WGS84 ellipsoid"),
    ],
)
def test_vertical_datum(tmp_path, crs, tags, horizontal, datum):
    transform = drawing.UTM_TRANSFORM if "32634" in crs else drawing.DEGREES
    path = drawing.draw_dem(tmp_path / "dem.tif", crs=crs, transform=transform, tags=tags)
    with open_dem(path) as reader:
        assert reader.info.vertical_datum == datum
        assert reader.grid == Grid((60, 70), transform, horizontal)


def test_other_band(tmp_path):
    both = np.stack([drawing.heights(), drawing.heights() + 5])
    path = drawing.draw(tmp_path / "dem.tif", both)
    np.testing.assert_array_equal(read_all(path, band=2), both[1])
    with pytest.raises(UsageError, match="no band 3"):
        open_dem(path, band=3)


def test_mask_of_a_height_model(tmp_path):
    valid = np.ones((60, 70), dtype=bool)
    valid[:7] = False
    np.testing.assert_array_equal(np.isnan(read_all(drawing.draw_dem(tmp_path / "dem.tif", mask=valid))), ~valid)


def test_sigma_comes_along_when_asked_for(tmp_path: Path) -> None:
    grid = Grid.local((2, 3), 10.0)
    data = np.stack([np.full((2, 3), 100.0), np.full((2, 3), 7.0)])
    path = write_raster(tmp_path / "d.tif", Raster(data, grid, ("height", "sigma")))
    with open_dem(path, with_sigma=True) as reader:
        assert reader.bands == ("height", "sigma")
        np.testing.assert_array_equal(reader.read(grid.window)[1], 7.0)
    with open_dem(path) as reader:
        assert reader.bands == ("height",)
    other = write_raster(tmp_path / "o.tif", Raster(data, grid, ("height", "slope")))
    with open_dem(other, with_sigma=True) as reader:
        assert reader.bands == ("height",)
