"""A physical satellite view of a height model: land cover, sun, cast shadow, haze, cloud, sensor.

The picture is ``albedo(cover) x light(sun, relief) + haze``, then clouds, blur, noise and an 8-bit stretch.
Land cover follows the relief the way it does on Earth: fields and towns on valley floors, forest on slopes,
rock where it is steep, snow above a line, water where it is flat and low. Everything random comes from `rng`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float32]

# Reflectance (red, green, blue) of covers, rounded from public spectral libraries; each is jittered per picture.
REFLECTANCE = {
    "conifer": (0.025, 0.040, 0.022),
    "broadleaf": (0.040, 0.072, 0.030),
    "autumn": (0.110, 0.075, 0.038),
    "jungle": (0.028, 0.058, 0.024),
    "grass": (0.085, 0.110, 0.055),
    "dry_grass": (0.190, 0.160, 0.100),
    "soil": (0.170, 0.125, 0.085),
    "red_soil": (0.270, 0.150, 0.090),
    "sand": (0.340, 0.275, 0.190),
    "grey_rock": (0.150, 0.145, 0.135),
    "dark_rock": (0.075, 0.072, 0.070),
    "pale_rock": (0.300, 0.280, 0.245),
    "snow": (0.820, 0.840, 0.860),
    "water": (0.020, 0.035, 0.045),
    "town": (0.170, 0.170, 0.165),
}

# (slope cover, valley cover, field covers, steep cover, how often) of kinds of country.
COUNTRIES: dict[str, tuple[str, str, tuple[str, ...], str, float]] = {
    "temperate_winter": ("conifer", "dry_grass", ("soil", "dry_grass", "grass", "town"), "grey_rock", 3.0),
    "temperate_summer": ("broadleaf", "grass", ("grass", "broadleaf", "dry_grass", "soil"), "grey_rock", 2.0),
    "autumn": ("autumn", "grass", ("soil", "dry_grass", "grass"), "grey_rock", 1.0),
    "alpine": ("grass", "conifer", ("grass", "conifer"), "pale_rock", 2.0),
    "mediterranean": ("dry_grass", "soil", ("soil", "grass", "dry_grass"), "pale_rock", 1.5),
    "arid": ("soil", "sand", ("sand", "soil"), "dark_rock", 2.0),
    "red_desert": ("red_soil", "sand", ("sand", "dry_grass"), "red_soil", 1.5),
    "tropical": ("jungle", "grass", ("grass", "soil", "jungle"), "dark_rock", 1.0),
    "bare": ("grey_rock", "soil", ("soil",), "dark_rock", 1.0),
}

# Relief over which vegetation thins out with height.
ZONED_RELIEF_M = 700.0


@dataclass(frozen=True)
class Appearance:
    """How a picture is taken and what grows on the land.

    Parameters
    ----------
    sun_azimuth_deg, sun_elevation_deg
        Clockwise from north; above the horizon.
    country
        A key of `COUNTRIES`.
    diffuse
        Share of skylight in the light on flat ground, 0 to 1.
    texture
        Strength of cover noise that has nothing to do with relief, 0 to 1.
    cover_by_relief
        How strictly cover follows the relief, 0 to 1.
    valley_share, snow_share, water_share
        Shares of the picture, 0 to 1, that are valley floor with fields, snow and water where the relief allows it.
    haze
        Path radiance in reflectance, more in the blue.
    cloud_share
        Share of the picture under cloud.
    blur_px, noise
        Sensor: sigma of the point spread in pixels, noise in reflectance relative to the picture's range.
    gamma
        Of the stretch to 8 bit.
    """

    sun_azimuth_deg: float = 150.0
    sun_elevation_deg: float = 40.0
    country: str = "temperate_summer"
    diffuse: float = 0.2
    texture: float = 0.4
    cover_by_relief: float = 0.7
    valley_share: float = 0.2
    snow_share: float = 0.0
    water_share: float = 0.02
    haze: float = 0.02
    cloud_share: float = 0.0
    blur_px: float = 0.5
    noise: float = 0.01
    gamma: float = 1.0


def draw_appearance(rng: np.random.Generator) -> Appearance:
    """A random appearance, as varied as the pictures people have."""
    weights = np.array([c[4] for c in COUNTRIES.values()])
    country = str(rng.choice(list(COUNTRIES), p=weights / weights.sum()))
    snowy = country in ("alpine", "bare", "temperate_winter")
    return Appearance(
        sun_azimuth_deg=float(rng.normal(150, 18) if rng.random() < 0.75 else rng.uniform(0, 360)),
        sun_elevation_deg=float(rng.uniform(15, 72)),
        country=country,
        diffuse=float(rng.uniform(0.08, 0.4)),
        texture=float(rng.uniform(0.1, 1.0)),
        cover_by_relief=float(rng.uniform(0.2, 1.0)),
        valley_share=float(rng.choice([0.0, rng.uniform(0.02, 0.5)], p=[0.15, 0.85])),
        snow_share=float(rng.uniform(0.05, 0.6)) if snowy and rng.random() < 0.35 else 0.0,
        water_share=float(rng.choice([0.0, rng.uniform(0.005, 0.08)])),
        haze=float(rng.gamma(1.5, 0.012)),
        cloud_share=float(rng.uniform(0.01, 0.12)) if rng.random() < 0.15 else 0.0,
        blur_px=float(rng.uniform(0.2, 1.1)),
        noise=float(rng.uniform(0.0, 0.03)),
        gamma=float(rng.uniform(0.7, 1.5)),
    )


def with_sun(appearance: Appearance, azimuth_deg: float, elevation_deg: float) -> Appearance:
    """The same land under another sun."""
    return replace(appearance, sun_azimuth_deg=azimuth_deg % 360.0, sun_elevation_deg=elevation_deg)


def field_noise(shape: tuple[int, int], cell_px: float, rng: np.random.Generator, octaves: int = 4) -> Float:
    """Smooth noise of about unit variance; the longest wave is `cell_px` pixels, each octave half of the one before."""
    out = np.zeros(shape, dtype=np.float32)
    weight, total = 1.0, 0.0
    for octave in range(octaves):
        cell = max(cell_px / 2**octave, 1.0)
        coarse = rng.standard_normal([int(np.ceil(n / cell)) + 3 for n in shape], dtype=np.float32)
        offset = rng.uniform(0, 1, 2)
        rows, cols = (np.arange(n, dtype=np.float32) / cell + o for n, o in zip(shape, offset, strict=True))
        out += weight * _bilinear(coarse, rows, cols)
        total += weight**2
        weight *= 0.6
        if cell == 1.0:
            break
    return out / np.float32(np.sqrt(total) * 0.67)


def _bilinear(coarse: Float, rows: Float, cols: Float) -> Float:
    r0, c0 = rows.astype(int), cols.astype(int)
    fr, fc = (rows - r0)[:, None], (cols - c0)[None, :]
    fr, fc = fr * fr * (3 - 2 * fr), fc * fc * (3 - 2 * fc)
    top = coarse[r0][:, c0] * (1 - fc) + coarse[r0][:, c0 + 1] * fc
    bottom = coarse[r0 + 1][:, c0] * (1 - fc) + coarse[r0 + 1][:, c0 + 1] * fc
    return np.asarray(top * (1 - fr) + bottom * fr, dtype=np.float32)


def cast_shadow(
    dem: Float, gsd_m: float, sun_azimuth_deg: float, sun_elevation_deg: float, reach_px: int = 48
) -> Float:
    """Share of sunlight that the terrain towards the sun lets through, 0 to 1, shape of `dem`.

    Marches towards the sun in steps of one, then more pixels; relief farther than `reach_px` casts no shadow.
    """
    azimuth = np.radians(sun_azimuth_deg)
    climb = gsd_m * np.tan(np.radians(sun_elevation_deg))
    highest = np.full(dem.shape, -np.inf, dtype=np.float32)
    step = 1.0
    while step <= reach_px:
        drow, dcol = -np.cos(azimuth) * step, np.sin(azimuth) * step
        r, c = round(drow), round(dcol)
        if abs(r) >= dem.shape[0] or abs(c) >= dem.shape[1]:
            break
        here = (_shifted(dem.shape[0], r), _shifted(dem.shape[1], c))
        there = (_shifted(dem.shape[0], -r), _shifted(dem.shape[1], -c))
        ray = dem[there] - np.float32(climb * np.hypot(r, c))
        np.maximum(highest[here], ray, out=highest[here])
        step *= 1.0 if step < 8 else 1.08
        step += 1.0
    # half a pixel's climb of penumbra keeps the edge from being a staircase
    soft = np.float32(max(0.75 * climb, 1e-3))
    return np.asarray(np.clip(1.0 - (highest - dem) / soft, 0.0, 1.0), dtype=np.float32)


def _shifted(n: int, offset: int) -> slice:
    """The part of an axis of length n for which index + offset is inside."""
    return slice(max(0, -offset), n - max(0, offset))


def _rank(field: Float) -> Float:
    """Each pixel's share of pixels that are lower, from a histogram; 0 to 1."""
    low, high = np.percentile(field[::4, ::4], [0.5, 99.5])
    edges = np.linspace(low, high + 1e-6, 65)
    counts, _ = np.histogram(field[::2, ::2], bins=edges)
    share = np.concatenate([[0.0], np.cumsum(counts) / max(counts.sum(), 1)])
    return np.asarray(np.interp(field, edges, share), dtype=np.float32)


