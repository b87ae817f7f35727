"""The settings under which this package calls GDAL, and its failures in one clear sentence."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from im2dem.core.errors import InputError, NotAnImageError

_CACHE_BYTES = 256 * 2**20
# As GDAL, libtiff, libpng and NumPy put it, in errors that are not of the class for it.
_NO_MEMORY = (
    "array is too big",
    "maximum allowed dimension",
    "out of memory",
    "cannot allocate",
    "unable to allocate",
    "insufficient memory",
    "not enough memory",
)
# rasterio decodes what GDAL says strictly; a damaged file's own text may be in it.
UNREADABLE = (RasterioError, OSError, UnicodeDecodeError, MemoryError)
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def gdal_env() -> rasterio.Env:
    """A context with a bounded block cache and the settings that change what a file means.

    GDAL's own default is a cache of 5 % of the machine's memory. An environment variable of the user may have
    switched off the half-pixel shift of pixel-is-point files; heights would then land half a pixel away.
    """
    return rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GTIFF_POINT_GEO_IGNORE=False)


@contextmanager
def quiet_georeference() -> Iterator[None]:
    """Silence rasterio's warning about missing georeference: the commands say so themselves, once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def is_virtual(name: str) -> bool:
    """True for GDAL names that are no path of this machine's file system: /vsi..., URLs, driver prefixes."""
    return name.startswith("/vsi") or "://" in name or (":" in name[2:] and not os.path.exists(name))


def why_unreadable(name: str, cause: Exception) -> InputError:
    """The error for a source that GDAL could not open, with the reason that a person can act on.

    Parameters
    ----------
    name
        Path or GDAL name as given.
    cause
        What rasterio raised.
    """
    wanted = "give a GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG or WebP file"
    if is_out_of_memory(cause):
        return too_large(name, cause)
    if not is_virtual(name):
        if not os.path.lexists(name):
            return NotAnImageError(f"{name}: there is no such file; check the path")
        if os.path.isdir(name):
            return NotAnImageError(f"{name}: this is a folder, not a picture; {wanted}")
        try:
            with open(name, "rb") as file:
                empty = not file.read(1)
        except OSError as error:
            return NotAnImageError(f"{name}: cannot be read ({error.strerror}); check its permissions")
        if empty:
            return NotAnImageError(f"{name}: the file is empty (0 bytes); download or export it again")
    return NotAnImageError(f"{name}: not a raster that can be read ({_reason(cause, name)}); {wanted}")


def is_out_of_memory(cause: BaseException) -> bool:
    """Whether an error, or one that led to it, says that memory was refused: NumPy's or Python's own, or GDAL's."""
    link: BaseException | None = cause
    while link is not None:
        if isinstance(link, MemoryError) or type(link).__name__ == "CPLE_OutOfMemoryError":
            return True
        if any(words in str(link).lower() for words in _NO_MEMORY):
            return True
        link = link.__cause__
    return False


def too_large(name: str, cause: BaseException) -> InputError:
    """The error for a raster whose pixels do not fit into the memory that there is.

    Parameters
    ----------
    name
        Path or GDAL name as given.
    cause
        What NumPy, Python or rasterio raised.
    """
    return InputError(
        f"{name}: needs more memory than there is ({_reason(cause, name)}); close other programs, cut out a part first "
        "(gdal_translate -srcwin), or store it in tiles (gdal_translate -co TILED=YES); if it should be small, its "
        "header is damaged: download or export it again"
    )


def damaged(name: str, cause: Exception | str) -> InputError:
    """The error for a file with a good header whose pixels cannot be read: truncated or damaged.

    Parameters
    ----------
    name
        Path or GDAL name as given.
    cause
        What rasterio raised, or the reason in words.
    """
    if isinstance(cause, Exception) and is_out_of_memory(cause):
        return too_large(name, cause)
    reason = cause if isinstance(cause, str) else _reason(cause, name)
    return NotAnImageError(f"{name}: truncated or damaged ({reason}); download or export it again")


def check_png_complete(path: str) -> None:
    """Raise unless a PNG file reaches its end mark.

    GDAL (3.10) reads a truncated PNG through its whole-image fast path without any error and leaves the
    missing rows at whatever was in memory before. Walking the chunk headers costs a few seeks.

    Raises
    ------
    NotAnImageError
        The file ends before its IEND chunk.

    Source
    ------
    PNG specification, third edition (W3C 2025), section 5.3, chunk layout.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if file.read(8) != _PNG_SIGNATURE:
            return
        position = 8
        while position + 12 <= size:
            file.seek(position)
            header = file.read(8)
            position += 12 + int.from_bytes(header[:4], "big")
            if header[4:] == b"IEND" and position <= size:
                return
    raise damaged(path, f"the file ends after {size:,} bytes, before the end of the picture")


def _reason(cause: BaseException, name: str) -> str:
    """GDAL's own words on one line, without the path and without rasterio's pointer to "details"."""
    root: BaseException = cause
    while root.__cause__ is not None:
        root = root.__cause__
    words = (
        " ".join(str(root).split())
        .split(" (this error can be")[0]
        .rstrip(".")
        .removeprefix(f"{name}: ")
        .removeprefix(f"'{name}' ")
    )
    return words[:160] or type(root).__name__
