"""Every way to fail has its number and one sentence on stderr; stdout stays empty."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import drawing
from im2dem.core import errors

COMMAND = [sys.executable, "-c", "from im2dem.cli import main; main()"]


def assert_one_sentence(outcome, *words):
    assert outcome.out == ""
    assert outcome.err.startswith("im2dem: ")
    # One line: a path that is broken in two can be neither read nor copied.
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert str(word) in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["prophesy"],
        ["predict"],
        ["predict", "scene.tif"],
        ["predict", "scene.tif", "-o", "dem.tif", "--sunn", "150,35"],
        ["predict", "scene.tif", "-o", "dem.tif", "--gsd", "ten"],
        ["predict", "scene.tif", "other.tif", "-o", "dem.tif"],
        ["models"],
        ["models", "info"],
        ["dataset", "synth", "--recipe", "alps"],
    ],
    ids=" ".join,
)
def test_words_that_make_no_command(im2dem, picture, words):
    outcome = im2dem(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Usage: " in outcome.err
    assert "Traceback" not in outcome.err


def test_nothing_to_render_names_both_ways(im2dem):
    outcome = im2dem("dataset", "synth", "-o", "pack.npz")
    assert outcome.code == 2
    assert_one_sentence(outcome, "--dem", "--recipe")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sun", "150"], "--sun"),
        (["--sun", "150,95"], "150.0"),
        (["--sun", "south,35"], "south"),
        (["--date", "yesterday"], "yesterday"),
        (["--bands", "1,2"], "3 bands"),
        (["--bands", "red"], "--bands"),
        (["--bands", "1,2,9"], "band 9"),
        (["--gsd", "10"], "georeferenced"),
        (["--tile", "64", "--overlap", "64"], "64"),
        (["--tile", "32", "--overlap", "8"], "64"),
        (["--batch", "0"], "batch"),
        (["--threads", "0"], "thread"),
        (["--compress", "jpeg"], "jpeg"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else words,
)
def test_values_that_cannot_be(im2dem, picture, words, said):
    outcome = im2dem("predict", picture, "-o", "dem.tif", *words)
    assert outcome.code == 2
    assert_one_sentence(outcome, said)
    assert not Path("dem.tif").exists()


def draw_nothing(folder):
    empty = np.zeros((3, 20, 20), np.uint8)
    return drawing.draw(folder / "empty.tif", empty, nodata=0)


def draw_truncated(folder):
    return drawing.truncate(drawing.draw(folder / "cut.tif", drawing.colours(), compress="deflate"), 0.6)


def write_words(folder):
    (folder / "words.tif").write_text("I am a picture, believe me")
    return folder / "words.tif"


def draw_radar(folder):
    return drawing.draw(folder / "radar.tif", np.ones((1, 20, 20), np.complex64))


@pytest.mark.parametrize("make", [draw_nothing, draw_truncated, write_words, draw_radar, lambda folder: folder])
def test_inputs_that_cannot_be_used(im2dem, folder, make):
    path = make(folder)
    outcome = im2dem("predict", path, "-o", "dem.tif")
    assert outcome.code == 3
    assert_one_sentence(outcome)
    assert [p.name for p in folder.iterdir() if p.name.startswith("dem")] == []


def test_a_missing_input_is_named(im2dem, folder):
    outcome = im2dem("predict", folder / "nothing-here.tif", "-o", "dem.tif")
    assert outcome.code == 3
    assert_one_sentence(outcome, folder / "nothing-here.tif")


def test_an_unknown_model_is_named_with_the_known_ones(im2dem, picture):
    for words in (["models", "info", "oracle"], ["predict", picture, "-o", "dem.tif", "--model", "oracle"]):
        outcome = im2dem(*words)
        assert outcome.code == 3
        assert_one_sentence(outcome, "oracle", "relief-free")


@pytest.mark.parametrize(
    "words",
    [["train", "recipe.toml", "--data", "packs", "-o", "run"], ["models", "export", "run", "-o", "model"]],
    ids=["train", "export"],
)
def test_a_missing_extra_is_named(im2dem, folder, monkeypatch, words):
    for name in [name for name in sys.modules if name.startswith("im2dem.train")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # from now on, importing it fails
    outcome = im2dem(*words)
    assert outcome.code == 4
    assert_one_sentence(outcome, "im2dem[train]")


def test_a_folder_that_is_not_there(im2dem, picture, folder):
    outcome = im2dem("predict", picture, "-o", folder / "nowhere" / "dem.tif")
    assert outcome.code == 1
    assert_one_sentence(outcome, folder / "nowhere")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError, 2),
        (errors.OutputExistsError, 2),
        (errors.InputError, 3),
        (errors.ModelError, 3),
        (errors.MissingDependencyError, 4),
        (errors.RemoteError, 5),
        (errors.OutputError, 1),
        (KeyboardInterrupt, 130),
    ],
)
def test_every_error_has_its_code(im2dem, picture, monkeypatch, error, code):
    def fail(*_):
        raise error("this and that")

    monkeypatch.setattr("im2dem.pipeline.predict.predict_file", fail)
    outcome = im2dem("predict", picture, "-o", "dem.tif", "--json")
    assert outcome.code == code
    assert_one_sentence(outcome)


def test_a_fault_of_ours_ends_with_1_and_a_traceback(picture):
    script = (
        "import im2dem.pipeline.predict as room\n"
        "from im2dem.cli import main\n"
        "def fail(*_): raise ZeroDivisionError('ours')\n"
        "room.predict_file = fail\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", str(picture), "-o", "dem.tif"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: ours" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_in_a_real_process_leaves_no_result_and_resume_goes_on(im2dem, folder):
    # Some 50 tiles of 128 px: more than a second of work, so that the signal comes in the middle of it.
    drawing.draw(folder / "scene.tif", drawing.colours(500, 700))
    words = ["predict", "scene.tif", "-o", "dem.tif", "--tile", "128", "--overlap", "64", "--threads", "1"]
    process = subprocess.Popen(
        [*COMMAND, *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        # tests that a shell runs in the background ignore SIGINT, and so would this child of theirs
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    journal = Path("dem.tif.part/journal.jsonl")
    until = time.monotonic() + 60
    # The first line is the header; the second says that a row of tiles is done.
    while time.monotonic() < until and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= 2:
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not Path("dem.tif").exists()
    outcome = im2dem(*words, "--resume", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["report"]["resumed"] > 0
    assert not Path("dem.tif.part").exists()
