"""Where the time of `predict` goes, in units of what the bare network takes for the same tiles."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from drawn_scene import draw_scene
from harness import Bar, Outcome, Setup, Table, say
from numpy.typing import NDArray

from im2dem.core.scaling import ScaledReader, Stretch, sample_reader
from im2dem.core.tiles import TilePlan
from im2dem.io.geotiff import open_reader
from im2dem.pipeline.predict import PredictOptions, predict_file
from im2dem.runtime.card import find_model, load_card
from im2dem.runtime.session import Condition, OnnxModel

SIDE = 2048
MOST = 0.15
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
}


def run(setup: Setup) -> Outcome:
    """Bare network and `predict` in turn, several times; medians of the ratios of neighbours."""
    repeats = 2 if setup.quick else 7
    options = PredictOptions(model=setup.model, threads=setup.threads)
    with tempfile.TemporaryDirectory(prefix="im2dem-speed-") as folder:
        scene = draw_scene(Path(folder) / "scene.tif", SIDE)
        tiles, model = _tiles(scene, options)
        rounds = []
        for turn in range(repeats + 1):
            bare = _bare(model, tiles)
            seconds = _whole(scene, Path(folder) / f"dem-{turn}.tif", options)
            if turn:  # the first one warms up
                rounds.append({name: seconds[name] / bare for name in STAGES})
            say(f"  {turn} of {repeats}")
    return describe(rounds, len(tiles))


def _tiles(scene: Path, options: PredictOptions) -> tuple[list[NDArray[np.float32]], OnnxModel]:
    card_path = find_model(options.model)
    card = load_card(card_path)
    with open_reader(scene) as reader:
        plan = TilePlan(reader.grid.shape, card.tile_px, card.overlap_px)
        scaled = ScaledReader(reader, Stretch.from_samples(sample_reader(reader), card.percentiles))
        tiles = [scaled.read(tile.window)[None] for tile in plan]
        condition = Condition(gsd_m=reader.grid.gsd_m)
    return tiles, OnnxModel(card_path, condition=condition, threads=options.threads)


def _bare(model: OnnxModel, tiles: Sequence[NDArray[np.float32]]) -> float:
    began = time.perf_counter()
    for tile in tiles:
        model(tile)
    return time.perf_counter() - began


def _whole(scene: Path, output: Path, options: PredictOptions) -> dict[str, float]:
    began = time.perf_counter()
    seconds = predict_file(scene, output, options).report.seconds
    total = time.perf_counter() - began
    return {**seconds, "total": total, "prepare": total - seconds["wall"] - seconds["finish"]}


def describe(rounds: Sequence[Mapping[str, float]], tiles: int) -> Outcome:
    """Medians with the extremes, and the bar on the engine's overhead."""
    rows = []
    for name, what in STAGES.items():
        values = [turn[name] for turn in rounds]
        rows.append((what, f"{np.median(values):.3f}", f"{min(values):.3f} to {max(values):.3f}"))
    engine, total = (float(np.median([turn[name] for turn in rounds])) - 1 for name in ("wall", "total"))
    table = Table(
        f"{SIDE} x {SIDE} px, uint16, three bands, {tiles} tiles; 1 = the bare network on the same tiles in a plain "
        f"loop with the same threads. {len(rounds)} rounds, both in turn.",
        ("stage", "ratio, median", "extremes"),
        tuple(rows),
    )
    text = (
        "Stages overlap (reading runs beside the network), so they add up to more than the whole. Starting Python is "
        f"not counted. Over the bare network: engine {100 * engine:+.1f} %, `predict` in all {100 * total:+.1f} %."
    )
    bars = (
        Bar("engine over the bare network", f"at most {100 * MOST:.0f} %", f"{100 * engine:.1f} %", engine <= MOST),
        Bar("`predict` in all over it", f"at most {100 * MOST:.0f} %", f"{100 * total:.1f} %", total <= MOST),
    )
    return Outcome((table, text), bars)
