"""There and back: artificial terrain, its picture by `im2dem terrain --colour`, and the heights of that picture."""

from __future__ import annotations

import numpy as np
from harness import Bar, Outcome, Setup, Table, number, say
from numpy.typing import NDArray
from scipy import ndimage
from terrain import REAL, real_piece

from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.pipeline.predict import predict_dem
from im2dem.pipeline.terrain import CLIMATE_OF, Companions, TerrainOptions, generate_terrain, photograph
from im2dem.synth.recipes import RECIPES

SUN = Companions.sun
SIDE = 512
LEAST = 0.8
SNOWY = (None, "alpine", "boreal")
EXPLAIN = (
    f"Each recipe (seeds 7 and 8, {SIDE} pixels of its own size), and real pieces; its picture by the physical engine, "
    f"in the climate that `im2dem terrain --colour` takes for it and under its sun ({SUN[0]:g}, {SUN[1]:g}), which "
    "the model is told; what it makes of that. *r* with the heights, mean of the seeds, and of their parts below 8 "
    "pixels, from 8 to 64 and above (differences of Gaussians of 2 and 16 pixels). *slope*: mean slope of the land in "
    "degrees: what is nearly level throws no light and shade."
)


def run(setup: Setup) -> Outcome:
    """All recipes, and real pieces of two kinds."""
    rows, found = [], {}
    for name in RECIPES:
        lands = [generate_terrain(TerrainOptions(name, seed, SIDE)) for seed in ((7,) if setup.quick else (7, 8))]
        climate = CLIMATE_OF.get(name)
        for season in ("summer", "winter") if climate in SNOWY else ("summer",):
            say(f"  {name} in {season}")
            trips = [_trip(land, climate, season, setup) for land in lands]
            mean = np.mean(trips, axis=0)
            rows.append(_row(name, climate, season, np.mean([_slope(land) for land in lands]), mean))
            found[name, season] = float(mean[0])
    for name in ("alps", "volcano"):
        piece = real_piece(name, SIDE, setup.data)
        if piece is not None:
            stem, gsd_m = REAL[name][0], REAL[name][3]
            land = Raster(piece[None], Grid.local(piece.shape, gsd_m), ("height",))
            trip = np.asarray(_trip(land, CLIMATE_OF.get(name), "summer", setup))
            rows.append(_row(f"- real: {stem}", CLIMATE_OF.get(name), "summer", _slope(land), trip))
    columns = ("land", "climate", "season", "slope", "r", "r below 8 px", "r 8 to 64 px", "r above 64 px")
    reached = [name for name in RECIPES if found[name, "summer"] >= LEAST]
    bar = Bar(
        "r of heights after picture and prediction, summer", f"at least {LEAST} for every recipe",
        f"{len(reached)} of {len(RECIPES)} ({', '.join(reached)})", len(reached) == len(RECIPES),
    )  # fmt: skip
    return Outcome((EXPLAIN, Table("", columns, tuple(rows))), (bar,))


def _row(name: str, climate: str | None, season: str, slope_deg: float, r: NDArray[np.float64]) -> tuple[str, ...]:
    return (name, climate or "temperate", season, number(slope_deg, 1), *(number(float(value), 2) for value in r))


def _slope(land: Raster) -> float:
    """Mean slope, degrees."""
    steep = np.hypot(*np.gradient(land.band("height").astype(np.float64), land.grid.gsd_m or 1.0))
    return float(np.degrees(np.arctan(steep)).mean())


def _trip(land: Raster, climate: str | None, season: str, setup: Setup) -> tuple[float, ...]:
    picture = photograph(land, SUN, climate, season)
    made = predict_dem(picture, model=setup.model, sun=SUN, threads=setup.threads).band("height")
    both = [np.asarray(z, dtype=np.float64) for z in (land.band("height"), made)]
    fine, coarse = ([ndimage.gaussian_filter(z, sigma) for z in both] for sigma in (2.0, 16.0))
    parts = (both, [z - f for z, f in zip(both, fine, strict=True)],
             [f - c for f, c in zip(fine, coarse, strict=True)], coarse)  # fmt: skip
    return tuple(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in parts)
