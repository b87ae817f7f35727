"""Anchoring works in strips: what grows with the height of a scene are the cells of the prior, not the pixels."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="peak memory is read with a Unix call")

WIDTH, FACTOR = 1_024, 16
TESTS = Path(__file__).resolve().parents[1]

# One process a height, because the peak of a process never falls. The prediction is a pattern, written in strips.
PROGRAM = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from affine import Affine
from fakes import NullWriter
from im2dem.core.anchor_surface import CellSurface
from im2dem.core.grid import Grid, Window
from im2dem.io.prior import Prior
from im2dem.pipeline.anchored import Anchored
from im2dem.pipeline.anchoring import Anchor, AnchorOptions
from im2dem.runtime.shelf import Shelf

height, width, factor = map(int, sys.argv[1:])
grid = Grid((height, width), Affine(10, 0, 500_000, 0, -10, 4_000_000), "EPSG:32633")
rng = np.random.default_rng(0)
surface = CellSurface(grid.shape, factor)
prior = Prior(surface, 700 + 50 * rng.normal(size=surface.cells), "EGM2008", 10.0 * factor, ("prior.tif",))
with tempfile.TemporaryDirectory() as folder:
    shelf = Shelf(Path(folder) / "relative.f32", 2, grid.shape)
    for start in range(0, height, 256):
        strip = np.stack([20 * rng.normal(size=(256, width)), np.full((256, width), 5.0)]).astype(np.float32)
        shelf.write(Window(start, 0, 256, width), strip)
    anchor = Anchor(AnchorOptions(prior="prior.tif"), grid, prior, None, "EGM2008")
    Anchored(anchor, shelf).write(NullWriter(), lambda *_: None)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1000)
status = Path("/proc/self/status")
if status.exists():
    # what getrusage says here may be the peak of the process that started this one: it outlives exec
    peak = next(int(line.split()[1]) * 1000 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
print(peak)
"""


def peak_mb(height):
    words = [sys.executable, "-c", PROGRAM, str(height), str(WIDTH), str(FACTOR)]
    done = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout) / 1e6


def test_eight_times_the_height_takes_hardly_more_memory():
    low, high = peak_mb(1_024), peak_mb(8_192)
    # The taller scene has 67 MB of heights and sigma, twice that in double precision. Its 32,768 cells in some forty
    # arrays have 10 MB; the rest of the allowance is for sparse weights of the rows and the allocator.
    assert high - low < 25
