"""Which formats are let in, told from a file's first bytes before any library sees it."""

from __future__ import annotations

from collections.abc import Iterable

# Short names of GDAL by the ending that a file gets here. A job's process registers these readers, the writers of its
# own results, and nothing else.
READERS = {"tif": "GTiff", "png": "PNG", "jpg": "JPEG", "jp2": "JP2OpenJPEG", "j2k": "JP2OpenJPEG", "webp": "WEBP"}
WRITERS = ("GTiff", "COG", "MEM")
IN_WORDS = "GeoTIFF, JPEG 2000, PNG, JPEG or WebP"
ENDINGS = (".tif", ".tiff", ".jp2", ".j2k", ".png", ".jpg", ".jpeg", ".webp")
ENOUGH_BYTES = 16

_MARKS = (
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"II+\0", "tif"),
    (b"MM\0+", "tif"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
)


def ending_of(head: bytes) -> str | None:
    """File name ending of an allowed format, or None.

    Parameters
    ----------
    head
        The first `ENOUGH_BYTES` of the file, or all of it.

    >>> ending_of(b"II*" + bytes(13)), ending_of(b"<VRTDataset rasterXSize"), ending_of(b"")
    ('tif', None, None)
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((ending for mark, ending in _MARKS if head.startswith(mark)), None)


def forbidden(drivers: Iterable[str]) -> list[str]:
    """Those of GDAL's drivers that a job has no use for, sorted."""
    return sorted(set(drivers) - {*READERS.values(), *WRITERS})
