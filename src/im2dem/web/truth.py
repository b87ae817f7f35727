"""A true surface beside the predicted one: brought onto the mesh, and to the same zero where heights are relative."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import GridMismatchError, InputError, NoDataError
from im2dem.core.grid import Grid
from im2dem.core.protocols import RasterReader
from im2dem.core.reduction import read_reduced
from im2dem.io.warp import Method, warp_to_grid

from .overlap import cropped_to
from .payload import encode_heights

# A truth this much finer than the mesh is averaged over each pixel; a coarser one is interpolated.
_MUCH_FINER = 1.5


def truth_on_mesh(truth: RasterReader, dem: Grid, mesh: Grid, factor: int) -> NDArray[np.float32]:
    """True heights on the mesh of a page.

    Parameters
    ----------
    truth
        Heights in its first band, metres.
    dem, mesh
        Grids of the height model and of its block means.
    factor
        Pixels of `dem` along one of `mesh`.

    Returns
    -------
    float32, shape (row, col) of `mesh`, metres, NaN = no data.

    Raises
    ------
    GridMismatchError
        Another place, or no georeference and another shape.
    """
    if truth.grid.crs is None or dem.crs is None:
        if truth.grid.shape != dem.shape:
            raise GridMismatchError(
                f"the truth has {truth.grid.height} x {truth.grid.width} pixels, the DEM {dem.height} x {dem.width}, "
                "and they do not both have a reference system; georeference them or give one shape"
            )
        return np.asarray(read_reduced(truth, factor)[0])
    part = cropped_to(truth, dem, "truth")
    finer = (mesh.gsd_m or 1) / (part.grid.gsd_m or mesh.gsd_m or 1)
    reduced = max(1, int(finer / 2))
    data = read_reduced(part, reduced)[:1]
    method: Method = "average" if finer / reduced > _MUCH_FINER else "bilinear"
    return np.asarray(warp_to_grid(data, part.grid.coarsen(reduced), mesh, method)[0])


def truth_members(
    heights: NDArray[np.float32], truth: NDArray[np.float32], relative: bool, metres: float
) -> dict[str, Any]:
    """The member `truth` of the payload.

    Parameters
    ----------
    heights
        Predicted, shape (row, col), in units of `metres` metres, NaN = no data.
    truth
        True, same shape, metres.
    relative
        The predicted heights have no datum: the median difference is taken off the truth, and told as `shift`.
    metres
        Metres in one unit of the predicted heights.

    Raises
    ------
    NoDataError
        No pixel has both.
    InputError
        Infinite true heights.
    """
    if np.isinf(truth).any():
        raise InputError("the truth holds infinite values; declare them as nodata or replace them first")
    own = truth / np.float32(metres)
    both = np.isfinite(own) & np.isfinite(heights)
    if not both.any():
        raise NoDataError("no pixel has both a predicted and a true height; give a truth of the same place")
    shift = float(np.median(own[both] - heights[both])) if relative else 0.0
    return {"field": encode_heights(own - np.float32(shift)), "shift": shift}
