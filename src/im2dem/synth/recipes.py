"""Landscapes in metres: for each kind of country the noise it begins with and what rivers, slopes and wind make of it.

A whole landscape (`make_terrain`) is shaped by rivers that know all of it. A tile of an endless world (`make_tile`)
uses noise and local erosion only, with a margin as wide as the processes reach, so that neighbouring tiles agree to
the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import UsageError

from .erosion import REACH_PX, Hydraulic, hydraulic, thermal
from .hydrology import drainage, flow_accumulation
from .landforms import canyon_cut, dune_field, terraces, volcano_cone, widen_valleys
from .noise import Lattice, NoiseOptions, noise, warped
from .stream_power import Rivers, evolve

F64 = NDArray[np.float64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recipe:
    """A kind of country.

    Parameters
    ----------
    about
        One line for people.
    relief_m, base_m
        Amplitude and mean of the noise it begins with, metres.
    noise
        That noise.
    rivers
        What rivers do; None: nothing.
    rest_deg
        Angle of rest of its slopes at the end, degrees.
    uplift
        How unequal uplift is, 0 (even) to 1.
    form
        "", or what else shapes it: "dunes", "volcano", "terraces", "table", "glacier".
    gsd_m
        Pixel size that suits it.
    """

    about: str
    relief_m: float
    base_m: float
    noise: NoiseOptions
    rivers: Rivers | None = None
    rest_deg: float = 38.0
    uplift: float = 0.6
    form: str = ""
    gsd_m: float = 30.0


RECIPES: dict[str, Recipe] = {
    "alps": Recipe(
        "high mountains, sharp ridges, deep valleys", 900, 1200, NoiseOptions(9000, 8),
        Rivers(320, 44, 0.9, 0.35), 44, gsd_m=30,
    ),
    "hills": Recipe(
        "rounded, forested hills", 120, 250, NoiseOptions(5000, 7), Rivers(26, 35, 0.32, 0.6), 35, 0.5, gsd_m=30
    ),
    "dunes": Recipe("a sand sea", 12, 300, NoiseOptions(9000, 3), None, 33, form="dunes", gsd_m=5),
    "badlands": Recipe(
        "bare clay cut by gullies", 30, 700, NoiseOptions(500, 7), Rivers(7, 48, 0.85, 0.3, 30), 46, 0.5, gsd_m=2
    ),
    "canyon": Recipe(
        "layered rock cut by a river", 90, 1700, NoiseOptions(9000, 6), Rivers(10, 50, 0.5, 0.05, 10, 3, 0.1), 54, 0,
        "terraces", 15,
    ),
    "volcano": Recipe(
        "a stratovolcano with radial gullies", 60, 600, NoiseOptions(5000, 6), Rivers(6, 38, 0.3, 0.25, 10, 3, 0.06),
        38, 0, "volcano", 30,
    ),
    "islands": Recipe(
        "an archipelago; the sea is at 0", 520, 30, NoiseOptions(3800, 8),
        Rivers(75, 40, 0.6, 0.6, 30, 4, 0.3, 0.0), 40, gsd_m=30,
    ),
    "plateau": Recipe(
        "a tableland with valleys cut into its rim", 260, 1500, NoiseOptions(9000, 7),
        Rivers(8, 40, 0.3, 0.1, 10, 2, 0.05), 40, 0.2, "table", 30,
    ),
    "glacial": Recipe(
        "mountains with trough valleys of glaciers", 900, 1200, NoiseOptions(10000, 8), Rivers(170, 48, 1.0, 0.45), 50,
        0.6, "glacier", 30,
    ),
    "plains": Recipe(
        "low country with shallow valleys", 40, 120, NoiseOptions(6000, 7), Rivers(3.0, 20, 0.05, 0.4, 30, 4), 20, 0.5,
        gsd_m=30,
    ),
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


@dataclass(frozen=True, eq=False)
class Shaped:
    """Land, and what it was before rain and slides moved loose material.

    Parameters
    ----------
    dem, start
        Heights after and before, float32 (row, col), metres.
    """

    dem: NDArray[np.float32]
    start: NDArray[np.float32]


def shape_terrain(recipe: str, lattice: Lattice, seed: int, progress: Progress | None = None) -> Shaped:
    """A whole landscape, with its state before the last processes.

    Parameters
    ----------
    recipe, lattice, seed, progress
        As in `make_terrain`.

    Returns
    -------
    See `Shaped`; `dem` is what `make_terrain` gives.

    Raises
    ------
    UsageError
        No such recipe.
    MissingDependencyError
        A large landscape without Numba.
    """
    chosen = find_recipe(recipe)
    around = _with_margin(lattice, max(16, min(lattice.shape) // 8))
    z = _initial(chosen, around, seed)
    if chosen.rivers is not None:
        z = evolve(
            around,
            lambda level: _initial(chosen, level, seed),
            lambda level: _uplift(chosen, level, seed),
            chosen.rivers,
            seed,
            progress or (lambda done, total: None),
        )
    if chosen.form == "glacier":
        z = widen_valleys(z, around.step_m)
    if chosen.form == "terraces":
        z = terraces(z, around, seed)
    start = z
    if chosen.rivers is not None:
        z = hydraulic(z, around.step_m, Hydraulic(10)).dem
    z = _core(thermal(z, around.step_m, chosen.rest_deg, 12), around, lattice)
    if chosen.rivers is not None:
        # The order matters: rounding to float32 comes last, and the rise of a filled pit survives it.
        z = drainage(z, chosen.rivers.sea_m).filled
    return Shaped(z.astype(np.float32), _core(start, around, lattice).astype(np.float32))


def make_terrain(recipe: str, lattice: Lattice, seed: int, progress: Progress | None = None) -> NDArray[np.float32]:
    """A whole landscape.

    Parameters
    ----------
    recipe
        A key of `RECIPES`.
    lattice
        Where, and how large pixels are.
    seed
        Of all chance.
    progress
        Called with (steps done, steps in all).

    Returns
    -------
    Heights, shape of the lattice, metres. No pits: every pixel above the sea drains to the edge or to the sea;
    dunes alone keep their hollows, as they do on Earth.

    Raises
    ------
    UsageError
        No such recipe.
    MissingDependencyError
        A large landscape without Numba.
    """
    return shape_terrain(recipe, lattice, seed, progress).dem


def shape_tile(recipe: str, lattice: Lattice, seed: int) -> Shaped:
    """A part of an endless world, with its state before erosion; see `make_tile`.

    Raises
    ------
    UsageError
        No such recipe.
    MissingDependencyError
        A large tile without Numba.
    """
    chosen = find_recipe(recipe)
    rain = Hydraulic(24)
    slides = 16
    around = _with_margin(lattice, REACH_PX * (rain.passes + slides))
    start = z = _endless(chosen, around, seed)
    if chosen.rivers is not None:
        z = hydraulic(z, around.step_m, rain).dem
    z = thermal(z, around.step_m, chosen.rest_deg, slides)
    return Shaped(*(_core(part, around, lattice).astype(np.float32) for part in (z, start)))


def make_tile(recipe: str, lattice: Lattice, seed: int) -> NDArray[np.float32]:
    """A part of an endless world: the same heights at the same place, whatever lattice it is computed in.

    Parameters
    ----------
    recipe, seed
        As in `make_terrain`. The world of a seed is not the landscape of the same seed: its rivers are local.
    lattice
        Where; every lattice of the same `step_m` and `shift` is a window of one world.

    Returns
    -------
    Heights, shape of the lattice, metres.

    Raises
    ------
    UsageError
        No such recipe.
    MissingDependencyError
        A large tile without Numba.
    """
    return shape_tile(recipe, lattice, seed).dem


def masks(
    dem: NDArray[np.floating[Any]], gsd_m: float, start: NDArray[np.floating[Any]] | None = None
) -> dict[str, NDArray[np.float32]]:
    """What covers the land, each of the shape of `dem`.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres, no NaN.
    gsd_m
        Pixel size, metres.
    start
        Heights before erosion, metres; None: heights are compared with their surroundings of 15 pixels.

    Returns
    -------
    slope (degrees), flow (drained area, km2), deposit, wetness, rock, snow (0 to 1).

    Source
    ------
    Beven & Kirkby (1979), doi:10.1080/02626667909491834: wetness is ln(area / slope), here of areas in pixels, so that
    it means the same at all pixel sizes, and scaled from 0 to 10.
    """
    z = np.asarray(dem, dtype=np.float64)
    rise = np.hypot(*np.gradient(z, gsd_m))
    slope = np.degrees(np.arctan(rise))
    area_px = flow_accumulation(drainage(z))
    wetness = np.clip(np.log(area_px / (rise + 0.01)) / 10.0, 0, 1)
    before = ndimage.uniform_filter(z, 31) if start is None else np.asarray(start, dtype=np.float64)
    # A hollow among its surroundings may hold sediment; where the start is known, what was gained is sediment.
    gained = (before - z) / (4 * gsd_m) if start is None else (z - before) / (0.05 * gsd_m)
    deposit = np.clip(gained, 0, 1) * np.clip(1 - slope / 20.0, 0, 1)
    rock = np.clip((slope - 32.0) / 10.0, 0, 1)
    low, high = np.percentile(z, [5, 99])
    line = max(1800.0, low + 0.6 * (high - low))
    snow = np.clip((z - line) / 300.0, 0, 1) * np.clip((52.0 - slope) / 12.0, 0, 1)
    named = {
        "slope": slope,
        "flow": area_px * gsd_m**2 / 1e6,
        "deposit": deposit,
        "wetness": wetness,
        "rock": rock,
        "snow": snow,
    }
    return {name: values.astype(np.float32) for name, values in named.items()}


def _with_margin(lattice: Lattice, margin: int) -> Lattice:
    height, width = lattice.shape
    return replace(
        lattice,
        shape=(height + 2 * margin, width + 2 * margin),
        row0=lattice.row0 - margin,
        col0=lattice.col0 - margin,
    )


def _core(z: F64, around: Lattice, lattice: Lattice) -> F64:
    row, col = lattice.row0 - around.row0, lattice.col0 - around.col0
    return np.ascontiguousarray(z[row : row + lattice.shape[0], col : col + lattice.shape[1]])


def _initial(recipe: Recipe, lattice: Lattice, seed: int) -> F64:
    z = warped(lattice, seed, recipe.noise, recipe.noise.wavelength_m * 0.25, dtype=np.float64)
    z = z * recipe.relief_m * 1.6 + recipe.base_m
    if recipe.form == "dunes":
        return z + dune_field(lattice, seed)
    if recipe.form == "volcano":
        return z + volcano_cone(lattice, seed)
    if recipe.form == "terraces":
        return z - canyon_cut(lattice, seed)
    if recipe.form == "table":
        # Hard rock above, cut off level: the rim stands where the land would have been higher.
        return np.asarray(np.minimum(z, recipe.base_m + 0.1 * (z - recipe.base_m)))
    return z


def _endless(recipe: Recipe, lattice: Lattice, seed: int) -> F64:
    if recipe.rivers is None or recipe.form in ("volcano", "terraces"):
        z = _initial(replace(recipe, form="dunes" if recipe.form == "dunes" else ""), lattice, seed)
        return terraces(z * 3.0 - 2.0 * recipe.base_m, lattice, seed) if recipe.form == "terraces" else z
    crests = replace(recipe.noise, shape="ridged", wavelength_m=recipe.noise.wavelength_m * 0.5, octaves=9)
    return _initial(recipe, lattice, seed) + recipe.relief_m * 0.6 * warped(
        lattice, seed + 1, crests, crests.wavelength_m * 0.2, dtype=np.float64
    )


def _uplift(recipe: Recipe, lattice: Lattice, seed: int) -> F64:
    wave = NoiseOptions(recipe.noise.wavelength_m * 0.8, 4)
    uneven = 0.5 + 1.2 * noise(lattice, seed + 77, wave, np.float64)
    lift = 1.0 - recipe.uplift + recipe.uplift * np.clip(uneven, 0.0, 1.2)
    # Rock of unequal hardness, down to the pixel: harder rock stands steeper.
    rock = noise(lattice, seed + 78, NoiseOptions(recipe.noise.wavelength_m * 0.2, 8, gain=0.7), np.float64)
    lift = lift * np.clip(1.0 + 1.1 * rock, 0.3, 1.8)
    if recipe.rivers is not None and recipe.rivers.sea_m is not None:
        lift = lift * np.clip((_initial(recipe, lattice, seed) + 100.0) / 300.0, 0.0, 1.0)
    return np.asarray(lift)
