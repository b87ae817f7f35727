"""From what a person asks for to a source of pairs."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from im2dem.core.errors import UsageError
from im2dem.dataset.composite import COMPOSITES, Composite
from im2dem.dataset.gee_source import EarthEngineSource
from im2dem.dataset.majortom_source import ADDRESS, MajorTomSource
from im2dem.dataset.scene_source import SceneSource
from im2dem.dataset.sources import AreaSource
from im2dem.dataset.stac_source import StacSource
from im2dem.io.retry import Patience
from im2dem.io.stac_catalogs import EARTH_ENGINE, find_catalog

SOURCES = ("stac", "gee", "majortom")


@dataclass(frozen=True)
class SourceOptions:
    """What a person asks for.

    Parameters
    ----------
    source
        One of `SOURCES`.
    catalog
        Name or address of a STAC API; address of another server with the same files for the others.
    image, dem
        Collections by their short names; `dem` may be a file.
    days
        First and last day, or None.
    most_cloud_percent, composite, most_dates
        As in `StacSource`.
    readers, tries
        Scenes at a time, attempts at each.
    project
        Google Cloud project, for Earth Engine.
    """

    source: str = "stac"
    catalog: str | None = None
    image: str = "sentinel-2"
    dem: str = "cop30"
    days: tuple[date, date] | None = None
    most_cloud_percent: float = 20.0
    composite: Composite = "best"
    most_dates: int = 8
    readers: int = 4
    tries: int = 5
    project: str | None = None


def make_source(asked: SourceOptions) -> AreaSource:
    """The source of pairs that was asked for.

    Raises
    ------
    UsageError
        No such source, or one that cannot give what is asked for.
    """
    if asked.source != "majortom":
        return make_scene_source(asked)
    if asked.image != "sentinel-2":
        raise UsageError(f"Major TOM has pictures of Sentinel-2, got --image {asked.image}")
    return MajorTomSource(
        asked.catalog or ADDRESS,
        asked.dem,
        asked.days,
        asked.most_cloud_percent,
        asked.composite,
        patience=Patience(asked.tries),
    )


def make_scene_source(asked: SourceOptions) -> SceneSource:
    """The source of scenes that was asked for: one that gives pictures of any grid, too.

    Raises
    ------
    UsageError
        No such source, or one that cannot give what is asked for.
    """
    common: dict[str, Any] = {
        "image": asked.image,
        "dem": asked.dem,
        "days": asked.days,
        "most_cloud_percent": asked.most_cloud_percent,
        "composite": asked.composite,
        "most_dates": asked.most_dates,
        "patience": Patience(asked.tries),
        "readers": asked.readers,
    }
    if asked.source == "stac":
        return StacSource(find_catalog(asked.catalog or "planetary-computer"), **common)
    if asked.source == "gee":
        there = replace(EARTH_ENGINE, url=asked.catalog or EARTH_ENGINE.url)
        return EarthEngineSource(there, project=asked.project, **common)
    if asked.source == "majortom":
        raise UsageError("Major TOM has pictures of its own cells, not of any grid; take --source stac")
    raise UsageError(f"sources are {', '.join(SOURCES)}, got {asked.source!r}")


def parse_days(text: str) -> tuple[date, date]:
    """First and last day of a span: days, months or years on both sides of a slash.

    >>> parse_days("2023-01/2024-12")
    (datetime.date(2023, 1, 1), datetime.date(2024, 12, 31))
    >>> parse_days("2023/2023-06-15")
    (datetime.date(2023, 1, 1), datetime.date(2023, 6, 15))

    Raises
    ------
    UsageError
        Not two dates, or the last is before the first.
    """
    first, slash, last = text.partition("/")
    try:
        if not slash:
            raise ValueError("no slash")
        span = _day(first, last=False), _day(last, last=True)
    except ValueError as error:
        raise UsageError(f"--dates wants first/last, e.g. 2023-01/2024-12, got {text!r}") from error
    if span[1] < span[0]:
        raise UsageError(f"--dates ends before it begins: {text!r}")
    return span


def parse_composite(sun: str, composite: str | None) -> Composite:
    """How one picture is made: a low sun is a composite of its own.

    Raises
    ------
    UsageError
        An unknown word, or two that exclude each other.
    """
    if sun not in ("low", "any"):
        raise UsageError(f"--sun is low or any, got {sun!r}")
    if composite is None:
        return "low-sun" if sun == "low" else "best"
    known: dict[str, Composite] = {name: name for name in COMPOSITES}
    if composite not in known:
        raise UsageError(f"--composite is one of {', '.join(COMPOSITES)}, got {composite!r}")
    if sun == "low" and composite != "low-sun":
        raise UsageError(f"--sun low takes the date with the lowest sun; leave out --composite {composite}")
    return known[composite]


def _day(text: str, last: bool) -> date:
    parts = [int(part) for part in text.split("-")]
    year = parts[0]
    month = parts[1] if len(parts) > 1 else (12 if last else 1)
    day = parts[2] if len(parts) > 2 else (calendar.monthrange(year, month)[1] if last else 1)
    return date(year, month, day)
