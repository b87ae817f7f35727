"""Kernels that colour the land and let the light fall on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .gate import kernel

Float = NDArray[np.float32]
Number = np.float32

# Rows of the palette.
FOREST, OPEN, GROUND, ROCK, ALPINE, SNOW, WATER, SEA, TOWN, RIVER, RIPARIAN, ROAD = range(12)
FIELDS = 12
PALETTE_ROWS = FIELDS + 16


class Ground(NamedTuple):
    """Fields of the land, each float32 of the picture's shape."""

    dem: Float  # m
    slope: Float  # rise over run
    south: Float  # rise over run towards south
    east: Float
    hollow: Float  # mean height around minus height, in standard deviations
    stream: Float  # log2 of upstream pixels
    patch: Float  # noise
    other: Float
    grain: Float


class Weights(NamedTuple):
    """How the scores of covers follow the relief; float32."""

    middle_m: Number
    per_m: Number
    pole: Number  # +1 north of the equator
    by_hollow: Number
    by_pole: Number
    by_height: Number
    by_stream: Number
    by_noise: Number
    per_slope: Number
    freedom: Number


class Cover(NamedTuple):
    """Where covers begin, each as lower end and one over the width of a ramp; float32."""

    forest: Number
    per_forest: Number
    valley: Number
    per_valley: Number
    snow: Number
    per_snow: Number
    lake: Number
    per_lake: Number
    steep: Number
    treeline_m: Number
    snowline_m: Number
    stream: Number
    river: Number
    riparian: Number
    town: Number
    texture: Number
    strata: Number
    strata_per_m: Number
    has_lake: Number
    has_snow: Number
    pole: Number


class Parcels(NamedTuple):
    """Fields of the farmland: sizes in pixels, directions of two regions, a width of roads; float32."""

    per_long_px: Number
    per_short_px: Number
    cos_one: Number
    sin_one: Number
    cos_two: Number
    sin_two: Number
    road: Number
    bend_px: Number


class Sun(NamedTuple):
    """Light: direction on the ground times cosine of elevation, sine of elevation, shares; float32."""

    south: Number
    east: Number
    up: Number
    diffuse: Number
    shading: Number


@kernel
def ramp(x: Number, start: Number, per: Number) -> Number:
    """0 below the start, 1 above the end, straight between."""
    return min(max((x - start) * per, np.float32(0)), np.float32(1))


@kernel
def score(g: Ground, w: Weights, forest: Float, valley: Float, snow: Float) -> None:
    """How much a pixel is a place for trees, for fields and for snow; only the order of the values counts."""
    for r in range(forest.shape[0]):
        for c in range(forest.shape[1]):
            slope = g.slope[r, c]
            shady = w.pole * g.south[r, c] / (slope + np.float32(0.1))
            height = (g.dem[r, c] - w.middle_m) * w.per_m
            noise = g.patch[r, c]
            forest[r, c] = (
                w.by_hollow * g.hollow[r, c]
                + w.by_pole * shady
                + w.by_height * height
                + w.by_stream * (g.stream[r, c] - np.float32(6))
                + w.by_noise * noise
            )
            valley[r, c] = np.float32(0.7) * g.hollow[r, c] - slope * w.per_slope + w.freedom * noise
            snow[r, c] = height + np.float32(0.3) * shady - np.float32(0.4) * slope + np.float32(0.25) * noise


@kernel
def scramble(a: int, b: int) -> int:
    """A number 0..255 that looks random, the same for the same pair."""
    n = (a * 374761393 + b * 668265263) & 0xFFFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0xFFFFFFFF
    return (n ^ (n >> 16)) & 255


