"""Predicting a picture leaves nothing at home and speaks to nobody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import drawing

CODE = "import sys, im2dem; im2dem.predict_file(sys.argv[1], sys.argv[2])"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what the runtime keeps lies in other places")
def test_the_runtime_keeps_no_word_of_its_use(tmp_path):
    picture, home = drawing.draw(tmp_path / "scene.tif", drawing.colours(40, 48)), tmp_path / "home"
    home.mkdir()
    left_out = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    surroundings = {name: value for name, value in os.environ.items() if name not in left_out}
    words = [sys.executable, "-c", CODE, str(picture), str(tmp_path / "dem.tif")]
    subprocess.run(words, env={**surroundings, "HOME": str(home)}, check=True)
    # Where it does, ONNX Runtime keeps an id of the machine, and what it has still to send, in the user's cache.
    assert sorted(home.rglob("*")) == []
