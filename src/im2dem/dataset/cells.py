"""Which place belongs to train, val or test: cells on the Earth, hashed, with a buffer between the splits.

Rows of equal height in latitude; each row is divided into as many equal cells as its circumference holds::

    row    = floor(latitude / height)              height  = 180 deg / round(half circumference / cell_km)
    column = floor((longitude + 180) / width)      width   = 360 deg / round(circumference at the row / cell_km)

A cell's split depends on its row, its column and the seed alone, never on the area that was asked for: a set that is
extended later, or built again from another source, cannot leak.

The buffer: with the order train < val < test, a chip of one split lies in cells of that split only, and grown by the
buffer it touches no cell of a later split. So no two chips of different splits are nearer than the buffer. What does
not fit is in no split: "buffer".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from im2dem.core.errors import UsageError

SPLITS = ("train", "val", "test")
BUFFER = "buffer"
EARTH_RADIUS_KM = 6371.0088
_HALF_CIRCUMFERENCE_KM = math.pi * EARTH_RADIUS_KM
# The ellipsoid differs from the sphere by 0.34 % at most: distances are asked for with this much to spare.
_SPARE = 1.004

LonLatBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class SplitPlan:
    """How places are divided.

    Parameters
    ----------
    cell_km
        Side of a cell, at least 1 km.
    buffer_m
        Least distance between chips of different splits.
    shares
        Shares of val and test, each 0 to 1, together below 1; train gets the rest.
    seed
        Of the hash.

    Raises
    ------
    UsageError
        A value out of these ranges.
    """

    cell_km: float = 20.0
    buffer_m: float = 1000.0
    shares: tuple[float, float] = (0.1, 0.1)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.cell_km <= 1000:
            raise UsageError(f"cells are 1 to 1000 km wide, got {self.cell_km}")
        if not 0 <= self.buffer_m <= self.cell_km * 1000:
            raise UsageError(f"the buffer is 0 to {self.cell_km * 1000:g} m (one cell), got {self.buffer_m}")
        if min(self.shares) < 0 or sum(self.shares) >= 1:
            raise UsageError(f"shares of val and test are at least 0 and together below 1, got {self.shares}")

    @property
    def row_height_deg(self) -> float:
        """Height of a row of cells in degrees of latitude."""
        return 180.0 / max(1, round(_HALF_CIRCUMFERENCE_KM / self.cell_km))

    def columns(self, row: int) -> int:
        """Number of cells in a row."""
        middle = math.radians((row + 0.5) * self.row_height_deg)
        return max(1, round(2 * _HALF_CIRCUMFERENCE_KM * max(math.cos(middle), 0.0) / self.cell_km))

    def cell_of(self, lon: float, lat: float) -> tuple[int, int]:
        """(row, column) of the cell that holds a place, degrees."""
        rows = round(90.0 / self.row_height_deg)
        row = min(max(math.floor(lat / self.row_height_deg), -rows), rows - 1)
        count = self.columns(row)
        return row, min(math.floor(((lon + 180.0) % 360.0) / 360.0 * count), count - 1)

    def split_of_cell(self, row: int, column: int) -> str:
        """train, val or test: the same on every machine and in every year."""
        digest = hashlib.blake2b(f"{self.seed}:{self.cell_km:g}:{row}:{column}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        val, test = self.shares
        if draw < test:
            return "test"
        return "val" if draw < test + val else "train"

    def cells_touched(self, box: LonLatBox) -> Iterator[tuple[int, int]]:
        """Cells that a box touches.

        Parameters
        ----------
        box
            west, south, east, north in degrees; east may be beyond 180 and west below -180.
        """
        west, south, east, north = box
        first, last = (self.cell_of(0.0, lat)[0] for lat in (max(south, -90.0), min(north, 90.0)))
        for row in range(first, last + 1):
            count = self.columns(row)
            if east - west >= 360.0:
                yield from ((row, column) for column in range(count))
                continue
            start = math.floor((west + 180.0) / 360.0 * count)
            stop = math.floor((east + 180.0) / 360.0 * count)
            for column in sorted({column % count for column in range(start, stop + 1)}):
                yield row, column

    def split_of(self, box: LonLatBox) -> str:
        """Split of a chip: train, val, test, or "buffer" when it lies too near to a place of another split.

        Parameters
        ----------
        box
            west, south, east, north of the chip in degrees.
        """
        touched = {self.split_of_cell(*cell) for cell in self.cells_touched(box)}
        if len(touched) > 1:
            return BUFFER
        (split,) = touched
        near = {self.split_of_cell(*cell) for cell in self.cells_touched(grow_box(box, self.buffer_m))}
        later = SPLITS[SPLITS.index(split) + 1 :]
        return BUFFER if near & set(later) else split


def default_cell_km(size_px: int, gsd_m: float) -> float:
    """Side of cells for chips of a size: at least 10 km, and eight chips, so that most chips lie within one cell.

    >>> default_cell_km(256, 10.0), default_cell_km(64, 10.0)
    (21.0, 10.0)
    """
    return float(min(max(10, math.ceil(8 * size_px * gsd_m / 1000)), 1000))


def grow_box(box: LonLatBox, margin_m: float) -> LonLatBox:
    """A box that holds everything within `margin_m` metres of another; degrees, generous by 0.4 %.

    Parameters
    ----------
    box
        west, south, east, north.
    margin_m
        Metres.
    """
    west, south, east, north = box
    lat_deg = math.degrees(margin_m / 1000 * _SPARE / EARTH_RADIUS_KM)
    widest = min(max(abs(south), abs(north)) + lat_deg, 90.0)
    shrink = math.cos(math.radians(widest))
    lon_deg = 180.0 if shrink < 1e-6 else min(lat_deg / shrink * _SPARE, 180.0)
    return west - lon_deg, max(south - lat_deg, -90.0), east + lon_deg, min(north + lat_deg, 90.0)


def least_distance_m(a: LonLatBox, b: LonLatBox) -> float:
    """Distance of two boxes along the sphere, metres; 0 when they touch.

    Boxes of chips are small, so that their nearest points lie on the parallel of the nearer latitude.

    Parameters
    ----------
    a, b
        west, south, east, north, degrees.
    """
    lat_gap = max(b[1] - a[3], a[1] - b[3], 0.0)
    lon_gap = max(min(_lon_gap(a, b, turn) for turn in (-360.0, 0.0, 360.0)), 0.0)
    if lat_gap == 0.0 and lon_gap == 0.0:
        return 0.0
    if lat_gap == 0.0:
        # They share latitudes; meridians are nearest where the common latitudes are highest.
        high = max(abs(max(a[1], b[1])), abs(min(a[3], b[3])))
        lat1 = lat2 = math.radians(high)
    elif b[1] >= a[3]:
        lat1, lat2 = math.radians(a[3]), math.radians(b[1])
    else:
        lat1, lat2 = math.radians(a[1]), math.radians(b[3])
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(math.radians(lon_gap) / 2) ** 2
    return 2000 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def too_near(boxes: Iterable[tuple[str, str, LonLatBox]], buffer_m: float) -> list[tuple[str, str, float]]:
    """Pairs of chips of different splits that are nearer than the buffer, nearest first.

    The proof that `verify` gives: it looks at the chips alone and knows nothing of cells or hashes. Chips are put in
    bins of latitude and longitude, so that 100,000 of them are compared with their neighbours only.

    Parameters
    ----------
    boxes
        (name, split, box in degrees) of each chip; "buffer" chips are left out.
    buffer_m
        Metres.

    Returns
    -------
    (name, name, distance in metres).
    """
    chips = [chip for chip in boxes if chip[1] in SPLITS]
    if not chips:
        return []
    size = max(max(box[3] - box[1] for _, _, box in chips), 1e-6)
    bin_deg = max(2 * size, math.degrees(buffer_m / 1000 / EARTH_RADIUS_KM) * 2)
    bins: dict[tuple[int, int], list[int]] = {}
    found: dict[tuple[int, int], float] = {}
    # A turn has a whole number of bins, so that those at 180 degrees are neighbours.
    around = max(1, math.floor(360.0 / bin_deg))
    for i, (_, split, box) in enumerate(chips):
        here = set(_bins(box, bin_deg, around))
        near = set(_bins(grow_box(box, buffer_m), bin_deg, around))
        for j in {j for key in near for j in bins.get(key, ())}:
            if chips[j][1] == split:
                continue
            distance_m = least_distance_m(box, chips[j][2])
            if distance_m < buffer_m or (buffer_m == 0 and distance_m == 0):
                found[j, i] = distance_m
        for key in here:
            bins.setdefault(key, []).append(i)
    return sorted(((chips[j][0], chips[i][0], d) for (j, i), d in found.items()), key=lambda pair: pair[2])


def _bins(box: LonLatBox, bin_deg: float, around: int) -> Iterator[tuple[int, int]]:
    west, south, east, north = box
    start, stop = (math.floor((lon + 180.0) / 360.0 * around) for lon in (west, east))
    for row in range(math.floor(south / bin_deg), math.floor(north / bin_deg) + 1):
        for column in range(start, min(stop, start + around - 1) + 1):
            yield row, column % around


def _lon_gap(a: LonLatBox, b: LonLatBox, turn: float) -> float:
    return max(b[0] + turn - a[2], a[0] - (b[2] + turn), 0.0)
