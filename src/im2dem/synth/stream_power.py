"""Mountains by rivers: uplift, stream power solved implicitly, slopes that fail, soil creep; coarse to fine.

Time is counted so that erodibility is 1: a river in equilibrium falls ``steepness / (sqrt(drained area) + c)``, where
c is such that the slope comes to `Rivers.head_slope` where nothing is drained. Without it every hillside stands at the
angle of failure, and the land looks folded from paper.

Source
------
Braun & Willett (2013), doi:10.1016/j.geomorph.2012.10.008 (implicit solution in the order of flow, n = 1, m = 1/2);
Cordonnier et al. (2016), doi:10.1111/cgf.12820 (uplift maps for landscapes); Stock & Dietrich (2003),
doi:10.1029/2001WR001057 (equation 1: slopes of valley heads tend to a constant).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .compiled import compiled, prange, require_speed
from .hydrology import drainage, flow_accumulation
from .noise import Lattice, NoiseOptions, noise

F64 = NDArray[np.float64]
Field = Callable[[Lattice], F64]

COARSEST_PX = 60  # least side of the level where evolution begins
# By how much a river is moved at most from one level to the next, in pixels of the coarser, and the length of the
# bends; and the same at the end.
BEND_PX, WAVE_PX = 3.0, 8.0
LAST_BEND_PX, LAST_WAVE_PX = 5.0, 26.0


@dataclass(frozen=True)
class Rivers:
    """How land evolves.

    Parameters
    ----------
    steepness_m
        Equilibrium slope times the root of drained area, metres, where uplift is 1.
    rest_deg
        Slopes steeper than this fail.
    creep
        Diffusion of soil per step: share of the difference to the neighbours' mean, 0 to 1, at the finest level.
    head_slope
        Equilibrium slope (rise over run) where nothing is drained and uplift is 1.
    steps, last_steps
        Steps at the coarsest level and at least at the finest; halved from level to level in between.
    step
        Length of a step; a basin comes to equilibrium in about 15 units.
    sea_m
        Height at and below which land is not eroded; None: only the edge is a base level.
    """

    steepness_m: float = 120.0
    rest_deg: float = 42.0
    head_slope: float = 0.8
    creep: float = 0.1
    steps: int = 60
    last_steps: int = 6
    step: float = 0.4
    sea_m: float | None = None


def evolve(
    lattice: Lattice, start: Field, uplift: Field, rivers: Rivers, seed: int, progress: Callable[[int, int], None]
) -> F64:
    """Heights after uplift and erosion, shape of the lattice, metres.

    Parameters
    ----------
    lattice
        Where.
    start, uplift
        Initial heights in metres, and uplift (about 0 to 1), on any lattice.
    rivers
        How land evolves.
    seed
        Of the wandering of channels.
    progress
        Called with (steps done, steps in all).

    Raises
    ------
    MissingDependencyError
        A large lattice without Numba.
    """
    levels = _levels(lattice)
    plan = [max(rivers.last_steps, rivers.steps >> k) for k in range(len(levels))]
    require_speed(40 * lattice.shape[0] * lattice.shape[1], "erosion by rivers")
    z, done = start(levels[0]), 0
    for level, steps in zip(levels, plan, strict=True):
        if level is not levels[0]:
            first = start(level)
            # What the coarse level could not hold of the initial roughness breaks the smoothness of interpolation.
            z = _finer(z, level, seed) + 0.15 * (first - ndimage.gaussian_filter(first, 2.0))
        lift = uplift(level) * rivers.steepness_m
        for _ in range(steps):
            z = evolve_step(z, lift, level.step_m, rivers, seed * 1009 + done)
            done += 1
            progress(done, sum(plan))
    own = [np.arange(n, dtype=np.float64) for n in lattice.shape]
    return _bent(z, lattice, (own[0], own[1]), seed + 1, (LAST_BEND_PX, LAST_WAVE_PX))


def _levels(lattice: Lattice) -> list[Lattice]:
    factor = 1
    while min(lattice.shape) / (factor * 2) >= COARSEST_PX:
        factor *= 2
    levels = []
    while factor >= 1:
        shape = (-(-lattice.shape[0] // factor), -(-lattice.shape[1] // factor))
        # A coarse pixel stands at the middle of those it holds.
        shift_r, shift_c = lattice.row0 / factor, lattice.col0 / factor
        levels.append(
            lattice
            if factor == 1
            else Lattice(shape, lattice.step_m * factor, int(np.floor(shift_r)), int(np.floor(shift_c)), lattice.shift)
        )
        factor //= 2
    return levels


def _finer(z: F64, level: Lattice, seed: int) -> F64:
    """Twice the pixels, of the shape of `level`, metres; bent a little."""
    rows, cols = ((np.arange(n) + 0.5) / 2 - 0.5 for n in level.shape)
    return _bent(z, level, (rows, cols), seed, (BEND_PX, 2 * WAVE_PX))


def _bent(z: F64, level: Lattice, at: tuple[F64, F64], seed: int, bend: tuple[float, float]) -> F64:
    """Heights at the rows and columns `at`, shape of `level`, each moved by noise.

    Rivers of a grid keep to eight directions, and slopes between them are planes with grooves side by side. Bent at
    every level, by less than they lie apart, they wind. `bend` is how far and over what length, in pixels of `z` and
    of `level`.
    """
    far_px, wave_px = bend
    waves = NoiseOptions(wave_px * level.step_m, 3)
    grid = [
        plain + far_px * noise(level, seed ^ salt, waves, np.float64)
        for plain, salt in zip(np.meshgrid(*at, indexing="ij"), (0x2545F491, 0x4F6CDD1D), strict=True)
    ]
    return np.asarray(ndimage.map_coordinates(z, grid, order=1, mode="nearest"))


def evolve_step(z: F64, lift: F64, gsd_m: float, rivers: Rivers, seed: int | None) -> F64:
    """Heights one step later, shape (row, col), metres; the edge stays where it is.

    Parameters
    ----------
    z
        Heights, shape (row, col), metres, no NaN.
    lift
        Uplift in a unit of time, shape of `z`, metres.
    gsd_m
        Pixel size, metres.
    rivers
        `step`, `rest_deg`, `creep`, `sea_m` and ``steepness_m / head_slope`` count here.
    seed
        Of the wandering of channels; None: they take the steepest way.

    Raises
    ------
    UsageError
        Less than 3 x 3 pixels, or NaN.
    MissingDependencyError
        A large raster without Numba.
    """
    way = drainage(z, rivers.sea_m, seed)
    # The length at which rivers take over from hillsides: the same for all uplifts, or hard rock would stand as walls.
    head_m = rivers.steepness_m / rivers.head_slope
    reach = np.sqrt(flow_accumulation(way).ravel()) * gsd_m + head_m
    rest = round(float(np.tan(np.radians(rivers.rest_deg))), 9)
    out = way.filled.ravel()
    _incise(out, lift.ravel(), way.order, way.receiver, reach, np.array([gsd_m, rivers.step, rest, z.shape[1]]))
    shaped = out.reshape(z.shape)
    return _creep(shaped, rivers.creep) if rivers.creep > 0 else shaped


@compiled()
def _incise(z: F64, lift: F64, order: Any, receiver: Any, reach: F64, numbers: F64) -> None:
    gsd, dt, rest, width = numbers[0], numbers[1], numbers[2], int(numbers[3])
    for k in range(order.size):
        i = order[k]
        to = receiver[i]
        if to == i:
            continue
        straight = abs(i - to) == 1 or abs(i - to) == width
        distance = gsd if straight else gsd * 1.4142135623730951
        factor = reach[i] * dt / distance
        new = (z[i] + lift[i] * dt + factor * z[to]) / (1.0 + factor)
        z[i] = min(new, z[to] + rest * distance)


@compiled(parallel=True)
def _creep(z: F64, share: float) -> F64:
    height, width = z.shape
    out = z.copy()
    for r in prange(1, height - 1):
        for c in range(1, width - 1):
            mean = 0.2 * (z[r - 1, c] + z[r + 1, c] + z[r, c - 1] + z[r, c + 1])
            mean += 0.05 * (z[r - 1, c - 1] + z[r - 1, c + 1] + z[r + 1, c - 1] + z[r + 1, c + 1])
            out[r, c] = z[r, c] + share * (mean - z[r, c])
    return out
