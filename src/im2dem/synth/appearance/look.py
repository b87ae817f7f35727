"""The parameters of a picture, and how they are drawn."""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import Literal

import numpy as np

from im2dem.core.errors import UsageError
from im2dem.core.sun import sun_at_local_solar_time

from .covers import COUNTRIES

Kind = Literal["satellite", "aerial", "composite"]
Bands = Literal["true", "infrared", "shortwave"]
# Order of the bands in `covers.REFLECTANCE` that the picture's red, green and blue show.
BAND_ORDER: dict[str, tuple[int, int, int]] = {"true": (0, 1, 2), "infrared": (3, 0, 1), "shortwave": (4, 3, 0)}
LOWEST_SUN_DEG = 12.0
# From this pixel size on, pictures are mostly yearly composites, in which little shading is left.
COARSE_M = 100.0


@dataclass(frozen=True)
class Appearance:
    """How a picture is taken and what grows on the land.

    Parameters
    ----------
    sun_azimuth_deg, sun_elevation_deg
        Clockwise from north; above the horizon.
    country
        A key of `COUNTRIES`.
    kind
        A single date of a satellite, an aerial mosaic, or a yearly composite (weak shading, no cast shadow, no cloud).
    bands
        What red, green and blue show: "true" colour, "infrared" (NIR, red, green), "shortwave" (SWIR, NIR, red).
    latitude_deg
        For the height of the treeline and the shady side of the hills.
    shading
        Strength of the relief's light and shade; 1 is Lambert's law.
    diffuse
        Share of skylight in the light on flat ground, 0 to 1.
    texture
        Strength of cover noise that has nothing to do with relief, 0 to 1.
    cover_by_relief
        How strictly cover follows the relief, 0 to 1.
    forest_share, valley_share, town_share, water_share, snow_share
        Shares, 0 to 1: of forest below the trees; of the picture that is valley floor with fields; of that floor
        that is built up; of the picture that is lake, where it is flat; of the picture that is seasonal snow.
    treeline_m, snowline_m
        Heights above the sea.
    river_from_px
        Upstream pixels from which a stream is drawn; 0: none.
    haze
        Path radiance in reflectance, more in the blue.
    cloud_share, veil
        Share of the picture under cumulus; opacity of thin cloud.
    blur_px, noise
        Sensor: sigma of the point spread in pixels, noise relative to the 8-bit range.
    gamma, gain
        Of the stretch to 8 bit. `gain` is 0: stretch by the picture's own percentiles; else white is `1 / gain` in
        reflectance, as where a whole scene was stretched at once.
    jpeg_quality
        0: not compressed.
    """

    sun_azimuth_deg: float = 150.0
    sun_elevation_deg: float = 40.0
    country: str = "temperate_summer"
    kind: Kind = "satellite"
    bands: Bands = "true"
    latitude_deg: float = 40.0
    shading: float = 1.0
    diffuse: float = 0.2
    texture: float = 0.4
    cover_by_relief: float = 0.7
    forest_share: float = 0.6
    valley_share: float = 0.2
    town_share: float = 0.1
    water_share: float = 0.02
    snow_share: float = 0.0
    treeline_m: float = 2300.0
    snowline_m: float = 3300.0
    river_from_px: float = 2000.0
    haze: float = 0.02
    cloud_share: float = 0.0
    veil: float = 0.0
    blur_px: float = 0.5
    noise: float = 0.01
    gamma: float = 1.0
    gain: float = 0.0
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        if self.country not in COUNTRIES or self.bands not in BAND_ORDER:
            raise UsageError(
                f"country {self.country!r} with bands {self.bands!r} is not known; "
                f"countries: {', '.join(COUNTRIES)}; bands: {', '.join(BAND_ORDER)}"
            )


def treeline_m(latitude_deg: float) -> float:
    """Height above the sea at which trees end, metres.

    Source
    ------
    A straight line through the belts of Körner (1998), Oecologia 115, 445-459, fig. 1: about 4,000 m in the
    subtropics, 2,700 m at 36 degrees, 2,000 m in the Alps, sea level beyond 70 degrees.

    >>> treeline_m(10), treeline_m(46), treeline_m(-80)
    (3900.0, 1950.0, 0.0)
    """
    return float(min(max(3900.0 - 75.0 * (abs(latitude_deg) - 20.0), 0.0), 3900.0))


