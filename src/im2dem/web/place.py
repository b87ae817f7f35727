"""Where on Earth a page lies: a lattice of longitudes and latitudes, so that the page needs no projections."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from im2dem.core.grid import Grid

_KNOTS = (2, 3, 5, 9, 17, 33)
# A twentieth of a metre on the ground, finer than the five decimals shown; or half a hundredth of a pixel.
_TOLERANCE_DEG = 5e-7
_TOLERANCE_PX = 0.005
_METRES_PER_DEG = 111_320.0
_DIGITS = 8


def place_members(grid: Grid) -> dict[str, Any] | None:
    """The member `place` of the payload: middle, direction of true north, lattice; None without a place on Earth.

    The lattice has as many knots as straight lines between them need to be right to `tolerance_deg`, at most 33.

    Parameters
    ----------
    grid
        Of the full-size height model. Longitudes are continuous over the date line, so they may pass 180 degrees.
    """
    middle = grid.lonlat(grid.height / 2, grid.width / 2)
    north_deg = _true_north_deg(grid)
    if middle is None or north_deg is None:
        return None
    lattice = _lattice(grid)
    if lattice is None:
        return None
    lon, lat = lattice
    return {
        "lon": round(middle[0], _DIGITS),
        "lat": round(middle[1], _DIGITS),
        "north_deg": round(north_deg, 4),
        "lattice": {
            "cols": lon.shape[1],
            "rows": lon.shape[0],
            "lon": [round(float(v), _DIGITS) for v in lon.ravel()],
            "lat": [round(float(v), _DIGITS) for v in lat.ravel()],
        },
    }


def tolerance_deg(grid: Grid) -> float:
    """How wrong a longitude or latitude of the lattice may be, degrees."""
    return max(_TOLERANCE_DEG, _TOLERANCE_PX * (grid.gsd_m or 0.0) / _METRES_PER_DEG)


def _lattice(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    found = None
    for knots in _KNOTS:
        # Every second knot of a doubled lattice is a knot of this one; the others tell how wrong straight lines are.
        fine = _lonlats(grid, 2 * knots - 1)
        if fine is None:
            return None
        found = fine[0][::2, ::2], fine[1][::2, ::2]
        if max(_straightness(values) for values in fine) <= tolerance_deg(grid):
            break
    return found


def _lonlats(grid: Grid, knots: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    crs = CRS.from_user_input(grid.crs)
    row, col = np.meshgrid(np.linspace(0, grid.height, knots), np.linspace(0, grid.width, knots), indexing="ij")
    t = grid.transform
    x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
    if crs.is_geographic:
        factor = math.degrees(crs.axis_info[0].unit_conversion_factor)
        lon, lat = x * factor, y * factor
    else:
        lon, lat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    return np.unwrap(np.unwrap(lon, axis=1, period=360), axis=0, period=360), lat


def _straightness(values: NDArray[np.float64]) -> float:
    """Greatest distance of the odd knots from the straight lines (and the cell's middle) between the even ones."""
    even = values[::2, ::2]
    across = values[::2, 1::2] - (even[:, :-1] + even[:, 1:]) / 2
    down = values[1::2, ::2] - (even[:-1] + even[1:]) / 2
    middle = values[1::2, 1::2] - (even[:-1, :-1] + even[1:, :-1] + even[:-1, 1:] + even[1:, 1:]) / 4
    return max(float(np.abs(part).max()) for part in (across, down, middle))


def _true_north_deg(grid: Grid) -> float | None:
    """Direction of true north at the middle, clockwise from the north of the CRS, degrees."""
    row, col = grid.height / 2, grid.width / 2
    here, aside = grid.lonlat(row, col), grid.lonlat(row, col + 0.5)
    size = grid.pixel_size_m()
    if here is None or aside is None or size is None:
        return None
    east = math.radians((aside[0] - here[0] + 180) % 360 - 180) * math.cos(math.radians(here[1]))
    north = math.radians(aside[1] - here[1])
    t = grid.transform
    on_ground = math.atan2(east, north)  # bearing of a step along the row, from true north
    in_crs = math.atan2(t.a, t.d)  # the same step, from the north of the CRS
    return math.degrees(in_crs - on_ground + math.pi) % 360 - 180
