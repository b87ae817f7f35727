"""What is known about a picture besides its pixels: sun, pixel size, latitude."""

from __future__ import annotations

import logging
from datetime import datetime

from im2dem.core.errors import UsageError
from im2dem.core.protocols import RasterReader
from im2dem.core.sun import solar_position
from im2dem.io.reader import FileReader
from im2dem.runtime.session import Condition

log = logging.getLogger("im2dem")

LEAST_SUN_ELEVATION_DEG = 5.0


def condition_of(reader: RasterReader, sun: tuple[float, float] | None, date: datetime | None) -> tuple[Condition, str]:
    """What the net is told, and where the sun came from; directions are turned into the picture's frame.

    Parameters
    ----------
    reader
        The picture; one from a file may know its sun.
    sun
        (azimuth, elevation) that the user gives, degrees; counts before the date, which counts before the file.
    date
        When the picture was taken, UTC.

    Raises
    ------
    UsageError
        A date and no place.
    """
    grid = reader.grid
    place = grid.lonlat(grid.height / 2, grid.width / 2)
    info = reader.info if isinstance(reader, FileReader) else None
    source = "given"
    if sun is None and date is not None:
        if place is None:
            raise UsageError(
                "a date gives the sun only where the place is known; this picture has no georeference: give --sun"
            )
        sun, source = solar_position(date, *place), "date given"
    if sun is None and info is not None and info.sun_azimuth_deg is not None and info.sun_elevation_deg is not None:
        sun, source = (info.sun_azimuth_deg, info.sun_elevation_deg), "tags"
    if sun is not None and sun[1] < LEAST_SUN_ELEVATION_DEG:
        log.warning("the sun would stand %.1f degrees high (%s): it is not used", sun[1], source)
        sun = None
    return Condition(
        sun_azimuth_deg=grid.azimuth_in_picture(sun[0]) if sun else None,
        sun_elevation_deg=sun[1] if sun else None,
        gsd_m=grid.gsd_m,
        latitude_deg=place[1] if place else None,
    ), source if sun else "unknown"
