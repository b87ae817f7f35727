"""`im2dem evaluate` with a report, other models and training runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import drawing
from im2dem.cli import evaluate as command
from im2dem.runtime.card import find_model

WORDS = ("evaluate", "--data", "data", "--split", "val", "--tile", "64", "--alignments", "A1,A2")


@pytest.fixture
def pairs(folder):
    """A pair to score and a pair to learn from."""
    for name, split in (("hills", "val"), ("learnt", "train")):
        (folder / "data" / name).mkdir(parents=True)
        drawing.draw(folder / "data" / name / "rgb.tif", drawing.colours())
        drawing.draw_dem(folder / "data" / name / "dem.tif")
        (folder / "data" / name / "meta.json").write_text(json.dumps({"split": split, "gsd_m": 10}))
    return folder


@pytest.fixture
def twin(pairs):
    """A second model: the one that ships with heights twice as large and another name."""
    shipped = find_model("relief-free")
    target = pairs / "twin"
    target.mkdir()
    card = json.loads(shipped.read_text())
    shutil.copy(shipped.parent / card["onnx"], target / card["onnx"])
    card |= {"name": "twin", "amplitude_scale": 2 * card["amplitude_scale"]}
    (target / "card.json").write_text(json.dumps(card))
    return target


def test_models_side_by_side_and_the_report(im2dem, pairs, twin):
    words = [*WORDS, "--model", "relief-free", "--baseline", twin, "--train-data", "data", "--report", "r.html"]
    outcome = im2dem(*words, "--json", "--coarse", "8,16")
    assert outcome.code == 0, outcome.err
    rows = {(row["method"], row["alignment"]): row for row in outcome.json["rows"] if row["group"] == "all"}
    # A2 takes a factor off, so the twin is the same model; A1 does not.
    assert rows["twin", "A2"]["mae_unit"] == pytest.approx(rows["relief-free", "A2"]["mae_unit"], rel=1e-3)
    assert rows["twin", "A1"]["mae_unit"] != pytest.approx(rows["relief-free", "A1"]["mae_unit"], rel=1e-3)
    assert {"mean training DEM", "bicubic coarse x8", "bicubic coarse x16"} <= {method for method, _ in rows}
    # One place is both learnt and scored here: its mean is the truth itself but for its corner of 64 px.
    assert rows["mean training DEM", "A2"]["pearson_r"] > 0.99
    one, two = outcome.json["models"]
    assert one["parameters"] == two["parameters"] > 1e6
    assert two["time over relief-free"] > 0
    page = Path("r.html").read_text()
    assert "relief-free on the validation split" in page
    assert str(pairs) not in page
    assert im2dem(*words).code == 2  # the report is there already
    assert im2dem(*words, "--overwrite").code == 0


def test_missing_rows_are_explained(im2dem, pairs):
    outcome = im2dem(*WORDS, "--model", "relief-free")
    assert outcome.code == 0
    assert "--train-data" in outcome.out
    assert "--baseline" in outcome.out
    assert "parameters" in outcome.out


def test_files_have_a_report_too(im2dem, dem):
    drawing.draw_dem(Path("guess.tif"), 0.5 * drawing.heights())
    outcome = im2dem("evaluate", "guess.tif", dem, "--tile", "64", "--report", "r.html", "--report-tiles", "1")
    assert outcome.code == 0
    assert "Evaluation of prediction" in Path("r.html").read_text()
    assert Path("r.html").read_text().count('class="tile"') <= 2


def test_a_training_run_is_exported_and_forgotten(im2dem, pairs, monkeypatch):
    run, seen = pairs / "run-7", []
    run.mkdir()
    (run / "best.pt").write_bytes(b"weights")
    shipped = find_model("relief-free")

    def export_run(folder, output, *, name, weights):
        seen.append((folder, output, name, weights))
        output.mkdir(parents=True)
        card = json.loads(shipped.read_text()) | {"name": name}
        shutil.copy(shipped.parent / card["onnx"], output / card["onnx"])
        (output / "card.json").write_text(json.dumps(card))

    room = type("Room", (), {"export_run": staticmethod(export_run)})
    monkeypatch.setattr(command.extras, "train_room", lambda module: room)
    outcome = im2dem(*WORDS, "--model", "run-7", "--json")
    assert outcome.code == 0, outcome.err
    assert "run-7" in {row["method"] for row in outcome.json["rows"]}
    ((folder, output, name, weights),) = seen
    assert (folder, name, weights) == (Path("run-7"), "run-7", "best")
    assert not output.exists()


def test_a_run_without_the_extra_names_it(im2dem, pairs, monkeypatch):
    (pairs / "run").mkdir()
    (pairs / "run/checkpoint.pt").write_bytes(b"weights")
    original = command.extras.importlib.import_module

    def no_torch(name):
        if name.startswith("im2dem.train"):
            raise ImportError(name="torch")
        return original(name)

    monkeypatch.setattr(command.extras.importlib, "import_module", no_torch)
    outcome = im2dem(*WORDS, "--model", "run")
    assert outcome.code == 4
    assert "im2dem[train]" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "relief-free", "--coarse", "8,x"],
        ["--model", "relief-free", "--coarse", "0"],
        ["--model", "relief-free", "--baseline", "relief-free"],
        ["--model", "relief-free", "--report-tiles", "-1"],
        ["--model", "relief-free", "--train-data", "nowhere"],
    ],
)
def test_wrong_words(im2dem, pairs, words):
    assert im2dem(*WORDS, *words).code == 2


def test_baselines_need_a_model(im2dem, dem):
    drawing.draw_dem(Path("guess.tif"), np.asarray(drawing.heights()))
    assert im2dem("evaluate", "guess.tif", dem, "--baseline", "relief-free").code == 2
