"""Nodata values to NaN and back, and the filling of holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from im2dem.core.nodata import NODATA, fill, from_nan, is_nodata, to_nan, without_spikes


@given(hnp.arrays(np.float32, (2, 5, 6), elements=st.one_of(st.just(np.nan), st.floats(-9000, 9000, width=32))))
def test_from_nan_and_to_nan_undo_each_other(data):
    stored = from_nan(data)
    assert np.isfinite(stored).all()
    np.testing.assert_array_equal(to_nan(stored, NODATA), data)


@pytest.mark.parametrize(
    ("dtype", "value", "nodata"),
    [
        ("uint8", 0, 0),
        ("uint8", 255, 255.0),
        ("int16", -32768, -32768),
        ("uint32", 2**32 - 1, 2**32 - 1),
        ("float32", np.nan, None),
        ("float32", np.nan, -9999),
        ("float32", np.inf, None),
        ("float32", -3.4028235e38, -3.4e38),  # declared with fewer digits than stored
        ("float32", 0.1, 0.1),  # declared as float64, stored as float32
        ("float64", -1.7976931348623157e308, -1.7976931348623157e308),
    ],
)
def test_missing(dtype, value, nodata):
    data = np.array([1, value], dtype=dtype)
    assert is_nodata(data, nodata).tolist() == [False, True]
    assert to_nan(data, nodata)[0] == 1
    assert np.isnan(to_nan(data, nodata)[1])


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", -9999), ("uint8", 256), ("uint8", np.nan), ("int16", 0.5), ("uint16", None)],
)
def test_a_value_that_the_type_cannot_hold_matches_nothing(dtype, nodata):
    data = np.arange(10, dtype=dtype)
    assert not is_nodata(data, nodata).any()


def test_input_is_left_alone():
    data = np.array([1, np.nan, NODATA], dtype=np.float32)
    before = data.copy()
    from_nan(data), to_nan(data, NODATA), fill(data[None, None])
    np.testing.assert_array_equal(data, before)


def test_fill_keeps_values_and_has_no_step_at_the_edge():
    row, col = np.mgrid[0:80, 0:90]
    data = np.stack([row * 3.0, col * 2.0 + 100]).astype(np.float32)
    holes = np.zeros((80, 90), dtype=bool)
    holes[20:50, 30:70] = True
    original = data.copy()
    data[:, holes] = np.nan
    filled = fill(data)
    np.testing.assert_array_equal(filled[:, ~holes], original[:, ~holes])
    assert np.isfinite(filled).all()
    # The pixels beside the edge take their neighbour's value as it is.
    np.testing.assert_allclose(filled[0, 20, 31:69], original[0, 19, 31:69], atol=1e-4)
    np.testing.assert_allclose(filled[1, 21:49, 69], original[1, 21:49, 70], atol=1e-4)


def test_fill_goes_to_the_mean_far_away():
    data = np.full((1, 5, 400), np.nan, dtype=np.float32)
    data[0, :, 0], data[0, :, 1] = 0.0, 100.0
    filled = fill(data)
    assert filled[0, 0, 2] == pytest.approx(100.0)
    assert filled[0, 0, -1] == pytest.approx(50.0, abs=0.01)  # exp(-397 / 32) of 50 is 0.0002


def test_fill_of_each_band_by_its_own_holes():
    data = np.ones((3, 4, 4), dtype=np.float32)
    data[0, 0, 0] = np.nan
    data[1] = np.nan
    data[2, 1, 1] = np.inf
    filled = fill(data)
    assert (filled[[0, 2]] == 1).all()
    assert (filled[1] == 0).all()


@given(hnp.arrays(np.float32, (2, 7, 8), elements=st.one_of(st.just(np.nan), st.floats(-100, 100, width=32))))
def test_fill_stays_within_the_range_of_each_band(data):
    filled = fill(data)
    assert np.isfinite(filled).all()
    for band, values in zip(filled, data, strict=True):
        if np.isfinite(values).any():
            # 1e-4: float32 rounding of values up to 100.
            assert band.min() >= np.nanmin(values) - 1e-4
            assert band.max() <= np.nanmax(values) + 1e-4


def test_spikes_go_and_mountains_stay():
    rows = np.arange(60, dtype=np.float32)
    dem = np.repeat(190 * np.abs(rows - 30)[:, None], 40, axis=1)  # a valley of 190 m a pixel
    dem[10, 10] += 3000
    dem[:, 30] = -2500  # a line
    clean = without_spikes(dem, 800)
    assert np.isnan(clean[10, 10])
    assert np.isnan(clean[:, 30]).all()
    kept = np.isfinite(clean)
    assert kept.sum() == dem.size - 61
    np.testing.assert_array_equal(clean[kept], dem[kept])


def test_holes_are_no_spikes():
    dem = np.full((20, 20), 900, np.float32)
    dem[5:9, 5:9] = np.nan
    np.testing.assert_array_equal(without_spikes(dem, 100), dem)
