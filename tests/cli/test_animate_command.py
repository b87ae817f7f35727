"""`im2dem animate`: a DEM and a training run."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from im2dem.cli import animate as animate_command
from im2dem.core.errors import Im2DemError


@pytest.fixture
def animate(capsys):
    app = typer.Typer()
    animate_command.add_to(app)

    def call(*words):
        capsys.readouterr()
        code, message = 0, ""
        try:
            app(args=[str(word) for word in words], standalone_mode=False)
        except Im2DemError as error:
            code, message = error.exit_code, str(error)
        return code, capsys.readouterr().out, message

    return call


@pytest.fixture
def run(folder):
    snapshots = folder / "run" / "snapshots"
    snapshots.mkdir(parents=True)
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 50, (2, 32, 32)).cumsum(axis=1).astype(np.float32)
    truth[0, :4] = np.nan
    for step in (500, 1000, 1500):
        np.savez(
            snapshots / f"step-{step:07d}.npz", step=step, names=np.array(["hills", "plain"]), truth=truth,
            relief=truth * np.float32(step / 1500), image=rng.integers(0, 255, (2, 3, 32, 32), np.uint8),
        )  # fmt: skip
    return Path("run")


def test_a_turn(animate, dem, picture):
    words = [dem, "--image", picture, "-o", "turn.gif", "--frames", 5, "--size", 120]
    code, out, message = animate(*words, "--json")
    assert (code, message) == (0, "")
    assert json.loads(out)["frames"] == 5
    with Image.open("turn.gif") as film:
        assert film.n_frames == 5
        frames = []
        for k in range(5):
            film.seek(k)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert all(np.abs(a - b).mean() > 1 for a, b in pairwise(frames))  # it does turn
    code, _, message = animate(*words)
    assert code == 2
    assert "--overwrite" in message


def test_a_run(animate, run):
    code, out, message = animate(run, "-o", "epochs.webp", "--size", 300, "--json")
    assert (code, message) == (0, "")
    assert json.loads(out)["steps"] == [500, 1000, 1500]
    with Image.open("epochs.webp") as film:
        assert film.n_frames >= 3
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(film.n_frames - 1)
        assert np.abs(first - np.asarray(film.convert("RGB"))).mean() > 0.5


def test_the_line_says_what_a_gif_of_a_run_holds(animate, run):
    code, out, message = animate(run, "-o", "epochs.gif", "--size", 300)
    assert (code, message) == (0, "")
    with Image.open("epochs.gif") as film:
        durations = [(film.seek(k), film.info["duration"])[1] for k in range(film.n_frames)]
    # Three snapshots of half a second, the last of them held for three more.
    assert durations == [500, 500, 2000]
    assert "(3 frames, 3 s, " in out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["truth.tif", "-o", "x.avi"], 2, ".gif, .webp, .mp4"),
        (["truth.tif", "-o", "x.gif", "--frames", "1"], 2, "--frames"),
        (["truth.tif", "-o", "x.gif", "--pitch", "89"], 2, "--pitch"),
        (["truth.tif", "-o", "x.gif", "--exaggeration", "0"], 2, "--exaggeration"),
        (["truth.tif", "-o", "no/x.gif"], 1, "does not exist"),
        (["missing.tif", "-o", "x.gif"], 3, "no such file"),
        ([".", "-o", "x.gif"], 3, "snapshots/step-*.npz"),
        ([".", "-o", "x.gif", "--image", "truth.tif"], 2, "--image does nothing"),
    ],
)
def test_what_goes_wrong(animate, dem, words, code, told):
    got, out, message = animate(*words)
    assert (got, out) == (code, "")
    assert told in message
    assert [p.name for p in Path().iterdir()] == [dem.name]


def test_a_broken_snapshot(animate, run):
    Path("run/snapshots/step-0000700.npz").write_bytes(b"PK nothing")
    code, _, message = animate(run, "-o", "x.gif")
    assert code == 3
    assert "step-0000700.npz" in message
