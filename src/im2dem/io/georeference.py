"""Where a raster lies: from what a file says to a `Grid`, and the vertical datum beside it."""

from __future__ import annotations

import logging
import math
from typing import Any

import rasterio.crs
import rasterio.errors
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.transform import from_gcps

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid

log = logging.getLogger("im2dem")

_LOCAL_GRID_NAME = "im2dem local grid"
# From electron microscopes to the whole Earth in one pixel; NaN, as of a place beyond the poles, is neither.
_LEAST_PIXEL_M, _LARGEST_PIXEL_M = 1e-9, 1e8
_ELLIPSOIDAL = "WGS84 ellipsoid"


def grid_of(dataset: Any, gsd_m: float | None) -> Grid:
    """The grid of an open rasterio dataset.

    Pixel-is-point files need nothing here: GDAL's GeoTIFF driver already returns the transform of the pixel
    *corner* for both registrations (a test holds it to that). Ground control points are turned into the
    affine transform that fits them best.

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    gsd_m
        Metres per pixel for a file without reference system, or None.

    Returns
    -------
    With the file's CRS as text ("EPSG:32634", or WKT when no authority has it), or a local grid.

    Raises
    ------
    UsageError
        `gsd_m` given for a file that has a georeference, or not positive.
    """
    shape = (int(dataset.height), int(dataset.width))
    transform, file_crs = dataset.transform, dataset.crs
    points, points_crs = dataset.gcps
    if transform.is_identity and len(points) >= 3:
        log.warning(
            "%s: placed by an affine fit to its %d ground control points; warp it first in steep terrain",
            dataset.name,
            len(points),
        )
        transform, file_crs = from_gcps(points), points_crs or file_crs
    crs = _crs_text(file_crs)
    is_broken = transform.is_degenerate or not all(map(math.isfinite, transform))
    if crs is not None and (transform.is_identity or is_broken or not _is_on_a_body(Grid(shape, transform, crs))):
        log.warning("%s: has a reference system but no usable transform; its place is left out", dataset.name)
        crs = None
    if crs is None:
        if gsd_m is not None or is_broken:
            return Grid.local(shape, gsd_m)
        return Grid(shape, transform, None)
    if gsd_m is not None:
        raise UsageError(
            f"{dataset.name} is georeferenced ({crs[:40]}), so its pixel size is known; "
            f"leave out the metres per pixel (got {gsd_m})"
        )
    return Grid(shape, transform, crs)


def _is_on_a_body(grid: Grid) -> bool:
    """Whether the sides of a pixel have lengths that a picture can have, where lengths are known."""
    return all(_LEAST_PIXEL_M <= side <= _LARGEST_PIXEL_M for side in grid.pixel_size_m() or ())


def vertical_datum_of(dataset: Any) -> str | None:
    """Name of the vertical datum: our own tag first, else the vertical part of the file's CRS, else None.

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    """
    tag = dataset.tags().get("VERTICAL_DATUM")
    if tag:
        return str(tag)
    crs = _parsed(dataset.crs)
    if crs is None:
        return None
    if crs.is_compound:
        return next((str(part.name).removesuffix(" height") for part in crs.sub_crs_list if part.is_vertical), None)
    return _ELLIPSOIDAL if len(crs.axis_info) == 3 else None


def vertical_unit_m(dataset: Any) -> float | None:
    """Metres in one unit of the vertical axis of the file's CRS, or None when it has no such axis.

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    """
    crs = _parsed(dataset.crs)
    if crs is None:
        return None
    axes = [axis for axis in crs.axis_info if axis.direction.lower() in ("up", "down")]
    return float(axes[0].unit_conversion_factor) if axes else None


def file_crs(text: str | None) -> rasterio.crs.CRS | None:
    """rasterio's CRS for the text of a grid.

    Parameters
    ----------
    text
        As in `Grid.crs`.

    Raises
    ------
    UsageError
        GDAL does not understand the text.
    """
    if text is None:
        return None
    try:
        return rasterio.crs.CRS.from_user_input(text)
    except (rasterio.errors.CRSError, ValueError) as error:
        raise UsageError(f"the reference system {text[:80]!r} cannot be written to a file") from error


def _parsed(crs: rasterio.crs.CRS | None) -> CRS | None:
    if not crs:
        return None
    try:
        return CRS.from_wkt(crs.to_wkt(version="WKT2_2019"))
    except (rasterio.errors.CRSError, CRSError):  # some engineering systems exist only in the older text form
        try:
            return CRS.from_wkt(crs.to_wkt())
        except (rasterio.errors.CRSError, CRSError):
            return None


def _crs_text(file_crs: rasterio.crs.CRS | None) -> str | None:
    """Horizontal CRS as "AUTHORITY:code" when it is exactly that one, else WKT; None when there is none."""
    crs = _parsed(file_crs)
    if crs is None:
        if file_crs:
            log.warning("the file's reference system is not understood and is left out")
        return None
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    elif len(crs.axis_info) == 3:
        crs = crs.to_2d()
    if crs.name == _LOCAL_GRID_NAME:
        return Grid.local((1, 1), 1.0).crs  # the text that went in, so that grids compare equal
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else str(crs.to_wkt())
