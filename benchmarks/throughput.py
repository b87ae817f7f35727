"""How fast the main job is beside other ways to do it, with more threads and workers, and behind the server.

Ways that need torch are left out where it is not installed. geoai-py runs by a Python of its own, for it does not
agree with the packages of this project: name one that has geoai-py, torch and onnxruntime in the variable
IM2DEM_RIVAL_PYTHON. The last table needs the extra "serve", the one of workers "cluster".
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say
from peaks import together
from ways import WAYS, go, why_not

from im2dem.pipeline.predict import predict_dem

SIDE, QUICK_SIDE = 3072, 1024
ROUNDS, QUICK_ROUNDS = 3, 1
ONCE = ("seed", "loader")  # slow, and for comparison only
MOSAIC_SIDE, QUICK_MOSAIC_SIDE, BLOCK_PX = 2560, 1024, 1024
JOBS, QUICK_JOBS = 16, 4
MOST = 0.10
PROGRAM = "from im2dem.cli import main; main()"

Turn = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What was measured.

    Parameters
    ----------
    side
        Of the scene, pixels.
    rounds
        Turns of all ways; seconds of "wall" and "cpu" and "peak_gb" of each, by way; maybe a "version".
    missing
        Ways that could not be gone, and why.
    threads
        The same figures with one thread, by way.
    workers
        `predict` of a scene and its mosaic, by how it was done: the same figures, of all processes together.
    served
        Jobs a second by workers of the server, over calls in a plain loop; None: not measured.
    """

    side: int
    rounds: Mapping[str, Sequence[Turn]]
    missing: Mapping[str, str] = field(default_factory=dict)
    threads: Mapping[str, Sequence[Turn]] = field(default_factory=dict)
    workers: Mapping[str, Turn] = field(default_factory=dict)
    served: Mapping[int, float] | None = None


def run(setup: Setup) -> Outcome:
    """All ways in turn, several rounds; threads; workers of a mosaic; the server."""
    rounds, side = (QUICK_ROUNDS, QUICK_SIDE) if setup.quick else (ROUNDS, SIDE)
    missing = {way: reason for way in WAYS if (reason := why_not(way))}
    with tempfile.TemporaryDirectory(prefix="im2dem-throughput-") as name:
        folder = Path(name)
        scene = draw_scene(folder / "scene.tif", side)
        beside = _in_turn([way for way in WAYS if way not in missing], scene, rounds, setup, setup.threads)
        alone = _in_turn(["bare", "im2dem"], scene, 1, setup, 1)
        workers = _by_workers(folder, QUICK_MOSAIC_SIDE if setup.quick else MOSAIC_SIDE, setup)
    served = _served(QUICK_JOBS if setup.quick else JOBS) if find_spec("fastapi") else None
    return describe(Found(side, beside, missing, alone, workers, served))


def _in_turn(ways: Sequence[str], scene: Path, rounds: int, setup: Setup, threads: int | None) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways:
            if turn and way in ONCE:
                continue
            found[way].append(go(way, scene, scene.with_name(f"{way}.tif"), setup.model, threads))
            say(f"  {way}, {turn + 1} of {rounds}: {found[way][-1]}")
    return found


def describe(found: Found) -> Outcome:
    """Tables of ratios, and the bars."""
    bare = found.rounds["bare"]
    first = Table(
        f"{found.side} x {found.side} px, uint16, three bands; 1 = the bare network of the same round. All ways in "
        "turn, each in a process of its own; starting Python and loading libraries is not counted, loading the weights "
        "is.",
        ("way", "rounds", "MPix/s, ratio", "time, ratio", "extremes", "processor time, ratio", "peak GB"),
        tuple(_row(_named(way, turns), turns, bare) for way, turns in found.rounds.items()),
    )
    blocks: list[str | Table] = [first]
    if found.missing:
        reasons = "; ".join(f"{WAYS[way]}: {reason}" for way, reason in found.missing.items())
        blocks.append(f"Not measured here: {reasons}.")
    if found.threads:
        rows = {
            f"{way}, {n}": turns
            for way in ("bare", "im2dem")
            for n, turns in (("1 thread", found.threads[way]), ("all cores", found.rounds[way]))
        }
        blocks.append(_threads(rows))
    if found.workers:
        blocks.append(_workers(found.workers))
    if found.served is not None:
        blocks.append(
            Table(
                "Small pictures (96 x 96) through the server: jobs a second, sent to downloadable, over calls of "
                "`predict_dem` in a plain loop in one process. A job has a process of its own, by design.",
                ("workers", "ratio"),
                tuple((str(n), f"{ratio:.3f}") for n, ratio in found.served.items()),
            )
        )
    ours = found.rounds["im2dem"]
    bars = tuple(_bar(what, _median(ours, bare, figure)) for what, figure in BARS.items())
    return Outcome(tuple(blocks), bars)


BARS = {"`predict` over the bare network, time": "wall", "the same, processor time": "cpu"}


