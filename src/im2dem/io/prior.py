"""A coarse height model on the cells of a picture, whatever its reference system, resolution, extent and voids."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from im2dem.core.anchor_surface import CellSurface
from im2dem.core.errors import InputError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader

from .datum import convert_heights, datum_named, datum_of_product
from .geotiff import open_dem
from .reader import FileReader
from .warp import warp_to_grid

log = logging.getLogger("im2dem")

_MOST_PIXELS = 60_000_000
_MARGIN_PX = 4


@dataclass(frozen=True, eq=False)
class Prior:
    """A coarse height model over a picture.

    Attributes
    ----------
    surface
        How its cells lie over the pixels.
    heights
        Means of the cells, metres, shape `surface.cells`; NaN = void.
    vertical_datum
        What the heights are counted from; None: nobody said.
    cell_m
        Side of a cell, metres.
    names
        The files.
    """

    surface: CellSurface
    heights: NDArray[np.float64]
    vertical_datum: str | None
    cell_m: float
    names: tuple[str, ...]

    @property
    def void_share(self) -> float:
        """Share of the cells without a height."""
        return float(np.mean(~np.isfinite(self.heights)))


def load_prior(sources: Sequence[str | os.PathLike[str]], grid: Grid, vertical_datum: str | None = None) -> Prior:
    """A coarse height model on the cells of a picture.

    Where its pixels are whole blocks of the picture's, they are taken as they are. Otherwise it is warped (cubic,
    or averaged where it is finer than the picture) onto blocks of about its own size.

    Parameters
    ----------
    sources
        One or more files that together cover the picture; what comes first wins.
    grid
        Of the picture.
    vertical_datum
        Above what its heights are, if the files do not say so or are wrong.

    Raises
    ------
    InputError
        Picture or prior without reference system, heights without a scale, no overlap, or files that disagree
        about their vertical datum.
    NotAnImageError
        A file cannot be read.
    """
    if grid.crs is None or grid.gsd_m is None or grid.lonlat(0, 0) is None:
        raise InputError(
            "a coarse height model can be laid over a georeferenced picture only; georeference the picture, or give "
            "known heights in pixels (--points)"
        )
    surface: CellSurface | None = None
    heights = np.empty((0, 0))
    datums: dict[str, str | None] = {}
    cell_m = 0.0
    for source in sources:
        with open_dem(source) as reader:
            name = os.path.basename(reader.name)
            _check(reader, name)
            if surface is None:
                surface = _surface_for(reader.grid, grid)
                cell_m = surface.factor * grid.gsd_m
                heights = np.full(surface.cells, np.nan)
            found = _on_cells(reader, surface, grid)
            heights = np.where(np.isfinite(heights), heights, found)
            datums[name] = _datum_of(reader, name, vertical_datum)
    if surface is None or not np.isfinite(heights).any():
        left, bottom, right, top = grid.bounds
        raise InputError(
            f"{', '.join(datums) or 'the prior'}: no valid height within the picture (x {left:g} to {right:g}, y "
            f"{bottom:g} to {top:g} in {grid.crs[:20]}); give a height model that covers it"
        )
    if len(set(datums.values())) > 1:
        raise InputError(f"the files of the prior have different vertical datums ({datums}); give them one by one")
    return Prior(surface, heights, next(iter(datums.values())), cell_m, tuple(datums))


def _check(reader: FileReader, name: str) -> None:
    if reader.grid.crs is None:
        raise InputError(f"{name}: has no reference system, so it cannot be laid over the picture; georeference it")
    if reader.info.unit == "px":
        raise InputError(f"{name}: its heights are in pixel sizes, not in metres; give a height model in metres")


def _datum_of(reader: FileReader, name: str, given: str | None) -> str | None:
    if given is not None:
        return datum_named(given)
    said = reader.info.vertical_datum
    if said is None:
        return datum_of_product(name)
    try:
        return datum_named(said)
    except ValueError:
        return said


def _surface_for(prior: Grid, grid: Grid) -> CellSurface:
    """Blocks of pixels that are the prior's own, or the nearest to them."""
    step = ~prior.transform @ grid.transform  # from pixels of the picture to pixels of the prior
    if prior.crs == grid.crs and step.a > 0 and step.e > 0:
        factor = round(1 / step.a)
        offset = (step.f * factor, step.c * factor)
        near = [abs(o - round(o)) < 0.02 for o in offset]
        drift = abs(step.a * factor - 1) * grid.width + abs(step.e * factor - 1) * grid.height
        if factor >= 1 and all(near) and drift < 0.1 and abs(step.b) + abs(step.d) < 1e-9:
            return CellSurface(grid.shape, factor, (round(offset[0]) % factor, round(offset[1]) % factor))
    row = _row_of_centre(prior, grid)
    size = prior.pixel_size_m(row)
    own = math.sqrt(size[0] * size[1]) if size else math.inf
    return CellSurface(grid.shape, max(1, min(round(own / (grid.gsd_m or own)), max(grid.shape))))


