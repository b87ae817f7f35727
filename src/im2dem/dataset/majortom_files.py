"""The GeoTIFFs within a row of Major TOM: bands and cloud mask of a picture, and heights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from im2dem.core.errors import RemoteError
from im2dem.core.grid import Grid
from im2dem.core.nodata import to_nan
from im2dem.core.raster import Raster
from im2dem.io.environment import gdal_env, quiet_georeference
from im2dem.io.georeference import grid_of

from .majortom_grid import snapped

BANDS = ("B04", "B03", "B02", "cloud_mask")
_NO_HEIGHT_BELOW_M = -500.0


def read_picture(row: Mapping[str, bytes], grid: Grid, name: str) -> NDArray[np.uint16]:
    """Bands and cloud mask of a row.

    Parameters
    ----------
    row
        The files of `BANDS`.
    grid
        Where they must lie, after their corner was rounded to whole pixels.
    name
        For messages.

    Returns
    -------
    uint16, shape (4, row, col): red, green, blue as digital numbers with 0 = none, and the mask with 0 = clear.

    Raises
    ------
    RemoteError
        A file is damaged, or lies elsewhere.
    """
    out = np.zeros((len(BANDS), *grid.shape), dtype=np.uint16)
    for i, band in enumerate(BANDS):
        data, _, its = _open(row[band], f"{name}, {band}")
        same = its.shape == grid.shape and its.crs == grid.crs
        if not same or not np.allclose(list(snapped(its).transform), list(grid.transform), rtol=0, atol=1e-6):
            raise RemoteError(f"{name}, {band}: lies at {tuple(its.transform)[:6]}, not where its cell does")
        out[i] = data
    return out


def read_heights(content: bytes, name: str) -> Raster:
    """Heights of a row, metres, NaN = none, on their own grid.

    Raises
    ------
    RemoteError
        The file is damaged.
    """
    data, nodata, grid = _open(content, f"{name}, heights")
    heights = to_nan(data, nodata)
    heights[heights < _NO_HEIGHT_BELOW_M] = np.nan  # sentinels that the file does not declare
    return Raster(heights[None], grid, ("height",), "m", "EGM2008")


def _open(content: bytes, name: str) -> tuple[NDArray[Any], float | None, Grid]:
    try:
        with gdal_env(), quiet_georeference(), MemoryFile(content) as memory, memory.open() as file:
            return file.read(1), file.nodata, grid_of(file, None)
    except (RasterioError, ValueError, TypeError) as error:
        raise RemoteError(f"{name}: no raster that can be read ({error})") from error
