"""Recipes: landscapes that drain, tiles that agree."""

from collections.abc import Iterator

import numpy as np
import pytest

from im2dem.core.errors import UsageError
from im2dem.synth.hydrology import count_pits
from im2dem.synth.noise import Lattice
from im2dem.synth.recipes import RECIPES, make_terrain, make_tile, masks, shape_terrain

numba = pytest.importorskip("numba", reason="the extra [synth] is not installed; erosion is slow without it")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Arrays this small take less time than the threads take to meet, most of all beside other work."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.mark.parametrize("name", ["islands", "canyon", "glacial"])
def test_a_landscape_drains_and_repeats(name: str) -> None:
    recipe = RECIPES[name]
    lattice = Lattice((30, 34), recipe.gsd_m)
    dem = make_terrain(name, lattice, 7)
    assert dem.dtype == np.float32
    assert dem.shape == (30, 34)
    assert count_pits(dem, recipe.rivers.sea_m if recipe.rivers else None) == 0
    assert np.array_equal(dem, make_terrain(name, lattice, 7))
    assert not np.array_equal(dem, make_terrain(name, lattice, 8))


@pytest.mark.parametrize("name", ["alps", "dunes"])
def test_tiles_of_the_endless_world_agree_to_the_last_bit(name: str) -> None:
    step_m = RECIPES[name].gsd_m
    whole = make_tile(name, Lattice((20, 40), step_m, -140, 60), 7)
    for col0 in (60, 80):
        part = make_tile(name, Lattice((20, 20), step_m, -140, col0), 7)
        assert np.array_equal(whole[:, col0 - 60 : col0 - 40], part)


def test_masks_are_what_they_say() -> None:
    row = np.arange(40.0)[:, None] * np.ones(30)
    named = masks(1000.0 - 10.0 * row, 10.0)
    assert set(named) == {"slope", "flow", "deposit", "wetness", "rock", "snow"}
    assert named["slope"] == pytest.approx(45.0, abs=1e-4)  # 10 m down in 10 m
    assert named["rock"].min() == 1.0
    assert named["flow"][38, 15] > named["flow"][2, 15]
    assert named["wetness"][38, 15] > named["wetness"][2, 15] >= 0
    # The same forms of other pixels are as wet, and neither all dry nor all wet.
    for scale in (0.2, 1.0, 9.0):
        assert masks(scale * (1000.0 - 10.0 * row), 10.0 * scale)["wetness"] == pytest.approx(named["wetness"])
    assert 0 < np.median(named["wetness"]) < 0.8


def test_the_deposit_mask_shows_what_was_laid_down() -> None:
    lattice = Lattice((30, 34), 30.0)
    shaped = shape_terrain("alps", lattice, 7)
    gained = shaped.dem.astype(np.float64) - shaped.start
    deposit = masks(shaped.dem, 30.0, shaped.start)["deposit"]
    assert deposit.max() > 0
    assert gained[deposit > 0].min() > 0
    assert deposit[gained <= 0].max() == 0


def test_hillsides_are_not_all_at_the_angle_of_failure() -> None:
    recipe = RECIPES["alps"]
    dem = make_terrain("alps", Lattice((30, 34), recipe.gsd_m), 7)
    slope = masks(dem, recipe.gsd_m)["slope"]
    # While all hillsides failed, the median and the 90th percentile were 37.4 and 39.2 degrees (384 pixels, seed 7).
    assert np.subtract(*np.percentile(slope, [90, 50])) > 4.0


@pytest.mark.parametrize("name", ["alps", "glacial"])
def test_grooves_do_not_keep_to_the_directions_of_the_grid(name: str) -> None:
    dem = make_terrain(name, Lattice((96, 96), RECIPES[name].gsd_m), 7).astype(np.float64)
    down, right = np.gradient(dem)
    (mixed, across), (along, _) = np.gradient(right), np.gradient(down)
    way = 0.5 * np.arctan2(2 * mixed, across - along)
    strength = np.hypot(across - along, 2 * mixed)
    off_deg = np.degrees(way) % 45.0
    # By chance 0.22. Real mountains have 0.24 to 0.25 here; with grooves in eight directions it was 0.32 to 0.34.
    assert strength[(off_deg < 5) | (off_deg > 40)].sum() / strength.sum() < 0.29


def test_an_unknown_recipe_names_the_known() -> None:
    with pytest.raises(UsageError, match="badlands"):
        make_terrain("moon", Lattice((20, 20)), 1)
