"""From heights to a picture without weights, as a user does it."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed; pip install 'im2dem[synth]' (make test-all)")

import rasterio
from tests.drawing import draw_dem

from im2dem.cli.app import run
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.core.terrain import hillshade
from im2dem.pipeline.colour import ColourOptions, colour_dem


@pytest.fixture(scope="module")
def land() -> Raster:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:160, :180] / 25.0
    dem = 250 * sum(np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 1.5, (6, 3)))
    return Raster(dem[None].astype(np.float32), Grid.local((160, 180), 30.0), ("height",), "m")


def test_the_picture_is_lit_by_the_sun_that_was_asked_for(land):
    for azimuth in (90.0, 270.0):
        picture = colour_dem(land, engine="physical", sun=(azimuth, 35.0)).data.mean(axis=0)
        shades = {a: hillshade(land.data[0], (30.0, 30.0), a, 35.0) for a in (90.0, 270.0)}
        r = {a: np.corrcoef(picture.ravel(), shade.ravel())[0, 1] for a, shade in shades.items()}
        # cover adds its own brightness; the light of the opposite sun is its negative in hills
        assert r[azimuth] > 0.4
        assert r[360.0 - azimuth] < 0


def test_climates_differ_and_seeds_repeat(land):
    arid, jungle = (colour_dem(land, engine="physical", climate=c).data for c in ("arid", "tropical"))
    assert arid[0].mean() > arid[2].mean()  # sand is yellow, forest is greener
    assert (jungle[1] - jungle[0]).mean() > (arid[1] - arid[0]).mean()
    again = colour_dem(land, engine="physical", climate="arid").data
    assert np.array_equal(arid, again)
    assert not np.array_equal(arid, colour_dem(land, engine="physical", climate="arid", variety=5).data)


def _greenness(picture):
    return picture[1] - (picture[0] + picture[2]) / 2


def test_deserts_have_no_fields_and_their_shadows_are_not_black(land):
    level = Raster(land.data * np.float32(0.02), land.grid, land.bands, land.unit)
    desert, farmland = (colour_dem(level, engine="physical", climate=c).data for c in ("arid", "temperate"))
    # No plant stands out: on level land a tenth of the pixels would be crops.
    assert np.percentile(_greenness(desert), 99.5) < 10
    assert np.percentile(_greenness(farmland), 90) > 20
    steep = Raster(land.data * np.float32(1.5), land.grid, land.bands, land.unit)
    dark = np.percentile(colour_dem(steep, engine="physical", climate="arid", sun=(150.0, 35.0)).data[0], 2)
    # Skylight and the bright ground around: in satellite pictures such shadows are a sixth of the ground or more.
    assert dark > 12


def test_forests_are_dark_and_not_neon(land):
    for climate in ("temperate", "boreal"):
        picture = colour_dem(land, engine="physical", climate=climate).data
        # Forests are the darkest land in a stretched scene, and only ten or so levels greener than grey; stretched by
        # their own brightest pixels they were at 109, and 35 levels greener.
        assert 20 < picture.mean() < 90
        assert 3 < _greenness(picture).mean() < 25


def test_the_command_keeps_grid_and_voids(tmp_path, capsys):
    heights = np.linspace(0, 900, 64 * 80, dtype=np.float32).reshape(64, 80)
    heights[10:14, 20:30] = np.nan
    source = draw_dem(tmp_path / "dem.tif", heights)
    code = run(["colour", str(source), "-o", str(tmp_path / "rgb.tif"), "--engine", "physical", "--json"])
    made = json.loads(capsys.readouterr().out)
    assert code == 0
    assert made["engine"] == "physical"
    with rasterio.open(source) as dem, rasterio.open(tmp_path / "rgb.tif") as rgb:
        assert (rgb.crs, rgb.transform, rgb.shape) == (dem.crs, dem.transform, dem.shape)
        assert rgb.descriptions == ("red", "green", "blue")
        values = rgb.read(masked=True)
    assert values.mask[:, 10:14, 20:30].all()
    assert not values.mask[:, 20:].any()
    assert 0 <= values.min() <= values.max() <= 255
    assert json.loads((tmp_path / "rgb.tif.json").read_text()) == made
    assert (
        run(["colour", str(source), "-o", str(tmp_path / "rgb.tif"), "--engine", "physical"]) != 0
    )  # is there already


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--climate", "polar"], 2, "mediterranean"),
        (["--sun", "150"], 2, "azimuth,elevation"),
        (["--sun", "150,-3"], 2, "elevation above 0"),
        (["--engine", "magic"], 2, "physical"),
        (["--model", "nowhere"], 3, "no model 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, capsys, options, code, says):
    source = draw_dem(tmp_path / "dem.tif", np.zeros((40, 40), np.float32))
    assert run(["colour", str(source), "-o", str(tmp_path / "rgb.tif"), *options]) == code
    assert says in capsys.readouterr().err.replace("\n", " ")
    assert not list(tmp_path.glob("rgb*"))


def test_heights_without_a_scale_are_refused():
    raster = Raster(np.zeros((1, 32, 32), np.float32), Grid.local((32, 32), None), ("height",), "m")
    with pytest.raises(UsageError, match="--gsd"):
        colour_dem(raster, ColourOptions(engine="physical"))
    with pytest.raises(UsageError, match="called height"):
        colour_dem(Raster(raster.data, Grid.local((32, 32), 10.0), ("red",), "DN"))
