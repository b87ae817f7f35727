"""Figures of the model beside every trivial row, by place; and in words, which rows it beats where."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
from harness import Bar, Outcome, Setup, Table, has_sun, number, say

from im2dem.core.errors import NoDataError
from im2dem.core.metrics_uncertainty import bootstrap_interval
from im2dem.pipeline.evaluate import EvaluateOptions, Pair, Rival, evaluate_model, find_pairs
from im2dem.pipeline.evaluation_table import Row, TileScore, aggregate, paired, relief_class
from im2dem.pipeline.evaluation_training import mean_training_row
from im2dem.pipeline.predict import PredictOptions, predictor
from im2dem.runtime.card import find_model, load_card

TOLD, HIDDEN = "**model, sun told where known**", "**model, sun hidden**"
# Answers made from the true heights themselves, beyond their mean: bounds, not methods.
KNOWING = ("best plane", *(f"bicubic coarse x{factor}" for factor in (8, 16, 32, 64)))
# Models, ours and others, stand in asterisks; everything else is simple.
# Scenes of one place are one region: a name that starts with one of these belongs to it.
PLACES = ("kanto-west-north", "s2cloudless-200m-nepal", "s2cloudless-200m-ri", "kanto-tsukuba", "zion", "davos",
          "amazon", "terramesh", "kanto-north", "kanto-plain", "kanto-west-south")  # fmt: skip
HILLS_M = 20.0
# A slope of 45 degrees over the half width of the filter at 200 m: spikes of a decoded colour ramp along coasts.
SPIKE_M = 800.0
ECE_BAR = 0.06
COLUMNS = {
    "pearson_r": "r",
    "inverted": "inverted",
    "gradcos_0": "cos 0",
    "gradcos_2": "cos 2",
    "gradcos_8": "cos 8",
    "slope_mae_deg": "slope MAE deg",
    "hillshade_ssim_315": "shade SSIM",
    "seam_ratio": "seam",
    "ece_pooled": "ECE",
    "delta_mae_unit": "model less row",
    "model_better": "model better",
}
EXPLAIN = (
    "Tiles of 256 px that do not overlap, each aligned by scale (never negative) and shift (A2). *MAE unit*: mean "
    "absolute error when the tile's own lowest and highest true height are -1 and 1. *Inverted*: share of tiles with "
    "hills where valleys are, or with no relief at all. *cos k*: cosine between predicted and true gradients after a "
    "blur of k px. *Shade SSIM*: likeness of the hillshades, light from 315 degrees. *Seam*: error near the sides "
    "of the model's tiles over the error elsewhere. *ECE*: expected calibration error of sigma over all tiles, for "
    "heights right up to a shift (A1). *Model less row*, *model better*: difference of the unit MAE on the same "
    "tiles, and the share of them on which the model's error is smaller. In "
    "brackets 95 % bootstrap intervals, over the tiles of a place (too narrow: neighbours resemble each "
    "other), over places where there are several. Some rows are bounds, not methods: flat is told the true mean, "
    f"{KNOWING[0]} and the bicubic rows even the true heights. True heights that stand over {SPIKE_M:.0f} m out of the "
    "median around them are not scored: the coasts of the pairs of 200 m have them."
)
RELIEF_COLUMNS = {
    key: COLUMNS[key]
    for key in ("pearson_r", "inverted", "gradcos_2", "slope_mae_deg", "hillshade_ssim_315", "ece_pooled")
}

Predict = Callable[..., Any]


def validation(setup: Setup) -> Outcome:
    """The split that chose the weights."""
    return _split(setup, "val")


def release(setup: Setup) -> Outcome:
    """The test split, run once per release."""
    return _split(setup, "test")


def _split(setup: Setup, split: str) -> Outcome:
    # The largest scenes first, one to each core.
    pairs = sorted(setup.pairs(split), key=lambda pair: -pair.dem.stat().st_size)
    workers = min(len(pairs), setup.threads or os.cpu_count() or 1)
    tiles: list[TileScore] = []
    with _one_thread_each(), ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for pair, found in zip(pairs, pool.map(_score_pair, [setup] * len(pairs), pairs), strict=True):
            say(f"  {pair.name}: {len(found)} scores")
            tiles += found
    return describe(tiles, bars=split == "val")


def has_training(setup: Setup) -> bool:
    """Whether the data hold a training split, for the row of its mean."""
    return setup.data is not None and any(pair.meta.get("split") == "train" for pair in find_pairs(setup.data))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in here multiply matrices on one thread: many small ones are several times faster so."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _score_pair(setup: Setup, pair: Pair) -> list[TileScore]:
    options = PredictOptions(model=setup.model, threads=1)
    card = load_card(find_model(setup.model))
    rows = (mean_training_row(setup.data, EvaluateOptions()),) if has_training(setup) and setup.data else ()
    how = EvaluateOptions(
        model_tiles=(card.tile_px, card.overlap_px), rows=rows, prior_factors=(8, 16, 32, 64), spike_m=SPIKE_M
    )
    others = [
        Rival(f"*{load_card(find_model(name)).name}*", predictor(replace(options, model=name)))
        for name in setup.baselines
    ]
    try:
        return score(pair, predictor(options, use_sun=True), predictor(options, use_sun=False), how, others)
    except NoDataError:  # not one tile with enough valid pixels
        return []


def score(
    pair: Pair,
    told: Predict,
    hidden: Predict,
    options: EvaluateOptions | None = None,
    rivals: Sequence[Rival] = (),
) -> list[TileScore]:
    """Tile scores of the model, twice where the sun is known, and of all other rows; the region is the place."""
    options = replace(options or EvaluateOptions(), alignments=("A1", "A2"))
    # Without what these lack against one of the two: the tables say it against the one that they are about.
    tiles = [_alone(t) for t in evaluate_model(hidden, [pair], options, name=HIDDEN, rivals=rivals).tiles]
    if has_sun(pair):
        own = evaluate_model(told, [pair], replace(options, trivial=False, rows=()), name=TOLD).tiles
        tiles = [*own, *tiles]
    return [replace(tile, region=place_of(tile.scene)) for tile in tiles]


def _alone(tile: TileScore) -> TileScore:
    return replace(
        tile, scores={k: v for k, v in tile.scores.items() if k != "model_better" and not k.startswith("delta_")}
    )


def place_of(scene: str) -> str:
    """The place of a scene's name.

    >>> place_of("kanto-west-north-31m-20211228"), place_of("elsewhere-10m")
    ('kanto-west-north', 'elsewhere-10m')
    """
    return next((place for place in PLACES if scene.startswith(place)), scene)


@dataclass(frozen=True)
class Group:
    """Tiles that one table is about."""

    name: str
    tiles: tuple[TileScore, ...]

    def rows(self) -> dict[str, Row]:
        """Means and intervals by method: A2, with the calibration of sigma from A1."""
        rows = [row for row in aggregate(paired(self.tiles, self.model())) if row["group"] == "all"]
        sigma = {row["method"]: row for row in rows if row["alignment"] == "A1" and "ece_pooled" in row}
        found = {str(row["method"]): row for row in rows if row["alignment"] == "A2"}
        for name, row in found.items():
            row["ece_pooled"] = sigma.get(name, {}).get("ece_pooled", math.nan)
        return found

    def model(self) -> str:
        """The model's row that counts: with the sun wherever all tiles have one."""
        count = {m: sum(tile.method == m for tile in self.tiles) for m in (TOLD, HIDDEN)}
        return TOLD if count[TOLD] == count[HIDDEN] else HIDDEN


