"""The physical engine of `im2dem colour`: the land and the light that a climate and a season mean, without weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import UsageError
from im2dem.core.protocols import RasterReader, RasterWriter

if TYPE_CHECKING:
    from im2dem.synth.appearance import Appearance

    from .colour import ColourOptions

# The physical engine looks at the whole land at once, with some sixty bytes a pixel.
MOST_PHYSICAL_PX = 64_000_000
# White is 0.29 in reflectance, as in a whole scene that somebody stretched; by its own percentiles a forest is neon.
SCENE_GAIN = 3.4
GAMMA = 0.8
# A seed whose bands are stretched together, so that sand is yellow and forest green in all climates.
PLAIN_VARIETY = 4
# How much of what could be farmed is: nothing on rock and sand, little where it is dry, steep or cold.
FARMED = {
    "temperate": 1.0, "alpine": 0.3, "mediterranean": 0.8, "arid": 0.0, "steppe": 0.15, "savanna": 0.4,
    "tropical": 0.6, "boreal": 0.15, "bare": 0.0,
}  # fmt: skip
DESERTS = ("red_desert", "arid")
# Where in the country's own range the share of forest lies, if no variety is asked for; in deserts at its lower end.
PLAIN_FOREST = 0.6
# Upstream pixels from which a stream is seen, where streams have water.
RIVER_FROM_PX = 2000.0
# Share of skylight; bright bare ground lights the shadows too.
SKYLIGHT, DESERT_SKYLIGHT = 0.2, 0.3
# Latitude where the climate is at home (its trees end at the right height), and the country of `synth.appearance`.
HOME_DEG = {
    "temperate": 45.0,
    "alpine": 46.0,
    "mediterranean": 38.0,
    "arid": 28.0,
    "steppe": 42.0,
    "savanna": 15.0,
    "tropical": 8.0,
    "boreal": 60.0,
    "bare": 66.0,
}
TEMPERATE = {"winter": "temperate_winter", "summer": "temperate_summer", "autumn": "autumn"}
# Conifers stay green; below them it is winter or not.
BOREAL = {"winter": "temperate_winter", "summer": "alpine", "autumn": "alpine"}
SNOWY = ("alpine", "boreal", "bare", "temperate")


def render_land(reader: RasterReader, writer: RasterWriter, told: tuple[float, float], options: ColourOptions) -> None:
    """Write the picture of the whole land at once.

    Parameters
    ----------
    reader, writer
        Heights, one band, metres; red, green and blue, 0 to 255, NaN without height.
    told
        Pixel size, metres, and the sun's azimuth in the picture, degrees.
    options
        The sun's elevation, climate, season and variety count.

    Raises
    ------
    UsageError
        More pixels than `MOST_PHYSICAL_PX`.
    MissingDependencyError
        Numba is not installed.
    """
    from im2dem.synth.appearance import render  # Numba is loaded only when it is needed

    height, width = reader.grid.shape
    if height * width > MOST_PHYSICAL_PX:
        raise UsageError(
            f"{height} x {width} pixels are more than the physical engine takes at once ({MOST_PHYSICAL_PX:,}); "
            "use --engine network, which works in tiles, or cut the heights"
        )
    gsd_m, azimuth = told
    dem = reader.read(reader.grid.window)[0]
    valid = np.isfinite(dem)
    rng = np.random.default_rng([_seed(options), 1])
    rgb = render(_without_gaps(dem, valid), gsd_m, _look(options, azimuth), rng).astype(np.float32)
    rgb[:, ~valid] = np.nan
    writer.write(reader.grid.window, rgb)


def _seed(options: ColourOptions) -> int:
    return PLAIN_VARIETY if options.variety is None else options.variety


def is_snowy(options: ColourOptions) -> bool:
    """Whether climate and season together ask for snow."""
    return options.season == "winter" and (options.climate or "temperate") in SNOWY


def _look(options: ColourOptions, azimuth_deg: float) -> Appearance:
    """What grows on the land and how it is photographed; the sun's azimuth is that in the picture."""
    from im2dem.synth.appearance import draw_appearance
    from im2dem.synth.appearance.covers import COUNTRIES

    climate, season = options.climate or "temperate", options.season or "summer"
    drawn = draw_appearance(np.random.default_rng(_seed(options)), HOME_DEG[climate])
    country = {"temperate": TEMPERATE[season], "boreal": BOREAL[season]}.get(climate, climate)
    is_desert = climate == "arid"
    wooded = 0.0 if is_desert else PLAIN_FOREST
    if options.variety is not None:
        wooded = np.random.default_rng([options.variety, 2]).random()
    if is_desert:
        country = drawn.country if options.variety is not None and drawn.country in DESERTS else DESERTS[0]
    low, high = COUNTRIES[country].forest_share
    return replace(
        drawn,
        sun_azimuth_deg=azimuth_deg,
        sun_elevation_deg=options.sun[1],
        country=country,
        kind="satellite",
        bands="true",
        shading=1.0,
        diffuse=DESERT_SKYLIGHT if is_desert else SKYLIGHT,
        forest_share=float(low + (high - low) * wooded),
        valley_share=drawn.valley_share * FARMED[climate],
        river_from_px=0.0 if is_desert else RIVER_FROM_PX,
        snow_share=0.3 if is_snowy(options) else 0.0,
        haze=min(drawn.haze, 0.02),
        cloud_share=0.0,
        veil=0.0,
        noise=min(drawn.noise, 0.008),
        gamma=GAMMA,
        gain=SCENE_GAIN,
        jpeg_quality=0,
    )


def _without_gaps(dem: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    if valid.all():
        return dem
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return np.asarray(dem[tuple(nearest)], dtype=np.float32)
