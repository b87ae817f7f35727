"""Flat must stay flat: how much relief the model sees where there is hardly any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from accuracy import place_of
from harness import Outcome, Setup, Table, number, open_pair, say

from im2dem.pipeline.evaluate import EvaluateOptions, Pair
from im2dem.pipeline.evaluation_scene import tile_windows
from im2dem.pipeline.predict import PredictOptions, predictor

FLAT_M = 10.0  # the spread of heights within a tile of 256 px that counts as nearly flat
LEVEL_M = 0.5  # less is water or a filled hole, and a ratio to it means nothing
# Heights from a colour ramp in steps of about 60 m say nothing of flat land.
COARSE = ("s2cloudless",)
EXPLAIN = (
    f"Tiles of 256 px whose true heights spread (standard deviation) by less than {FLAT_M:.0f} m, as predicted: no "
    "alignment. *std ratio*: predicted over true spread, median and quartiles over the tiles that spread by more than "
    f"{LEVEL_M} m (below: water). 1 is right, above 1 relief was made up. Training places can only show a fault; "
    "truth in coarse steps is left out."
)

OPTIONS = EvaluateOptions()


@dataclass(frozen=True)
class FlatTile:
    """True and predicted spread of the heights of a tile, metres."""

    split: str
    place: str
    true_m: float
    predicted_m: float


def run(setup: Setup) -> Outcome:
    """Flat tiles of the training and validation places."""
    return of_splits(setup, "val", "train")


def of_splits(setup: Setup, *splits: str) -> Outcome:
    """Flat tiles of the places of some splits."""
    pairs = [pair for pair in setup.pairs(*splits) if not pair.name.startswith(COARSE)]
    return describe(flat_tiles(pairs, predictor(PredictOptions(model=setup.model, threads=setup.threads))))


def flat_tiles(pairs: Sequence[Pair], predict: Callable[..., Any]) -> list[FlatTile]:
    """The nearly flat tiles of some pairs; only scenes that have some are predicted."""
    found = []
    for pair in pairs:
        scene = open_pair(pair)
        if scene is None:
            continue
        windows = [w.slices() for w in tile_windows(scene.known["grid"], OPTIONS)]
        windows = [w for w in windows if np.isfinite(scene.truth[w]).mean() >= OPTIONS.min_valid]
        windows = [w for w in windows if np.nanstd(scene.truth[w], dtype=np.float64) < FLAT_M]
        if not windows:
            continue
        say(f"  {pair.name}: {len(windows)} flat tiles")
        height = np.where(np.isfinite(scene.truth), predict(scene.image, scene.known)[0], np.nan)
        for w in windows:
            spread = [float(np.nanstd(side[w], dtype=np.float64)) for side in (scene.truth, height)]
            found.append(FlatTile(str(pair.meta.get("split")), place_of(pair.name), *spread))
    return found


def describe(tiles: Sequence[FlatTile]) -> Outcome:
    """One line a split and place."""
    lines = []
    for split, place in sorted({(tile.split, tile.place) for tile in tiles}, reverse=True):
        own = [tile for tile in tiles if (tile.split, tile.place) == (split, place)]
        ratios = [tile.predicted_m / tile.true_m for tile in own if tile.true_m > LEVEL_M]
        low, middle, high = np.percentile(ratios, (25, 50, 75)) if ratios else (np.nan,) * 3
        spreads = (_median(own, "true_m"), _median(own, "predicted_m"))
        ratio = f"{number(middle, 2)} [{number(low, 2)}, {number(high, 2)}]"
        lines.append((place, split, str(len(own)), str(len(ratios)), *spreads, ratio))
    columns = ("place", "split", "tiles", "not level", "true std m", "predicted std m", "std ratio")
    if not lines:
        return Outcome((EXPLAIN, "No such tile."))
    return Outcome((EXPLAIN, Table("", columns, tuple(lines))))


def _median(tiles: Sequence[FlatTile], name: str) -> str:
    return number(float(np.median([getattr(tile, name) for tile in tiles])), 1)
