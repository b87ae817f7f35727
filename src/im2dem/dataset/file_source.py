"""Pairs from files of one's own: a picture and a height model, brought onto one grid and cut into chips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.warp import transform_bounds

from im2dem.core.errors import Im2DemError, InputError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.io.warp import Method, warp_to_grid

from .area import area_of_grid
from .cells import default_cell_km
from .encode import Draft
from .plan import Block, Chip, gather, plan_chips
from .sources import Log
from .store import Outcome

UNKNOWN_LICENCE = "not stated (NC assumed)"
_MARGIN_PX = 4


@dataclass(frozen=True)
class FileSource:
    """A picture and a height model on disk.

    Parameters
    ----------
    image, dem
        Files.
    bands
        Red, green, blue of the picture from 1, or None: chosen.
    licence
        Of both, in words.
    sun
        Azimuth and elevation in degrees, or None: what the picture's tags say.
    vertical_datum
        Of the heights, or None: what the file says.
    """

    image: str
    dem: str
    bands: tuple[int, ...] | None = None
    licence: str = UNKNOWN_LICENCE
    sun: tuple[float, float] | None = None
    vertical_datum: str | None = None

    @property
    def provenance(self) -> dict[str, Any]:
        """The two files and their licence."""
        return {
            "kind": "files",
            "sources": [
                {"role": "picture", "name": Path(self.image).name, "licence": self.licence},
                {"role": "heights", "name": Path(self.dem).name, "licence": self.licence},
            ],
        }

    def plan(self, size_px: int, gsd_m: float | None, side_chips: int = 4) -> list[Block]:
        """Blocks that cover the picture.

        On the picture's own grid where that is north up in metres, so that no pixel of it is interpolated; on the UTM
        grid where it is not, or when a pixel size is asked for.

        Parameters
        ----------
        size_px
            Side of a chip.
        gsd_m
            Metres a pixel on the UTM grid, or None.
        side_chips
            Chips along a block.

        Raises
        ------
        InputError
            One of the files has no reference system.
        """
        with open_reader(self.image, bands=self.bands) as reader, open_dem(self.dem) as heights:
            grid = reader.grid
            for name, its in ((self.image, grid), (self.dem, heights.grid)):
                if its.lonlat(0, 0) is None:
                    raise InputError(
                        f"{name}: has no reference system; a training set is split by place, so georeference it first"
                    )
        if gsd_m is None and is_north_up_in_metres(grid):
            return list(_own_grid(grid, Path(self.image).stem, size_px, side_chips))
        step = gsd_m if gsd_m is not None else float(f"{grid.gsd_m:.3g}")
        return gather(list(plan_chips(area_of_grid(grid, self.image), size_px, step)), side_chips)

    def default_cell_km(self, size_px: int, gsd_m: float | None) -> float:
        """Side of split cells for these chips."""
        with open_reader(self.image, bands=self.bands) as reader:
            return default_cell_km(size_px, gsd_m or reader.grid.gsd_m or 10.0)

    def read(self, block: Block, cache: Path | None, log: Log) -> Iterator[Draft | Outcome]:
        """See `sources.PairSource`."""
        del cache
        with open_reader(self.image, bands=self.bands) as reader, open_dem(self.dem) as heights:
            datum = self.vertical_datum or heights.info.vertical_datum
            sun = self.sun or (reader.info.sun_azimuth_deg, reader.info.sun_elevation_deg)
            record: dict[str, Any] = {
                "licence": self.licence,
                "vertical_datum": datum,
                "sun_azimuth_deg": sun[0],
                "sun_elevation_deg": sun[1],
                "dates": [reader.info.acquired.date().isoformat()] if reader.info.acquired else [],
                "observations": 1,
                "image": Path(self.image).name,
                "dem": Path(self.dem).name,
                "source": "files",
            }
            for chip, _ in block.chips:
                try:
                    picture = read_onto(reader, chip.grid)
                    dem = read_onto(heights, chip.grid)[0]
                except Im2DemError as error:
                    log.add("chips failed", f"{chip.name}: {error}")
                    yield Outcome(chip.name, "failed", str(error))
                    continue
                yield Draft(chip, _whole_numbers(picture, reader.dtype), dem, "DN", record=record)


def read_onto(reader: RasterReader, grid: Grid) -> NDArray[np.float32]:
    """Values of a raster on another grid: cut where the grids agree, interpolated where they do not.

    Parameters
    ----------
    reader
        Georeferenced.
    grid
        Wanted.

    Returns
    -------
    float32 (band, row, col), NaN outside. The mean of the pixels where the wanted ones are at least 1.5 times as large,
    else bilinear.
    """
    aligned = aligned_window(reader.grid, grid)
    if aligned is not None:
        return reader.read(aligned)
    window = covering_window(reader.grid, grid)
    if window is None:
        return np.full((len(reader.bands), *grid.shape), np.nan, dtype=np.float32)
    fine, coarse = reader.grid.crop(window).gsd_m, grid.gsd_m
    method: Method = "average" if fine and coarse and coarse >= 1.5 * fine else "bilinear"
    return warp_to_grid(reader.read(window), reader.grid.crop(window), grid, method)


def aligned_window(source: Grid, target: Grid) -> Window | None:
    """The window of `source` that is exactly `target`, to a thousandth of a pixel, or None."""
    a, b = source.transform, target.transform
    if source.crs != target.crs or not np.allclose((a.a, a.b, a.d, a.e), (b.a, b.b, b.d, b.e), rtol=1e-9, atol=0):
        return None
    col, row = ~a @ (b.c, b.f)
    if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
        return None
    return Window(round(row), round(col), *target.shape)


def covering_window(source: Grid, target: Grid) -> Window | None:
    """The window of `source` that holds `target` with a few pixels around, or None when they do not touch."""
    bounds = transform_bounds(target.crs, source.crs, *target.bounds, densify_pts=21)
    corners = [~source.transform @ (x, y) for x in bounds[::2] for y in bounds[1::2]]
    cols, rows = zip(*corners, strict=True)
    top, left = math.floor(min(rows)) - _MARGIN_PX, math.floor(min(cols)) - _MARGIN_PX
    bottom, right = math.ceil(max(rows)) + _MARGIN_PX, math.ceil(max(cols)) + _MARGIN_PX
    return Window(top, left, bottom - top, right - left).intersection(source.window)


def is_north_up_in_metres(grid: Grid) -> bool:
    """Whether pixels are square, north is up and the reference system is projected."""
    t = grid.transform
    if grid.crs is None or not CRS.from_user_input(grid.crs).is_projected:
        return False
    return t.b == 0 and t.d == 0 and t.a > 0 > t.e and math.isclose(t.a, -t.e, rel_tol=1e-6)


def _own_grid(grid: Grid, stem: str, size_px: int, side_chips: int) -> Iterator[Block]:
    step = size_px * side_chips
    for top in range(0, grid.height - size_px + 1, step):
        for left in range(0, grid.width - size_px + 1, step):
            chips = []
            for row in range(top, min(top + step, grid.height - size_px + 1), size_px):
                for col in range(left, min(left + step, grid.width - size_px + 1), size_px):
                    name = f"{stem}-r{row:06d}-c{col:06d}-{size_px}px"
                    square = grid.crop(Window(row, col, size_px, size_px))
                    chips.append((Chip(name, square), Window(row - top, col - left, size_px, size_px)))
            shape = (max(w.row_stop for _, w in chips), max(w.col_stop for _, w in chips))
            origin = grid.transform @ Affine.translation(left, top)
            yield Block(chips[0][0].name, Grid(shape, origin, grid.crs), tuple(chips))


def _whole_numbers(picture: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """8-bit pictures stay 8-bit: 0 in all bands is no picture, a black pixel becomes the darkest grey there is."""
    if dtype != "uint8":
        return picture
    seen = np.isfinite(picture).all(axis=0)
    whole = np.rint(np.where(seen, picture, 0)).astype(np.uint8)
    whole[:, seen & (whole == 0).all(axis=0)] = 1
    return whole