def _step(field: Float, threshold: float, width: float) -> Float:
    """Smooth 0 to 1 over `width` around `threshold`."""
    return np.asarray(np.clip((field - np.float32(threshold)) / np.float32(max(width, 1e-6)) + 0.5, 0.0, 1.0))


def _reflectance(name: str, rng: np.random.Generator) -> Float:
    base = np.array(REFLECTANCE[name], dtype=np.float32)
    shade = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.08, 3))
    return np.asarray(base * shade, dtype=np.float32)[:, None, None]


def _patchwork(shape: tuple[int, int], gsd_m: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Class 0..15 of rectangular, turned fields of a few hundred metres."""
    size = max(rng.uniform(80, 500) / gsd_m, 1.5)
    angle = rng.uniform(0, np.pi)
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    warp = field_noise(shape, 64, rng, 2) * np.float32(0.7 * size)
    u = np.floor((rows * np.cos(angle) + cols * np.sin(angle) + warp) / size).astype(np.int64)
    v = np.floor((cols * np.cos(angle) - rows * np.sin(angle) + warp) / (size * rng.uniform(1, 3))).astype(np.int64)
    return np.asarray(((u * 73856093) ^ (v * 19349663)) % 16)


def land_cover(dem: Float, gsd_m: float, look: Appearance, rng: np.random.Generator) -> tuple[Float, Float]:
    """Albedo, shape (3, row, col), and the share of water, shape (row, col)."""
    shape = (dem.shape[0], dem.shape[1])
    slope_cover, valley_cover, fields, steep_cover, _ = COUNTRIES[look.country]
    gy, gx = np.gradient(dem, gsd_m)
    slope = np.hypot(gx, gy)
    aspect_north = gy / (slope + 0.05)  # rows grow southwards: a positive row gradient faces north
    lowness = ndimage.uniform_filter(dem, 25) - dem
    relief = float(np.std(lowness)) + 0.3
    patch = field_noise(shape, rng.uniform(24, 120), rng, 5)
    freedom = 1.0 - look.cover_by_relief

    def share(field: Float, part: float, width: float = 0.12) -> Float:
        return _step(_rank(field), 1.0 - part, width) if part > 0 else np.zeros(shape, dtype=np.float32)

    albedo = _reflectance(slope_cover, rng) * np.exp(look.texture * 0.22 * field_noise(shape, 6, rng, 3))
    second = _reflectance(str(rng.choice([valley_cover, slope_cover, steep_cover])), rng)
    height = (dem - dem.mean()) / (dem.std() + 1.0)
    mixing = patch + look.cover_by_relief * (height * rng.normal(0, 0.8) + aspect_north * rng.normal(0.3, 0.8))
    albedo = _mix(albedo, second, share(mixing, rng.uniform(0.0, 0.6), rng.uniform(0.05, 0.4)))
    if float(np.ptp(dem)) > ZONED_RELIEF_M and rng.random() < 0.6:  # above the trees: meadow, scree, rock
        above = _reflectance(
            str(rng.choice(["grass", "dry_grass", "soil", "grey_rock", "pale_rock", "dark_rock"])), rng
        )
        albedo = _mix(
            albedo, above, share(height + 0.3 * freedom * patch, rng.uniform(0.1, 0.5), rng.uniform(0.05, 0.3))
        )
    steep = slope + freedom * 0.15 * patch
    albedo = _mix(albedo, _reflectance(steep_cover, rng), _step(steep, rng.uniform(0.6, 1.2), 0.3))
    floor = -slope / (float(slope.mean()) + 0.02) + 0.8 * lowness / relief + freedom * patch
    floor_share = share(floor, look.valley_share, 0.06)
    palette = np.stack([_reflectance(str(rng.choice(fields)), rng)[:, 0, 0] for _ in range(16)], axis=1)
    farmed = palette[:, _patchwork(shape, gsd_m, rng)]
    farmed = farmed * np.exp(0.15 * field_noise(shape, 2, rng, 1))
    albedo = _mix(albedo, farmed, floor_share)
    if rng.random() < 0.5:  # streams: a thin line along the sharpest hollows
        hollow = ndimage.gaussian_filter(ndimage.uniform_filter(dem, 5) - dem, 0.7)
        stream = share(hollow / (gsd_m * 0.1) + 0.3 * lowness / relief, rng.uniform(0.01, 0.06), 0.02)
        albedo = _mix(
            albedo, _reflectance(str(rng.choice([valley_cover, "sand", "water", "broadleaf"])), rng), 0.8 * stream
        )
    snow_share = look.snow_share
    if float(np.ptp(dem)) > 2 * ZONED_RELIEF_M and rng.random() < 0.4:
        snow_share = max(snow_share, float(rng.uniform(0.02, 0.4)))
    if snow_share > 0:
        snow = share(height + 0.3 * aspect_north - 0.4 * slope + 0.25 * patch, snow_share, 0.1)
        albedo = _mix(albedo, _reflectance("snow", rng), snow)
    flat = _step(-slope, -0.01, 0.01)
    water = flat * share(lowness / relief + 0.2 * patch, look.water_share, 0.02)
    sea = _step(-np.abs(dem), -0.3, 0.3) * flat
    water = np.maximum(water, sea)
    return _mix(albedo, _reflectance("water", rng), water), water


def _mix(below: Float, above: Float, share: Float) -> Float:
    return np.asarray(below * (1 - share) + above * share, dtype=np.float32)


def light(dem: Float, gsd_m: float, look: Appearance) -> Float:
    """Light relative to flat ground in full sun, shape of `dem`: direct Lambert light, cast shadow, skylight."""
    gy, gx = np.gradient(dem, gsd_m)
    azimuth, elevation = np.radians(look.sun_azimuth_deg), np.radians(look.sun_elevation_deg)
    # The gradient along columns points east, along rows south.
    towards = (-gx * np.sin(azimuth) + gy * np.cos(azimuth)) * np.cos(elevation) + np.sin(elevation)
    norm = np.sqrt(1 + gx**2 + gy**2)
    direct = np.clip(towards / norm, 0, None) / max(np.sin(elevation), 0.05)
    direct *= cast_shadow(dem, gsd_m, look.sun_azimuth_deg, look.sun_elevation_deg)
    open_sky = np.clip(0.5 * (1 + 1 / norm) - (ndimage.uniform_filter(dem, 15) - dem) / (15 * gsd_m), 0.2, 1.2)
    return np.asarray((1 - look.diffuse) * direct + look.diffuse * open_sky, dtype=np.float32)


def _cloud(shape: tuple[int, int], look: Appearance, rng: np.random.Generator) -> tuple[Float, Float]:
    """Opacity of cloud, and the share of sunlight left by its shadow."""
    puff = field_noise(shape, rng.uniform(20, 90), rng, 5)
    cover = _step(_rank(puff), 1 - look.cloud_share, 0.03)
    distance = rng.uniform(4, 25)
    azimuth = np.radians(look.sun_azimuth_deg)
    away = (distance * np.cos(azimuth), -distance * np.sin(azimuth))
    shadow = ndimage.shift(cover, away, order=1, mode="nearest")
    return cover, 1.0 - 0.75 * shadow


def render(dem: Float, gsd_m: float, look: Appearance, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture of a height model as a satellite would take it.

    Parameters
    ----------
    dem
        Heights in metres, shape (row, col), north up, no NaN.
    gsd_m
        Pixel size on the ground, metres.
    look
        Sun, country, atmosphere and sensor.
    rng
        All chance.

    Returns
    -------
    uint8, shape (3, row, col), red, green, blue; stretched to 8 bit by its own 0.5 and 99.5 percentiles.
    """
    dem = np.ascontiguousarray(dem, dtype=np.float32)
    shape = (dem.shape[0], dem.shape[1])
    albedo, water = land_cover(dem, gsd_m, look, rng)
    irradiance = light(dem, gsd_m, look)
    irradiance = irradiance * (1 - water) + water
    cloud = None
    if look.cloud_share > 0:
        cloud, sunlit = _cloud(shape, look, rng)
        irradiance = irradiance * sunlit
    radiance = albedo * irradiance
    haze = look.haze * np.array([0.6, 0.8, 1.3], dtype=np.float32)[:, None, None]
    veil = np.exp(0.3 * field_noise(shape, 200, rng, 2)) if look.haze > 0.01 else np.float32(1.0)
    radiance = radiance + haze * veil
    if cloud is not None:
        radiance = _mix(radiance, np.float32(0.75) * np.ones((3, 1, 1), dtype=np.float32), cloud)
    if look.blur_px > 0.25:
        radiance = ndimage.gaussian_filter(radiance, (0, look.blur_px, look.blur_px))
    joint = rng.random() < 0.5
    low, high = np.percentile(radiance[:, ::3, ::3], [0.5, 99.5], axis=None if joint else (1, 2), keepdims=not joint)
    unit = np.clip((radiance - low) / (high - low + 1e-4), 0, 1) ** np.float32(look.gamma)
    unit = unit + look.noise * rng.standard_normal(unit.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(unit * 255), 0, 255), dtype=np.uint8)
