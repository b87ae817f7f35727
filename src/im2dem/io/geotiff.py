"""Pictures and height models from files: everything that GDAL can open, read window by window."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import rasterio

from im2dem.core.errors import NoDataError, NotAnImageError, UnsupportedTypeError
from im2dem.core.protocols import RasterReader
from im2dem.core.raster import Raster
from im2dem.core.scaling import lattice, strips

from .bands import ReadPlan, picture_plan, plain_plan
from .environment import UNREADABLE, check_png_complete, gdal_env, is_virtual, quiet_georeference, why_unreadable
from .georeference import grid_of, vertical_datum_of, vertical_unit_m
from .reader import Conversion, FileReader
from .scene import SceneInfo, acquired, all_tags, sun

log = logging.getLogger("im2dem")

_METRES = {
    "": 1.0,
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), 0.3048),
    **dict.fromkeys(
        ("us survey foot", "us survey feet", "us-ft", "ftus", "us_survey_foot", "survey foot"), 1200 / 3937
    ),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 0.01),
    **dict.fromkeys(("dm", "decimetre", "decimeter"), 0.1),
    **dict.fromkeys(("km", "kilometre", "kilometer"), 1000.0),
}
_SAMPLED_FIRST = 65_536
# rasterio looks through all bands for each band that it reads: ten thousands take minutes.
_MOST_BANDS = 4096


def open_reader(
    source: str | os.PathLike[str], *, bands: tuple[int, ...] | None = None, gsd_m: float | None = None
) -> FileReader:
    """A picture as a reader of exactly three bands: red, green, blue in digital numbers.

    One band is repeated, a palette expanded, an alpha band masks; see `bands.picture_plan` for the choice
    among more bands and for what counts as missing.

    Parameters
    ----------
    source
        Path of a GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG, WebP ... or any name that GDAL understands.
    bands
        Bands from 1 in the order red, green, blue, or one for grey; None: chosen.
    gsd_m
        Metres per pixel, for a file without reference system.

    Returns
    -------
    To be used in a with block.

    Raises
    ------
    NotAnImageError
        There is no such file, or it is not a raster, or it is empty or truncated.
    UnsupportedTypeError
        Complex numbers, two bands that are not grey and alpha, or more bands than 4,096.
    UsageError
        A band that is not there, or `gsd_m` for a georeferenced file.
    """
    dataset = _open(source)
    with _closed_on_error(dataset, source):
        plan = picture_plan(dataset, bands)
        return FileReader(dataset, plan, grid_of(dataset, gsd_m), _info(dataset, plan, "DN"), None)


def open_dem(
    source: str | os.PathLike[str], *, band: int = 1, gsd_m: float | None = None, with_sigma: bool = False
) -> FileReader:
    """A height model as a reader of one band in metres, or of two: heights and their standard deviation.

    Scale, offset and unit of the band are applied. Heights in "px" (relative, no scale known) stay so.
    Undeclared sentinels become NaN: the least number of a signed integer type, and all below -12,000 m or
    above 30,000 m.

    Parameters
    ----------
    source
        As in `open_reader`.
    band
        From 1.
    gsd_m
        Metres per pixel, for a file without reference system.
    with_sigma
        Read the band after `band` too, if it is called "sigma" (as `im2dem predict` writes it).

    Returns
    -------
    To be used in a with block.

    Raises
    ------
    NotAnImageError
        There is no such file, or it is not a raster, or it is empty or truncated.
    UnsupportedTypeError
        Complex numbers, or more bands than 4,096.
    UsageError
        A band that is not there, or `gsd_m` for a georeferenced file.
    """
    dataset = _open(source)
    with _closed_on_error(dataset, source):
        both = with_sigma and dataset.count > band and dataset.descriptions[band] == "sigma"
        indexes, names = ((band, band + 1), ("height", "sigma")) if both else ((band,), ("height",))
        plan = plain_plan(dataset, indexes, names)
        unit, to_metres = _height_unit(dataset, band)
        all_scales, all_offsets = dataset.scales, dataset.offsets
        scales = tuple(float(all_scales[i - 1]) for i in indexes)
        offsets = tuple(float(all_offsets[i - 1]) for i in indexes)
        conversion = Conversion(scales, offsets, to_metres, heights=True)
        return FileReader(dataset, plan, grid_of(dataset, gsd_m), _info(dataset, plan, unit), conversion)


def read_raster(source: str | os.PathLike[str]) -> Raster:
    """A whole file in memory, bands as they are: undoes `cog.write_raster`.

    Parameters
    ----------
    source
        As in `open_reader`.

    Returns
    -------
    With the names, unit ("DN" when the file has none) and vertical datum that the file tells; scales and
    offsets are applied.

    Raises
    ------
    NotAnImageError
        There is no such file, or it is not a raster, or it is empty or truncated.
    UnsupportedTypeError
        Complex numbers, or more bands than 4,096.
    """
    dataset = _open(source)
    with _closed_on_error(dataset, source):
        indexes = tuple(range(1, dataset.count + 1))
        names = tuple(name or f"band_{i}" for i, name in zip(indexes, dataset.descriptions, strict=True))
        plan = plain_plan(dataset, indexes, names)
        info = _info(dataset, plan, (dataset.units[0] or "DN"))
        conversion = Conversion(tuple(map(float, dataset.scales)), tuple(map(float, dataset.offsets)))
        with FileReader(dataset, plan, grid_of(dataset, None), info, conversion) as reader:
            data = reader.read(reader.grid.window)
            return Raster(data, reader.grid, names, info.unit, info.vertical_datum)


def ensure_has_data(reader: RasterReader) -> None:
    """Return when at least one pixel has a value in every band; looks at a few windows first, then at all
    rows.

    Parameters
    ----------
    reader
        The raster.

    Raises
    ------
    NoDataError
        There is no such pixel.
    """
    for window in chain(lattice(reader.grid, _SAMPLED_FIRST), strips(reader.grid)):
        if np.isfinite(reader.read(window)).all(axis=0).any():
            return
    name = getattr(reader, "name", "the raster")
    height, width = reader.grid.shape
    raise NoDataError(
        f"{name}: not one of its {height} x {width} pixels has a value; "
        f"check the nodata value and the alpha band, or give another picture"
    )


def _open(source: str | os.PathLike[str]) -> Any:
    name = os.fspath(source)
    try:
        with gdal_env(), quiet_georeference():
            dataset = rasterio.open(name)
    except UNREADABLE as error:
        raise why_unreadable(name, error) from error
    with _closed_on_error(dataset, source):
        if dataset.count == 0:
            parts = list(dataset.subdatasets)
            raise NotAnImageError(
                f"{name}: holds {len(parts)} rasters, not one; give one of them"
                + (f", e.g. {parts[0]}" if parts else "")
            )
        if dataset.count > _MOST_BANDS:
            raise UnsupportedTypeError(
                f"{name}: says that it has {dataset.count:,} bands, and at most {_MOST_BANDS:,} are read; choose the "
                "bands of a picture first (gdal_translate -b 3 -b 2 -b 1), or download the file again if it is damaged"
            )
        if dataset.driver == "PNG" and not is_virtual(name):
            check_png_complete(name)
    return dataset


@contextmanager
def _closed_on_error(dataset: Any, source: str | os.PathLike[str]) -> Iterator[None]:
    """Close the file when the block fails; what GDAL complains of under rasterio's private names is a damaged file."""
    try:
        yield
    except BaseException as error:
        dataset.close()
        if isinstance(error, UnicodeDecodeError | MemoryError) or (
            isinstance(error, Exception) and type(error).__module__ == "rasterio._err"
        ):
            raise why_unreadable(os.fspath(source), error) from error
        raise


def _info(dataset: Any, plan: ReadPlan, unit: str) -> SceneInfo:
    tags = all_tags(dataset)
    azimuth, elevation = sun(tags)
    return SceneInfo(
        driver=dataset.driver,
        unit=unit,
        nodata=plan.nodata_in_words(),
        acquired=acquired(tags),
        vertical_datum=vertical_datum_of(dataset),
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
    )


def _height_unit(dataset: Any, band: int) -> tuple[str, float]:
    """("m", metres in one unit of the file), or ("px", 1): the band's own unit, else that of the vertical
    axis."""
    unit = (dataset.units[band - 1] or "").strip().lower()
    if unit == "px":
        return "px", 1.0
    if not unit:
        return "m", vertical_unit_m(dataset) or 1.0
    if unit not in _METRES:
        log.warning("%s: heights in unknown unit %r are taken as metres", dataset.name, unit)
    return "m", _METRES.get(unit, 1.0)
