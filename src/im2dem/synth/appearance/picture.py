"""From a height model to a picture: land cover, light, atmosphere, sensor."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

from . import geometry, paint, sensor, values
from .covers import COUNTRIES, REFLECTANCE
from .look import BAND_ORDER, Appearance
from .texture import bank, noise, place
from .workspace import spare

Float = NDArray[np.float32]
LEAST_PX = 16
# Shares are counted on every fourth pixel of every fourth row.
THIN = 4
# Layers of rock differ by up to so much from their mean in the driest country, as sandstones, limestones and shales do.
STRATA = 0.45


def survey(dem: Float, gsd_m: float, rng: np.random.Generator) -> values.Ground:
    """Slope, hollows, streams and noise of a height model."""
    shape = (dem.shape[0], dem.shape[1])
    slope, south, east, hollow, stream, patch, other, grain = spare("ground", 8, *shape)
    geometry.slope_and_north(dem, np.float32(1 / gsd_m), slope, south, east)
    scratch, half, fine = spare("half", 3, shape[0] // 2, shape[1] // 2)
    geometry.hollows(dem, int(rng.integers(2, 7)), hollow)
    coarse = noise("patch", shape, rng.uniform(1.0, 5.0), rng)
    geometry.enlarge(coarse, patch)
    # its waves are long: a sixteenth of the pixels is enough
    geometry.enlarge(noise("smooth", shape, rng.uniform(1.5, 5.0), rng, stretch=rng.uniform(1, 1.8), step=4), fine)
    geometry.enlarge(fine, other)
    tile, row, col = place("grain", shape, rng)
    grain[...] = tile[row : row + shape[0], col : col + shape[1]]
    geometry.drainage(dem, coarse * np.float32(0.03 * gsd_m), scratch, half)
    geometry.enlarge(half, stream)
    return values.Ground(dem, slope, south, east, hollow, stream, patch, other, grain)


def _enlarged(coarse: Float, shape: tuple[int, int]) -> Float:
    out = np.empty(shape, np.float32)
    geometry.enlarge(coarse, out)
    return out


def _transposed(field: Float) -> Float:
    out = np.empty((field.shape[1], field.shape[0]), np.float32)
    geometry.transpose(field, out)
    return out


def cast_shadow(dem: Float, gsd_m: float, sun_azimuth_deg: float, sun_elevation_deg: float) -> Float:
    """Share of sunlight that the terrain towards the sun lets through, 0 to 1, shape of `dem`."""
    azimuth = math.radians(sun_azimuth_deg)
    drow, dcol = -math.cos(azimuth), math.sin(azimuth)
    across = abs(dcol) > abs(drow)
    if across:
        drow, dcol = dcol, drow
        dem = _transposed(dem)
    dcol, length = dcol / abs(drow), 1.0 / abs(drow)
    drop = gsd_m * math.tan(math.radians(sun_elevation_deg)) * length
    out = np.empty(dem.shape, np.float32)
    # three quarters of a pixel's climb of penumbra keep the edge from being a staircase
    soft = np.float32(max(0.75 * drop / length, 1e-3))
    geometry.sunlit(dem, np.float32(drow), np.float32(dcol), np.float32(drop), soft, out)
    return _transposed(out) if across else out


def _sun(look: Appearance) -> values.Sun:
    azimuth, elevation = math.radians(look.sun_azimuth_deg), math.radians(look.sun_elevation_deg)
    level = math.cos(elevation)
    numbers = (
        level * math.cos(azimuth), -level * math.sin(azimuth), math.sin(elevation), look.diffuse, look.shading
    )  # fmt: skip
    return values.Sun(*map(np.float32, numbers))


def light(dem: Float, gsd_m: float, look: Appearance) -> Float:
    """Light relative to flat ground in full sun, shape of `dem`: direct Lambert light, cast shadow, skylight.

    Parameters
    ----------
    dem
        Heights in metres, shape (row, col), north up.
    gsd_m
        Pixel size on the ground, metres.
    look
        The sun, the share of skylight and the strength of the shading count.
    """
    dem = np.ascontiguousarray(dem, dtype=np.float32)
    ground = survey(dem, gsd_m, np.random.default_rng(0))
    out = np.empty(dem.shape, np.float32)
    sunshine = cast_shadow(dem, gsd_m, look.sun_azimuth_deg, look.sun_elevation_deg)
    paint.illuminate(ground, _sun(look), sunshine, out)
    return out


def _ends(field: Float, share: float, width: float) -> tuple[float, float]:
    """Start and one over the width of a ramp that lifts the highest `share` of the pixels."""
    if share <= 0:
        return 1e9, 1.0
    values = np.sort(field, axis=None)
    last = values.size - 1
    low, high = (float(values[int(min(max(1 - share + d, 0.0), 1.0) * last)]) for d in (-width / 2, width / 2))
    return low, 1.0 / max(high - low, 1e-4)


def _palette(look: Appearance, rng: np.random.Generator) -> Float:
    """Reflectance of every cover in the picture's three bands, jittered, shape (cover, 3)."""
    land = COUNTRIES[look.country]
    draws = rng.random(20).tolist()
    choice = int(draws[0] * 3)
    river = ("gravel", "water", "turbid")[choice] if land.aridity < 0.6 else ("sand", "gravel", "water")[choice]
    riparian = "broadleaf" if land.aridity < 0.3 else "shrub" if land.aridity > 0.7 else "crop"
    names = [land.forest, land.open_land, land.ground, land.rock, land.alpine, "snow"]
    names += [("water", "water", "shallow", "turbid")[int(draws[1] * 4)], "water", "town", river, riparian, "gravel"]
    names += [land.fields[int(u * len(land.fields))] for u in draws[4:]]
    order = list(BAND_ORDER[look.bands])
    base = np.array([REFLECTANCE[name] for name in names], dtype=np.float32)[:, order]
    jitter = rng.normal(0, 0.16, (len(names), 1)) + rng.normal(0, 0.04, base.shape) + rng.normal(0, 0.12)
    jitter[values.SNOW] *= 0.3
    # Covers of one place resemble each other more than the tables say: pixels are mixtures, and one dust lies on all.
    likeness = np.array([0.55] * 5 + [0.0] * 3 + [0.3] * 4 + [0.5] * 16, dtype=np.float32)[:, None] * np.float32(
        draws[2]
    )
    base += likeness * (base[[values.FOREST, values.OPEN, values.GROUND]].mean(axis=0) - base)
    grey = base.mean(axis=1, keepdims=True)
    base += np.float32(0.55 * draws[3] - 0.15 if look.bands == "true" else 0.0) * (grey - base)
    return np.asarray(base * np.exp(jitter), dtype=np.float32)


