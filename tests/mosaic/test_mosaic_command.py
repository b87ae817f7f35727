"""`im2dem predict INDEX --out DIR` as people call it."""

from __future__ import annotations

import json

import pytest

from im2dem.cli.app import run
from im2dem.core.grid import Window
from mosaic_kit import BLOCK_PX, COL0, GSD_M, ROW0, draw_scene, write_net

pytest.importorskip("onnx", reason="toy nets are made with onnx")


@pytest.fixture
def call(tmp_path, capsys):
    """Exit code, stdout and stderr of a call with a toy net, on a folder of two scenes."""
    net = write_net(tmp_path / "toy")
    (tmp_path / "scenes").mkdir()
    draw_scene(tmp_path / "scenes/a.tif", Window(ROW0, COL0, 80, 100))
    draw_scene(tmp_path / "scenes/b.tif", Window(ROW0, COL0 + 90, 80, 100))

    def run_it(*words):
        code = run(["predict", str(tmp_path / "scenes"), "--model", str(net), "--threads", "1", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


def test_a_folder_of_scenes(call, tmp_path):
    words = ("--out", tmp_path / "out", "--block-px", BLOCK_PX)
    code, out, err = call(*words, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert made == json.loads((tmp_path / "out/mosaic.json").read_text())
    assert (made["scenes"], made["predicted"], made["resumed"]) == (2, made["blocks"], 0)
    assert (tmp_path / "out/mosaic.vrt").exists()
    code, out, err = call(*words)
    assert code == 0, err
    assert f"0 predicted, {made['blocks']} taken over" in out
    x, y = COL0 * GSD_M, -ROW0 * GSD_M
    code, out, _ = call(
        "--out", tmp_path / "part", "--block-px", BLOCK_PX, "--bbox", f"{x},{y - 100},{x + 100},{y}", "--json"
    )
    assert (code, json.loads(out)["blocks"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "--output"),
        (("-o", "x.tif", "--out", "x"), 2, "one of them"),
        (("-o", "x.tif", "--workers", 2), 2, "--workers is for mosaics"),
        (("-o", "x.tif"), 3, "folder"),
        (("--out", "x", "--bbox", "1,2,3"), 2, "--bbox wants"),
        (("--out", "x", "--block-px", 8), 2, "at least 16"),
        (("--out", "x", "--gsd", 10), 2, "--gsd"),
        (("--out", "x", "--prior", "auto"), 2, "one file that covers it"),
        (("--out", "x", "--points", "gcp.csv"), 2, "single picture"),
        (("--out", "x", "--scheduler", "tcp://127.0.0.1:9", "--workers", 2), 2, "not both"),
    ],
)
def test_what_makes_no_sense(call, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    found, out, err = call(*words)
    assert (found, out) == (code, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
