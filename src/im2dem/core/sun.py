"""Where the sun stands, and how turning a picture turns it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta

from .errors import UsageError

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def solar_position(when_utc: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Azimuth and elevation of the sun's centre, without refraction.

    Good to about 0.01 degrees between 1900 and 2100. The air lifts a low sun (0.03 degrees at 30 degrees,
    half a degree at the horizon); that is left out, because shading depends on the direction of the light
    at the ground far less sharply, and image metadata mostly leave it out too.

    Parameters
    ----------
    when_utc
        Moment; one without a time zone is taken as UTC, any other is converted.
    lon, lat
        Degrees, east and north positive.

    Returns
    -------
    sun_azimuth_deg (clockwise from north, [0, 360)), sun_elevation_deg (above the horizon).

    Raises
    ------
    UsageError
        The latitude is not between -90 and 90, or the longitude is not finite.

    Source
    ------
    Meeus (1998), Astronomical Algorithms, 2nd ed.: eq. 12.4 (sidereal time), chapter 25 p. 163-165
    (apparent place of the sun, low accuracy), eq. 13.5 and 13.6 (azimuth and altitude); the same series
    as NOAA's solar calculator.
    """
    if not (-90 <= lat <= 90 and math.isfinite(lon)):
        raise UsageError(
            f"a place needs a latitude from -90 to 90 and a longitude, got latitude {lat}, longitude {lon}"
        )
    moment = when_utc.replace(tzinfo=UTC) if when_utc.tzinfo is None else when_utc.astimezone(UTC)
    days = (moment - _J2000) / timedelta(days=1)
    right_ascension, declination = _apparent_place(days / 36525)
    sidereal = math.radians(280.46061837 + 360.98564736629 * days)
    hour_angle = sidereal + math.radians(lon) - right_ascension
    phi = math.radians(lat)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(phi) - math.cos(declination) * math.cos(hour_angle) * math.sin(phi)
    up = math.sin(declination) * math.sin(phi) + math.cos(declination) * math.cos(hour_angle) * math.cos(phi)
    return math.degrees(math.atan2(east, north)) % 360.0 % 360.0, math.degrees(math.atan2(up, math.hypot(east, north)))


def _apparent_place(t: float) -> tuple[float, float]:
    """Right ascension and declination, radians, `t` Julian centuries after 2000 (Meeus chapter 25)."""
    mean_longitude = 280.46646 + t * (36000.76983 + 0.0003032 * t)
    anomaly = math.radians(357.52911 + t * (35999.05029 - 0.0001537 * t))
    centre = (
        (1.914602 - t * (0.004817 + 0.000014 * t)) * math.sin(anomaly)
        + (0.019993 - 0.000101 * t) * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    node = math.radians(125.04 - 1934.136 * t)
    longitude = math.radians(mean_longitude + centre - 0.00569 - 0.00478 * math.sin(node))
    obliquity = math.radians(23.4392911 - t * (0.0130042 + t * 1.64e-7) + 0.00256 * math.cos(node))
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    return right_ascension, math.asin(math.sin(obliquity) * math.sin(longitude))


def sun_at_local_solar_time(day: date, lat: float, hours: float = 10.5, lon: float = 0.0) -> tuple[float, float]:
    """Position of the sun at a mean local solar time, such as a sun-synchronous satellite's passage.

    Parameters
    ----------
    day
        Date of the picture (UTC).
    lat
        Latitude, degrees.
    hours
        Mean local solar time, hours; 10.5 is the descending node of Sentinel-2.
    lon
        Longitude, degrees; it matters only through the hours by which the moment moves (up to 0.2 degrees).

    Returns
    -------
    sun_azimuth_deg, sun_elevation_deg, as `solar_position`.

    Raises
    ------
    UsageError
        As `solar_position`.
    """
    moment = datetime.combine(day, time(), tzinfo=UTC) + timedelta(hours=hours - lon / 15)
    return solar_position(moment, lon, lat)


def turn_sun(azimuth_deg: float, quarter_turns: int = 0, mirror_ew: bool = False) -> float:
    """Azimuth of the sun over a picture that was turned, then perhaps mirrored.

    The picture is `numpy.rot90(picture, quarter_turns)`, hence turned *counter-clockwise*, and then, if
    `mirror_ew`, `numpy.fliplr` of that. `numpy.flipud` (north and south change places) is two quarter
    turns and a mirror.

    Parameters
    ----------
    azimuth_deg
        Azimuth over the original picture, degrees clockwise from north.
    quarter_turns
        Counter-clockwise quarter turns, any integer.
    mirror_ew
        East and west change places after the turn.

    Returns
    -------
    Degrees clockwise from the new north, [0, 360).

    >>> turn_sun(135.0, quarter_turns=-1), turn_sun(135.0, mirror_ew=True), turn_sun(135.0, 2, mirror_ew=True)
    (225.0, 225.0, 45.0)
    """
    turned = azimuth_deg - 90.0 * quarter_turns
    # A tiny negative angle leaves 360 itself, which the second remainder makes 0.
    return (-turned if mirror_ew else turned) % 360.0 % 360.0


def turns_into(sector_deg: tuple[float, float], azimuth_deg: float) -> list[tuple[int, bool]]:
    """The turns that bring the sun into a sector; of a quadrant at least two of the eight do.

    Parameters
    ----------
    sector_deg
        From and to, degrees clockwise from north, both included.
    azimuth_deg
        Azimuth over the picture as it is.

    Returns
    -------
    (quarter turns, mirrored) as `turn_sun` takes them, no turn at all first.

    >>> turns_into((90.0, 180.0), 45.0)
    [(3, False), (2, True)]
    """
    low, high = sector_deg
    turns = [(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)]
    return [turn for turn in turns if low <= turn_sun(azimuth_deg, *turn) <= high]
