"""What a file says about its scene: time, sun, vertical datum, unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# In order of trust. TIFFTAG_DATETIME comes last: writers often put the time of the export there.
_TIME_TAGS = (
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATETIME",
    "SENSING_TIME",
    "DATATAKE_SENSING_START",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "SCENE_CENTER_DATETIME",
    "ACQUISITION_DATE",
    "DATE_ACQUIRED",
    "DATETIME",
    "PRODUCT_START_TIME",
    "EXIF_DATETIMEORIGINAL",
    "TIFFTAG_DATETIME",
)
_AZIMUTH_TAGS = ("SUN_AZIMUTH", "SUN_AZIMUTH_DEG", "SUNAZIMUTH", "VIEW:SUN_AZIMUTH", "MEAN_SUN_AZIMUTH_ANGLE")
_ELEVATION_TAGS = ("SUN_ELEVATION", "SUN_ELEVATION_DEG", "SUNELEVATION", "VIEW:SUN_ELEVATION")
_ZENITH_TAGS = ("SUN_ZENITH", "SUN_ZENITH_ANGLE", "MEAN_SUN_ZENITH_ANGLE")
_NO_TIME = ("0000", "0001", "1970:01:01 00:00:00")


@dataclass(frozen=True)
class SceneInfo:
    """Facts about a raster that are not pixels.

    Parameters
    ----------
    driver
        GDAL's short name of the format: "GTiff", "PNG" ...
    unit
        Unit of the values that `read` returns: "m", "px" or "DN".
    nodata
        How the file marks missing pixels, in words.
    acquired
        When the picture was taken (UTC), or None. A time without zone is taken as UTC.
    vertical_datum
        "EGM2008" ..., or None: not said.
    sun_azimuth_deg
        Direction of the sun, degrees clockwise from north, 0..360, or None.
    sun_elevation_deg
        Height of the sun over the horizon, degrees, -90..90, or None.
    """

    driver: str
    unit: str
    nodata: str
    acquired: datetime | None = None
    vertical_datum: str | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None


def all_tags(dataset: Any) -> dict[str, str]:
    """Tags of an open rasterio dataset in upper case: its own, those of imagery metadata and of EXIF.

    Parameters
    ----------
    dataset
        rasterio dataset, open for reading.
    """
    tags: dict[str, str] = {}
    for namespace in ("EXIF", "IMAGERY", None):
        tags.update({key.upper(): value for key, value in dataset.tags(ns=namespace).items()})
    return tags


def acquired(tags: Mapping[str, str]) -> datetime | None:
    """Time of acquisition (UTC) from the usual tags, or None.

    Parameters
    ----------
    tags
        Keys in upper case.

    >>> acquired({"TIFFTAG_DATETIME": "2021:07:14 10:30:31"})
    datetime.datetime(2021, 7, 14, 10, 30, 31, tzinfo=datetime.timezone.utc)
    """
    for key in _TIME_TAGS:
        time = _parsed_time(tags.get(key, ""))
        if time is not None:
            return time
    return None


def sun(tags: Mapping[str, str]) -> tuple[float | None, float | None]:
    """(azimuth, elevation) of the sun in degrees from the usual tags, each None when absent or out of range.

    Parameters
    ----------
    tags
        Keys in upper case.

    >>> sun({"SUN_AZIMUTH": "-215.5", "SUN_ZENITH": "60"})
    (144.5, 30.0)
    """
    azimuth = _first_number(tags, _AZIMUTH_TAGS)
    elevation = _first_number(tags, _ELEVATION_TAGS)
    if elevation is None:
        zenith = _first_number(tags, _ZENITH_TAGS)
        elevation = None if zenith is None else 90.0 - zenith
    if azimuth is not None:
        azimuth = azimuth % 360.0 if abs(azimuth) <= 360.0 else None
    return azimuth, elevation if elevation is not None and abs(elevation) <= 90.0 else None


def _parsed_time(text: str) -> datetime | None:
    text = text.strip()
    if not text or text.startswith(_NO_TIME):
        return None
    if text[4:5] == ":":  # EXIF and TIFF write the date with colons
        text = text[:10].replace(":", "-") + text[10:]
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _first_number(tags: Mapping[str, str], keys: Iterable[str]) -> float | None:
    for key in keys:
        try:
            value = float(tags[key])
        except (KeyError, ValueError):
            continue
        if math.isfinite(value):
            return value
    return None
