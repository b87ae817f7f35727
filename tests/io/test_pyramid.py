"""Overviews made in passing are those that GDAL makes of the finished file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.grid import Window
from im2dem.io.environment import gdal_env, quiet_georeference
from im2dem.io.pyramid import Pyramid, overview_shapes

BLOCK = 512


def drawn(shape, holes):
    rng = np.random.default_rng(5)
    data = rng.uniform(-200, 3000, (2, *shape)).astype(np.float32)
    if holes:
        data[:, : shape[0] // 3, : shape[1] // 3] = np.nan
        data[0, rng.random(shape) < 0.2] = np.nan  # another pattern in each band
    return data


def made(data, block, cuts):
    """All levels of a raster that is fed in strips."""
    shape = data.shape[1:]
    levels = [np.full((len(data), *own), -1e9, np.float32) for own in overview_shapes(shape, block)]

    def sink(number, window, rows):
        assert (levels[number][:, window.row_off : window.row_stop] == -1e9).all(), "each row comes once"
        levels[number][:, window.row_off : window.row_stop] = rows

    pyramid = Pyramid(shape, block, sink)
    for top, stop in itertools.pairwise([0, *cuts, shape[0]]):
        pyramid.feed(Window(top, 0, stop - top, shape[1]), data[:, top:stop])
    assert pyramid.is_complete
    return levels


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("shape", [(700, 1100), (1025, 3), (1, 513), (600, 1047), (1029, 773)], ids=str)
def test_they_are_those_of_gdal(tmp_path, shape, holes):
    data = drawn(shape, holes)
    profile = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": 2, "dtype": "float32"}
    with gdal_env(), quiet_georeference():
        with rasterio.open(tmp_path / "rows.tif", "w", **profile, nodata=-9999.0) as out:
            out.write(np.where(np.isnan(data), np.float32(-9999), data))
        cog = tmp_path / "cog.tif"
        rasterio.shutil.copy(
            tmp_path / "rows.tif", cog, driver="COG", BLOCKSIZE=BLOCK, OVERVIEW_RESAMPLING="AVERAGE", COMPRESS="NONE"
        )
    levels = made(data, BLOCK, range(100, shape[0], 100))
    assert levels
    even = True
    for number, ours in enumerate(levels):
        even = even and all(side % 2 == 0 for side in (shape if number == 0 else levels[number - 1].shape[1:]))
        with quiet_georeference(), rasterio.open(cog, overview_level=number) as dataset:
            theirs = np.where(dataset.read() == -9999, np.nan, dataset.read())
        if even:
            np.testing.assert_array_equal(ours, theirs)
        else:  # GDAL adds the shares of a pixel in another order, which may round the last bit of float32 otherwise
            np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=3e-4)
    with quiet_georeference(), rasterio.open(cog) as dataset:
        assert len(dataset.overviews(1)) == len(levels)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_strips_of_any_height_make_the_same(data):
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    pixels = drawn(shape, data.draw(st.booleans()))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, shape[0] - 1)), max_size=10)) - {shape[0]})
    for ours, whole in zip(made(pixels, 4, cuts), made(pixels, 4, []), strict=True):
        np.testing.assert_array_equal(ours, whole)
        assert not (ours == -1e9).any(), "every pixel is written"


def test_a_level_keeps_the_mean():
    data = drawn((64, 128), holes=False)
    for level in made(data, 4, [10, 11, 50]):
        # powers of two: every pixel counts alike in every level; float32 levels round 3000 m to 1e-4
        assert level.mean(dtype=np.float64) == pytest.approx(data.mean(dtype=np.float64), abs=1e-3)


@pytest.mark.parametrize(
    "windows",
    [
        [Window(0, 0, 8, 16)],
        [Window(8, 0, 8, 16), Window(0, 0, 8, 16)],
        [Window(0, 0, 8, 16), Window(0, 0, 8, 16)],
        [Window(0, 0, 16, 8), Window(0, 8, 16, 8)],
    ],
    ids=["a row is missing", "from below", "twice", "columns"],
)
def test_rows_out_of_order_end_it(windows):
    pyramid = Pyramid((16, 16), 4, lambda number, window, rows: None)
    for window in windows:
        pyramid.feed(window, np.zeros((1, *window.shape), np.float32))
    assert not pyramid.is_complete


def test_a_raster_of_one_block_has_none():
    assert overview_shapes((512, 512), BLOCK) == []
    pyramid = Pyramid((3, 5), BLOCK, lambda number, window, rows: pytest.fail("there is no level"))
    pyramid.feed(Window(0, 0, 3, 5), np.zeros((1, 3, 5), np.float32))
    assert pyramid.is_complete


def test_infinity_is_no_value():
    data = np.array([[[1.0, np.inf], [3.0, -np.inf]]], np.float32)
    (level,) = made(data, 1, [])
    assert level.tolist() == [[[2.0]]]
