"""Grids: size of a pixel on the ground, crops, directions in the picture."""

import math

import pytest
from affine import Affine

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)


def test_web_mercator_is_measured_on_the_ground() -> None:
    # At 60 degrees north web Mercator stretches by 1 / cos(60) = 2, up to the flattening of the Earth (0.7 %).
    y = 8_399_737.9  # northing of 60 degrees
    grid = Grid((100, 100), Affine(20, 0, 0, 0, -20, y + 1000), "EPSG:3857")
    assert grid.gsd_m == pytest.approx(10.0, rel=0.01)


@pytest.mark.parametrize("latitude", [0.0, 35.0, -60.0])
def test_degrees_become_metres_at_the_rows_latitude(latitude: float) -> None:
    step = 0.0003
    grid = Grid((10, 10), Affine(step, 0, 12, 0, -step, latitude + 5 * step), "EPSG:4326")
    east_m, south_m = grid.pixel_size_m()
    # a sphere of mean radius is good to half a percent of the ellipsoid
    assert east_m == pytest.approx(math.radians(step) * 6_371_000 * math.cos(math.radians(latitude)), rel=0.006)
    assert south_m == pytest.approx(math.radians(step) * 6_371_000, rel=0.006)


def test_every_geographic_system_is_treated_as_degrees() -> None:
    # NAD83, not 4326: code that compares with one EPSG number would return degrees as metres.
    grid = Grid((10, 10), Affine(9e-5, 0, -107, 0, -9e-5, 39), "EPSG:4269")
    assert 7 < grid.pixel_size_m()[0] < 9


def test_feet_become_metres() -> None:
    grid = Grid((10, 10), Affine(100, 0, 990_000, 0, -100, 200_000), "EPSG:2263")  # US survey feet
    assert grid.gsd_m == pytest.approx(30.48, rel=1e-3)


def test_another_planet_uses_its_own_ellipsoid() -> None:
    mars = "+proj=longlat +a=3396190 +b=3376200 +no_defs"
    grid = Grid((10, 10), Affine(0.01, 0, 0, 0, -0.01, 0.05), mars)
    assert grid.pixel_size_m()[0] == pytest.approx(math.radians(0.01) * 3_396_190, rel=1e-3)


def test_local_grid_has_metres_but_no_place() -> None:
    grid = Grid.local((4, 6), 2.5)
    assert grid.gsd_m == 2.5
    assert grid.lonlat(0, 0) is None
    assert Grid.local((4, 6), None).gsd_m is None


@pytest.mark.parametrize("gsd_m", [0.0, -1.0, math.nan, math.inf])
def test_local_grid_refuses_sizes_that_are_no_sizes(gsd_m: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        Grid.local((4, 6), gsd_m)


def test_crop_keeps_the_ground_where_it_is() -> None:
    grid = Grid((100, 200), NORTH_UP, "EPSG:32633")
    part = grid.crop(Window(7, 11, 20, 30))
    assert part.transform @ (0, 0) == grid.transform @ (11, 7)
    assert part.shape == (20, 30)
    assert grid.crop(Window(-3, -4, 110, 210)).transform @ (4, 3) == grid.transform @ (0, 0)


def test_coarsen_covers_the_grid() -> None:
    coarse = Grid((101, 200), NORTH_UP, "EPSG:32633").coarsen(8)
    assert coarse.shape == (13, 25)
    assert coarse.transform.a == 80


@pytest.mark.parametrize(
    ("transform", "wanted"),
    [
        (NORTH_UP, 150.0),
        (Affine(10, 0, 0, 0, 10, 0), 30.0),  # south up: north-south mirrored
        (Affine(-10, 0, 0, 0, -10, 0), 210.0),  # west to the right
        (Affine.rotation(90) @ Affine(10, 0, 0, 0, -10, 0), 240.0),  # north points to the left edge
    ],
)
def test_the_sun_is_turned_into_the_picture(transform: Affine, wanted: float) -> None:
    assert Grid((5, 5), transform, "EPSG:32633").azimuth_in_picture(150.0) == pytest.approx(wanted)


def test_a_transform_onto_a_line_is_refused() -> None:
    with pytest.raises(UsageError, match="one line"):
        Grid((5, 5), Affine(1, 2, 0, 2, 4, 0))


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(UsageError, match="1 x 1"):
        Grid((0, 5), NORTH_UP)
