"""Planes and cones have known derivatives; parity with another program is in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core import terrain
from im2dem.core.errors import NoDataError, UsageError

SLOPES = st.floats(-3, 3, allow_nan=False).filter(lambda s: abs(s) > 1e-3)
SIZES = st.integers(5, 12)


def plane(shape, rise_east, rise_north, pixel=(10.0, 10.0)):
    """Heights of a plane; rows go south."""
    row, col = np.mgrid[: shape[0], : shape[1]]
    return rise_east * col * pixel[0] - rise_north * row * pixel[1] + 1000.0


def cone(n=41, pixel=10.0, steepness=0.5):
    """A cone with its summit in the middle, falling by `steepness`."""
    axis = (np.arange(n) - n // 2) * pixel
    return 2000 - steepness * np.hypot(axis[:, None], axis[None, :])


@settings(deadline=None, max_examples=60)
@given(SIZES, SIZES, SLOPES, SLOPES, st.floats(0.5, 90), st.floats(0.5, 90), st.floats(0, 1), st.floats(0, 1))
def test_a_plane_keeps_its_gradient_up_to_every_edge_and_gap(rows, cols, east, north, dx, dy, down, across):
    dem = plane((rows, cols), east, north, (dx, dy))
    # A gap not at the edge: each of its neighbours has the opposite one to continue from.
    dem[2 + round(down * (rows - 5)), 2 + round(across * (cols - 5))] = np.nan
    rise_east, rise_north = terrain.gradient(dem, (dx, dy))
    valid = np.isfinite(dem)
    assert np.array_equal(np.isfinite(rise_east), valid)
    # Rounding of heights up to 1000 + 12 * 90 * 3 m, divided by pixels down to 0.5 m.
    np.testing.assert_allclose(rise_east[valid], east, rtol=0, atol=1e-9)
    np.testing.assert_allclose(rise_north[valid], north, rtol=0, atol=1e-9)


def test_gradient_of_single_precision_stays_single_and_exact_on_a_high_plateau():
    dem = plane((20, 20), 0.01, 0.02).astype(np.float32) + np.float32(8000)
    east, north = terrain.gradient(dem, (10.0, 10.0))
    assert east.dtype == np.float32
    # float32 at 8000 m is good to 0.0005 m, thrice that where the edge is continued; eight of them over 80 m.
    np.testing.assert_allclose(east, 0.01, atol=1.5e-4)
    np.testing.assert_allclose(north, 0.02, atol=1.5e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_tiny_rasters_have_a_gradient(shape):
    east, north = terrain.gradient(plane(shape, 0.5, 0.25), (10.0, 10.0))
    assert east.shape == north.shape == shape
    assert np.isfinite(east).all()
    assert np.isfinite(north).all()
    if shape == (2, 2):
        np.testing.assert_allclose(east, 0.5)
        np.testing.assert_allclose(north, 0.25)


def test_a_lone_pixel_is_level_and_no_data_stays_no_data():
    dem = np.full((5, 5), np.nan)
    dem[2, 2] = 7.0
    assert terrain.slope_deg(dem, (10.0, 10.0))[2, 2] == 0
    assert np.isfinite(terrain.slope_deg(dem, (10.0, 10.0))).sum() == 1


@pytest.mark.parametrize(
    ("east", "north", "aspect"),
    [(0, -1, 0), (-1, 0, 90), (0, 1, 180), (1, 0, 270), (-1, -1, 45), (1, -1, 315)],
)
def test_aspect_is_the_way_down_clockwise_from_north(east, north, aspect):
    dem = plane((5, 5), east, north)
    # Exactly known angles; rounding of the heights only. 360 would be wrong for 0.
    np.testing.assert_allclose(terrain.aspect_deg(dem, (10.0, 10.0)), aspect, atol=1e-9)
    np.testing.assert_allclose(
        terrain.slope_deg(dem, (10.0, 10.0)), np.degrees(np.arctan(np.hypot(east, north))), atol=1e-9
    )


def test_level_ground_has_no_aspect():
    assert np.isnan(terrain.aspect_deg(np.full((4, 4), 3.0), (10.0, 10.0))).all()


def test_cone_has_one_slope_and_every_aspect():
    dem = cone()
    row, col = np.mgrid[:41, :41] - 20
    far = np.hypot(row, col) > 8
    # 8 pixels from the summit the 3 x 3 window sees the cone's curvature to less than half a degree.
    np.testing.assert_allclose(terrain.slope_deg(dem, (10.0, 10.0))[far], np.degrees(np.arctan(0.5)), atol=0.5)
    outward = np.degrees(np.arctan2(col, -row)) % 360
    gap = (terrain.aspect_deg(dem, (10.0, 10.0)) - outward + 180) % 360 - 180
    assert np.abs(gap[far]).max() < 0.5


def test_pixels_that_are_not_square_count_with_both_sides():
    dem = plane((6, 6), 0.3, 0.4, pixel=(20.0, 30.0))
    np.testing.assert_allclose(terrain.slope_deg(dem, (20.0, 30.0)), np.degrees(np.arctan(0.5)), atol=1e-9)


def test_hillshade_of_a_plane_is_the_cosine_to_the_sun():
    dem = plane((5, 5), 0.0, -1.0)  # falls to the north at 45 degrees
    full = terrain.hillshade(dem, (10.0, 10.0), azimuth_deg=0, altitude_deg=45)
    np.testing.assert_allclose(full, 1.0, atol=1e-12)
    side = terrain.hillshade(dem, (10.0, 10.0), azimuth_deg=90, altitude_deg=45)
    np.testing.assert_allclose(side, 0.5, atol=1e-12)
    away = terrain.hillshade(dem, (10.0, 10.0), azimuth_deg=180, altitude_deg=30)
    assert (away == 0).all()


def test_z_factor_is_a_steeper_surface():
    dem = cone()
    stretched = terrain.hillshade(3 * dem, (10.0, 10.0), 200, 30)
    np.testing.assert_allclose(terrain.hillshade(dem, (10.0, 10.0), 200, 30, z_factor=3), stretched, atol=1e-12)


def test_multidirectional_shade_of_level_ground_and_of_a_cone():
    level = terrain.multidirectional_hillshade(np.zeros((4, 4), np.float32), (10.0, 10.0))
    np.testing.assert_allclose(level, np.sin(np.pi / 4), rtol=1e-6)
    shade = terrain.multidirectional_hillshade(cone(), (10.0, 10.0))
    # The point of it: brightest and darkest side differ less than under one sun.
    one_sun = terrain.hillshade(cone(), (10.0, 10.0))
    assert np.ptp(shade) < 0.9 * np.ptp(one_sun)
    assert shade.min() > 0
    assert shade.max() <= 1


def test_tint_runs_from_low_to_high_and_marks_no_data_black():
    dem = np.array([[0.0, 500.0, 1000.0, np.nan]])
    rgb = terrain.hypsometric_tint(dem)
    assert rgb.shape == (3, 1, 4)
    assert rgb.dtype == np.uint8
    assert tuple(rgb[:, 0, 3]) == (0, 0, 0)
    assert tuple(rgb[:, 0, 2]) == (252, 252, 252)
    assert rgb[:, 0, 0].sum() < rgb[:, 0, 1].sum() < rgb[:, 0, 2].sum()
    clipped = terrain.hypsometric_tint(dem, low_m=400, high_m=600)
    assert np.array_equal(clipped[:, 0, 2], rgb[:, 0, 2])
    assert np.array_equal(clipped[:, 0, 0], rgb[:, 0, 0])
    assert terrain.hypsometric_tint(np.full((2, 2), 5.0)).min() > 0
    with pytest.raises(NoDataError, match="every height is missing"):
        terrain.hypsometric_tint(np.full((2, 2), np.nan))


@given(st.floats(-5000, 8000), st.floats(0.01, 8000), st.integers(3, 40))
def test_contours_are_round_and_about_as_many_as_wished(low, span, lines):
    interval = terrain.choose_interval(low, low + span, lines)
    mantissa = interval / 10 ** np.floor(np.log10(interval) + 1e-9)
    assert min(abs(mantissa - digit) for digit in (1, 2, 5)) < 1e-6
    assert lines / 2 <= span / interval <= 2 * lines
    levels = terrain.contour_levels(low, low + span, interval)
    assert abs(levels.size - span / interval) <= 1
    assert (levels >= low - 1e-6).all()
    assert (levels <= low + span + 1e-6).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: terrain.gradient(np.zeros((3, 3)), (0.0, 10.0)),
        lambda: terrain.gradient(np.zeros((3, 3, 3)), (10.0, 10.0)),
        lambda: terrain.choose_interval(float("nan"), 3),
        lambda: terrain.choose_interval(0, 3, lines=0),
        lambda: terrain.contour_levels(0, 3, -1),
    ],
)
def test_wrong_calls_are_refused(call):
    with pytest.raises(UsageError):
        call()
