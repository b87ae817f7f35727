"""Local erosion: water in virtual pipes with sediment and evaporation, and slopes that slide to their angle of rest.

Both move material between direct neighbours only, so that after n passes a pixel depends on nothing farther than
`REACH_PX` * n pixels away: tiles computed with that margin agree to the last bit. What crosses the edge of the
raster is counted, so mass can be balanced.

Source
------
Mei, Decaudin & Hu (2007), Fast hydraulic erosion simulation and visualization on GPU, doi:10.1109/PG.2007.15
(pipes, equations 2 to 6; carrying sediment along the pipe flows instead of backwards along the velocity is ours: it
loses no mass); Musgrave, Kolb & Mace (1989), doi:10.1145/74333.74337 (thermal).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

from .compiled import compiled, prange, require_speed

F64 = NDArray[np.float64]

REACH_PX = 3  # of one pass of either process; more than it needs


@dataclass(frozen=True)
class Hydraulic:
    """Rain, pipes and sediment.

    Parameters
    ----------
    passes
        Time steps.
    rain, evaporation
        Water per pass in pixel sizes; share of the water that dries up in a pass.
    capacity, pick_up, settle
        Sediment that a unit of flow carries on a unit of slope; shares of what is lacking or too much that are taken
        up or laid down in a pass.
    """

    passes: int = 40
    rain: float = 0.002
    evaporation: float = 0.02
    capacity: float = 0.6
    pick_up: float = 0.3
    settle: float = 0.3

    def __post_init__(self) -> None:
        shares = (self.evaporation, self.pick_up, self.settle)
        if self.passes < 0 or self.rain < 0 or self.capacity < 0 or not all(0 <= s <= 1 for s in shares):
            raise UsageError(f"passes, rain and capacity must not be negative, and shares must be 0 to 1, got {self}")


@dataclass(frozen=True, eq=False)
class Eroded:
    """What hydraulic erosion left.

    Parameters
    ----------
    dem
        Heights with all sediment laid down, shape (row, col), metres.
    deposit
        Height that was gained (positive) or lost (negative), metres.
    water
        Depth of water at the end, metres.
    lost_m, water_lost_m, rained_m, dried_m
        Sums over the raster in metres times pixels: sediment and water that left over the edge, rain, evaporation.
    """

    dem: F64
    deposit: F64
    water: F64
    lost_m: float
    water_lost_m: float
    rained_m: float
    dried_m: float


def hydraulic(dem: NDArray[np.floating[Any]], gsd_m: float, options: Hydraulic | None = None) -> Eroded:
    """Erode by rain.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres, no NaN.
    gsd_m
        Pixel size, metres.
    options
        Default `Hydraulic()`.

    Raises
    ------
    MissingDependencyError
        A large raster without Numba.
    """
    o = options or Hydraulic()
    require_speed(20 * dem.size * o.passes, f"hydraulic erosion of {dem.shape[1]} x {dem.shape[0]} pixels")
    start = np.asarray(dem, dtype=np.float64) / gsd_m
    z, water, load = start.copy(), np.zeros(start.shape), np.zeros(start.shape)
    flux = np.zeros((4, *start.shape))
    edge = np.zeros((3, start.shape[0]))
    rained = dried = lost = flowed = 0.0
    for _ in range(o.passes):
        _pipes(z, water, flux, o.rain)
        edge[:] = 0.0
        water, load = _carry(
            z, water, load, flux, np.array([o.rain, o.evaporation, o.capacity, o.pick_up, o.settle]), edge
        )
        rained += o.rain * z.size
        lost, flowed, dried = lost + float(edge[0].sum()), flowed + float(edge[1].sum()), dried + float(edge[2].sum())
    z += load
    return Eroded(
        z * gsd_m, (z - start) * gsd_m, water * gsd_m, lost * gsd_m, flowed * gsd_m, rained * gsd_m, dried * gsd_m
    )


def thermal(dem: NDArray[np.floating[Any]], gsd_m: float, rest_deg: float = 34.0, passes: int = 30) -> F64:
    """Let slopes steeper than the angle of rest slide down; the sum of heights stays.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres, no NaN.
    gsd_m
        Pixel size, metres.
    rest_deg
        Above 0, below 90.
    passes
        Each moves at most an eighth of a height difference.

    Returns
    -------
    Shape of `dem`, metres.

    Raises
    ------
    UsageError
        An angle outside 0 to 90.
    """
    if not 0 < rest_deg < 90:
        raise UsageError(f"an angle of rest is above 0 and below 90 degrees, got {rest_deg}")
    require_speed(20 * dem.size * passes, f"thermal erosion of {dem.shape[1]} x {dem.shape[0]} pixels")
    z = np.array(dem, dtype=np.float64)
    # Rounded: the last bit of tan differs between mathematics libraries.
    rest = round(float(np.tan(np.radians(rest_deg))), 9) * gsd_m
    for _ in range(passes):
        z = _slide(z, rest)
    return z


@compiled(parallel=True)
def _slide(z: F64, rest: float) -> F64:
    height, width = z.shape
    out = np.empty_like(z)
    for r in prange(height):
        for c in range(width):
            change = 0.0
            for k in range(8):
                i = r + (k >= 5) - (k <= 2)
                j = c + (k == 2 or k == 4 or k == 7) - (k == 0 or k == 3 or k == 5)
                if 0 <= i < height and 0 <= j < width:
                    limit = rest if i == r or j == c else rest * 1.4142135623730951
                    drop = z[r, c] - z[i, j]
                    if drop > limit:
                        change -= 0.125 * (drop - limit) * 0.5
                    elif -drop > limit:
                        change += 0.125 * (-drop - limit) * 0.5
            out[r, c] = z[r, c] + change
    return out


@compiled(parallel=True)
def _pipes(z: F64, water: F64, flux: F64, rain: float) -> None:
    """Flow to the right, left, below, above; over the edge the ground goes on level."""
    height, width = z.shape
    for r in prange(height):
        for c in range(width):
            total = 0.0
            here = z[r, c] + water[r, c]
            for k in range(4):
                i, j = r + (k == 2) - (k == 3), c + (k == 0) - (k == 1)
                inside = 0 <= i < height and 0 <= j < width
                there = z[i, j] + water[i, j] if inside else z[r, c]
                flow = max(0.0, 0.6 * flux[k, r, c] + 0.2 * (here - there))
                flux[k, r, c] = flow
                total += flow
            have = 0.9 * (water[r, c] + rain)
            if total > have:
                share = have / total
                for k in range(4):
                    flux[k, r, c] *= share


@compiled(parallel=True)
def _carry(z: F64, water: F64, load: F64, flux: F64, numbers: F64, edge: F64) -> Any:
    """Water and sediment follow the flows; then erosion or deposition, then evaporation. `z` changes in place."""
    rain, evaporation, capacity, pick_up, settle = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    height, width = z.shape
    new_water, new_load = np.empty_like(water), np.empty_like(load)
    change = np.empty_like(z)
    for r in prange(height):
        for c in range(width):
            had = water[r, c] + rain
            gained, brought, out = 0.0, 0.0, 0.0
            drop = 0.0
            for k in range(4):
                i, j = r + (k == 2) - (k == 3), c + (k == 0) - (k == 1)
                flow = flux[k, r, c]
                out += flow
                if 0 <= i < height and 0 <= j < width:
                    back = flux[k ^ 1, i, j]
                    gained += back
                    brought += load[i, j] * (back / (water[i, j] + rain)) if back > 0.0 else 0.0
                    drop = max(drop, z[r, c] - z[i, j])
                else:
                    edge[1, r] += flow
                    edge[0, r] += load[r, c] * (flow / had) if flow > 0.0 else 0.0
            left = load[r, c] * (1.0 - out / had) if had > 0.0 else load[r, c]
            now = had - out + gained
            carried = left + brought
            can = capacity * (out + gained) * (min(drop, 1.0) + 0.01)
            # Only a part of the drop: erosion must not dig pits.
            dug = min(pick_up * (can - carried), 0.125 * drop)
            moved = dug if can > carried else -settle * (carried - can)
            change[r, c] = -moved
            new_load[r, c] = carried + moved
            dry = now * evaporation
            edge[2, r] += dry
            new_water[r, c] = now - dry
    for r in prange(height):
        for c in range(width):
            z[r, c] += change[r, c]
    return new_water, new_load