def _bar(what: str, ratio: float) -> Bar:
    return Bar(what, f"at most {MOST:.0%}", f"{ratio - 1:+.1%}", ratio - 1 <= MOST)


def _named(way: str, turns: Sequence[Turn]) -> str:
    version = turns[0].get("version")
    return f"{WAYS[way]}; version {version}" if version else WAYS[way]


def _row(what: str, turns: Sequence[Turn], bare: Sequence[Turn]) -> tuple[str, ...]:
    walls = [turn["wall"] / other["wall"] for turn, other in zip(turns, bare, strict=False)]
    wall, cpu = float(np.median(walls)), _median(turns, bare, "cpu")
    peak = np.median([turn["peak_gb"] for turn in turns])
    extremes = f"{min(walls):.2f} to {max(walls):.2f}"
    return what, str(len(turns)), f"{1 / wall:.2f}", f"{wall:.3f}", extremes, f"{cpu:.3f}", f"{peak:.2f}"


def _median(turns: Sequence[Turn], bare: Sequence[Turn], figure: str) -> float:
    return float(np.median([turn[figure] / other[figure] for turn, other in zip(turns, bare, strict=False)]))


def _threads(rows: Mapping[str, Sequence[Turn]]) -> Table:
    base = {figure: np.median([turn[figure] for turn in rows["bare, 1 thread"]]) for figure in ("wall", "cpu")}
    return Table(
        "Threads: medians over those of the bare network with one thread.",
        ("what", "time, ratio", "processor time, ratio"),
        tuple(
            (what, *(f"{np.median([turn[figure] for turn in turns]) / base[figure]:.2f}" for figure in base))
            for what, turns in rows.items()
        ),
    )


def _workers(workers: Mapping[str, Turn]) -> Table:
    base = next(iter(workers.values()))
    return Table(
        f"A mosaic of blocks of {BLOCK_PX} px out of one scene, over `predict` of the same scene in one piece. The "
        "whole command counts, starting Python and the workers included; memory is that of all its processes "
        "together. One worker has all cores, two share them.",
        ("command", "time, ratio", "processor time, ratio", "peak GB"),
        tuple(
            (what, f"{turn['wall'] / base['wall']:.2f}", f"{turn['cpu'] / base['cpu']:.2f}", f"{turn['peak_gb']:.2f}")
            for what, turn in workers.items()
        ),
    )


def _by_workers(folder: Path, side: int, setup: Setup) -> dict[str, Turn]:
    scenes = folder / "scenes"
    scenes.mkdir()
    scene = draw_scene(scenes / "scene.tif", side)
    start = [sys.executable, "-c", PROGRAM, "predict"]
    found = {"`predict SCENE -o DEM`": together([*start, str(scene), "-o", str(folder / "whole.tif"), *_model(setup)])}
    for workers in (1, 2) if find_spec("distributed") else (1,):
        words = [str(scenes), "--out", str(folder / f"mosaic-{workers}"), "--block-px", str(BLOCK_PX)]
        what = f"`predict INDEX --out DIR --workers {workers}`"
        found[what] = together([*start, *words, "--workers", str(workers), *_model(setup)])
        say(f"  {what}: {found[what]}")
    return found


def _model(setup: Setup) -> list[str]:
    return ["--model", setup.model, *(["--threads", str(setup.threads)] if setup.threads else [])]


def _served(jobs: int) -> dict[int, float]:
    """Jobs a second by number of workers, over calls in a plain loop."""
    import soak

    with tempfile.TemporaryDirectory(prefix="im2dem-served-") as name:
        small, body = Path(name) / "small.png", soak.picture(np.random.default_rng(0))
        small.write_bytes(body)
        loop, found = _loop(small, jobs), {}
        for workers in (1, 2):
            server = soak.Server(Path(name) / f"jobs-{workers}", workers)
            try:
                found[workers] = loop / _send(server, body, jobs)
            finally:
                server.process.terminate()
                server.process.wait()
            say(f"  {jobs} jobs, {workers} worker(s)")
    return found


def _loop(picture: Path, jobs: int) -> float:
    began = time.perf_counter()
    for _ in range(jobs):
        predict_dem(picture, gsd_m=10.0)
    return time.perf_counter() - began


def _send(server: object, body: bytes, jobs: int) -> float:
    """Four clients, each with one job at a time."""
    left = list(range(jobs))
    errors: list[BaseException] = []

    def client() -> None:
        try:
            while left:
                left.pop()
                status, job, _ = server.ask("POST", "/api/jobs?name=small.png&gsd=10", body)  # type: ignore[attr-defined]
                if status != 201:
                    raise RuntimeError(f"the server said {status} {job}")
                while job["state"] not in ("done", "failed"):
                    time.sleep(0.02)
                    job = server.ask("GET", f"/api/jobs/{job['id']}")[1]  # type: ignore[attr-defined]
                if job["state"] == "failed":
                    raise RuntimeError(f"a job failed: {job}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=client) for _ in range(4)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - began