def groups_of(tiles: Sequence[TileScore]) -> list[Group]:
    """For every place all tiles and, where that leaves some out, those with relief; then all places together."""
    places = sorted({tile.region for tile in tiles}, key=lambda p: (PLACES.index(p) if p in PLACES else 99, p))
    found = [group for place in places for group in _with_hills(place, [t for t in tiles if t.region == place])]
    return found + (_with_hills("all places", _told_or_not(tiles)) if len(places) > 1 else [])


def _told_or_not(tiles: Sequence[TileScore]) -> list[TileScore]:
    """Over all places the row with the sun needs every tile: where no sun is known, those without it."""
    sunny = {tile.scene for tile in tiles if tile.method == TOLD}
    dark = [tile for tile in tiles if tile.method == HIDDEN and tile.scene not in sunny]
    return [replace(tile, method=TOLD) for tile in dark if sunny] + list(tiles)


def _with_hills(name: str, tiles: Sequence[TileScore]) -> list[Group]:
    hilly = tuple(tile for tile in tiles if tile.relief_std_m > HILLS_M)
    whole = Group(f"{name}, all tiles", tuple(tiles))
    return [whole] if len(hilly) in (0, len(tiles)) else [whole, Group(f"{name}, relief std > {HILLS_M:.0f} m", hilly)]


def describe(tiles: Sequence[TileScore], bars: bool = True) -> Outcome:
    """Verdicts first, then one table a group, then one line a scene."""
    groups = groups_of(tiles)
    verdicts = [verdict(group) for group in groups]
    blocks: list[str | Table] = [EXPLAIN, "\n".join(f"- {text}" for text, _ in verdicts)]
    blocks += [_table(group) for group in groups]
    blocks += [_relief(tiles), _scenes(tiles)]
    found = [Bar(f"{g.name}: A2 MAE unit below every trivial row", "below all", *_found(g)) for g in groups]
    for group in groups:
        gap = group.rows()[group.model()].get("ece_pooled", math.nan)
        if math.isfinite(gap) and group.name.endswith("all tiles"):
            found.append(Bar(f"{group.name}: ECE of sigma", f"at most {ECE_BAR}", f"{gap:.3f}", gap <= ECE_BAR))
    return Outcome(tuple(blocks), tuple(found) if bars else ())


def _found(group: Group) -> tuple[str, bool]:
    rows, model = group.rows(), group.model()
    rivals = {name: row["mae_unit"] for name, row in rows.items() if not name.startswith("*") and name not in KNOWING}
    best = min(rivals, key=lambda name: rivals[name])
    own = rows[model]["mae_unit"]
    return f"{own:.3f}, best row {rivals[best]:.3f} ({best})", bool(own < rivals[best])


