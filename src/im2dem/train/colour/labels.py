"""The condition of every chip of a pack: told by the rendering's parameters, by the date in its name, by latitude."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.dataset.chips import Chips
from im2dem.runtime.colouring_condition import CONDITION_SIZE, ColourCondition

CLIMATE_OF_COUNTRY = {
    "temperate_winter": "temperate",
    "temperate_summer": "temperate",
    "autumn": "temperate",
    "alpine": "alpine",
    "mediterranean": "mediterranean",
    "savanna": "savanna",
    "steppe": "steppe",
    "arid": "arid",
    "red_desert": "arid",
    "tropical": "tropical",
    "bare": "bare",
}
SEASON_OF_COUNTRY = {
    "temperate_winter": "winter",
    "temperate_summer": "summer",
    "autumn": "autumn",
    "alpine": "summer",
}
SNOWY_SHARE = 0.02
MOST_CLOUD, MOST_VEIL = 0.05, 0.1
TROPIC_DEG, BOREAL_DEG = 23.5, 52.0
# Months of the northern half; spring has no class, its pictures are not labelled.
SEASON_OF_MONTH = {12: "winter", 1: "winter", 2: "winter", 6: "summer", 7: "summer", 8: "summer"} | dict.fromkeys(
    (9, 10, 11), "autumn"
)
OTHER_HALF = {"winter": "summer", "summer": "winter"}


def conditions_of(chips: Chips) -> NDArray[np.float32]:
    """One condition a chip, shape (n, 18), zeros where nothing is known.

    A pack may say more in its provenance: `climate` and `season`, one text (or None) a chip.
    """
    rows = [_condition(chips, i).vector() for i in range(len(chips))]
    return np.stack(rows) if rows else np.zeros((0, CONDITION_SIZE), np.float32)


def is_wanted(chips: Chips) -> NDArray[np.bool_]:
    """Which chips a net of colours should learn from: no false colour, hardly a cloud, shape (n,)."""
    looks = chips.provenance.get("appearance")
    if not looks:
        return np.ones(len(chips), dtype=np.bool_)
    clear = (np.array(looks["cloud_share"]) <= MOST_CLOUD) & (np.array(looks["veil"]) <= MOST_VEIL)
    return np.asarray((np.array(looks["bands"]) == "true") & clear)


def climate_of_latitude(latitude_deg: float) -> str | None:
    """The climate that most of the land at a latitude has; None where it is not known or deserts are as likely."""
    latitude = abs(latitude_deg)
    if not math.isfinite(latitude) or TROPIC_DEG <= latitude < 30.0:
        return None
    return "tropical" if latitude < TROPIC_DEG else "temperate" if latitude < BOREAL_DEG else "boreal"


def season_of_name(name: str, latitude_deg: float) -> str | None:
    """The season of the date (yyyymmdd) in a name; None without one, in spring, in the tropics."""
    found = re.search(r"(?<!\d)(?:19|20)\d\d(0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)", name)
    if not found or abs(latitude_deg) < TROPIC_DEG:
        return None
    month = int(found[1])
    season = SEASON_OF_MONTH.get(month)
    if latitude_deg < 0:
        return OTHER_HALF.get(season or "") or ("autumn" if month in (3, 4, 5) else None)
    return season


def _condition(chips: Chips, i: int) -> ColourCondition:
    azimuth, elevation = float(chips.sun_azimuth_deg[i]), float(chips.sun_elevation_deg[i])
    has_sun = math.isfinite(azimuth) and 0 < elevation <= 90
    latitude = float(chips.latitude_deg[i])
    looks = chips.provenance.get("appearance")
    climate: str | None
    season: str | None
    if looks:
        climate, season = _rendered(looks, i)
    else:
        climate, season = climate_of_latitude(latitude), season_of_name(chips.names[i], latitude)
    climate = _said(chips, "climate", i) or climate
    season = _said(chips, "season", i) or season
    real = -1.0 if chips.provenance.get("kind") == "rendered" else 1.0
    return ColourCondition(
        float(chips.gsd_m[i]),
        azimuth if has_sun else None,
        elevation if has_sun else None,
        climate,
        season,
        real,
    )


def _rendered(looks: dict[str, list[Any]], i: int) -> tuple[str, str | None]:
    country, latitude = str(looks["country"][i]), abs(float(looks["latitude_deg"][i]))
    climate = CLIMATE_OF_COUNTRY[country]
    if climate == "temperate" and latitude >= BOREAL_DEG:
        climate = "boreal"
    snowy = float(looks["snow_share"][i]) > SNOWY_SHARE
    return climate, "winter" if snowy else SEASON_OF_COUNTRY.get(country)


def _said(chips: Chips, key: str, i: int) -> str | None:
    values = chips.provenance.get(key)
    return values[i] if values else None
