"""A picture brought onto the extent of a height model."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS
from pyproj.exceptions import CRSError

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid
from im2dem.core.protocols import RasterReader

from .picture import to_rgb8
from .reduction import read_reduced, reduction_factor

# Closer aspect ratios are one picture at two sizes: rounding a side of 100 pixels moves the ratio this much.
_ASPECT_TOLERANCE = 0.01
_GREY = (128, 128, 128)


def drape(image: RasterReader, grid: Grid, max_px: int) -> NDArray[np.uint8]:
    """The picture over exactly the extent of `grid`.

    Parameters
    ----------
    image
        Bands red, green, blue or grey; any values, see `to_rgb8`.
    grid
        Of the full-size height model.
    max_px
        Longer side that is of use, pixels.

    Returns
    -------
    Shape (row, col, 3), 0..255, grey where the picture has nothing. Its size is the picture's own, or near
    `max_px` when that is smaller; only its extent is that of `grid`.

    Raises
    ------
    GridMismatchError
        Different CRS, no overlap, or no georeference and another aspect ratio.
    """
    factor = max(1, reduction_factor(image.grid.shape, max_px) - 1)
    rgb = to_rgb8(read_reduced(image, factor))
    if image.grid.crs is None or grid.crs is None:
        _check_aspect(image.grid, grid)
        return rgb
    if not _same_crs(image.grid.crs, grid.crs):
        raise GridMismatchError(
            f"the image is in {_name(image.grid.crs)}, the DEM in {_name(grid.crs)}; "
            "warp the image to the DEM's CRS first (gdalwarp -t_srs, rio warp --like)"
        )
    if factor == 1 and _same_place(image.grid, grid):
        return rgb
    return _resampled(rgb, image.grid.coarsen(factor).transform, grid, max_px)


def _check_aspect(image: Grid, dem: Grid) -> None:
    ratio = (image.width / image.height) / (dem.width / dem.height)
    if abs(math.log(ratio)) > _ASPECT_TOLERANCE:
        raise GridMismatchError(
            f"the image has {image.height} x {image.width} pixels, the DEM {dem.height} x {dem.width}, and "
            "without a georeference in both they must agree in aspect ratio; crop or georeference the image"
        )


def _same_crs(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return CRS.from_user_input(one).equals(CRS.from_user_input(other), ignore_axis_order=True)
    except CRSError:
        return False


def _name(crs: str) -> str:
    try:
        return CRS.from_user_input(crs).name
    except CRSError:
        return crs[:60]


def _same_place(image: Grid, dem: Grid) -> bool:
    """True when the corners of both fall within a tenth of a pixel of the image."""
    to_image = ~image.transform @ dem.transform
    for col, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = to_image @ (col * dem.width, row * dem.height)
        if abs(x - col * image.width) > 0.1 or abs(y - row * image.height) > 0.1:
            return False
    return True


def _resampled(rgb: NDArray[np.uint8], transform: Affine, dem: Grid, max_px: int) -> NDArray[np.uint8]:
    to_image = ~transform @ dem.transform
    # As many pixels as the picture has over this extent: more shows nothing new.
    width = math.hypot(to_image.a, to_image.d) * dem.width
    height = math.hypot(to_image.b, to_image.e) * dem.height
    shrink = min(1.0, max_px / max(width, height))
    size = max(2, round(width * shrink)), max(2, round(height * shrink))
    # Pillow wants the way back: output pixel -> input pixel, both counted from the corner.
    m = to_image @ Affine.scale(dem.width / size[0], dem.height / size[1])
    corners = [to_image @ (c * dem.width, r * dem.height) for c in (0, 1) for r in (0, 1)]
    xs, ys = zip(*corners, strict=True)
    if max(xs) <= 0 or max(ys) <= 0 or min(xs) >= rgb.shape[1] or min(ys) >= rgb.shape[0]:
        raise GridMismatchError("the image and the DEM share no ground; give an image of the same place")
    picture = Image.fromarray(rgb).transform(
        size, Image.Transform.AFFINE, tuple(m)[:6], Image.Resampling.BILINEAR, fillcolor=_GREY
    )
    return np.asarray(picture)
