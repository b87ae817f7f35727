"""The sun against published positions, and turned along with a picture of a cone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.core.errors import UsageError
from im2dem.core.sun import solar_position, sun_at_local_solar_time, turn_sun, turns_into
from im2dem.core.terrain import hillshade


def test_example_of_the_nrel_solar_position_algorithm():
    """Reda & Andreas (2004), NREL/TP-560-34302, table A5.1: Golden, Colorado."""
    when = datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7)))
    azimuth, elevation = solar_position(when, lon=-105.1786, lat=39.742476)
    # The published zenith of 50.11162 has 0.0163 degrees of refraction and 0.0016 of parallax in it.
    assert azimuth == pytest.approx(194.34024, abs=0.01)
    assert 90 - elevation == pytest.approx(50.11162, abs=0.05)
    assert 90 - elevation == pytest.approx(50.11162 + 0.01633 - 0.0016, abs=0.005)


def test_equinox_and_solstice():
    # Equinox of March 2024 at 03:06 UTC: the sun crosses the equator; 0.01 degrees is the algorithm's precision.
    azimuth, elevation = solar_position(datetime(2024, 3, 20, 3, 6), lon=0, lat=90)
    assert elevation == pytest.approx(0.0, abs=0.01)
    # At the June solstice (20:51 UTC) the pole sees the obliquity of the ecliptic.
    _, elevation = solar_position(datetime(2024, 6, 20, 20, 51), lon=0, lat=90)
    assert elevation == pytest.approx(23.436, abs=0.01)
    assert 0 <= azimuth < 360


def test_time_zones_are_converted_and_naive_times_are_utc():
    naive = solar_position(datetime(2021, 12, 28, 1, 21), 139, 36)
    aware = solar_position(datetime(2021, 12, 28, 10, 21, tzinfo=timezone(timedelta(hours=9))), 139, 36)
    assert naive == aware
    # A Landsat scene over Kanto in late December: its publisher says 157.4 and 27.3; place and minute are rough.
    assert naive == pytest.approx((157.4, 27.3), abs=2.5)


@settings(deadline=None)
@given(st.dates(date(1950, 1, 1), date(2050, 1, 1)), st.floats(-60, 60), st.floats(-180, 180))
def test_morning_sun_stands_in_the_east_and_noon_on_the_meridian(day, lat, lon):
    morning, _ = sun_at_local_solar_time(day, lat, hours=8.0, lon=lon)
    assert 0 < morning < 180
    _, noon = sun_at_local_solar_time(day, lat, hours=12.0, lon=lon)
    # Noon of mean time misses the culmination by at most 17 minutes, that is by at most 4.2 degrees of turn.
    assert noon <= 90 - max(0, abs(lat) - 23.45) + 1e-6
    assert noon >= 90 - abs(lat) - 23.45 - 1


def test_longitude_hardly_matters_at_local_solar_time():
    places = [sun_at_local_solar_time(date(2021, 6, 1), 35.0, 10.5, lon) for lon in (-180.0, 0.0, 179.0)]
    assert np.ptp([elevation for _, elevation in places]) < 0.2


def test_sun_of_a_place_that_is_none():
    with pytest.raises(UsageError, match="latitude"):
        solar_position(datetime(2021, 1, 1, tzinfo=UTC), 0, 91)


def lopsided_hill(n=48):
    """Heights without any symmetry, so that no flip can pass for another."""
    row, col = np.mgrid[:n, :n] / n
    return 300 * np.exp(-12 * ((row - 0.35) ** 2 + 2 * (col - 0.6) ** 2)) + 60 * col * row + 25 * row


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 360), st.integers(-4, 7), st.booleans())
def test_shading_the_turned_hill_with_the_turned_sun_is_turning_the_shade(azimuth, turns, mirror):
    dem, size = lopsided_hill(), (10.0, 10.0)

    def turned(picture):
        rotated = np.rot90(picture, turns)
        return np.fliplr(rotated) if mirror else rotated

    shade = hillshade(dem, size, azimuth, 35)
    again = hillshade(turned(dem), size, turn_sun(azimuth, turns, mirror), 35)
    # The corners are continued along rows first, then columns, so they know the order of the axes.
    np.testing.assert_allclose(again[1:-1, 1:-1], turned(shade)[1:-1, 1:-1], atol=1e-9)


@given(st.floats(0, 360))
def test_rules_of_the_recipe(azimuth):
    expected = {(-1, False): azimuth + 90, (0, True): 360 - azimuth, (2, True): 180 - azimuth}  # last: flipud
    for (turns, mirror), turned in expected.items():
        result = turn_sun(azimuth, turns, mirror)
        assert 0 <= result < 360
        assert np.sin(np.radians(result - turned)) == pytest.approx(0, abs=1e-12)
        assert np.cos(np.radians(result - turned)) == pytest.approx(1)


def test_north_south_mirror_is_flipud():
    dem = lopsided_hill()
    shade = hillshade(np.flipud(dem), (10.0, 10.0), turn_sun(100.0, 2, mirror_ew=True))
    np.testing.assert_allclose(shade, np.flipud(hillshade(dem, (10.0, 10.0), 100.0)), atol=1e-9)


@given(st.floats(0, 360), st.sampled_from([(90.0, 180.0), (0.0, 90.0), (180.0, 270.0)]))
def test_every_sun_can_be_turned_into_a_quadrant(azimuth: float, sector: tuple[float, float]):
    turns = turns_into(sector, azimuth)
    assert len(turns) >= 2
    for turn in turns:
        assert sector[0] <= turn_sun(azimuth, *turn) <= sector[1]


def test_a_sun_that_stands_there_needs_no_turn():
    assert turns_into((90.0, 180.0), 150.0)[0] == (0, False)
    assert len(turns_into((0.0, 360.0), 150.0)) == 8
