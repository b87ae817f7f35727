"""`im2dem export`: every format from one small DEM, and what goes wrong."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from affine import Affine
from PIL import Image

import drawing
from im2dem.cli import export as export_command
from im2dem.core.errors import Im2DemError
from im2dem.export.heightmap import HeightScale
from im2dem.export.terrain_rgb import decode_heights
from im2dem.pipeline.export import FORMATS
from node_kit import maplibre_heights

OUTPUT = {
    "glb": "x.glb", "obj": "x.obj", "stl": "x.stl", "3mf": "x.3mf", "png16": "x.png", "r16": "x.r16", "exr": "x.exr",
    "terrarium": "terra", "mapbox": "mapbox", "pmtiles": "x.pmtiles", "quantized-mesh": "mesh",
    "contours": "x.geojson", "hillshade": "x.tif", "xyz": "x.xyz",
}  # fmt: skip


@pytest.fixture
def export(capsys):
    """Run the command in an application of its own; returns (exit code, stdout, message)."""
    app = typer.Typer()
    export_command.add_to(app)

    def call(*words):
        capsys.readouterr()
        code, message = 0, ""
        try:
            app(args=[str(word) for word in words], standalone_mode=False)
        except Im2DemError as error:
            code, message = error.exit_code, str(error)
        return code, capsys.readouterr().out, message

    return call


def skip_without(to):
    if to == "contours" and find_spec("contourpy") is None:
        pytest.skip("contourpy (extra export) is not installed")


@pytest.mark.parametrize("to", FORMATS)
def test_every_format(export, dem, to):
    skip_without(to)
    words = [dem, "--to", to, "-o", OUTPUT[to], *(["--zoom", "8-12"] if to == "quantized-mesh" else [])]
    code, out, message = export(*words, "--json")
    assert (code, message) == (0, "")
    summary = json.loads(out)
    assert summary["to"] == to
    assert summary["heights"] == "vertical datum not said"
    assert all(Path(path).exists() for path in summary["outputs"])
    assert summary["bytes"] > 100
    assert list(Path().rglob("*.part*")) == []
    # Not replaced unless asked, and then replaced.
    code, _, message = export(*words)
    assert code == 2
    assert "--overwrite" in message
    assert export(*words, "--overwrite")[0] == 0


def test_picture_is_draped(export, dem, picture):
    assert export(dem, "--to", "obj", "-o", "x.obj", "--image", picture)[0] == 0
    draped = np.asarray(Image.open("x.jpg")).astype(int)
    expected = np.moveaxis(drawing.colours(), 0, -1)
    assert draped.shape == expected.shape
    assert np.abs(draped - expected).mean() < 8  # JPEG at quality 88


def test_without_a_promise_there_are_not_too_many_triangles(export, dem, monkeypatch):
    told = {}
    for name, most in (("fine", 10**6), ("coarse", 600)):
        monkeypatch.setattr("im2dem.pipeline.export_surfaces._MOST_TRIANGLES", most)
        told[name] = json.loads(export(dem, "--to", "glb", "-o", f"{name}.glb", "--json")[1])
    assert told["fine"]["triangles"] > 600
    assert told["coarse"]["triangles"] <= 600
    assert told["coarse"]["max_error_m"] > told["fine"]["max_error_m"]
    # What was asked for is kept, however many triangles that takes, and what is told is what could have been asked for.
    for name in ("coarse", "fine"):
        asked = ("--max-error", told[name]["max_error_m"])
        again = json.loads(export(dem, "--to", "glb", "-o", "asked.glb", "--overwrite", *asked, "--json")[1])
        assert again["triangles"] == told[name]["triangles"]


def test_unreal_metres_come_back(export, dem):
    assert export(dem, "--to", "png16", "-o", "x.png", "--engine", "unreal")[0] == 0
    told = json.loads(Path("x.png.json").read_text())
    numbers = np.asarray(Image.open("x.png")).astype(np.uint16)
    assert numbers.shape == (127, 127)
    assert told["resampled"] is True
    heights = HeightScale(told["low_m"], told["step_m"]).decode(numbers)
    source = drawing.heights()
    corners = (heights[0, 0], heights[0, -1], heights[-1, 0], heights[-1, -1])
    expected = (source[0, 0], source[0, -1], source[-1, 0], source[-1, -1])
    np.testing.assert_allclose(corners, expected, atol=told["step_m"])
    assert told["spacing_m"][0] * 126 == pytest.approx(69 * told_pixel(dem)[0])


def told_pixel(path):
    from im2dem.io.geotiff import open_dem

    with open_dem(path) as reader:
        return reader.grid.pixel_size_m()


def test_unity_counts_rows_from_the_south(export, dem):
    assert export(dem, "--to", "r16", "-o", "x.r16", "--engine", "unity")[0] == 0
    told = json.loads(Path("x.r16.json").read_text())
    side = told["unity"]["heightmap_resolution"]
    numbers = np.fromfile("x.r16", "<u2").reshape(side, side)
    heights = HeightScale(told["low_m"], told["step_m"]).decode(numbers)
    assert told["first_row"] == "south"
    assert heights[-1, 0] == pytest.approx(drawing.heights()[0, 0], abs=told["step_m"])
    assert heights[0, 0] == pytest.approx(drawing.heights()[-1, 0], abs=told["step_m"])


def test_level_ground_has_no_contours_and_that_is_said(export, folder):
    drawing.draw(Path("flat.tif"), np.full((1, 20, 30), 7, np.float32))
    skip_without("contours")
    code, _, message = export("flat.tif", "--to", "contours", "-o", "x.geojson")
    assert code == 2
    assert "every height is 7 m" in message
    assert not Path("x.geojson").exists()


@pytest.mark.parametrize("encoding", ["terrarium", "mapbox"])
def test_maplibre_finds_the_heights_by_what_the_folder_says_of_itself(export, dem, encoding):
    assert export(dem, "--to", encoding, "-o", "t", "--zoom", "14-14")[0] == 0
    told = json.loads(Path("t/tilejson.json").read_text())["encoding"]
    rows = [np.asarray(Image.open(path)) for path in sorted(Path("t/14").rglob("*.png"))]
    heights = maplibre_heights(np.concatenate(rows), told)
    # Where there is no height the tile says 0 m, which this place never is.
    found, source = heights[np.abs(heights) > 0.05], drawing.heights()
    assert found.mean() == pytest.approx(source.mean(), abs=2)  # the rim is cut by half pixels
    assert source.min() - 0.1 <= found.min() <= found.max() <= source.max() + 0.1


@pytest.mark.parametrize(
    ("words", "template"),
    [([], "{z}/{x}/{y}.png"), (["--url", "https://example.org/t/"], "https://example.org/t/{z}/{x}/{y}.png")],
)
def test_tilejson_says_where_the_tiles_are(export, dem, words, template):
    assert export(dem, "--to", "terrarium", "-o", "t", "--zoom", "10-11", *words)[0] == 0
    about = json.loads(Path("t/tilejson.json").read_text())
    assert (about["tilejson"], about["tiles"]) == ("3.0.0", [template])


def test_map_tiles_end_where_the_map_of_the_web_ends(export, folder):
    place = Affine(1e-3, 0, 10, 0, -1e-3, 89.9)
    drawing.draw(Path("pole.tif"), drawing.heights()[None], crs="EPSG:4326", transform=place)
    for to in ("terrarium", "pmtiles"):
        code, _, message = export("pole.tif", "--to", to, "-o", "x.pmtiles")
        assert code == 2
        assert "beyond 85.05 degrees" in message


def test_map_tiles_hold_the_heights_of_the_place(export, dem):
    assert export(dem, "--to", "mapbox", "-o", "t", "--zoom", "9-14")[0] == 0
    about = json.loads(Path("t/tilejson.json").read_text())
    assert (about["encoding"], about["minzoom"], about["maxzoom"]) == ("mapbox", 9, 14)
    parts = []
    for path in Path("t/14").rglob("*.png"):
        heights = decode_heights(np.asarray(Image.open(path)), "mapbox")
        parts.append(heights[heights != 0])
    found = np.concatenate(parts)
    source = drawing.heights()
    assert found.mean() == pytest.approx(source.mean(), abs=2)  # the rim is cut by half pixels
    assert source.min() - 0.1 <= found.min()
    assert found.max() <= source.max() + 0.1
    # A coarse pixel is the mean of the heights under it: never beyond them, as a mean of colours would be.
    coarse = [decode_heights(np.asarray(Image.open(p)), "mapbox") for p in Path("t/10").rglob("*.png")]
    flat = np.concatenate([c[c != 0] for c in coarse])
    assert source.min() - 0.1 <= flat.min() <= flat.max() <= source.max() + 0.1


def test_prints_in_tiles_together_have_the_size(export, folder):
    drawing.draw_dem(folder / "big.tif", drawing.heights(129, 129))
    code, out, _ = export("big.tif", "--to", "stl", "-o", "p.stl", "--tiles", "2x2", "--size", "200", "--json")
    assert code == 0
    assert [Path(p).name for p in json.loads(out)["outputs"]] == [f"p-r{r}-c{c}.stl" for r in (1, 2) for c in (1, 2)]
    widths = {}
    for path in json.loads(out)["outputs"]:
        content = Path(path).read_bytes()[84:]
        corners = np.frombuffer(content, np.dtype([("n", "<f4", 3), ("c", "<f4", (3, 3)), ("x", "<u2")]))["c"]
        widths[Path(path).stem[2:]] = np.ptp(corners.reshape(-1, 3), axis=0)
        assert corners[..., 2].min() == pytest.approx(0, abs=1e-4)  # stands on the bed
    assert widths["r1-c1"][0] + widths["r1-c2"][0] == pytest.approx(
        200, abs=0.5
    )  # pixels are not quite square on ground


def test_hillshade_is_read_back_by_gdal_and_lies_where_the_heights_lie(export, folder):
    # A slope of 45 degrees that falls to the east, with a void.
    heights = np.tile(1000 - 10 * np.arange(40, dtype=np.float32), (30, 1))
    heights[10:14, 20:25] = -9999
    dem = drawing.draw_dem(folder / "slope.tif", heights, nodata=-9999)
    shades = {}
    for azimuth in (90, 270):
        words = ("--to", "hillshade", "-o", f"{azimuth}.tif", "--azimuth", azimuth, "--altitude", 45)
        assert export(dem, *words)[0] == 0
        with rasterio.open(f"{azimuth}.tif") as made, rasterio.open(dem) as source:
            assert (made.shape, made.transform, made.crs) == (source.shape, source.transform, source.crs)
            assert np.array_equal(made.read_masks(1), source.read_masks(1))
            shades[azimuth] = made.read(1)
    away = np.s_[2:8, 2:-2]
    # Light falls straight on the slope, or passes along it: 1 + 254 x cos(0) and x cos(90), and UTM's scale of 0.04 %.
    assert np.abs(shades[90][away].astype(int) - 255).max() <= 1
    assert np.abs(shades[270][away].astype(int) - 1).max() <= 1


def test_xyz_with_steps_and_gzip(export, dem):
    assert export(dem, "--to", "xyz", "-o", "x.xyz.gz", "--step", "7")[0] == 0
    points = np.array([line.split() for line in gzip.decompress(Path("x.xyz.gz").read_bytes()).splitlines()], float)
    assert len(points) == 9 * 10
    np.testing.assert_allclose(points[0], (500_005, 3_999_995, drawing.heights()[0, 0]), atol=0.006)
    with rasterio.open(dem) as dataset:
        col, row = ~dataset.transform @ (points[41][0], points[41][1])
    assert points[41][2] == pytest.approx(drawing.heights()[int(row), int(col)], abs=0.006)


def test_relative_heights_are_told(export, dem):
    Path(f"{dem}.json").write_text(json.dumps({"heights": "relative (any shape), mean 0"}))
    code, out, _ = export(dem, "--to", "exr", "-o", "x.exr")
    assert code == 0
    assert "relative (any shape), mean 0" in out
    assert b"relative (any shape), mean 0" in Path("x.exr").read_bytes()[:2000]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "fbx", "-o", "x.fbx"], "--to must be one of glb"),
        (["--to", "glb", "-o", "x.glb", "--size", "100"], "--size does nothing for glb"),
        (["--to", "exr", "-o", "x.exr", "--zoom", "3-4"], "--zoom does nothing for exr"),
        (["--to", "stl", "-o", "x.stl", "--tiles", "two"], "ROWSxCOLUMNS"),
        (["--to", "stl", "-o", "x.stl", "--tiles", "30x30"], "fewer tiles"),
        (["--to", "stl", "-o", "x.stl", "--size", "-1"], "--size must be above 0"),
        (["--to", "r16", "-o", "x.r16", "--engine", "godot"], "unreal, unity"),
        (["--to", "pmtiles", "-o", "x.pmtiles", "--encoding", "grey"], "terrarium, mapbox"),
        (["--to", "mapbox", "-o", "t", "--zoom", "9-40"], "between 0 and 22"),
        (["--to", "mapbox", "-o", "t", "--url", "example.org/t"], "--url must begin with http"),
        (["--to", "pmtiles", "-o", "x.pmtiles", "--url", "https://example.org/t"], "--url does nothing for pmtiles"),
        (["--to", "contours", "-o", "x.shp"], ".geojson or .gpkg"),
        (["--to", "hillshade", "-o", "x.bmp"], ".tif or .png"),
    ],
)
def test_wrong_wishes(export, dem, words, told):
    code, out, message = export(dem, *words)
    assert (code, out) == (2, "")
    assert told in message
    assert [p.name for p in Path().iterdir()] == [dem.name]


@pytest.mark.parametrize("to", FORMATS)
def test_a_dem_without_any_height(export, folder, to):
    skip_without(to)
    drawing.draw_dem(folder / "void.tif", np.full((30, 30), -9999, np.float32), nodata=-9999)
    code, _, message = export("void.tif", "--to", to, "-o", OUTPUT[to])
    assert code == 3
    assert "nodata value" in message
    assert [p.name for p in Path().iterdir()] == ["void.tif"]


@pytest.mark.parametrize("to", ["terrarium", "mapbox", "pmtiles", "quantized-mesh", "contours"])
def test_a_dem_without_a_place(export, folder, to):
    drawing.draw_dem(folder / "plain.tif", crs=None, transform=drawing.Affine.identity())
    code, _, message = export("plain.tif", "--to", to, "-o", OUTPUT[to])
    assert code == 2
    assert "georeference it" in message


def test_a_dem_without_a_place_is_still_a_model(export, folder):
    drawing.draw_dem(folder / "plain.tif", crs=None, transform=drawing.Affine.identity())
    assert export("plain.tif", "--to", "glb", "-o", "x.glb", "--gsd", "10")[0] == 0


def test_a_folder_of_others_is_never_replaced(export, dem):
    Path("photos").mkdir()
    Path("photos/mine.jpg").write_text("mine")
    code, _, message = export(dem, "--to", "terrarium", "-o", "photos", "--overwrite")
    assert code == 2
    assert "no earlier export" in message
    assert Path("photos/mine.jpg").read_text() == "mine"