def verdict(group: Group) -> tuple[str, bool]:
    """One sentence: which trivial rows the model beats on these tiles, with the paired difference to the nearest."""
    rows, model = group.rows(), group.model()
    own = rows[model]["mae_unit"]
    rivals = {name: row["mae_unit"] for name, row in rows.items() if not name.startswith("*")}
    guessing = {name: value for name, value in rivals.items() if name not in KNOWING}
    lost = sorted((value, name) for name, value in guessing.items() if not own < value)
    nearest = min(guessing, key=lambda name: guessing[name])
    low, high = paired_interval(group.tiles, model, nearest)
    text = f"{group.name}: the {model.strip('*')} ({own:.3f}) "
    if lost:
        text += "does **not** beat " + ", ".join(f"{name} ({value:.3f})" for value, name in lost)
    else:
        text += f"beats every trivial row; nearest is {nearest} ({guessing[nearest]:.3f})"
    text += f"; paired difference to {nearest}: {own - guessing[nearest]:+.3f} [{low:+.3f}, {high:+.3f}]"
    known = [f"{'beats' if own < rivals[n] else 'does not beat'} {n} ({rivals[n]:.3f})" for n in KNOWING if n in rivals]
    return text + (f". Against rows told the true heights: {', '.join(known)}." if known else "."), not lost


def paired_interval(tiles: Sequence[TileScore], one: str, two: str) -> tuple[float, float]:
    """95 % bootstrap interval of the mean difference of MAE unit between two methods on the same tiles."""
    scores: dict[str, dict[tuple[str, int, int], TileScore]] = {one: {}, two: {}}
    for tile in tiles:
        if tile.method in scores and tile.alignment == "A2":
            scores[tile.method][tile.scene, tile.row_off, tile.col_off] = tile
    both = sorted(scores[one].keys() & scores[two].keys())
    values = np.array([[scores[one][k].scores["mae_unit"] - scores[two][k].scores["mae_unit"]] for k in both])
    regions, numbers = np.unique([scores[one][k].region for k in both], return_inverse=True)
    units = numbers if len(regions) > 1 else np.arange(len(both))
    _, low, high = bootstrap_interval(values, units, np.random.default_rng(0))
    return float(low[0]), float(high[0])


def _table(group: Group) -> Table:
    rows = group.rows()
    cells = [
        (name, str(row["tiles"]), _interval(row), *(_cell(row, key) for key in COLUMNS)) for name, row in rows.items()
    ]
    return Table(f"**{group.name}**", ("row", "tiles", "MAE unit", *COLUMNS.values()), tuple(cells))


def _interval(row: Row) -> str:
    return f"{row['mae_unit']:.3f} [{row['mae_unit_lo']:.3f}, {row['mae_unit_hi']:.3f}]"


def _cell(row: Row, key: str) -> str:
    value = row.get(key, math.nan)
    if key in ("inverted", "model_better") and math.isfinite(value):
        return f"{100 * value:.0f} %"
    if key == "delta_mae_unit" and math.isfinite(value):
        return f"{value:+.3f} [{row[key + '_lo']:+.3f}, {row[key + '_hi']:+.3f}]"
    return number(value, 1 if key == "slope_mae_deg" else 3)


def _relief(tiles: Sequence[TileScore]) -> Table:
    """The model by class of relief over all places, beside the best row that is told nothing."""
    lines = []
    for name in dict.fromkeys(relief_class(std) for std in sorted(tile.relief_std_m for tile in tiles)):
        group = Group(name, tuple(tile for tile in _told_or_not(tiles) if relief_class(tile.relief_std_m) == name))
        rows, model = group.rows(), group.model()
        row = rows[model]
        lines.append((name, str(row["tiles"]), str(row["regions"]), _interval(row),
                      *(_cell(row, key) for key in RELIEF_COLUMNS), _found_of(rows)))  # fmt: skip
    columns = ("relief", "tiles", "places", "MAE unit", *RELIEF_COLUMNS.values(), "best trivial row")
    return Table("**By class of relief, all places** (standard deviation of a tile's heights)", columns, tuple(lines))


def _scenes(tiles: Sequence[TileScore]) -> Table:
    lines = []
    for scene in sorted({tile.scene for tile in tiles}):
        group = Group(scene, tuple(tile for tile in tiles if tile.scene == scene))
        rows = group.rows()
        for model in (TOLD, HIDDEN):
            if model in rows:
                row = rows[model]
                lines.append((scene, model.strip("*"), str(row["tiles"]), _interval(row), _cell(row, "pearson_r"),
                              _cell(row, "inverted"), _found_of(rows)))  # fmt: skip
    columns = ("scene", "row", "tiles", "MAE unit", "r", "inverted", "best trivial row")
    return Table("**By scene, all tiles**", columns, tuple(lines))


def _found_of(rows: dict[str, Row]) -> str:
    rivals = {name: row["mae_unit"] for name, row in rows.items() if not name.startswith("*") and name not in KNOWING}
    best = min(rivals, key=lambda name: rivals[name])
    return f"{rivals[best]:.3f} {best}"
