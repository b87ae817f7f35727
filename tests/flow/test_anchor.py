"""Absolute heights from a file to a file."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine

import drawing
import im2dem
from im2dem.cli.app import run
from im2dem.core.grid import Grid

TILES = ("--tile", "64", "--overlap", "16", "--threads", "1")


@pytest.fixture
def scene(tmp_path):
    """A picture of hills of 128 x 128 px of 10 m, and its truth averaged over 8 x 8."""
    z = drawing.heights(128, 128)
    drawing.draw(tmp_path / "scene.tif", drawing.colours(128, 128))
    coarse = z.reshape(16, 8, 16, 8).mean(axis=(1, 3))
    transform = drawing.UTM_TRANSFORM @ Affine.scale(8)
    drawing.draw_dem(tmp_path / "Copernicus_DSM.tif", coarse, transform=transform)
    return tmp_path, z, coarse


def test_a_prior_makes_heights_absolute_and_says_so(scene, capsys):
    folder, z, coarse = scene
    args = ["predict", str(folder / "scene.tif"), "-o", str(folder / "dem.tif"), *TILES]
    assert run([*args, "--prior", str(folder / "Copernicus_DSM.tif"), "--prior-sigma", "0.5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    with rasterio.open(folder / "dem.tif") as dem:
        height, sigma = dem.read()
        assert dem.tags()["VERTICAL_DATUM"] == "EGM2008"
        assert dem.units[0] == "m"
        assert float(dem.tags()["IM2DEM_EXPECTED_ERROR_M"]) == pytest.approx(np.sqrt((sigma**2).mean()), rel=0.1)
    # Hills of +-200 m: within a few metres where the correction towards the means is not believed.
    assert np.abs(height.reshape(16, 8, 16, 8).mean(axis=(1, 3)) - coarse).max() < 10
    assert np.sqrt(((height - z) ** 2).mean()) < 15  # hills of +-200 m
    assert (said["vertical_datum"], said["anchor"]["method"], said["unit"]) == ("EGM2008", "fusion", "m")
    assert "above EGM2008" in said["heights"]
    assert json.loads((folder / "dem.tif.json").read_text())["anchor"] == said["anchor"]
    assert {p.name for p in folder.glob("*.part*")} == set()


@pytest.mark.parametrize("mode", ["shift", "scale", "field", "poisson"])
def test_points_in_memory(scene, mode):
    folder, z, _ = scene
    rng = np.random.default_rng(0)
    row, col = rng.integers(0, 128, (2, 25))
    lines = [f"{500_005 + 10 * c},{3_999_995 - 10 * r},{z[r, c]}" for r, c in zip(row, col, strict=True)]
    (folder / "p.csv").write_text("\n".join(lines))
    from im2dem.pipeline.anchoring import AnchorOptions

    anchor = AnchorOptions(points=str(folder / "p.csv"), mode=mode)
    dem = im2dem.predict_dem(folder / "scene.tif", tile_px=64, overlap_px=16, threads=1, anchor=anchor)
    height, sigma = dem.data
    assert abs(np.median(height - z)) < 100  # hills of +-200 m about 700 m
    assert (sigma > 0).all()
    if mode in ("field", "poisson"):
        assert np.sqrt(np.mean((height - z)[row, col] ** 2)) < 100


def test_heights_come_above_the_datum_that_was_asked_for(scene, capsys, monkeypatch):
    """A made-up sea level 10 m below that of the prior, in place of PROJ's grids."""
    folder, _, coarse = scene
    calls = []

    def convert(lon, lat, height, source, target):
        calls.append((source, target))
        above = {"EGM96": 10.0, "EGM2008": 0.0}
        return height + above[target] - above[source]

    monkeypatch.setattr("im2dem.io.prior.convert_heights", convert)
    monkeypatch.setattr("im2dem.pipeline.anchoring.convert_heights", convert)
    lon, lat = Grid((128, 128), drawing.UTM_TRANSFORM, drawing.UTM).lonlat(60, 60)
    (folder / "p.csv").write_text(f"lon,lat,z\n{lon},{lat},{coarse[7, 7] + 10}\n")
    words = ["predict", str(folder / "scene.tif"), "--prior", str(folder / "Copernicus_DSM.tif"), "--overwrite", *TILES]
    heights = []
    for datum in ("same-as-prior", "egm96"):
        output = folder / f"{datum}.tif"
        anchors = ["--datum", datum, "--points", str(folder / "p.csv"), "--points-crs", "EPSG:4326+5773"]
        assert run([*words, "-o", str(output), *anchors, "--json"]) == 0
        with rasterio.open(output) as dem:
            heights.append(dem.read(1))
            wanted = {"same-as-prior": "EGM2008", "egm96": "EGM96"}[datum]
            assert dem.tags()["VERTICAL_DATUM"] == dem.tags()["IM2DEM_VERTICAL_DATUM"] == wanted
            assert f"above {wanted}" in dem.tags()["IM2DEM_HEIGHT_KIND"]
    assert calls == [("EGM96", "EGM2008"), ("EGM2008", "EGM96")]  # of the points; then of the prior
    np.testing.assert_allclose(heights[1] - heights[0], 10.0, atol=1e-3)  # float32 at 900 m
    capsys.readouterr()


def test_a_datum_that_cannot_be_reached_is_refused_with_a_remedy(scene, capsys):
    folder, *_ = scene
    (folder / "p.csv").write_text("500105,3999795,812.5\n500405,3999595,712.5\n500805,3999195,600\n")
    words = ["predict", str(folder / "scene.tif"), "-o", str(folder / "dem.tif"), *TILES]
    assert run([*words, "--datum", "egm96"]) == 2  # relative heights have none
    assert "--prior" in capsys.readouterr().err
    assert run([*words, "--datum", "sea", "--points", str(folder / "p.csv")]) == 2
    assert "EGM2008" in capsys.readouterr().err
    assert run([*words, "--datum", "egm96", "--points", str(folder / "p.csv")]) == 3
    assert "--points-crs" in capsys.readouterr().err
    assert not (folder / "dem.tif").exists()


def test_what_cannot_be(scene, capsys):
    folder, *_ = scene
    args = ["predict", str(folder / "scene.tif"), "-o", str(folder / "dem.tif")]
    assert run([*args, "--anchor", "fusion"]) == 2
    assert run([*args, "--prior", str(folder / "none.tif")]) == 3
    assert run([*args, "--prior", str(folder / "Copernicus_DSM.tif"), "--prior-datum", "sea"]) == 2
    assert not (folder / "dem.tif").exists()