def _cover(
    scores: tuple[Float, Float, Float, Float], evenness: float, look: Appearance, rng: np.random.Generator
) -> values.Cover:
    """Where covers begin: `scores` are those of trees, valleys and snow, and the depth of hollows, thinned out.

    `evenness` is 1 on a plain, 0 in hills.
    """
    trees, valleys, snow, hollows = scores
    aridity = COUNTRIES[look.country].aridity
    # where little grows, gentler slopes are bare rock too
    bareness = 1 - 0.6 * aridity
    stream = math.log2(look.river_from_px) if look.river_from_px > 0 else 99.0
    # a plain is nearly all farmed, whatever share of a valley would be
    farmed = (
        look.valley_share * (1 + evenness * (0.9 / max(look.valley_share, 0.1) - 1)) * (1 - 0.7 * aridity * evenness)
    )
    numbers = (
        *_ends(trees, look.forest_share, rng.uniform(0.15, 0.8)),
        *_ends(valleys, min(farmed, 0.95), 0.06),
        *_ends(snow, look.snow_share, 0.1),
        *_ends(hollows, look.water_share, 0.02),
        rng.uniform(0.55, 1.1) * bareness, look.treeline_m, look.snowline_m, stream,
        rng.uniform(0.3, 1.0), rng.uniform(0, 0.8),
        1.5 - 3.0 * look.town_share if look.town_share > 0 else 1e9, look.texture,
        STRATA * rng.random() ** 2 * aridity if aridity > 0.3 else 0.0, 1 / rng.uniform(2, 12),
        1.0 if look.latitude_deg >= 0 else -1.0,
    )  # fmt: skip
    return values.Cover(*map(np.float32, numbers))


def _weights(ground: values.Ground, look: Appearance, rng: np.random.Generator) -> values.Weights:
    by = look.cover_by_relief
    # trees stand above the fields where people live, and more so where only the heights have rain
    dryness = COUNTRIES[look.country].aridity
    middle_m, deviation_m = geometry.moments(ground.dem)
    numbers = (
        middle_m, 1 / (deviation_m + 1.0), 1.0 if look.latitude_deg >= 0 else -1.0,
        by * rng.normal(0.4, 0.4), by * rng.normal(0.5, 0.5), by * rng.normal(0.4 + 0.4 * dryness, 0.5), by * 0.15,
        rng.uniform(0.25, 0.9) * (1.3 - by), 1 / (geometry.moments(ground.slope)[0] + 0.02), 0.3 * (1.2 - by),
    )  # fmt: skip
    return values.Weights(*map(np.float32, numbers))


