"""A look at a picture's header, and a small picture of it, before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import RasterioError

from im2dem.core.errors import InputError
from im2dem.core.preview import to_rgb8
from im2dem.io.bands import picture_plan
from im2dem.io.environment import damaged, gdal_env, quiet_georeference, why_unreadable
from im2dem.io.geotiff import open_reader

from .formats import READERS

_PREVIEW_PX = 1024
_QUALITY = 82
_LEAST_PX = 2
_MEGA = 1e6


class TooManyPixelsError(InputError):
    """The picture is larger than this server takes."""


@dataclass(frozen=True)
class Header:
    """What a picture says about itself.

    Parameters
    ----------
    width, height, bands
        Pixels, and how many bands.
    dtype
        Of its numbers, e.g. "uint16".
    format
        Short name of GDAL.
    gsd_m
        Metres per pixel, or None.
    georeferenced
        Whether it says where it lies.
    """

    width: int
    height: int
    bands: int
    dtype: str
    format: str
    gsd_m: float | None
    georeferenced: bool


def look(picture: Path, most_pixels: int, bytes_per_pixel: int, gsd_m: float | None) -> Header:
    """Read a picture's header and refuse what would be too large, before one pixel is decoded.

    Parameters
    ----------
    picture
        The file, its ending as `formats.ending_of` gives it.
    most_pixels, bytes_per_pixel
        Width times height, and bytes of all bands for each pixel of that many.
    gsd_m
        As the client told it.

    Raises
    ------
    NotAnImageError
        Not one of the allowed formats, or damaged.
    TooManyPixelsError
        Too many pixels or too many bands.
    InputError
        A line, not a surface.
    """
    try:
        with gdal_env(), quiet_georeference(), _opened(picture) as dataset:
            width, height, bands = dataset.width, dataset.height, dataset.count
            item = max((np.dtype(_numpy_name(name)).itemsize for name in dataset.dtypes), default=1)
            dtype, driver = str(dataset.dtypes[0]) if bands else "", dataset.driver
    except RasterioError as error:
        raise why_unreadable(str(picture), error) from error
    if width * height > most_pixels:
        raise TooManyPixelsError(
            f"{picture}: has {width:,} x {height:,} = {width * height / _MEGA:,.0f} million pixels; this server takes "
            f"{most_pixels / _MEGA:,.0f} million: crop it, make it coarser, or run im2dem predict yourself"
        )
    unpacked = width * height * bands * item
    if unpacked > most_pixels * bytes_per_pixel:
        raise TooManyPixelsError(
            f"{picture}: its {bands} bands of {width:,} x {height:,} pixels fill {unpacked / 1e9:.1f} GB when they "
            "are unpacked; keep red, green and blue alone"
        )
    if min(width, height) < _LEAST_PX:
        raise InputError(f"{picture}: has {width} x {height} pixels; a surface needs {_LEAST_PX} x {_LEAST_PX} or more")
    with open_reader(picture, gsd_m=gsd_m) as reader:
        grid = reader.grid
    return Header(width, height, bands, dtype, driver, grid.gsd_m, grid.lonlat(0.0, 0.0) is not None)


def write_preview(picture: Path, target: Path, bands: tuple[int, ...] | None) -> None:
    """A small WebP of a picture for the page, every n-th pixel; grey where it has no data.

    Parameters
    ----------
    picture, target
        The files.
    bands
        Red, green, blue from 1; None: chosen as for the prediction.

    Raises
    ------
    NotAnImageError
        The pixels are damaged.
    UsageError, UnsupportedTypeError
        See `open_reader`.
    """
    with gdal_env(), quiet_georeference(), _opened(picture) as dataset:
        plan = picture_plan(dataset, bands)
        shrink = min(1.0, _PREVIEW_PX / max(dataset.width, dataset.height))
        shape = tuple(max(1, round(side * shrink)) for side in (dataset.height, dataset.width))
        try:
            stored = dataset.read(plan.indexes, out_shape=(len(plan.indexes), *shape))
        except RasterioError as error:
            raise damaged(str(picture), error) from error
        nodata = plan.nodata[0]
    rgb = _rgb(stored, plan.palette, nodata)
    Image.fromarray(rgb).save(target, "WEBP", quality=_QUALITY)


def _opened(picture: Path) -> Any:
    """The file, by the one reader that its first bytes call for."""
    return rasterio.open(picture, driver=READERS[picture.suffix.removeprefix(".")])


def _rgb(stored: NDArray[Any], palette: NDArray[np.uint8] | None, nodata: float | None) -> NDArray[np.uint8]:
    if palette is not None:
        return np.ascontiguousarray(palette[stored[0]][..., :3])
    values = stored.astype(np.float32)
    if nodata is not None:
        values[:, (stored == nodata).all(axis=0)] = np.nan
    return to_rgb8(values)


def _numpy_name(name: str) -> str:
    """GDAL's complex integers are read as complex floats."""
    return {"complex_int16": "complex64", "complex_int32": "complex64"}.get(name, name)
