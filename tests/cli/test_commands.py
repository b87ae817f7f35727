"""What each command prints and writes when all is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

import drawing
from im2dem import __version__
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.io.cog import write_raster
from im2dem.pipeline import doctor as doctor_room


def test_version(im2dem):
    outcome = im2dem("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"im2dem {__version__}\n", "")


def test_the_installed_command_answers():
    done = subprocess.run(
        [sys.executable, "-c", "from im2dem.cli import main; main()", "--version"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, f"im2dem {__version__}\n", "")


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["models", "--help"]])
def test_help_goes_to_stdout(im2dem, words):
    outcome = im2dem(*words)
    assert outcome.code == 0
    assert "Usage: im2dem" in outcome.out
    assert outcome.err == ""


# ---- predict ----


def test_predict_tells_people_what_it_did(im2dem, picture):
    outcome = im2dem("predict", picture, "-o", "dem.tif")
    assert outcome.code == 0
    # No terminal here: no progress, no colours, nothing at all.
    assert outcome.err == ""
    assert "\x1b" not in outcome.out
    assert "dem.tif" in outcome.out
    assert "70 x 60 px, 10" in outcome.out
    assert "relative" in outcome.out
    assert "--sun" in outcome.out  # not given, so it says how
    assert sorted(p.name for p in Path().iterdir()) == ["dem.tif", "dem.tif.json", "scene.tif"]


def test_predict_json_is_all_there_is_on_stdout(im2dem, picture):
    outcome = im2dem("predict", picture, "-o", "dem.tif", "--sun", "150,35", "--json")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.json["output"] == "dem.tif"
    assert outcome.json["condition"]["sun_from"] == "given"
    assert outcome.json["shape"] == [60, 70]


def test_the_side_car_is_strict_json_too(im2dem, picture):
    outcome = im2dem("predict", picture, "-o", "dem.tif", "--json")
    side_car = type(outcome)(0, Path("dem.tif.json").read_text(), "").json
    assert side_car == outcome.json


def test_options_arrive(im2dem, picture):
    words = ["--tile", "64", "--overlap", "32", "--no-level", "--batch", "2", "--threads", "1"]
    outcome = im2dem("predict", picture, "-o", "dem.tif", "--json", *words, "--date", "2021-12-28T08:20")
    assert outcome.code == 0
    got = outcome.json
    assert (got["tile_px"], got["overlap_px"], got["level"], got["batch"]) == (64, 32, False, 2)
    assert got["condition"]["sun_from"] == "date given"
    assert got["report"]["tiles"] == 2
    assert got["report"]["levels"] is None


def test_a_picture_without_place(im2dem, folder):
    drawing.draw(folder / "photo.jpg", drawing.colours(), crs=None, transform=drawing.Affine.identity())
    assert im2dem("predict", "photo.jpg", "-o", "m.tif", "--gsd", "12.5", "--json").json["gsd_m"] == 12.5
    assert im2dem("predict", "photo.jpg", "-o", "px.tif", "--json").json["unit"] == "px"
    outcome = im2dem("predict", "photo.jpg", "-o", "x.tif", "--date", "2021-12-28T08:20")
    assert outcome.code == 2
    assert "--sun" in outcome.err


def test_compress(im2dem, picture):
    assert im2dem("predict", picture, "-o", "dem.tif", "--compress", "deflate").code == 0
    with rasterio.open("dem.tif") as dem:
        assert dem.profile["compress"] == "deflate"


def test_verbose_logs_to_stderr_alone(im2dem, picture):
    drawing.draw(Path("fine.tif"), drawing.colours(), transform=drawing.Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000))
    outcome = im2dem("--verbose", "predict", "fine.tif", "-o", "dem.tif", "--json")
    assert outcome.json["gsd_m"] == pytest.approx(0.5, rel=1e-3)  # half a metre on the ground, but for the projection
    assert "0.5 m" in outcome.err


# ---- view ----


def test_view(im2dem, picture, dem):
    outcome = im2dem("view", dem, "--image", picture, "-o", "page.html", "--title", "Hills & vales")
    assert (outcome.code, outcome.err) == (0, "")
    assert "page.html" in outcome.out
    page = Path("page.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "Hills &amp; vales" in page


def test_view_puts_the_page_beside_the_dem(im2dem, dem):
    outcome = im2dem("view", dem, "--json")
    assert outcome.code == 0
    assert outcome.json == {"output": "truth.html", "bytes": Path("truth.html").stat().st_size}


def test_view_of_what_is_no_surface(im2dem, folder):
    drawing.draw_dem(folder / "void.tif", np.full((20, 20), np.nan, np.float32))
    outcome = im2dem("view", "void.tif")
    assert outcome.code == 3
    assert not Path("void.html").exists()
    assert im2dem("view", "void.tif", "--exaggeration", "0").code == 2


# ---- evaluate ----


@pytest.fixture
def guess(dem):
    """guess.tif: half the relief of the truth, 10 m lower."""
    drawing.draw_dem(Path("guess.tif"), 0.5 * drawing.heights() - 10)
    return Path("guess.tif")


def test_evaluate_prints_a_table(im2dem, dem, guess):
    outcome = im2dem("evaluate", guess, dem, "--tile", "64")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("| method")
    assert any(line.startswith("| prediction") and "| A2 " in line for line in lines)
    assert not any("| A0 " in line for line in lines)  # not asked for
    assert any(line.startswith("| flat at the true mean") for line in lines)


def test_evaluate_json_has_every_alignment(im2dem, dem, guess):
    outcome = im2dem("evaluate", guess, dem, "--tile", "128", "--json", "--alignments", "A0,A2")
    assert outcome.code == 0
    rows = {(row["method"], row["alignment"]): row for row in outcome.json["rows"] if row["group"] == "all"}
    # Half the relief: scaled by two it is the truth, up to the rounding of 700 m in single precision.
    assert rows["prediction", "A2"]["mae"] < 1e-3
    expected = np.abs(0.5 * drawing.heights() - 10 - drawing.heights()).mean()
    assert rows["prediction", "A0"]["mae"] == pytest.approx(expected, rel=1e-3)  # figures have six digits


def test_evaluate_of_a_model_over_pairs(im2dem, folder):
    (folder / "data/hills").mkdir(parents=True)
    drawing.draw(folder / "data/hills/rgb.tif", drawing.colours())
    drawing.draw_dem(folder / "data/hills/dem.tif")
    (folder / "data/hills/meta.json").write_text('{"split": "val", "gsd_m": 10}')
    words = ["evaluate", "--model", "relief-free", "--data", "data", "--tile", "64", "--alignments", "A2"]
    outcome = im2dem(*words, "--json")
    assert outcome.code == 0
    methods = {row["method"] for row in outcome.json["rows"]}
    assert {"relief-free", "brightness", "flat at the true mean"} <= methods
    assert im2dem(*words, "--name", "lake").code == 2
    assert im2dem(*words, "--split", "test").code == 2


def test_evaluate_wants_files_or_a_model(im2dem, dem, guess):
    for words in ([], [guess], [guess, dem, "--model", "relief-free"], ["--model", "relief-free"]):
        outcome = im2dem("evaluate", *words)
        assert outcome.code == 2
        assert outcome.out == ""


# ---- models, demo, doctor ----


def test_models_list(im2dem):
    outcome = im2dem("models", "list")
    assert outcome.code == 0
    assert "* relief-free" in outcome.out
    cards = im2dem("models", "list", "--json").json
    assert "relief-free" in [card["name"] for card in cards]


def test_models_info(im2dem):
    outcome = im2dem("models", "info", "relief-free")
    assert outcome.code == 0
    for word in ("licence", "training_data", "limits", "gsd_range_m", "deepness"):
        assert word in outcome.out
    card = im2dem("models", "info", "relief-free", "--json").json
    assert card["name"] == "relief-free"
    assert len(card["sha256"]) == 64


def test_demo(im2dem, folder, monkeypatch):
    small = Path("small.tif").resolve()  # the real scene would take seconds
    drawing.draw(small, drawing.colours(), tags={"SUN_AZIMUTH": "150", "SUN_ELEVATION": "30"})
    monkeypatch.setattr("im2dem.cli.system.demo_scene", lambda: small)
    outcome = im2dem("demo", "--out", "a/b")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(p.name for p in Path("a/b").iterdir()) == [
        "tsukuba-3d.html",
        "tsukuba-dem.tif",
        "tsukuba-dem.tif.json",
    ]
    for name in ("tsukuba-3d.html", "tsukuba-dem.tif"):
        assert str(Path("a/b") / name) in outcome.out
    assert "tags" in outcome.out  # where the sun came from
    again = im2dem("demo", "--out", "a/b", "--json")
    assert again.code == 0
    assert again.json["page"] == os.path.join("a", "b", "tsukuba-3d.html")
    Path("taken").write_text("a file")
    assert im2dem("demo", "--out", "taken").code == 1


def test_doctor_is_content(im2dem):
    outcome = im2dem("doctor", "--json")
    assert outcome.code == 0
    assert outcome.json["ok"] is True
    subjects = [finding["subject"] for finding in outcome.json["findings"]]
    assert {"im2dem", "GDAL", "model relief-free", "main job"} <= set(subjects)
    text = im2dem("doctor")
    assert text.code == 0
    assert "FAIL" not in text.out


def test_doctor_finds_what_is_wrong(im2dem, monkeypatch):
    monkeypatch.setattr(doctor_room, "CORE", (*doctor_room.CORE, "no-such-package"))
    monkeypatch.setattr(doctor_room, "EXTRAS", {"moon": ("no_such_module",)})
    outcome = im2dem("doctor")
    assert outcome.code == 1
    assert [line.split()[1] for line in outcome.out.splitlines() if line.startswith("FAIL")] == ["no-such-package"]
    # An extra that is missing is no failure.
    assert any(line.startswith("- ") and "im2dem[moon]" in line for line in outcome.out.splitlines())


# ---- dataset ----


def test_dataset_synth_is_the_same_for_the_same_seed(im2dem, folder):
    rng = np.random.default_rng(0)
    hills = 100 * np.cumsum(np.cumsum(rng.normal(0, 0.02, (200, 200)), axis=0), axis=1)
    grid = Grid((200, 200), drawing.Affine(30, 0, 500_000, 0, -30, 4_000_000), drawing.UTM)
    write_raster("hills.tif", Raster(hills[None], grid, ("height",)))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = ["--dem", "hills.tif", "-o", f"{name}.npz", "--count", 2, "--size", 64, "--seed", seed]
        outcome = im2dem("dataset", "synth", *words)
        assert (outcome.code, outcome.err) == (0, "")
    a, b, c = (np.load(f"{name}.npz")["rgb"] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert im2dem("dataset", "synth", "--dem", "hills.tif", "-o", "d.npz", "--count", 0).code == 2


def test_dataset_synth_makes_artificial_country(im2dem, folder):
    words = ["dataset", "synth", "--recipe", "dunes", "--count", 2, "--size", 32, "--gsd", "5,20", "--seed", 3]
    assert im2dem(*words, "-o", "a.npz").code == 0
    assert im2dem(*words, "-o", "b.npz").code == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    with np.load("a.npz") as pack:
        assert json.loads(str(pack["provenance"]))["recipes"] == ["dunes"]
        assert [name.split("-")[0] for name in pack["names"].tolist()] == ["dunes", "dunes"]
        assert pack["dem"].std() > 0
    unknown = im2dem("dataset", "synth", "--recipe", "dunes,moon", "-o", "c.npz")
    assert unknown.code == 2
    assert "'moon'" in unknown.err
    assert "badlands" in unknown.err
    nothing = im2dem("dataset", "synth", "-o", "c.npz")
    assert nothing.code == 2
    assert "--recipe" in nothing.err
    assert not Path("c.npz").exists()


# ---- nothing is replaced unless asked for ----

PRECIOUS = "years of work"


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["predict", "scene.tif", "-o", "dem.tif"], "dem.tif"),
        (["predict", "scene.tif", "-o", "dem.tif"], "dem.tif.json"),
        (["view", "truth.tif", "-o", "page.html"], "page.html"),
        (["view", "truth.tif"], "truth.html"),
        (["evaluate", "truth.tif", "truth.tif", "--tile", "64", "--alignments", "A2", "--csv", "s.csv"], "s.csv"),
        (["dataset", "synth", "--dem", "truth.tif", "-o", "p.npz", "--count", "1", "--size", "32"], "p.npz"),
        (["dataset", "pack", "data", "-o", "packs", "--split", "val"], "packs/val-hills.npz"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_nothing_is_replaced_without_overwrite(im2dem, picture, dem, words, output):
    pair = Path("data/hills")
    pair.mkdir(parents=True)
    drawing.draw(pair / "rgb.tif", drawing.colours())
    drawing.draw_dem(pair / "dem.tif")
    (pair / "meta.json").write_text('{"split": "val", "gsd_m": 10, "licence": "CC0-1.0"}')
    Path(output).parent.mkdir(exist_ok=True)
    Path(output).write_text(PRECIOUS)
    outcome = im2dem(*words)
    assert Path(output).read_text() == PRECIOUS
    assert outcome.code == 2
    assert outcome.out == ""
    assert "--overwrite" in outcome.err
    assert im2dem(*words, "--overwrite").code == 0
    assert Path(output).read_bytes() != PRECIOUS.encode()
