"""Recipes: landscapes that drain, tiles that agree."""

import numpy as np
import pytest

from im2dem.core.errors import UsageError
from im2dem.synth.hydrology import count_pits
from im2dem.synth.noise import Lattice
from im2dem.synth.recipes import RECIPES, make_terrain, make_tile, masks

pytest.importorskip("numba", reason="the extra [synth] is not installed; erosion is slow without it")


@pytest.mark.parametrize("name", ["alps", "islands", "canyon", "glacial", "volcano"])
def test_a_landscape_drains_and_repeats(name: str) -> None:
    recipe = RECIPES[name]
    lattice = Lattice((48, 56), recipe.gsd_m)
    dem = make_terrain(name, lattice, 7)
    assert dem.dtype == np.float32
    assert dem.shape == (48, 56)
    assert count_pits(dem, recipe.rivers.sea_m if recipe.rivers else None) == 0
    assert np.array_equal(dem, make_terrain(name, lattice, 7))
    assert not np.array_equal(dem, make_terrain(name, lattice, 8))


@pytest.mark.parametrize("name", ["alps", "dunes", "islands"])
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


def test_an_unknown_recipe_names_the_known() -> None:
    with pytest.raises(UsageError, match="badlands"):
        make_terrain("moon", Lattice((20, 20)), 1)