@kernel
def parcel(r: int, c: int, bend: Number, region: Number, p: Parcels) -> tuple[int, Number]:
    """Number of the parcel under a pixel, 0..255, and 1 where a road runs along its block, else 0."""
    y, x = np.float32(r) + bend, np.float32(c) - bend
    second = region > np.float32(0.2)
    cos, sin = (p.cos_two, p.sin_two) if second else (p.cos_one, p.sin_one)
    u, v = (y * cos + x * sin) * p.per_long_px, (x * cos - y * sin) * p.per_short_px
    iu, iv = int(np.floor(u)), int(np.floor(v))
    block = scramble(iu, iv)
    fu, fv = u - np.float32(iu), v - np.float32(iv)
    road = np.float32(1) if fu < p.road or fv < p.road else np.float32(0)
    # a block is cut along, across or both ways, or stays whole
    a = int(fu * np.float32(1 + (block & 3)))
    b = int(fv * np.float32(1 + ((block >> 2) & 1)))
    return scramble(block * 8 + a + (3 if second else 0), iu + b * 977), road


@kernel
def town_tone(r: int, c: int, tone: Number, road: Number) -> Number:
    """Brightness of roofs and yards, by blocks of a pixel or two."""
    roof = np.float32(scramble(r, c)) / np.float32(255)
    block = np.float32(scramble(r >> 1, (c >> 1) + 7)) / np.float32(255)
    light = np.float32(0.62) + np.float32(0.45) * block + np.float32(0.38) * roof * roof * roof + np.float32(0.1) * tone
    return light * (np.float32(1) - np.float32(0.25) * road)


@kernel
def paint(
    g: Ground,
    scores: tuple[Float, Float, Float],
    k: Cover,
    p: Parcels,
    tables: tuple[Float, Float],
    out: tuple[Float, Float],
) -> None:
    """Albedo, shape (3, row, col), and share of water; `tables` are the palette and one period of rock strata."""
    palette, strata = tables
    albedo, wet = out
    one, zero = np.float32(1), np.float32(0)
    for r in range(wet.shape[0]):
        for c in range(wet.shape[1]):
            slope, dem, patch, other = g.slope[r, c], g.dem[r, c], g.patch[r, c], g.other[r, c]
            shady = k.pole * g.south[r, c] / (slope + np.float32(0.1))
            trees = ramp(scores[0][r, c], k.forest, k.per_forest)
            bare = ramp(other + np.float32(0.4) * patch, np.float32(-0.4), np.float32(0.6))
            height = dem + np.float32(110) * patch - np.float32(90) * shady
            high = ramp(height, k.treeline_m - np.float32(130), np.float32(1 / 260))
            scree = ramp(height, k.treeline_m + np.float32(250), np.float32(1 / 600))
            rock = max(ramp(slope + np.float32(0.12) * patch, k.steep, np.float32(3)), scree * np.float32(0.85))
            trees *= (one - high) * (one - rock)
            tone = one + k.texture * (np.float32(0.10) + np.float32(0.10) * trees) * g.grain[r, c]
            tone = min(max(tone, np.float32(0.4)), np.float32(1.8))
            layer = one + k.strata * strata[int(abs(dem) * k.strata_per_m + np.float32(0.8) * other + 64) & 255] * rock
            flat = (one - high) * ramp(-slope, np.float32(-0.28), np.float32(8))
            valley = ramp(scores[1][r, c], k.valley, k.per_valley) * flat
            built = zero
            road = zero
            field = FIELDS
            lightness = one
            if valley > np.float32(0.01):
                number, road = parcel(r, c, p.bend_px * other, patch, p)
                field = FIELDS + (number & 15)
                lightness = np.float32(0.85) + np.float32(0.3 / 15) * np.float32(number >> 4)
                built = ramp(patch - other + np.float32(0.25) * g.grain[r, c], k.town, np.float32(2))
            town = town_tone(r, c, g.grain[r, c], road) if built > zero else one
            flow = g.stream[r, c]
            green = ramp(flow, k.stream - np.float32(2.5), np.float32(0.5)) * k.riparian * (one - rock)
            river = ramp(flow, k.stream, np.float32(0.7)) * k.river * ramp(-slope, np.float32(-0.5), np.float32(3))
            lake = k.has_lake * ramp(g.hollow[r, c] + np.float32(0.15) * patch, k.lake, k.per_lake)
            lake *= ramp(-slope, np.float32(-0.012), np.float32(150))
            sea = ramp(-abs(dem), np.float32(-0.5), np.float32(4)) * ramp(-slope, np.float32(-0.02), np.float32(100))
            white = max(
                k.has_snow * ramp(scores[2][r, c], k.snow, k.per_snow),
                ramp(height - np.float32(250) * slope, k.snowline_m - np.float32(90), np.float32(1 / 180)),
            )
            white *= one - np.float32(0.65) * trees
            white *= one - ramp(slope, np.float32(0.9), np.float32(1.6))
            lake = max(lake, sea)
            wet[r, c] = lake
            for i in range(3):
                a = palette[OPEN, i] + bare * (palette[GROUND, i] - palette[OPEN, i])
                a += high * (palette[ALPINE, i] - a)
                a += trees * (palette[FOREST, i] - a)
                a += rock * (palette[ROCK, i] * layer - a)
                a += green * (palette[RIPARIAN, i] - a)
                if valley > np.float32(0.01):
                    f = palette[field, i] * lightness
                    f += np.float32(0.5) * road * (palette[ROAD, i] - f)
                    f += built * (palette[TOWN, i] * town - f)
                    a += valley * (f - a)
                a *= tone
                a += river * (palette[RIVER, i] - a)
                a += lake * (palette[WATER, i] + sea * (palette[SEA, i] - palette[WATER, i]) - a)
                albedo[i, r, c] = a + white * (palette[SNOW, i] - a) * (one - lake)