def _row_of_centre(prior: Grid, grid: Grid) -> float:
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    try:
        x, y = Transformer.from_crs(grid.crs, prior.crs, always_xy=True).transform(x, y)
    except ProjError as error:
        raise InputError(f"no way from the picture's reference system to the prior's: {error}") from error
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InputError("the picture lies where the prior's reference system is not defined")
    row = float((~prior.transform @ (x, y))[1])
    return min(max(row, 0.0), prior.height - 1.0)


def _on_cells(reader: RasterReader, surface: CellSurface, grid: Grid) -> NDArray[np.float64]:
    row, col = surface.offset
    target = grid.crop(Window(-row, -col, surface.cells[0] * surface.factor, surface.cells[1] * surface.factor))
    target = target.coarsen(surface.factor)
    step = ~reader.grid.transform @ target.transform
    exact = reader.grid.crs == grid.crs and max(abs(step.a - 1), abs(step.e - 1)) * max(target.shape) < 0.1
    exact = exact and abs(step.c - round(step.c)) < 0.02 and abs(step.f - round(step.f)) < 0.02
    if exact and abs(step.b) + abs(step.d) < 1e-9:
        window = Window(round(step.f), round(step.c), *target.shape)
        return np.asarray(reader.read(window)[0], np.float64)
    window_or_none = _window_over(reader.grid, target)
    if window_or_none is None:
        return np.full(target.shape, np.nan)
    if window_or_none.height * window_or_none.width > _MOST_PIXELS:
        raise InputError(
            f"the prior has {window_or_none.height} x {window_or_none.width} pixels over the picture, more than can be "
            "held; resample it to the picture's resolution first (gdalwarp -tr ... -r average)"
        )
    data = reader.read(window_or_none)
    finer = abs(step.a * step.e - step.b * step.d) > 1.5**2
    warped = warp_to_grid(data, reader.grid.crop(window_or_none), target, "average" if finer else "cubic")
    return np.asarray(warped[0], np.float64)


def _window_over(prior: Grid, target: Grid) -> Window | None:
    """Pixels of the prior that cover a grid, with a margin for interpolation."""
    edge = np.linspace(0, 1, 9)
    cols, rows = (a.ravel() for a in np.meshgrid(edge * target.width, edge * target.height))
    x, y = (np.asarray(v) for v in target.transform @ (cols, rows))  # type: ignore[operator]
    try:
        x, y = Transformer.from_crs(target.crs, prior.crs, always_xy=True).transform(x, y)
    except ProjError as error:
        raise InputError(f"no way from the picture's reference system to the prior's: {error}") from error
    col, row = ~prior.transform @ (np.asarray(x), np.asarray(y))
    if not (np.isfinite(col).any() and np.isfinite(row).any()):
        return None
    top, left = (math.floor(np.nanmin(np.where(np.isfinite(v), v, np.nan))) - _MARGIN_PX for v in (row, col))
    bottom, right = (math.ceil(np.nanmax(np.where(np.isfinite(v), v, np.nan))) + _MARGIN_PX for v in (row, col))
    return Window(top, left, bottom - top, right - left).intersection(prior.window)


def in_datum(prior: Prior, grid: Grid, target: str) -> Prior:
    """The prior with its heights above another vertical datum, see `datum.convert_heights`.

    Raises
    ------
    InputError
        Nobody says above what the heights are, PROJ has no grid for it, or a place lies outside the grid.
    """
    if prior.vertical_datum is None:
        raise InputError(
            f"nobody says above which datum the heights of {prior.names[0]} are, so they cannot be brought to "
            f"{target}: tell --prior-datum"
        )
    if prior.vertical_datum == target:
        return prior
    (rows, cols), f = prior.heights.shape, prior.surface.factor
    row, col = ((np.arange(n) + 0.5) * f - offset for n, offset in zip((rows, cols), prior.surface.offset, strict=True))
    x, y = (np.asarray(v) for v in grid.transform @ tuple(np.meshgrid(col, row)))  # type: ignore[operator]
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    heights = convert_heights(np.asarray(lon), np.asarray(lat), prior.heights, prior.vertical_datum, target)
    return replace(prior, heights=np.asarray(heights), vertical_datum=target)
