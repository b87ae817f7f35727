"""How long `predict` takes beside what it took in the first release, taken out of the repository's own history."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawn_scene import draw_scene
from harness import ROOT, Bar, Outcome, Setup, Table, say

FIRST_RELEASE = "3a78e61bcb2a"
SIDE = 2048
MOST = 1.5
_CHILD = """
import json, resource, sys, time
from im2dem.pipeline.predict import PredictOptions, predict_file
wall, cpu = time.perf_counter(), time.process_time()
predict_file(sys.argv[1], sys.argv[2], PredictOptions(overwrite=True))
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, peak_kb / 1e6]))
"""


def run(setup: Setup) -> Outcome:
    """Both in turn, each in a process of its own."""
    rounds = []
    with tempfile.TemporaryDirectory(prefix="im2dem-releases-") as folder:
        here = Path(folder)
        try:
            first = take_out(FIRST_RELEASE, here / "first")
        except RuntimeError as error:
            return Outcome((f"Left out: {error}",))
        scene = draw_scene(here / "scene.tif", SIDE)
        for turn in range(2 if setup.quick else 5):
            pair = [_predict(source, scene, here / "dem.tif") for source in (first, ROOT / "src")]
            rounds.append(pair)
            say(f"  {turn + 1}: {pair}")
    return describe(rounds)


def take_out(revision: str, folder: Path) -> Path:
    """The package as it was in a revision of this repository; returns the folder to import it from.

    Raises
    ------
    RuntimeError
        Git is not installed, or the clone does not go back so far.
    """
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision, "src"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise RuntimeError(f"git does not run: {error.strerror}") from error
    if done.returncode:
        raise RuntimeError(f"revision {revision} cannot be taken out: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def _predict(source: Path, scene: Path, out: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and GB of one prediction in a new process."""
    environment = os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(scene), str(out)],
        capture_output=True, text=True, check=False, env=environment, cwd=out.parent,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{source} failed:\n{done.stderr}")
    wall, cpu, peak_gb = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu, peak_gb


def describe(rounds: Sequence[Sequence[tuple[float, float, float]]]) -> Outcome:
    """Ratios of every round, (first release, now) each as (seconds, processor seconds, GB), and the bar."""
    values = np.array(rounds)
    ratios = values[:, 1] / values[:, 0]
    rows = tuple(
        (name, f"{np.median(of):.2f}", f"{of.min():.2f} to {of.max():.2f}")
        for name, of in zip(("time", "processor time", "peak memory"), ratios.T, strict=True)
    )
    text = (
        f"`predict` of {SIDE} x {SIDE} px with the default weights, over the same by the first release (commit "
        f"{FIRST_RELEASE[:10]}, its own code and weights), {len(ratios)} rounds in turn, each in a process of its own; "
        "starting Python and loading libraries is not counted."
    )
    slower = float(np.median(ratios[:, 0]))
    bar = Bar("`predict` over the first release", f"<= {MOST:g} times", f"{slower:.2f} times", slower <= MOST)
    return Outcome((Table(text, ("what", "ratio, median", "extremes"), rows),), (bar,))
