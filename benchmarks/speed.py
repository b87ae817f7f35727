"""Where the time of `predict` goes, in units of what the bare network takes for the same tiles."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say
from numpy.typing import NDArray
from ways import plain_session, weights_of

from im2dem.core.scaling import ScaledReader, Stretch, sample_reader
from im2dem.core.tiles import TilePlan
from im2dem.io.geotiff import open_reader
from im2dem.pipeline.predict import PredictOptions, predict_file
from im2dem.runtime.card import find_model, load_card

SIDE = 2048
STAT = Path("/proc/stat")
MOST = 0.10
# A round counts while other processes take no more than this many cores; so often more rounds are tried.
MOST_OTHERS, TRIES = 0.15, 4
STAGES = {
    "prepare": "opening, percentiles, loading the weights",
    "read": "reading and unpacking, on a thread beside the network",
    "model": "the network inside the engine",
    "level": "comparing overlaps, solving offsets and gains",
    "spool": "tiles to and from the disk between the passes",
    "blend": "blending",
    "write": "writing rows",
    "finish": "making the cloud-optimised file: overviews, compression",
    "wall": "**engine in all** (without prepare and finish)",
    "total": "**`predict` in all**",
    "cpu": "**the same, processor time**",
}
BARS = {
    "wall": "engine over the bare network",
    "total": "`predict` in all over it",
    "cpu": "the same, processor time",
}


def run(setup: Setup) -> Outcome:
    """Bare network and `predict` in turn, several times; medians of the ratios of neighbours."""
    repeats = 2 if setup.quick else 7
    options = PredictOptions(model=setup.model, threads=setup.threads)
    with tempfile.TemporaryDirectory(prefix="im2dem-speed-") as folder:
        scene = draw_scene(Path(folder) / "scene.tif", SIDE)
        tiles = tiles_of(scene, options)
        net = plain_session(weights_of(options.model), options.threads)
        rounds: list[dict[str, float]] = []
        for turn in range(repeats * TRIES + 1):
            began = _worked()
            bare, bare_cpu = _bare(net, tiles)
            seconds = _whole(scene, Path(folder) / "dem.tif", options)
            others = (_worked() - began - bare_cpu - seconds["cpu"]) / (bare + seconds["total"])
            last_chance = repeats * TRIES - turn < repeats - len(rounds)
            if turn and (others <= MOST_OTHERS or last_chance):  # the first one warms up
                ratios = {name: seconds[name] / bare for name in STAGES}
                rounds.append({**ratios, "cpu": seconds["cpu"] / bare_cpu})
            say(f"  {len(rounds)} of {repeats}; other processes took {others:.2f} cores")
            if len(rounds) == repeats:
                break
    return describe(rounds, len(tiles))


def _worked() -> float:
    """Seconds that all cores together have worked, for whichever process; 0 where the system does not say."""
    if not STAT.exists():
        return 0.0
    ticks = [int(word) for word in STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK")


def tiles_of(scene: Path, options: PredictOptions) -> list[NDArray[np.float32]]:
    """All tiles of a scene as the network gets them, (1, band, row, col) each."""
    card = load_card(find_model(options.model))
    with open_reader(scene) as reader:
        plan = TilePlan(reader.grid.shape, card.tile_px, card.overlap_px)
        scaled = ScaledReader(reader, Stretch.from_samples(sample_reader(reader), card.percentiles))
        return [scaled.read(tile.window)[None] for tile in plan]


def _bare(net: ort.InferenceSession, tiles: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Seconds, and seconds of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    for tile in tiles:
        net.run(["relief"], {"image": tile})
    return time.perf_counter() - wall, time.process_time() - cpu


def _whole(scene: Path, output: Path, options: PredictOptions) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    seconds = predict_file(scene, output, replace(options, overwrite=True)).report.seconds
    total, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {**seconds, "total": total, "cpu": cpu, "prepare": total - seconds["wall"] - seconds["finish"]}


def describe(rounds: Sequence[Mapping[str, float]], tiles: int) -> Outcome:
    """Medians with the extremes, and the bars on what is over the bare network."""
    rows = []
    for name, what in STAGES.items():
        values = [turn[name] for turn in rounds]
        rows.append((what, f"{np.median(values):.3f}", f"{min(values):.3f} to {max(values):.3f}"))
    table = Table(
        f"{SIDE} x {SIDE} px, uint16, three bands, {tiles} tiles; 1 = the bare network on the same tiles in a plain "
        f"loop of ONNX Runtime as it comes, with the same threads. {len(rounds)} rounds, both in turn; rounds that "
        "other processes disturbed were made again.",
        ("stage", "ratio, median", "extremes"),
        tuple(rows),
    )
    over = {name: float(np.median([turn[name] for turn in rounds])) - 1 for name in BARS}
    text = (
        "Stages overlap (reading runs beside the network), so they add up to more than the whole. Starting Python is "
        "not counted."
    )
    bars = (Bar(what, f"at most {MOST:.0%}", f"{over[name]:+.1%}", over[name] <= MOST) for name, what in BARS.items())
    return Outcome((table, text), tuple(bars))
