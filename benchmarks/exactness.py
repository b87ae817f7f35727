"""What tiles leave behind: nothing where the model is the identity, no seams where it is not."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import ROOT, Bar, Outcome, Setup, Table, has_sun, number, open_pair, say
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.alignment import align
from im2dem.core.metrics import seam_ratio
from im2dem.core.tiles import TilePlan
from im2dem.io.geotiff import open_dem
from im2dem.pipeline.predict import PredictOptions, predict_file
from im2dem.runtime.card import find_model, load_card
from im2dem.runtime.engine import ApplyOptions, LevelSummary, apply_model

# The models that stand in for a network are those of the tests.
sys.path.append(str(ROOT / "tests"))
from fakes import IdentityModel, MemoryWriter, OffsetGainModel, picture

SIZES = ((1, 1), (63, 200), (513, 511), (1000, 1700), (2048, 2048))
ROUNDINGS = 4  # of float32 at the largest height: weights, their products, sums and one division round once each
MOST_SEAM = 1.1

Heights = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Made:
    """Predicted heights, metres, and what levelling did, None without."""

    height: NDArray[np.float32]
    levels: LevelSummary | None


def run(setup: Setup) -> Outcome:
    """Identity at several sizes; seams of a jumping model and of the network, levelled and not."""
    identity, bars = _identity(SIZES[:-2] if setup.quick else SIZES)
    seams, more = _seams(setup)
    return Outcome((*identity, *seams), (*bars, *more))


def relief(shape: tuple[int, int], mean_m: float = 0.0) -> NDArray[np.float32]:
    """Smooth hills with a standard deviation of 120 m."""
    white = np.random.default_rng(0).standard_normal(shape)
    field = sum(ndimage.gaussian_filter(white, width, mode="wrap") * width for width in (4.0, 16.0))
    return np.asarray(mean_m + 120 * (field - field.mean()) / max(float(field.std()), 1e-9), np.float32)


def apply(model: Any, truth: Heights, options: ApplyOptions) -> Made:
    """What the engine makes of a picture whose first band are the true heights."""
    writer = MemoryWriter()
    report = apply_model(picture(truth), model, writer, options)
    return Made(writer.data[0], report.levels)


def identity_error(shape: tuple[int, int], options: ApplyOptions, tile_px: int, overlap_px: int) -> tuple[float, float]:
    """Largest error of the identity model, metres, and the rounding of float32 at the largest height, metres."""
    truth = relief(shape, 2000)
    out = apply(IdentityModel(tile_px, overlap_px), truth, options).height.astype(np.float64)
    wanted = truth.astype(np.float64)
    if options.centre:
        wanted = wanted - wanted.mean()
    return float(np.abs(out - wanted).max()), float(np.spacing(np.abs(truth).max()))


def _identity(sizes: Sequence[tuple[int, int]]) -> tuple[tuple[str | Table, ...], tuple[Bar, ...]]:
    plain, whole = ApplyOptions(level=False, centre=False), ApplyOptions()
    rows, worst = [], 0.0
    for shape in sizes:
        for tile_px, overlap_px in ((512, 128), (64, 16)):
            say(f"  identity {shape}, tiles of {tile_px}")
            errors = [identity_error(shape, options, tile_px, overlap_px) for options in (plain, whole)]
            worst = max(worst, *(error / rounding for error, rounding in errors))
            cells = [f"{1000 * error:.3f}" for error, _ in errors]
            rows.append((f"{shape[0]} x {shape[1]}", f"{tile_px} / {overlap_px}", *cells))
    text = (
        "The picture's first band are hills 2,000 m high, the identity model returns it, and the engine must give it "
        "back. One rounding of float32 is 0.122 or 0.244 mm there."
    )
    columns = ("scene", "tile / overlap", "blended: largest error mm", "levelled and centred: mm")
    bar = Bar(
        "identity, largest error", f"at most {ROUNDINGS} roundings of float32", f"{worst:.1f}", worst <= ROUNDINGS
    )
    return (text, Table("", columns, tuple(rows))), (bar,)


def _seams(setup: Setup) -> tuple[tuple[str | Table, ...], tuple[Bar, ...]]:
    rows: list[tuple[str, ...]] = []
    bars: list[Bar] = []
    for log_gain, name in ((0.0, "offsets of 80 m"), (0.3, "offsets of 80 m, gains of +-30 %")):
        say(f"  seams, {name}")
        truth = relief((700, 900) if setup.quick else (1500, 1800))
        plan = TilePlan((truth.shape[0], truth.shape[1]), 256, 64)

        def made(level: bool, log_gain: float = log_gain, truth: Heights = truth) -> Made:
            model = OffsetGainModel(256, 64, log_gain=log_gain, noise=0.5)
            return apply(model, truth, ApplyOptions(level=level))

        rows += _lines(f"jumping model: {name}", made(False), made(True), truth, plan, bars)
    if setup.data is not None:
        rows += _network(setup, bars)
    text = (
        "Seams, as ratios: 1 = none. *Height*: RMSE within 8 px of a tile's side over RMSE elsewhere. It hardly sees "
        "seams once tiles are blended over their whole overlap; so *gradient* too: root mean square of the error's "
        "gradient where tiles overlap over the same where one tile is alone (below 1 where blending takes noise off). "
        "Both after the one scale and shift that suits the levelled result best. *Step*: median difference of mean "
        "height between neighbouring tiles on what they share, before blending."
    )
    figures = ("height", "gradient", "step m", "RMSE m")
    columns = ("model", "tiles", *(f"{figure}, {state}" for figure in figures for state in ("as it comes", "levelled")))
    return (text, Table("", columns, tuple(rows))), tuple(bars)


def _network(setup: Setup, bars: list[Bar]) -> list[tuple[str, ...]]:
    pairs = setup.pairs("val")
    pair = next((p for p in pairs if p.name.endswith("20211228")), next(filter(has_sun, pairs), pairs[0]))
    say(f"  seams, {setup.model} on {pair.name}")
    scene = open_pair(pair)
    if scene is None:
        return []
    card = load_card(find_model(setup.model))
    grid = scene.known["grid"]
    sun = (float(pair.meta["sun_azimuth_deg"]), float(pair.meta["sun_elevation_deg"])) if has_sun(pair) else None
    given = PredictOptions(
        model=setup.model, sun=sun, gsd_m=scene.known["gsd_m"] if grid.gsd_m is None else None, threads=setup.threads
    )

    def made(level: bool) -> Made:
        with tempfile.TemporaryDirectory(prefix="im2dem-seams-") as folder:
            output = Path(folder) / "dem.tif"
            report = predict_file(str(pair.image), output, replace(given, level=level)).report
            with open_dem(output) as dem:
                return Made(dem.read(dem.grid.window)[0], report.levels)

    plan = TilePlan(grid.shape, card.tile_px, card.overlap_px)
    return _lines(f"{card.name} on {pair.name}", made(False), made(True), scene.truth, plan, bars)


def _lines(
    name: str, rough: Made, smooth: Made, truth: Heights, plan: TilePlan, bars: list[Bar]
) -> list[tuple[str, ...]]:
    """One line of the table, and its bar."""
    fit = align(smooth.height, truth, "A2")
    errors = [fit.scale * side.height + fit.shift - truth for side in (rough, smooth)]
    height = [seam_ratio(dh, *sides(plan)) for dh in errors]
    gradient = [gradient_ratio(dh, plan) for dh in errors]
    levels = smooth.levels
    steps = (levels.step_before, levels.step_after) if levels else (math.nan, math.nan)
    size = [math.sqrt(float(np.nanmean(np.square(dh - np.nanmean(dh), dtype=np.float64)))) for dh in errors]
    for kind, value in (("height", height[1]), ("gradient", gradient[1])):
        bars.append(Bar(f"seams levelled, {kind}: {name}", f"at most {MOST_SEAM}", f"{value:.2f}", value <= MOST_SEAM))
    cells = [number(value, 2) for value in (*height, *gradient)] + [number(value, 1) for value in (*steps, *size)]
    return [(name, str(len(plan)), *cells)]


def sides(plan: TilePlan) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows and columns inside the scene before which a tile begins or after which one ends."""
    both = zip((plan.row_starts, plan.col_starts), plan.tile_shape, plan.shape, strict=True)
    rows, cols = (tuple(sorted({e for s in starts for e in (s, s + tile)} - {0, n})) for starts, tile, n in both)
    return rows, cols


def gradient_ratio(dh: Heights, plan: TilePlan) -> float:
    """Root mean square gradient of the error where tiles overlap over the same elsewhere; NaN without either."""
    count = np.zeros(plan.shape, int)
    for tile in plan:
        count[tile.window.slices()] += 1
    row, col = np.gradient(np.asarray(dh, np.float64))
    steep: NDArray[np.float64] = np.asarray(row**2 + col**2)
    known = np.isfinite(steep)
    shared, alone = steep[known & (count > 1)], steep[known & (count == 1)]
    if not shared.size or not alone.size or not alone.mean() > 0:
        return math.nan
    return float(np.sqrt(shared.mean() / alone.mean()))
