"""Digital numbers to model input, and heights to slope units: pairs that undo each other."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

import drawing
from im2dem.core.errors import NoDataError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster
from im2dem.core.scaling import (
    ScaledReader,
    Stretch,
    heights_from_slope_units,
    lattice,
    sample_reader,
    slope_units_from_heights,
    strips,
)


def picture(data: np.ndarray) -> Raster:
    return Raster(data, Grid(data.shape[1:], Affine.identity()), tuple("abcdef"[: data.shape[0]]), "DN")


def model_input(data: np.ndarray) -> np.ndarray:
    raster = picture(data)
    return Stretch.from_samples(sample_reader(raster)).apply(raster.data)


@pytest.mark.parametrize(
    "encode",
    [
        lambda x: np.rint(x * 10000 / 255).astype(np.uint16),
        lambda x: (np.rint(x * 10000 / 255) + 1000).astype(np.uint16),
        lambda x: (np.rint(x * 10000 / 255) - 1000).astype(np.int16),
        lambda x: (x / 255).astype(np.float32),
        lambda x: np.rint(x * 65535 / 255).astype(np.uint16),
        lambda x: x.astype(np.float32) * 1000,
    ],
    ids=["reflectance", "reflectance+1000", "int16-1000", "float 0..1", "full uint16", "large float"],
)
def test_encodings_of_one_scene_are_the_same_model_input(encode):
    scene = drawing.colours()
    # Within one grey level: rounding to 1/10000 of the range moves a result by about 1/5000 after stretching.
    np.testing.assert_allclose(model_input(encode(scene.astype(np.float64))), model_input(scene), atol=1 / 255)


def test_stretch_reaches_both_ends_and_keeps_nan():
    data = np.tile(np.arange(101, dtype=np.float32), (2, 3, 1))
    data[1, 0, 0] = np.nan
    stretch = Stretch.from_samples(data.reshape(2, -1))
    out = stretch.apply(data)
    assert out.dtype == np.float32
    assert np.nanmin(out) == 0
    assert np.nanmax(out) == 1
    np.testing.assert_array_equal(np.isnan(out), np.isnan(data))
    assert stretch.low == pytest.approx((1.0, 1.0), abs=0.1)


@given(
    st.lists(st.tuples(st.floats(-1000, 1000), st.floats(1, 1000)), min_size=1, max_size=4),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_apply_undoes_invert(ends, values):
    stretch = Stretch(tuple(low for low, _ in ends), tuple(low + width for low, width in ends))
    inputs = np.tile(np.float32(values), (len(ends), 1))
    # float32: a level of 1000 rounds by 6e-5, over a range of at least 1.
    np.testing.assert_allclose(stretch.apply(stretch.invert(inputs)), inputs, atol=3e-4)


@pytest.mark.parametrize(("level", "noise"), [(100.0, 1.0), (3000.0, 5.0), (0.2, 0.0002), (0.0, 0.0), (-500.0, 0.0)])
def test_a_picture_of_one_colour_is_not_blown_up_to_noise(level, noise):
    samples = level + noise * np.random.default_rng(3).standard_normal((1, 5000))
    out = Stretch.from_samples(samples).apply(samples.astype(np.float32))
    assert out.mean() == pytest.approx(0.5, abs=0.05)
    assert out.std() < 0.1  # a full stretch of noise has 0.21


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
    st.tuples(st.floats(0, 100), st.floats(0, 100)).filter(lambda ends: ends[0] < ends[1]),
)
def test_ends_are_the_percentiles_of_numpy(values, percents):
    samples = np.array([values], np.float32)
    low, high = np.percentile(samples[0].astype(np.float64), percents)
    middle = (low + high) / 2
    # Where the range is wider than the least one, the same float64 to the last bit: all predictions rest on it.
    if high - low > max(16.0, 0.02 * abs(high)):
        half = (high - low) / 2
        assert Stretch.from_samples(samples, percents) == Stretch((middle - half,), (middle + half,))


def test_samples_without_a_valid_pixel_in_a_band():
    with pytest.raises(NoDataError, match="band 2"):
        Stretch.from_samples(np.array([[1.0, 2.0], [np.nan, np.nan]]))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Stretch((1.0,), (1.0,)),
        lambda: Stretch((1.0,), (2.0, 3.0)),
        lambda: Stretch((), ()),
        lambda: Stretch((float("nan"),), (2.0,)),
        lambda: Stretch.from_samples(np.ones((1, 4)), percentiles=(99, 1)),
        lambda: Stretch((0.0,), (1.0,)).apply(np.zeros((2, 3, 3), dtype=np.float32)),
        lambda: sample_reader(picture(np.ones((1, 2, 2))), max_pixels=0),
        lambda: heights_from_slope_units(np.ones(3), 0.0),
        lambda: slope_units_from_heights(np.ones(3), float("nan")),
    ],
)
def test_wrong_calls(wrong):
    with pytest.raises(UsageError):
        wrong()


def test_small_picture_is_sampled_whole():
    data = drawing.colours(30, 40)
    np.testing.assert_array_equal(sample_reader(picture(data)), data.reshape(3, -1))


@pytest.mark.parametrize("shape", [(700, 900), (1, 5000), (5000, 3), (2000, 130)])
@pytest.mark.parametrize("max_pixels", [1, 100, 4000, 40_000])
def test_samples_are_bounded_spread_and_deterministic(shape, max_pixels):
    row, col = np.mgrid[0 : shape[0], 0 : shape[1]]
    raster = picture(np.stack([row, col]).astype(np.float32))
    samples = sample_reader(raster, max_pixels)
    assert samples.shape[0] == 2
    assert 1 <= samples.shape[1] <= max(max_pixels, 1)
    assert samples.shape[1] > min(max_pixels, row.size) / 4
    np.testing.assert_array_equal(samples, sample_reader(raster, max_pixels))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 100_000))
def test_lattice_windows_lie_inside_and_in_order(height, width, max_pixels):
    grid = Grid((height, width), Affine.identity())
    windows = list(lattice(grid, max_pixels))
    assert windows
    assert all(window.intersection(grid.window) == window for window in windows)
    assert windows == sorted(windows, key=lambda w: (w.row_off, w.col_off))


class CountingReader:
    """A virtual picture: 0 but for one pixel, NaN elsewhere; remembers its largest window."""

    grid = Grid((3000, 4000), Affine.identity())
    bands = ("grey",)
    largest = 0

    def read(self, window: Window) -> np.ndarray:
        self.largest = max(self.largest, window.height * window.width)
        out = np.full((1, *window.shape), np.nan, dtype=np.float32)
        if window.intersection(Window(1234, 2345, 1, 1)):
            out[0, 1234 - window.row_off, 2345 - window.col_off] = 42.0
        return out


def test_one_valid_pixel_between_the_windows_is_found_in_bounded_memory():
    reader = CountingReader()
    samples = sample_reader(reader, 100_000)
    assert samples[np.isfinite(samples)].tolist() == [42.0]
    assert reader.largest <= 256 * 4000


def test_scaled_reader_is_a_reader():
    raster = picture(drawing.colours(30, 40).astype(np.float32))
    reader = ScaledReader(raster, Stretch((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)))
    assert (reader.grid, reader.bands) == (raster.grid, raster.bands)
    data = reader.read(Window(-5, 0, 20, 40))
    assert np.isnan(data[:, :5]).all()
    np.testing.assert_allclose(data[:, 5:], drawing.colours(30, 40)[:, :15] / 255, atol=1e-6)  # float32


def test_strips_cover_every_row_once():
    grid = Grid((1000, 7), Affine.identity())
    assert sum(strip.height for strip in strips(grid, 256)) == 1000
    assert [strip.row_off for strip in strips(grid, 256)] == [0, 256, 512, 768]


@given(st.floats(0.1, 1000), st.lists(st.floats(-100, 100), min_size=1, max_size=5))
def test_slope_units_and_heights_undo_each_other(gsd_m, values):
    units = np.float32(values)
    heights = heights_from_slope_units(units, gsd_m)
    # float32 rounds twice: 2 x 6e-8 relative.
    np.testing.assert_allclose(slope_units_from_heights(heights, gsd_m), units, rtol=3e-7, atol=1e-30)


def test_one_slope_unit_is_32_pixels():
    assert heights_from_slope_units(np.float32([1.0, np.nan]), 30.0)[0] == 960.0
    assert np.isnan(heights_from_slope_units(np.float32([np.nan]), 30.0)[0])
