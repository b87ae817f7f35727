"""The colour network that ships, as a user has it: no Numba, no torch, no option but the heights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from tests.drawing import draw_dem

from im2dem.cli.app import run
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.core.terrain import hillshade
from im2dem.pipeline.colour import colour_dem
from im2dem.runtime.card import CARD_NAME, find_model, load_card, save_card


def hills(height: int, width: int, seed: int) -> Raster:
    """Smooth hills of some 250 m, 30 m a pixel."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 25.0
    dem = 120 * sum(np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 1.5, (6, 3)))
    return Raster(dem[None].astype(np.float32), Grid.local((height, width), 30.0), ("height",), "m")


@pytest.fixture(scope="module")
def land() -> Raster:
    return hills(160, 180, 4)


def test_the_network_is_what_a_user_gets(tmp_path, capsys):
    heights = hills(96, 112, 2).data[0]
    heights[10:14, 20:30] = np.nan
    source = draw_dem(tmp_path / "dem.tif", heights)
    assert run(["colour", str(source), "-o", str(tmp_path / "rgb.tif"), "--climate", "tropical", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["engine"] == "network"
    assert made["model"]["licence"] == "Apache-2.0"
    with rasterio.open(tmp_path / "rgb.tif") as rgb:
        values = rgb.read(masked=True)
        assert rgb.tags()["IM2DEM_PICTURE"] == "invented from heights"
    assert values.mask[:, 10:14, 20:30].all()
    assert values.mask.sum() == 3 * 4 * 10
    assert 0 <= values.min() <= values.max() <= 255


def test_the_light_comes_from_the_sun_that_was_asked_for(land):
    for azimuth in (90.0, 270.0):
        picture = colour_dem(land, engine="network", sun=(azimuth, 35.0)).data.mean(axis=0)
        shades = {a: hillshade(land.data[0], (30.0, 30.0), a, 35.0) for a in (90.0, 270.0)}
        r = {a: np.corrcoef(picture.ravel(), shade.ravel())[0, 1] for a, shade in shades.items()}
        # cover adds its own brightness; the light of the opposite sun is its negative in hills
        assert r[azimuth] > 0.4
        assert r[360.0 - azimuth] < 0


def test_climates_look_like_themselves(land):
    greens = {}
    for climate in ("arid", "steppe", "tropical", "boreal"):
        red, green, blue = colour_dem(land, engine="network", climate=climate).data.mean(axis=(1, 2))
        assert green > blue  # land, not haze
        greens[climate] = green - red
    assert greens["tropical"] > greens["arid"] + 10
    assert greens["boreal"] > greens["arid"] + 10
    assert greens["tropical"] > greens["steppe"]


def test_the_sea_is_water_and_not_a_town(land):
    coast = Raster(np.maximum(land.data, 0), land.grid, land.bands, land.unit)
    sea = coast.data[0] == 0
    red, _, blue = colour_dem(coast, engine="network", climate="mediterranean").data
    assert 0.2 < sea.mean() < 0.8
    assert (blue - red)[sea].mean() > 20
    assert red[sea].mean() < 0.7 * red[~sea].mean()


def test_who_asks_for_snow_is_told_where_it_is(land, caplog):
    small = Raster(land.data[:, :48, :48], Grid.local((48, 48), 30.0), land.bands, land.unit)
    asked = (("alpine", "winter", True), ("alpine", "summer", False), ("arid", "winter", False))
    for climate, season, is_told in asked:
        caplog.clear()
        colour_dem(small, engine="network", climate=climate, season=season)
        assert ("--engine physical" in caplog.text) == is_told


def test_a_seed_chooses_a_variety_and_repeats(land):
    plain, one, again, two = (
        colour_dem(land, engine="network", climate="temperate", variety=v).data for v in (None, 1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert np.abs(one - plain).mean() > 1
    assert np.abs(one - two).mean() > 1


def test_no_tile_shows(tmp_path):
    land = hills(48, 720, 6)
    card = load_card(find_model("colour"))
    model = shutil.copytree(find_model("colour").parent, tmp_path / "model")
    save_card(replace(card, tile_px=card.overlap_px + 128), model / CARD_NAME)
    tiles: list[int] = []
    whole = colour_dem(land, engine="network", climate="arid", variety=3)
    tiled = colour_dem(
        land,
        engine="network",
        climate="arid",
        variety=3,
        model=str(model),
        progress=lambda stage, done, total: tiles.append(total),
    )
    assert tiles[0] >= 5
    # a tenth of a step of 8 bits: sums in another order, and shadows sampled at rounded places
    np.testing.assert_allclose(tiled.data, whole.data, atol=0.1)
