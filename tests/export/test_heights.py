"""16-bit and 32-bit heights: metres come back within half a step, other readers agree."""

from __future__ import annotations

import io

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from im2dem.core.errors import UsageError
from im2dem.export.heightmap import (
    ENGINE_SIDES,
    HeightScale,
    engine_settings,
    engine_side,
    side_car,
    write_exr,
    write_r16,
    write_xyz,
)
from im2dem.export.png import write_png
from im2dem.io.environment import quiet_georeference

FLOATS = hnp.arrays(np.float32, (3, 4), elements=st.floats(-11_000, 9_000, width=32))


@given(FLOATS)
def test_metres_come_back_within_half_a_step(heights):
    scale = HeightScale.spanning(float(heights.min()), float(heights.max()))
    back = scale.decode(scale.encode(heights))
    # A part in a million of a step for the rounding of the division.
    assert np.abs(back - heights).max() <= scale.step_m * (0.5 + 1e-6)


def test_no_data_and_what_lies_outside():
    scale = HeightScale(100.0, 0.5)
    np.testing.assert_array_equal(scale.encode(np.array([np.nan, -1e9, 1e9, 101.0])), [0, 0, 65535, 2])
    assert HeightScale.spanning(5, 5).step_m > 0


def test_unreal_and_unity_give_the_metres_back():
    scale = HeightScale(-120.0, 0.0371)
    number = 40_000
    metres = scale.decode(np.array([number], dtype=np.uint16))[0]
    unreal = engine_settings("unreal", scale, (31.0, 30.0), 1009)
    # What the engine does: (number - 32768) / 128 x scale z centimetres, on top of the actor's place.
    shown_cm = (number - 32768) / 128 * unreal["scale_z"] + unreal["location_z_cm"]
    assert shown_cm / 100 == pytest.approx(metres, abs=1e-9)
    assert (unreal["scale_x"], unreal["scale_y"]) == (3100, 3000)
    unity = engine_settings("unity", scale, (31.0, 30.0), 1025)
    assert number / 65535 * unity["terrain_height_m"] + unity["position_y_m"] == pytest.approx(metres, abs=1e-9)
    assert unity["terrain_width_m"] == 31 * 1024


def test_engine_sides():
    assert all(side in range(127, 8130) for side in ENGINE_SIDES["unreal"])
    assert all((side - 1) & (side - 2) == 0 for side in ENGINE_SIDES["unity"])
    assert engine_side("unreal", (10, 20)) == 127
    assert engine_side("unity", (100_000, 5)) == 4097
    with pytest.raises(UsageError, match="unreal, unity"):
        engine_side("godot", (5, 5))


def test_side_car_holds_the_formula():
    scale = HeightScale(10, 0.1)
    told = side_car(scale, (5, 6), (3, 4))
    assert told["low_m"] + told["step_m"] * 65535 == pytest.approx(told["high_m"])
    assert (told["width"], told["height"], told["spacing_m"]) == (6, 5, [3, 4])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [False, True])
def test_png_rows_read_back_by_gdal(dtype, colour):
    rng = np.random.default_rng(0)
    shape = (37, 23, 3) if colour else (37, 23)
    data = rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    sink = io.BytesIO()
    write_png(sink, (37, 23), (data[k : k + 10] for k in range(0, 37, 10)))
    with quiet_georeference(), rasterio.MemoryFile(sink.getvalue()) as memory, memory.open() as dataset:
        read = dataset.read()
    np.testing.assert_array_equal(read if colour else read[0], np.moveaxis(data, -1, 0) if colour else data)
    if dtype == np.uint8 or not colour:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sink.getvalue()))), data)


def test_png_refuses_rows_that_do_not_fit():
    with pytest.raises(UsageError, match="5 rows got 4"):
        write_png(io.BytesIO(), (5, 2), [np.zeros((4, 2), np.uint8)])
    with pytest.raises(UsageError, match="uint8 or uint16"):
        write_png(io.BytesIO(), (5, 2), [np.zeros((5, 2), np.float32)])


def test_r16_byte_order():
    numbers = np.array([[1, 258]], dtype=np.uint16)
    for order, expected in (("little", b"\x01\x00\x02\x01"), ("big", b"\x00\x01\x01\x02")):
        sink = io.BytesIO()
        write_r16(sink, [numbers], order)
        assert sink.getvalue() == expected
    with pytest.raises(UsageError, match="little or big"):
        write_r16(io.BytesIO(), [numbers], "middle")


RAW = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}">
<VRTRasterBand dataType="UInt16" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativetoVRT="1">z.r16</SourceFilename><ByteOrder>{order}</ByteOrder></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize(("order", "name"), [("little", "LSB"), ("big", "MSB")])
def test_r16_read_back_by_gdal(order, name, tmp_path):
    numbers = np.random.default_rng(2).integers(0, 65536, (17, 29)).astype(np.uint16)
    with open(tmp_path / "z.r16", "wb") as sink:
        write_r16(sink, (numbers[k : k + 5] for k in range(0, 17, 5)), order)
    (tmp_path / "z.vrt").write_text(RAW.format(width=29, height=17, order=name))
    # GDAL reads raw files beside their description only.
    with quiet_georeference(), rasterio.open(tmp_path / "z.vrt") as dataset:
        np.testing.assert_array_equal(dataset.read(1), numbers)


def test_xyz_read_back_by_gdal(tmp_path):
    heights = np.random.default_rng(3).uniform(-50, 3000, (6, 9))
    rows, cols = np.mgrid[0:6, 0:9]
    points = np.stack([500005 + 10 * cols, 4e6 - 10 * rows, heights], axis=-1).reshape(-1, 3)
    with open(tmp_path / "z.xyz", "wb") as sink:
        write_xyz(sink, (points[k : k + 20] for k in range(0, 54, 20)), (1, 2))
    with rasterio.open(tmp_path / "z.xyz", driver="XYZ") as dataset:
        # GDAL makes a grid of the points: their places are the middles of its pixels.
        assert dataset.shape == (6, 9)
        assert tuple(dataset.bounds) == pytest.approx((500000, 4e6 - 55, 500090, 4e6 + 5))
        # Two digits after the point, read into single precision.
        np.testing.assert_allclose(dataset.read(1), heights, atol=0.0052)


def test_exr_read_back_by_openexr(tmp_path):
    openexr = pytest.importorskip("OpenEXR", reason="OpenEXR (extra test) reads the file back")
    data = np.random.default_rng(1).normal(500, 300, (19, 33)).astype(np.float32)
    data[3, 4] = np.nan
    path = tmp_path / "z.exr"
    with open(path, "wb") as sink:
        write_exr(sink, data.shape, (data[k : k + 7] for k in range(0, 19, 7)), "relative heights")
    with openexr.File(str(path)) as file:
        np.testing.assert_array_equal(file.channels()["Y"].pixels, data)
        assert file.header()["comments"] == "relative heights"


def test_exr_refuses_rows_that_do_not_fit():
    with pytest.raises(UsageError, match="rows got"):
        write_exr(io.BytesIO(), (3, 2), [np.zeros((2, 2), np.float32)])


def test_xyz_lines():
    sink = io.BytesIO()
    write_xyz(sink, [np.array([[500005.0, 4e6, 12.375], [1, 2, -3]])], (1, 2))
    assert sink.getvalue() == b"500005.0 4000000.0 12.38\n1.0 2.0 -3.00\n"
