"""Which way and how far pixels lead on the ground, and which of them are land."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from .grid import Grid

# No tenth of the land has one height to the last digit; the sea has.
_SEA_SHARE = 0.1


def ground_basis(grid: Grid) -> tuple[tuple[float, float], tuple[float, float], str]:
    """Where one column and one row lead on the ground, at the middle of a raster.

    Rotation, shear, mirroring and degrees are all in it; without a georeference a column is one unit
    east and a row one unit south.

    Returns
    -------
    (east, north) of a column, (east, north) of a row, and their unit: "m", or "px" where no scale is known.
    """
    t = grid.transform
    step = math.sqrt(abs(t.determinant))
    x, y = t @ (grid.width / 2, grid.height / 2)
    # One upright pixel of the same area at the middle: its size gives metres per unit of x and of y.
    upright = Affine(step, 0, x - step / 2, 0, -step, y + step / 2)
    size = Grid((1, 1), upright, grid.crs).pixel_size_m()
    if size is None:
        if grid.crs is None:
            return (1.0, 0.0), (0.0, -1.0), "px"
        return (t.a / step, t.d / step), (t.b / step, t.e / step), "px"
    east, north = size[0] / step, size[1] / step
    return (t.a * east, t.d * north), (t.b * east, t.e * north), "m"


def land_heights(heights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Heights without the sea: without the commonest value, where that is so common that it must be level water.

    Parameters
    ----------
    heights
        Any shape and unit, NaN = no data.

    Returns
    -------
    Shape (n,), finite; all of them where no tenth of them is alike, or where nothing else is there.
    """
    finite: NDArray[np.floating] = heights[np.isfinite(heights)]
    values, counts = np.unique(finite, return_counts=True)
    if len(values) < 2 or counts.max() < _SEA_SHARE * finite.size:
        return finite
    return np.asarray(finite[finite != values[counts.argmax()]])