@kernel
def illuminate(g: Ground, sun: Sun, sunshine: Float, wet: Float, out: Float) -> None:
    """Light relative to flat ground in full sun: Lambert's law, cast shadow (`sunshine`), sky; even on water."""
    one = np.float32(1)
    per_up = one / max(sun.up, np.float32(0.05))
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            slope = g.slope[r, c]
            norm = np.sqrt(one + slope * slope)
            direct = max(g.south[r, c] * sun.south + g.east[r, c] * sun.east + sun.up, np.float32(0)) / norm
            # half of the sky at a wall, and less in a hollow
            sky = np.float32(0.5) + np.float32(0.5) / norm - np.float32(0.07) * g.hollow[r, c]
            sky = min(max(sky, np.float32(0.2)), np.float32(1.2))
            light = (one - sun.diffuse) * direct * per_up * sunshine[r, c] + sun.diffuse * sky
            light = one + sun.shading * (light - one)
            out[r, c] = light + wet[r, c] * (one - light)


@kernel
def radiate(albedo: Float, light: Float, haze: Float, thin: Float, veil: Float) -> None:
    """Albedo becomes radiance, in place: times light, plus haze (per band), behind thin cloud (`thin` times veil)."""
    one = np.float32(1)
    for i in range(3):
        for r in range(light.shape[0]):
            for c in range(light.shape[1]):
                v = thin[i] * veil[r, c]
                albedo[i, r, c] = albedo[i, r, c] * light[r, c] * (one - v) + haze[i] + v


@kernel
def overcast(radiance: Float, puff: Float, at: Float, shadow: tuple[int, int], white: Float) -> None:
    """Cumulus and its shadow, in place: opacity ramps up from `at[0]` by `at[1]`, the shadow lies `shadow` away."""
    h, w = puff.shape
    one = np.float32(1)
    for r in range(h):
        a = min(max(r - shadow[0], 0), h - 1)
        for c in range(w):
            b = min(max(c - shadow[1], 0), w - 1)
            dark = one - np.float32(0.72) * ramp(puff[a, b], at[0], at[1])
            cover = ramp(puff[r, c], at[0], at[1])
            thick = np.float32(0.8) + np.float32(0.2) * ramp(puff[r, c], at[0], at[1] * np.float32(0.3))
            for i in range(3):
                x = radiance[i, r, c] * dark
                radiance[i, r, c] = x + cover * (white[i] * thick - x)
