"""Peak memory of `im2dem predict` as its own process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say

SIDES = (2_048, 5_120, 10_980)
MOST_GB = 1.5
# A process inherits the peak of the one it was forked from. So a small one in between starts the one that is measured.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
PROGRAM = "from im2dem.cli import main; main()"


def run(setup: Setup) -> Outcome:
    """Squares of three sizes; the largest needs about 5 GB in the folder for temporary files."""
    sides = SIDES[:-1] if setup.quick else SIDES
    found = {}
    for side in sides:
        say(f"  {side} x {side}")
        with tempfile.TemporaryDirectory(prefix="im2dem-memory-") as folder:
            scene = draw_scene(Path(folder) / "scene.tif", side)
            words = ["predict", str(scene), "-o", str(Path(folder) / "dem.tif"), "--model", setup.model]
            words += ["--threads", str(setup.threads)] if setup.threads else []
            found[side] = peak_gb([sys.executable, "-c", PROGRAM, *words])
    idle = peak_gb([sys.executable, "-c", PROGRAM, "models", "list"])
    rows = (
        ("nothing (`im2dem models list`)", f"{idle:.2f}"),
        *((f"{s:,} x {s:,}", f"{gb:.2f}") for s, gb in found.items()),
    )
    bars = tuple(
        Bar(f"peak at {s:,} x {s:,}", f"at most {MOST_GB} GB", f"{gb:.2f} GB", gb <= MOST_GB) for s, gb in found.items()
    )
    text = "Peak resident memory of the whole process, Python and libraries included; uint16, three bands, DEFLATE."
    return Outcome((text, Table("", ("scene", "peak GB"), rows)), bars)


def peak_gb(command: Sequence[str]) -> float:
    """Peak resident memory of a command, GB (10^9 bytes).

    Raises
    ------
    RuntimeError
        The command failed; the message has what it said.
    """
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return int(done.stdout) * unit / 1e9