def _draw_sun(latitude_deg: float, kind: Kind, rng: np.random.Generator) -> tuple[float, float]:
    """A sun that a satellite (or an aeroplane, whose hours vary more) meets at the latitude on some day."""
    if kind != "aerial" and rng.random() < 0.12:  # pictures that somebody turned: any azimuth
        return float(rng.uniform(0, 360)), float(rng.uniform(LOWEST_SUN_DEG, 70))
    for _ in range(8):
        hours = rng.uniform(8.5, 15.5) if kind == "aerial" else rng.normal(10.3, 0.4)
        day = date(2021, 1, 1) + timedelta(days=int(rng.integers(365)))
        azimuth, elevation = sun_at_local_solar_time(day, latitude_deg, float(hours))
        if elevation > LOWEST_SUN_DEG:
            return azimuth, elevation
    return (180.0 if latitude_deg > 0 else 0.0), 25.0


def _draw_country(latitude_deg: float, rng: np.random.Generator) -> str:
    latitude = abs(latitude_deg)
    weights = [
        c.weight * (1.0 if c.latitudes_deg[0] <= latitude <= c.latitudes_deg[1] else 0.02) for c in COUNTRIES.values()
    ]
    left = rng.random() * sum(weights) * (1 - 1e-9)
    return next(name for name, until in zip(COUNTRIES, accumulate(weights), strict=True) if left <= until)


def draw_appearance(
    rng: np.random.Generator, latitude_deg: float | None = None, gsd_m: float | None = None
) -> Appearance:
    """A random appearance, as varied as the pictures people have.

    Parameters
    ----------
    rng
        All chance.
    latitude_deg
        Of the land; None draws one of either hemisphere.
    gsd_m
        Pixel size on the ground, metres; None: below 100.
    """
    if latitude_deg is None or not math.isfinite(latitude_deg):
        latitude_deg = float(rng.choice((-1.0, 1.0)) * rng.triangular(0, 38, 66))
    # one call for all shares of chance: a call costs more than a number
    u = iter(rng.random(16).tolist()).__next__
    is_coarse = gsd_m is not None and gsd_m > COARSE_M
    kind: Kind = ("satellite", "composite", "aerial")[bisect((0.25, 1.0) if is_coarse else (0.66, 0.86), u())]
    bands: Bands = ("true", "infrared", "shortwave")[bisect((0.9, 0.98), u())]
    country = _draw_country(latitude_deg, rng)
    land = COUNTRIES[country]
    azimuth, elevation = _draw_sun(latitude_deg, kind, rng)
    composite = kind == "composite"
    trees = max(treeline_m(latitude_deg) + rng.normal(0, 250), 0.0)
    shading = ((0.0, 0.12) if is_coarse else (0.15, 0.6)) if composite else (0.7, 1.1)
    winter = country in ("temperate_winter", "bare", "alpine") and u() < 0.22
    return Appearance(
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
        country=country,
        kind=kind,
        bands="true" if kind != "satellite" else bands,
        latitude_deg=latitude_deg,
        shading=float(rng.uniform(*shading)),
        diffuse=float(rng.uniform(0.25, 0.5) if composite else rng.uniform(0.08, 0.35)),
        texture=float(rng.uniform(0.15, 1.0)),
        cover_by_relief=float(rng.uniform(0.35, 1.0)),
        forest_share=float(rng.uniform(*land.forest_share)),
        valley_share=float(rng.uniform(0.02, 0.5)) if u() < 0.85 else 0.0,
        town_share=float(rng.uniform(0, 0.5)) if u() < 0.6 - 0.4 * land.aridity else 0.0,
        water_share=float(rng.uniform(0.003, 0.06)) if u() < 0.4 - 0.3 * land.aridity else 0.0,
        snow_share=float(rng.uniform(0.03, 0.5)) if winter and not composite else 0.0,
        treeline_m=float(trees),
        snowline_m=float(trees + max(rng.normal(1000 + 600 * land.aridity, 350), 250)),
        river_from_px=float(np.exp(rng.uniform(np.log(400), np.log(6000)))) if u() < 0.7 else 0.0,
        haze=float(rng.gamma(1.5, 0.012) * (0.3 if composite else 1.0)),
        cloud_share=float(rng.beta(1.2, 6) * 0.6) if not composite and u() < 0.15 else 0.0,
        veil=float(rng.uniform(0.04, 0.25)) if not composite and u() < 0.08 else 0.0,
        blur_px=float(rng.uniform(0.0, 0.8)),
        noise=float(rng.gamma(1.2, 0.006)),
        gamma=float(rng.uniform(0.7, 1.35)),
        gain=float(np.exp(rng.normal(np.log(2.2 if is_coarse and composite else 3.4), 0.45))) if u() < 0.72 else 0.0,
        jpeg_quality=int(rng.integers(55, 96)) if u() < 0.12 else 0,
    )


def with_sun(appearance: Appearance, azimuth_deg: float, elevation_deg: float) -> Appearance:
    """The same land under another sun."""
    return replace(appearance, sun_azimuth_deg=azimuth_deg % 360.0, sun_elevation_deg=elevation_deg)
