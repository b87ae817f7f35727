"""JavaScript of other people, run by Node.js where it and the packages of `viewer/` are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

VIEWER = Path(__file__).parents[1] / "viewer"
_DECODE = """
const fs = require("fs");
const { decodeParsedImage } = require("maplibre-contour").default ?? require("maplibre-contour");
const [width, height, encoding] = process.argv.slice(1);
process.stdout.write(Buffer.from(decodeParsedImage(+width, +height, encoding, fs.readFileSync(0)).data.buffer));
"""


def run_node(package: str, script: str, given: bytes, *words: str) -> bytes:
    """What a script that requires an npm package prints for the given input; skips the test without either."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    environment = os.environ | {
        "NODE_PATH": os.pathsep.join([str(VIEWER / "node_modules"), os.environ.get("NODE_PATH", "")])
    }
    found = subprocess.run(
        [node, "-e", f'require.resolve("{package}")'], env=environment, capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(f"the npm package {package} is not installed; run npm ci in viewer/")
    return subprocess.run(
        [node, "-e", script, "--", *words], input=given, env=environment, capture_output=True, check=True
    ).stdout


def maplibre_heights(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Heights of the colours of a map tile, uint8 (row, col, 3), as maplibre-contour reads them: float32 (row, col)."""
    rows, cols = rgb.shape[:2]
    rgba = np.dstack([rgb, np.full((rows, cols), 255, np.uint8)])
    read = run_node("maplibre-contour", _DECODE, rgba.tobytes(), str(cols), str(rows), encoding)
    return np.frombuffer(read, np.float32).reshape(rows, cols)
