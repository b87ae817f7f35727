"""Runs of a queue, some at a time, until the time is over: for a lent machine whose clock runs.

    python recipes/work_off.py recipes/queues/gpu.toml WORK --minutes 9 --slots 5

The file has one table for each run: `recipe` (a file beside this one), `data` (packs below WORK/packs as patterns) and
`set` (values over the recipe's, as text). Logs go to WORK/runs/NAME.log; the last scores of all runs are printed. A run
that is not over when the time is goes on at the next call; one is begun only when there is time for it as far as the
runs before it tell.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

GRACE_S = 8.0


def command(name: str, run: dict[str, Any], work: Path) -> list[str]:
    """The training command of a run."""
    packs = sorted({path for pattern in run["data"] for path in (work / "packs").glob(pattern)})
    if not packs:
        raise SystemExit(f"{name}: no pack in {work / 'packs'} fits {run['data']}")
    parts = [sys.executable, "-m", "im2dem", "train", str(Path(__file__).parent / run["recipe"])]
    parts += ["--out", str(work / "runs" / name)]
    for pack in packs:
        parts += ["--data", str(pack)]
    for key, value in run.get("set", {}).items():
        parts += ["--set", f"{key}={value}"]
    return parts


def work_off(runs: dict[str, dict[str, Any]], work: Path, slots: int, seconds: float) -> None:
    """Start and watch the runs."""
    until, took = time.monotonic() + seconds, 0.0
    waiting, going = list(runs), {}
    (work / "runs").mkdir(parents=True, exist_ok=True)
    while (waiting or going) and time.monotonic() < until:
        for name, (process, began) in list(going.items()):
            if process.poll() is not None:
                took = max(took, time.monotonic() - began)
                print(f"{name}: exit {process.returncode} after {time.monotonic() - began:.0f} s", flush=True)
                del going[name]
        while waiting and len(going) < slots and time.monotonic() + 0.8 * took < until:
            name = waiting.pop(0)
            with (work / "runs" / f"{name}.log").open("a") as log:
                process = subprocess.Popen(
                    command(name, runs[name], work), stdout=log, stderr=log, start_new_session=True
                )
            going[name] = (process, time.monotonic())
        time.sleep(0.5)
    for process, _ in going.values():  # a checkpoint is written, then the run ends
        os.killpg(process.pid, signal.SIGTERM)
    time.sleep(GRACE_S if going else 0)
    for process, _ in going.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """Parse, work, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queue", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--slots", type=int, default=4)
    given = parser.parse_args()
    runs = tomllib.loads(given.queue.read_text())
    work_off(runs, given.work, given.slots, given.minutes * 60)
    for name in runs:
        scores = given.work / "runs" / name / "validation.csv"
        if scores.exists():
            with scores.open() as file:
                last = list(csv.DictReader(file))[-1]
            print(name, " ".join(f"{key}={value}" for key, value in last.items()))


if __name__ == "__main__":
    main()
