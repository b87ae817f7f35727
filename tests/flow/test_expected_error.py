"""What heights are and how far off to expect them, in one line, whatever they are tied to."""

import json

import numpy as np
import pytest
from affine import Affine

import drawing
from im2dem.cli.app import run
from im2dem.core.grid import Window
from im2dem.pipeline.expected_error import SigmaMeter

TILES = ("--tile", "64", "--overlap", "16", "--threads", "1", "--overwrite")


class Kept:
    def __init__(self):
        self.windows = []

    def write(self, window, data):
        self.windows.append((window, data))


def test_the_meter_hands_on_and_counts_valid_pixels_only():
    kept = Kept()
    meter = SigmaMeter(kept)
    rows = np.zeros((2, 2, 3), np.float32)
    rows[1] = [[3.0, 3.0, np.nan], [4.0, 4.0, np.nan]]
    meter.write(Window(0, 0, 2, 3), rows)
    meter.write(Window(2, 0, 2, 3), np.full((2, 2, 3), np.nan, np.float32))
    assert meter.expected == pytest.approx(12.5**0.5)
    assert meter.in_words("relative", "m") == "relative; expected error of the shape 3.54 m (1 sigma)"
    assert [window.row_off for window, _ in kept.windows] == [0, 2]
    assert kept.windows[0][1] is rows


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    z = drawing.heights(128, 128)
    drawing.draw(folder / "scene.tif", drawing.colours(128, 128))
    coarse = z.reshape(16, 8, 16, 8).mean(axis=(1, 3))
    drawing.draw_dem(folder / "glo-90.tif", coarse, transform=drawing.UTM_TRANSFORM @ Affine.scale(8))
    row, col = np.random.default_rng(0).integers(0, 128, (2, 20))
    lines = [f"{500_005 + 10 * c},{3_999_995 - 10 * r},{z[r, c]}" for r, c in zip(row, col, strict=True)]
    for count in (1, 4, 20):
        (folder / f"{count}.csv").write_text("\n".join(lines[:count]))
    return folder


@pytest.mark.parametrize(
    ("anchors", "method", "held_by"),
    [
        (("--prior", "glo-90.tif"), "fusion", "glo-90.tif (80 m cells)"),
        (("--points", "1.csv"), "shift", "1 point of 1.csv"),
        (("--points", "4.csv"), "field", "4 points of 4.csv"),
        (("--points", "4.csv", "--anchor", "scale"), "scale", "4 points of 4.csv"),
        (("--points", "20.csv", "--anchor", "poisson"), "poisson", "20 points of 20.csv"),
        (("--prior", "glo-90.tif", "--points", "20.csv"), "fusion", "glo-90.tif (80 m cells) and 20 points of 20.csv"),
        (("--prior", "glo-90.tif", "--anchor", "field"), "field", "glo-90.tif (80 m cells)"),
    ],
)
def test_every_anchor_is_named_with_its_error(scene, capsys, anchors, method, held_by):
    words = [str(scene / word) if word.endswith(("csv", "tif")) else word for word in anchors]
    assert run(["predict", str(scene / "scene.tif"), "-o", str(scene / "dem.tif"), *TILES, *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    datum = "EGM2008" if "--prior" in anchors else "the anchor's own, unnamed datum"
    assert said["heights"].startswith(f"metres above {datum}, anchored by {method} to {held_by}; expected error ")
    assert 0 < said["anchor"]["expected_error_m"] < 200  # hills of +-200 m