def _parcels(gsd_m: float, rng: np.random.Generator) -> values.Parcels:
    size = max(rng.uniform(150, 900) / gsd_m, 3.0)
    one, two = rng.uniform(0, np.pi, 2)
    numbers = (
        1 / size, 1 / max(size * rng.uniform(0.4, 1.0), 2.5), math.cos(one), math.sin(one), math.cos(two),
        math.sin(two), min(rng.uniform(0, 25) / gsd_m, 1.5) / size, 0.25 * size,
    )  # fmt: skip
    return values.Parcels(*map(np.float32, numbers))


def _radiance(ground: values.Ground, gsd_m: float, look: Appearance, rng: np.random.Generator) -> Float:
    """Light that leaves the land and the air above it, as reflectance, shape (3, row, col)."""
    shape = (ground.dem.shape[0], ground.dem.shape[1])
    small = spare("thinned", 9, -(-shape[0] // THIN), -(-shape[1] // THIN))
    for field, out in zip(ground, small, strict=True):
        geometry.thin(field, out, THIN)
    thinned = values.Ground(*small)
    weights = _weights(thinned, look, rng)
    scores = np.empty((3, *thinned.dem.shape), np.float32)
    paint.score(thinned, weights, scores)
    cover = _cover(
        (scores[0], scores[1], scores[2], thinned.hollow),
        max(0.0, 1 - geometry.moments(thinned.slope)[0] / 0.08),
        look,
        rng,
    )
    bands = list(BAND_ORDER[look.bands])
    haze = np.array((0.5, 0.75, 1.35, 0.25, 0.1), dtype=np.float32)[bands] * np.float32(look.haze)
    white = np.array(REFLECTANCE["cloud"], dtype=np.float32)[bands]
    veil, thin = np.zeros((1, shape[1]), np.float32), np.zeros(3, np.float32)
    if look.veil > 0:
        veil = _enlarged(noise("patch", shape, 5.0, rng, stretch=1.5), shape)
        veil = np.clip(np.float32(look.veil) * (np.float32(0.6) + np.float32(0.4) * veil), 0, 0.7)
        thin = white * np.float32(0.8)
    if look.kind == "composite":  # many suns, whose shadows average out
        sunshine = np.ones((1, shape[1]), np.float32)
    else:
        sunshine = cast_shadow(ground.dem, gsd_m, look.sun_azimuth_deg, look.sun_elevation_deg)
    strata = bank("patch")[0, int(rng.integers(256)), :256]
    radiance = spare("radiance", 3, *shape)
    place_of = (weights, cover, _parcels(gsd_m, rng), _sun(look))
    paint.paint(ground, place_of, (_palette(look, rng), strata, haze, thin), (sunshine, veil), radiance)
    if look.cloud_share > 0:
        puff = _enlarged(noise("patch", shape, rng.uniform(1.0, 4.0), rng), shape)
        far, azimuth = rng.uniform(4, 28), math.radians(look.sun_azimuth_deg)
        shadow = (round(far * math.cos(azimuth)), round(-far * math.sin(azimuth)))
        ends = np.array(_ends(puff[::THIN, ::THIN], look.cloud_share, 0.04), dtype=np.float32)
        paint.overcast(radiance, puff, ends, shadow, white)
    return radiance


def render(dem: Float, gsd_m: float, look: Appearance, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of a height model as a satellite would take it.

    Parameters
    ----------
    dem
        Heights in metres above the sea, shape (row, col), at least 16 pixels a side, north up, no NaN.
    gsd_m
        Pixel size on the ground, metres.
    look
        Sun, country, atmosphere and sensor.
    rng
        All chance that `look` does not fix.

    Returns
    -------
    uint8, shape (3, row, col): red, green, blue. The same arguments give the same bytes on the same machine.

    Raises
    ------
    MissingDependencyError
        Numba is not installed.
    UsageError
        Fewer than 16 pixels a side.
    """
    dem = np.ascontiguousarray(dem, dtype=np.float32)
    if dem.ndim != 2 or min(dem.shape) < LEAST_PX:
        raise UsageError(f"heights of shape {dem.shape} cannot be rendered; at least {LEAST_PX} x {LEAST_PX} is wanted")
    ground = survey(dem, gsd_m, rng)
    radiance = _radiance(ground, gsd_m, look, rng)
    if look.blur_px > 0.25:
        near, far = (math.exp(-0.5 * (d / look.blur_px) ** 2) for d in (1, 2))
        total = 1 + 2 * (near + far)
        sensor.spread(radiance, np.float32(near / total), np.float32(far / total))
    low, per = sensor.stretch_ends(radiance, look.gain, rng)
    picture = np.empty(radiance.shape, np.uint8)
    for band in range(3):
        grains = place("white", (dem.shape[0], dem.shape[1]), rng)
        curve = (low[band], per[band], np.float32(0.5**-look.gamma - 2))
        sensor.digitise(radiance[band], curve, grains, np.float32(255 * look.noise), picture[band])
    return sensor.compress(picture, look.jpeg_quality) if look.jpeg_quality else picture
