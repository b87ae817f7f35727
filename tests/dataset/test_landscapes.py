"""Rendered pairs of artificial country."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed; pip install 'im2dem[synth]'")

import numba

from im2dem.core.errors import UsageError
from im2dem.dataset import landscapes, synth
from im2dem.dataset.chips import load_chips, save_chips
from im2dem.dataset.landscapes import Landscape, choose_recipes, make_land_chips, plan_landscapes
from im2dem.dataset.synth import DemSource, SynthOptions
from im2dem.synth.noise import Lattice
from im2dem.synth.recipes import RECIPES, make_terrain

OPTIONS = SynthOptions(count=6, size_px=32, seed=4, gsd_range_m=(10.0, 120.0))


@pytest.fixture(autouse=True)
def _small_landscapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscapes, "LEAST_SIDE_PX", 64)


def test_names_are_read_from_words_and_lists() -> None:
    assert choose_recipes(["alps,dunes", " hills ,alps"]) == ("alps", "dunes", "hills")
    assert choose_recipes(["alps", "all"]) == tuple(RECIPES)


@pytest.mark.parametrize(
    ("words", "message"), [(["alp"], "no recipe 'alp'"), ([","], "no recipe was named"), ([], "no recipe was named")]
)
def test_unknown_names_are_told_with_those_that_there_are(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as told:
        choose_recipes(words)
    assert all(name in str(told.value) for name in RECIPES)


def test_every_recipe_has_its_turn_and_a_landscape_serves_few_chips() -> None:
    plan = plan_landscapes(("alps", "dunes", "plains"), SynthOptions(count=1000))
    assert len(plan) == 16
    assert [land.recipe for land in plan[:4]] == ["alps", "dunes", "plains", "alps"]
    assert len({land.seed for land in plan}) == 16
    assert {land.recipe for land in plan_landscapes(tuple(RECIPES), SynthOptions(count=30))} == set(RECIPES)
    assert len(plan_landscapes(tuple(RECIPES), SynthOptions(count=4))) == 4


@pytest.mark.parametrize(("size_px", "side_px"), [(8, 64), (128, 512), (256, 1024), (1024, 2048), (2000, 2500)])
def test_landscapes_are_large_enough_and_no_larger(size_px: int, side_px: int) -> None:
    assert plan_landscapes(("dunes",), SynthOptions(1, size_px))[0].side_px == side_px


@pytest.mark.parametrize("gsd_range_m", [(8.0, 240.0), (0.5, 1.0), (300.0, 400.0), (40.0, 40.0)])
def test_pixels_fit_the_range_and_the_recipe(gsd_range_m: tuple[float, float]) -> None:
    for land in plan_landscapes(tuple(RECIPES), SynthOptions(1000, gsd_range_m=gsd_range_m)):
        own_m = RECIPES[land.recipe].gsd_m
        # rounding of the logarithm
        assert 0.5 * own_m * (1 - 1e-9) <= land.step_m <= 2 * own_m * (1 + 1e-9)
        size_m = land.step_m * land.enlarged
        assert gsd_range_m[0] * (1 - 1e-9) <= size_m <= gsd_range_m[1] * (1 + 1e-9)


def test_what_is_enlarged_keeps_its_slopes_and_its_foot() -> None:
    plain = Landscape("dunes", 7, 64, 5.0, 1.0, None).make("dunes-0")
    large = Landscape("dunes", 7, 64, 5.0, 8.0, 25.0).make("dunes-0")
    assert (plain.gsd_m, large.gsd_m) == (5.0, 40.0)
    assert np.isnan(plain.latitude_deg)
    assert large.latitude_deg == 25.0
    np.testing.assert_array_equal(plain.dem, make_terrain("dunes", Lattice((64, 64), 5.0), 7))
    assert large.dem.min() == plain.dem.min()
    # float32 at some hundred metres
    np.testing.assert_allclose(np.diff(large.dem) / 40, np.diff(plain.dem) / 5, atol=1e-5)


def test_the_sea_is_level() -> None:
    land = Landscape("islands", 3, 128, 60.0, 1.0, None).make("islands-0").dem
    bed = make_terrain("islands", Lattice((128, 128), 60.0), 3)
    assert bed.min() < -1
    assert land.min() == 0
    np.testing.assert_array_equal(land[bed > 0], bed[bed > 0])


def test_chips_are_the_same_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    # rivers are made by all cores
    recipes = ("plains", "dunes")
    one = make_land_chips(recipes, OPTIONS)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    monkeypatch.setattr(synth, "ThreadPoolExecutor", lambda workers: ThreadPoolExecutor(1))
    try:
        other = make_land_chips(recipes, OPTIONS)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(one.rgb, other.rgb)
    np.testing.assert_array_equal(one.dem, other.dem)
    np.testing.assert_array_equal(one.gsd_m, other.gsd_m)
    assert one.provenance == other.provenance


def test_another_seed_gives_other_chips() -> None:
    one, other = (make_land_chips(("dunes",), SynthOptions(2, 32, seed)) for seed in (4, 5))
    assert one.provenance["landscapes"] != other.provenance["landscapes"]
    assert (one.rgb != other.rgb).any()


def test_the_provenance_makes_the_landscape_again(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscapes, "CHIPS_EACH", 3)
    save_chips(tmp_path / "pack.npz", make_land_chips(("dunes",), OPTIONS))
    chips = load_chips(tmp_path / "pack.npz")
    assert [name.rsplit("/")[0] for name in chips.names] == ["dunes-0"] * 3 + ["dunes-1"] * 3
    assert chips.provenance["recipes"] == ["dunes"]
    assert [source["name"] for source in chips.provenance["sources"]] == ["dunes-0", "dunes-1"]
    told = chips.provenance["landscapes"]["dunes-0"]
    again = Landscape(**told).make("dunes-0")
    wanted = make_terrain("dunes", Lattice((told["side_px"],) * 2, told["step_m"]), told["seed"])
    np.testing.assert_allclose(again.dem, wanted, atol=1e-3)


def test_beside_height_models_half_of_the_chips_are_of_each() -> None:
    dem = np.add.outer(40 * np.sin(np.arange(200) / 5), 20 * np.cos(np.arange(200) / 9)).astype(np.float32)
    drawn = DemSource("drawn", "CC0", dem + 300, 30.0, 40.0)
    alone = synth.make_chips([drawn], SynthOptions(3, 32, 4, (10.0, 120.0)))
    chips = make_land_chips(("dunes",), SynthOptions(7, 32, 4, (10.0, 120.0)), [drawn])
    assert [name.split("/")[0] for name in chips.names] == ["drawn"] * 3 + ["dunes-0"] * 4
    assert [source["licence"] for source in chips.provenance["sources"]] == ["CC0", landscapes.LICENCE]
    np.testing.assert_array_equal(chips.rgb[:3], alone.rgb)


def test_landscapes_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[DemSource]] = []
    alive: list[int] = []
    genuine = Landscape.make

    def make(self: Landscape, name: str) -> DemSource:
        alive.append(sum(ref() is not None for ref in made))
        source = genuine(self, name)
        made.append(weakref.ref(source))
        return source

    monkeypatch.setattr(Landscape, "make", make)
    monkeypatch.setattr(landscapes, "CHIPS_EACH", 2)
    calls: list[tuple[str, int, int]] = []
    make_land_chips(("dunes",), OPTIONS, progress=lambda *call: calls.append(call))
    # the one before is let go when the next one stands at the latest
    assert alive == [0, 1, 1]
    assert [call for call in calls if call[0] == "landscapes"] == [("landscapes", i, 3) for i in (1, 2, 3)]
    assert calls[-1] == ("rendering", 6, 6)
