"""Small rasters drawn to disk: every layout of picture and height model that people bring.

A scene is hills with fields on them; no pixel is 0, so that nothing in it looks like missing data::

    colours(h, w)      uint8 (3, h, w), 20..235
    heights(h, w)      float32 (h, w), 500..900 m
    draw(path, data)   any driver, type, mask, transform
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

UTM = "EPSG:32634"
UTM_TRANSFORM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_000_000.0)
DEGREES = Affine(0.0001, 0.0, 21.0, 0.0, -0.0001, 36.0)
ROTATED = UTM_TRANSFORM @ Affine.rotation(30.0)
SHEARED = UTM_TRANSFORM @ Affine.shear(10.0, 5.0)

DRIVERS = {
    ".tif": "GTiff",
    ".jp2": "JP2OpenJPEG",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".webp": "WEBP",
    ".vrt": "VRT",
}
LOSSLESS: dict[str, dict[str, Any]] = {
    "JP2OpenJPEG": {"QUALITY": "100", "REVERSIBLE": "YES"},
    "WEBP": {"LOSSLESS": "YES", "EXACT": "YES"},
    "JPEG": {"QUALITY": "95"},
}


def heights(height: int = 60, width: int = 70) -> NDArray[np.float32]:
    """Hills, shape (height, width), metres."""
    row, col = np.mgrid[0:height, 0:width].astype(np.float64)
    hills = 700 + 150 * np.sin(row / 11.0) + 50 * np.cos(col / 7.0) * np.sin((row + col) / 17.0)
    return np.asarray(hills, dtype=np.float32)


def colours(height: int = 60, width: int = 70, bands: int = 3) -> NDArray[np.uint8]:
    """A scene of hills with fields, shape (bands, height, width), 20..235; every band differs."""
    row, col = np.mgrid[0:height, 0:width].astype(np.float64)
    shade = (heights(height, width) - 500.0) / 400.0
    fields = ((row // 9 + col // 8) % 3) / 2.0
    layers = [np.clip(0.6 * shade + 0.1 * k * fields, 0, 1) for k in range(1, bands + 1)]
    return np.asarray(20 + 215 * np.stack(layers), dtype=np.uint8)


def draw(
    path: Path,
    data: NDArray[Any],
    *,
    crs: str | None = UTM,
    transform: Affine = UTM_TRANSFORM,
    tags: dict[str, str] | None = None,
    mask: NDArray[np.bool_] | None = None,
    colorinterp: Sequence[ColorInterp] | None = None,
    descriptions: Sequence[str] | None = None,
    **profile: Any,
) -> Path:
    """Write a raster with any profile of rasterio; the driver follows the name's ending.

    Parameters
    ----------
    path
        Where; ".png", ".jpg", ".webp" and ".jp2" are copied from a GeoTIFF in memory, as those drivers want.
    data
        Shape (band, row, col), any type.
    mask
        True where valid: becomes a mask inside the file, or a `.msk` side-car with `mask_inside=False`.
    """
    driver = profile.pop("driver", DRIVERS[path.suffix])
    inside = profile.pop("mask_inside", True)
    options = profile.pop("options", LOSSLESS.get(driver, {}))
    bands, height, width = data.shape
    base = path if driver == "GTiff" else path.with_name(path.name + ".base.tif")
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            base,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=bands,
            dtype=data.dtype.name,
            crs=crs,
            # An identity written as such would hide a world file beside the picture.
            transform=None if transform.is_identity else transform,
            **profile,
        ) as dataset:
            dataset.write(data)
            if colorinterp is not None:
                dataset.colorinterp = colorinterp
            if descriptions is not None:
                dataset.descriptions = descriptions
            if tags:
                dataset.update_tags(**tags)
            if mask is not None:
                dataset.write_mask(mask)
        if base != path:
            rasterio.shutil.copy(str(base), str(path), driver=driver, **options)
            if driver != "VRT":
                rasterio.shutil.delete(str(base), driver="GTiff")
    return path


def draw_palette(path: Path, indexes: NDArray[np.uint8], table: dict[int, tuple[int, int, int, int]]) -> Path:
    """A picture of colour indexes, shape (row, col), with a table of red, green, blue, alpha."""
    height, width = indexes.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint8", crs=UTM,
        transform=UTM_TRANSFORM, photometric="palette",
    ) as dataset:  # fmt: skip
        dataset.write(indexes, 1)
        dataset.write_colormap(1, table)
    return path


def draw_ground_control(path: Path, data: NDArray[Any], transform: Affine, crs: str = UTM) -> Path:
    """A picture placed by four ground control points alone, exactly where `transform` puts it."""
    bands, height, width = data.shape
    corners = [(0, 0), (0, width), (height, 0), (height, width)]
    points = [rasterio.control.GroundControlPoint(r, c, *(transform @ (c, r))) for r, c in corners]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=bands,
        dtype=data.dtype.name,
        crs=crs,
        gcps=points,
    ) as dataset:
        dataset.write(data)
    return path


def draw_dem(path: Path, data: NDArray[Any] | None = None, **profile: Any) -> Path:
    """A height model of one band (default: `heights()`), shape (row, col); see `draw` for the rest."""
    chosen = heights() if data is None else data
    return draw(path, chosen[None], **profile)


def draw_empty_giant(path: Path, side: int = 20_000, bands: int = 3) -> Path:
    """A tiled picture of side x side pixels, no tile ever written: 1.2 GB that take a few kB on disk."""
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=bands, dtype="uint8", crs=UTM,
        transform=UTM_TRANSFORM, tiled=True, blockxsize=512, blockysize=512, sparse_ok=True, nodata=255,
    ):  # fmt: skip
        pass
    return path


def truncate(path: Path, share: float) -> Path:
    """Cut a file to a share of its bytes, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
