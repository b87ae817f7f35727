"""The sea in pictures of heights: the network has learned from land, and builds towns on level water."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Red, green, blue, 0 to 1, of deep water in a scene that was stretched for land.
SEA = (0.07, 0.13, 0.21)
# Height models of the surface set the sea to 0 and level it; ground is never so even over so many pixels.
MOST_HEIGHT_M, MOST_STEP_M = 0.5, 0.02
EVEN_PX = 5
COAST_PX = 0.7


def sea_share(height_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of sea in each pixel, 0 to 1: ground at height 0 that is level over 5 x 5 pixels; soft at the coast.

    Parameters
    ----------
    height_m
        float32, shape (row, col), metres above the sea, no NaN.

    Returns
    -------
    float32, shape (row, col).
    """
    near_zero = np.abs(height_m) < MOST_HEIGHT_M
    if not near_zero.any():
        return np.zeros(height_m.shape, np.float32)
    step = ndimage.maximum_filter(height_m, EVEN_PX) - ndimage.minimum_filter(height_m, EVEN_PX)
    middle = near_zero & (step < MOST_STEP_M)
    # Back to the shore, from which the squares above kept away.
    water = ndimage.binary_dilation(middle, np.ones((EVEN_PX, EVEN_PX), bool)) & near_zero
    return np.asarray(ndimage.gaussian_filter(water.astype(np.float32), COAST_PX, truncate=3.0), np.float32)


def paint_sea(image: NDArray[np.float32], height_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture with water where the sea is.

    Parameters
    ----------
    image
        float32, shape (3, row, col), 0 to 1.
    height_m
        float32, shape (row, col), metres above the sea, no NaN.

    Returns
    -------
    float32, shape (3, row, col), 0 to 1; `image` itself where there is no sea.
    """
    share = sea_share(height_m)
    if not share.any():
        return image
    water = np.array(SEA, np.float32)[:, None, None]
    return np.asarray(image + share * (water - image), np.float32)
