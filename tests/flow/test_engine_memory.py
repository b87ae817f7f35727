"""The engine's memory must not grow with the height of a scene."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="peak memory is read with a Unix call")

WIDTH = 2_500
TESTS = Path(__file__).resolve().parents[1]

# One process a height, because the peak of a process never falls. The model does next to nothing: what is measured
# is the engine.
PROGRAM = """
import json, resource, sys
from pathlib import Path
from fakes import FunctionModel, NullWriter, VirtualReader
from im2dem.runtime.engine import ApplyOptions, apply_model

height, width = int(sys.argv[1]), int(sys.argv[2])
model = FunctionModel(tile_px=512, overlap_px=64)
apply_model(VirtualReader((600, width)), model, NullWriter())
report = apply_model(VirtualReader((height, width)), model, NullWriter(), ApplyOptions())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1000)
status = Path("/proc/self/status")
if status.exists():
    # what getrusage says here may be the peak of the process that started this one: it outlives exec
    peak = next(int(line.split()[1]) * 1000 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"peak": peak, "wall": report.seconds["wall"]}))
"""


def peak_mb(height):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(height), str(WIDTH)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["peak"] / 1e6


def test_ten_times_the_height_takes_the_same_memory():
    low, high = peak_mb(2_000), peak_mb(20_000)
    # The spool of the taller scene has 460 MB, its picture 600 MB. Its records have less than 1 MB; the rest of the
    # allowance is for the allocator.
    assert high - low < 25
    # Three bands and two bands with their weight, 512 rows each, and what is on its way: 100 MB over the libraries.
    assert high < 400
