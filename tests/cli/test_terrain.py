"""`im2dem terrain`: files that open, tiles that meet, the seed's Perlin file."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import typer

from im2dem.cli import terrain
from im2dem.core.errors import OutputExistsError, UsageError
from im2dem.io.geotiff import open_reader, read_raster

app = typer.Typer()
terrain.add_to(app)


@app.callback()
def _root() -> None:
    """A group, so that the command keeps its name."""


def call(*words: object) -> None:
    app(["terrain", *map(str, words)], standalone_mode=False)


def test_terrain_with_masks_and_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dem = tmp_path / "dem.tif"
    words = ["--recipe", "dunes", "--seed", 7, "--size", 40, "-o", dem, "--masks", tmp_path / "masks", "--json"]
    call(*words)
    made = json.loads(capsys.readouterr().out)
    raster = read_raster(dem)
    assert raster.grid.shape == (40, 40)
    assert raster.grid.gsd_m == pytest.approx(5.0)
    assert json.loads((tmp_path / "dem.tif.json").read_text()) == made
    assert made["seed"] == 7
    assert sorted(p.stem for p in (tmp_path / "masks").iterdir()) == sorted(made["masks"])
    with pytest.raises(OutputExistsError):
        call(*words)


def test_a_picture_a_model_and_a_page_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")
    at = {name: tmp_path / f"file.{name}" for name in ("colour.tif", "glb", "html")}
    words = ["--recipe", "dunes", "--size", 40, "-o", tmp_path / "dem.tif", "--json", "--sun", "200,30"]
    call(*words, "--colour", at["colour.tif"], "--glb", at["glb"], "--view", at["html"])
    made = json.loads(capsys.readouterr().out)
    assert (made["climate"], made["sun_deg"]) == ("arid", [200.0, 30.0])
    picture = read_raster(at["colour.tif"])
    assert picture.bands == ("red", "green", "blue")
    assert np.nanstd(picture.band("red")) > 5
    # Sand: red above blue.
    assert np.nanmean(picture.band("red")) > np.nanmean(picture.band("blue")) + 20
    with open_reader(at["colour.tif"]) as reader:
        assert (reader.info.sun_azimuth_deg, reader.info.sun_elevation_deg) == (200.0, 30.0)
    model = at["glb"].read_bytes()
    length, kind = struct.unpack_from("<I4s", model, 12)
    document = json.loads(model[20 : 20 + length])
    assert (model[:4], kind) == (b"glTF", b"JSON")
    assert document["images"][0]["mimeType"] == "image/jpeg"
    assert "<html" in at["html"].read_text(encoding="utf-8")[:400].lower()


def test_everything_that_was_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")
    at = [tmp_path / name for name in ("dem.tif", "rgb.tif", "land.glb", "land.html", "masks")]
    words = ["--recipe", "dunes", "--size", 40, "-o", at[0], "--colour", at[1], "--glb", at[2], "--view", at[3]]
    call(*words, "--masks", at[4])
    said = capsys.readouterr().out
    for path in at:
        assert str(path) in said
        assert path.exists()


def test_islands_stand_in_a_level_sea(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")
    call("--recipe", "islands", "--size", 96, "-o", tmp_path / "dem.tif", "--colour", tmp_path / "rgb.tif")
    dem = read_raster(tmp_path / "dem.tif").band("height")
    red, _, blue = read_raster(tmp_path / "rgb.tif").data
    sea = dem == 0.0
    assert dem.min() == 0.0
    assert 0.1 < sea.mean() < 0.9
    # Water is blue and dark, land is neither.
    assert (blue - red)[sea].mean() > 10
    assert red[sea].mean() < 0.7 * red[~sea].mean()


def test_tiles_stand_side_by_side(tmp_path: Path) -> None:
    for name, tile in (("a", "3,-7"), ("b", "4,-7")):
        call("--recipe", "dunes", "--size", 24, "--tile", tile, "-o", tmp_path / f"{name}.tif")
    left, right = (read_raster(tmp_path / f"{name}.tif") for name in "ab")
    assert left.grid.bounds[2] == right.grid.bounds[0]
    assert left.grid.bounds[1::2] == right.grid.bounds[1::2]


def test_perlin_file_is_like_the_prototypes(tmp_path: Path) -> None:
    call("--perlin", "--size", 32, "--count", 3, "-o", tmp_path / "Perlin.npz")
    with np.load(tmp_path / "Perlin.npz") as file:
        assert file.files == ["arr_0"]
        frames = file["arr_0"]
    assert frames.shape == (3, 32, 32)
    assert frames.dtype == np.int16
    assert [(f.min(), f.max()) for f in frames] == [(0, 255)] * 3
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    "words",
    [
        ("--tile", "3"),
        ("--size", 4),
        ("--gsd", -1),
        ("--recipe", "moon"),
        ("--perlin", "--tile", "1,1"),
        ("--perlin",),  # x.tif would be no GeoTIFF
        ("--sun", "low"),
        ("--climate", "lunar"),
        ("--season", "monsoon"),
    ],
)
def test_bad_words_are_refused(tmp_path: Path, words: tuple[object, ...]) -> None:
    with pytest.raises(UsageError):
        call("-o", tmp_path / "x.tif", *words)
    assert not list(tmp_path.iterdir())
