"""A picture brought onto the extent of a height model."""

from __future__ import annotations

import logging
import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS
from pyproj.exceptions import CRSError

from im2dem.core.errors import GridMismatchError
from im2dem.core.grid import Grid
from im2dem.core.preview import NO_DATA_GREY, to_rgb8
from im2dem.core.protocols import RasterReader
from im2dem.core.reduction import read_reduced, reduction_factor
from im2dem.io.warp import Method, warp_to_grid

from .overlap import cropped_to, same_crs

# Closer aspect ratios are one picture at two sizes: rounding a side of 100 pixels moves the ratio this much.
_ASPECT_TOLERANCE = 0.01
_GREY = (NO_DATA_GREY,) * 3
# A picture whose pixels are this much smaller than those wanted is averaged instead of sampled.
_MUCH_FINER = 1.5

_log = logging.getLogger("im2dem")


def drape(image: RasterReader, grid: Grid, max_px: int) -> NDArray[np.uint8]:
    """The picture over exactly the extent of `grid`.

    Parameters
    ----------
    image
        Bands red, green, blue or grey; any values, see `to_rgb8`. In another CRS than `grid` it is warped, and a
        line of the log says so.
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
        No overlap, no way from one CRS to the other, or no georeference and another aspect ratio.
    """
    if image.grid.crs is not None and grid.crs is not None:
        image = cropped_to(image, grid, "image")
    factor = max(1, reduction_factor(image.grid.shape, max_px) - 1)
    rgb = to_rgb8(read_reduced(image, factor))
    if image.grid.crs is None or grid.crs is None:
        _check_aspect(image.grid, grid)
        return rgb
    if not same_crs(image.grid.crs, grid.crs):
        _log.warning("the image is in %s, the DEM in %s: warped the image", _name(image.grid.crs), _name(grid.crs))
        return _warped(rgb, image.grid.coarsen(factor), grid, max_px)
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
    picture = Image.fromarray(rgb).transform(
        size, Image.Transform.AFFINE, tuple(m)[:6], Image.Resampling.BILINEAR, fillcolor=_GREY
    )
    return np.asarray(picture)


def _warped(rgb: NDArray[np.uint8], image: Grid, dem: Grid, max_px: int) -> NDArray[np.uint8]:
    finer = (dem.gsd_m or 1.0) / (image.gsd_m or dem.gsd_m or 1.0)
    shrink = min(finer, max_px / max(dem.shape))
    height, width = (max(2, round(side * shrink)) for side in dem.shape)
    place = dem.transform @ Affine.scale(dem.width / width, dem.height / height)
    target = Grid((height, width), place, dem.crs)
    method: Method = "average" if finer / shrink > _MUCH_FINER else "bilinear"
    bands = np.moveaxis(rgb, -1, 0).astype(np.float32)
    out = warp_to_grid(bands, image, target, method)
    if np.isnan(out).all():
        raise GridMismatchError("the image and the DEM share no ground; give an image of the same place")
    return np.moveaxis(np.where(np.isnan(out), _GREY[0], np.rint(out)).astype(np.uint8), 0, -1)
