"""From one georeferenced grid to another."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, reproject

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid

Method = Literal["nearest", "bilinear", "cubic", "average"]


def warp_to_grid(
    data: NDArray[np.float32], source: Grid, target: Grid, method: Method = "bilinear"
) -> NDArray[np.float32]:
    """Values on another grid.

    Parameters
    ----------
    data
        float32, shape (band, row, col) on `source`; NaN = no data.
    source, target
        Both georeferenced.
    method
        "bilinear" for heights; "average" where the target's pixels are much larger.

    Returns
    -------
    float32, shape (band, row, col) on `target`, NaN where `data` has nothing. A weighted mean leaves missing
    pixels out, so gaps do not grow.

    Raises
    ------
    GridMismatchError
        One of the grids has no reference system, or no transformation leads from one to the other.
    """
    if source.crs is None or target.crs is None:
        raise GridMismatchError(
            f"a grid of {source.shape} without a common reference system cannot be brought onto one of "
            f"{target.shape}; georeference both, or give rasters of one shape"
        )
    out = np.full((data.shape[0], *target.shape), np.nan, dtype=np.float32)
    try:
        reproject(
            data,
            out,
            src_transform=source.transform,
            src_crs=source.crs,
            src_nodata=np.nan,
            dst_transform=target.transform,
            dst_crs=target.crs,
            dst_nodata=np.nan,
            resampling=Resampling[method],
        )
    except RasterioError as error:
        raise GridMismatchError(
            f"no way from the prediction's reference system to the truth's ({error}); warp one of them first"
        ) from error
    return out
