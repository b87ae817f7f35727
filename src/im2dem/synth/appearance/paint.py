"""Kernels that colour the land and let the light fall on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .gate import kernel
from .values import (
    ALPINE,
    FIELDS,
    FOREST,
    GROUND,
    OPEN,
    RIPARIAN,
    RIVER,
    ROAD,
    ROCK,
    SEA,
    SNOW,
    TOWN,
    WATER,
    Cover,
    Ground,
    Parcels,
    Sun,
    Weights,
)

Float = NDArray[np.float32]
Number = np.float32
# Scratch rows of `paint`.
SHADY, HEIGHT, HIGH, ROCKY, TREES, GREEN, STREAM, VALLEY, TONE = range(9)
BARE, SALT, WET, WHITE, LIGHT, NUMBER, ALONG, BUILT, ROOFS, ROWS = range(9, 19)


@kernel
def ramp(x: Number, start: Number, per: Number) -> Number:
    """0 below the start, 1 above the end, straight between."""
    return min(max((x - start) * per, np.float32(0)), np.float32(1))


@kernel
def tree_score(shady: Number, hollow: Number, height: Number, stream: Number, noise: Number, w: Weights) -> Number:
    """How much a pixel is a place for trees; of scores, only the order of the values counts."""
    score = w.by_pole * w.pole * shady + w.by_hollow * hollow + w.by_height * (height - w.middle_m) * w.per_m
    return score + w.by_stream * (stream - np.float32(6)) + w.by_noise * noise


@kernel
def valley_score(hollow: Number, slope: Number, noise: Number, w: Weights) -> Number:
    """How much a pixel is a place for fields."""
    return np.float32(0.7) * hollow - slope * w.per_slope + w.freedom * noise


@kernel
def snow_score(height: Number, slope: Number, shady: Number, noise: Number, w: Weights) -> Number:
    """How long snow lies."""
    score = (height - w.middle_m) * w.per_m + np.float32(0.25) * noise - np.float32(0.4) * slope
    return score + np.float32(0.3) * w.pole * shady


@kernel
def score(g: Ground, w: Weights, out: Float) -> None:
    """Scores of trees, valleys and snow, shape (3, row, col)."""
    for r in range(out.shape[1]):
        for c in range(out.shape[2]):
            slope, noise, height, hollow = g.slope[r, c], g.patch[r, c], g.dem[r, c], g.hollow[r, c]
            shady = g.south[r, c] / (slope + np.float32(0.1))
            out[0, r, c] = tree_score(shady, hollow, height, g.stream[r, c], noise, w)
            out[1, r, c] = valley_score(hollow, slope, noise, w)
            out[2, r, c] = snow_score(height, slope, shady, noise, w)


@kernel
def scramble(a: np.int32, b: np.int32) -> np.int32:
    """A number 0..255 that looks random, the same for the same pair; all in 32 bits, for wide vectors."""
    n = np.uint32(np.uint32(a) * np.uint32(374761393) + np.uint32(b) * np.uint32(668265263))
    n = np.uint32((n ^ np.uint32(n >> np.uint32(13))) * np.uint32(1274126177))
    return np.int32((n ^ np.uint32(n >> np.uint32(16))) & np.uint32(255))


@kernel
def parcel_row(at: tuple[int, int], fields: tuple[Float, Float], p: Parcels, number: Float, road: Float) -> None:
    """Number of the parcel under each pixel, 0..255, and 1 where a road runs along its block, else 0.

    `at` are row and first column; `fields` the noise that bends the borders and the one that parts two regions.
    """
    r, c0 = at
    bend, region = fields
    for c in range(bend.size):
        y, x = np.float32(r) + p.bend_px * bend[c], np.float32(c + c0) - p.bend_px * bend[c]
        second = region[c] > np.float32(0.2)
        cos, sin = (p.cos_two if second else p.cos_one), (p.sin_two if second else p.sin_one)
        u, v = (y * cos + x * sin) * p.per_long_px, (x * cos - y * sin) * p.per_short_px
        fu, fv = np.floor(u), np.floor(v)
        iu, iv = np.int32(fu), np.int32(fv)
        fu, fv = u - fu, v - fv
        block = scramble(iu, iv)
        # a block is cut along, across or both ways, or stays whole
        a = np.int32(fu * np.float32(np.int32(1 + (block & 3))))
        b = np.int32(fv * np.float32(np.int32(1 + ((block >> 2) & 1))))
        part = np.int32(block * 8 + a + (3 if second else 0))
        road[c] = np.float32(1) if min(fu, fv) < p.road else np.float32(0)
        number[c] = np.float32(scramble(part, np.int32(iu + b * 977)))


@kernel
def roof_row(at: tuple[int, int], tone: Float, road: Float, out: Float) -> None:
    """Brightness of roofs and yards, by blocks of a pixel or two."""
    r, c0 = at
    row, pair = np.int32(r), np.int32(r >> 1)
    for c in range(out.size):
        at_c = np.int32(c + c0)
        roof = np.float32(scramble(row, at_c)) * np.float32(1 / 255)
        block = np.float32(scramble(pair, np.int32((at_c >> 1) + 7))) * np.float32(1 / 255)
        light = np.float32(0.62) + np.float32(0.45) * block + np.float32(0.38) * roof * roof * roof
        out[c] = (light + np.float32(0.1) * tone[c]) * (np.float32(1) - np.float32(0.25) * road[c])


@kernel
def colour_row(number: Float, palette: Float, out: tuple[Float, Float, Float]) -> None:
    """Albedo of fields in three bands, from numbers of parcels."""
    red, green, blue = out
    last, a, b, d = np.float32(-1), np.float32(0), np.float32(0), np.float32(0)
    for c in range(number.size):
        # parcels are wide: the table is read once for each
        if number[c] != last:
            last = number[c]
            n = int(last)
            lightness = np.float32(0.85) + np.float32(0.3 / 15) * np.float32(n >> 4)
            field = FIELDS + (n & 15)
            a, b, d = palette[field, 0] * lightness, palette[field, 1] * lightness, palette[field, 2] * lightness
        red[c], green[c], blue[c] = a, b, d


@kernel
def blend_row(share: Float, value: Number, strength: Number, out: Float) -> None:
    """A cover of one value on top of a row, in place."""
    for c in range(out.size):
        out[c] += strength * share[c] * (value - out[c])


@kernel
def town_row(share: Float, roofs: Float, value: Number, out: Float) -> None:
    """Houses on top of a row, in place."""
    for c in range(out.size):
        out[c] += share[c] * (value * roofs[c] - out[c])


@kernel
def layer_row(dem: Float, bend: Float, k: Cover, strata: Float, rock: Float) -> None:
    """Rock in layers, in place: lighter and darker with the height."""
    last, tone = -1, np.float32(1)
    for c in range(rock.size):
        at = int(abs(dem[c]) * k.strata_per_m + np.float32(0.8) * bend[c] + np.float32(64)) & 255
        if at != last:
            last, tone = at, np.float32(1) + k.strata * strata[at]
        rock[c] *= tone


@kernel
def farm_row(g: Ground, r: int, place: tuple[Cover, Parcels], palette: Float, scratch: tuple[Float, Float]) -> bool:
    """Albedo of fields, roads and towns, shape (3, column), where there is valley floor; whether there is."""
    k, p = place
    rows, farm = scratch
    share = rows[VALLEY]
    first, last = 0, share.size
    while first < last and share[first] <= np.float32(0.002):
        first += 1
    while first < last and share[last - 1] <= np.float32(0.002):
        last -= 1
    if first == last:
        return False
    # one-dimensional pieces, which the compiler knows to lie together
    patch, other, grain = g.patch[r][first:last], g.other[r][first:last], g.grain[r][first:last]
    number, road, built = rows[NUMBER][first:last], rows[ALONG][first:last], rows[BUILT][first:last]
    parcel_row((r, first), (other, patch), p, number, road)
    has_town = k.town < np.float32(1e6)
    if has_town:
        for c in range(built.size):
            built[c] = ramp(patch[c] - other[c] + np.float32(0.25) * grain[c], k.town, np.float32(2))
        roof_row((r, first), grain, road, rows[ROOFS][first:last])
    farm[:] = np.float32(0)
    colour_row(number, palette, (farm[0][first:last], farm[1][first:last], farm[2][first:last]))
    for i in range(3):
        out = farm[i][first:last]
        blend_row(road, palette[ROAD, i], np.float32(0.5), out)
        if has_town:
            town_row(built, rows[ROOFS][first:last], palette[TOWN, i], out)
    return True


@kernel
def plant_row(g: Ground, r: int, w: Weights, k: Cover, rows: Float) -> None:
    """Shares of rock, trees, streams, farmland and bare ground, and the grain of everything, in their scratch rows."""
    dem, slope, south, hollow, stream, patch = g.dem[r], g.slope[r], g.south[r], g.hollow[r], g.stream[r], g.patch[r]
    other, grain, shady, height, high = g.other[r], g.grain[r], rows[SHADY], rows[HEIGHT], rows[HIGH]
    rocky, trees, green, river, valley = rows[ROCKY], rows[TREES], rows[GREEN], rows[STREAM], rows[VALLEY]
    bare, tone, one = rows[BARE], rows[TONE], np.float32(1)
    for c in range(shady.size):
        shady[c] = south[c] / (slope[c] + np.float32(0.1))
    for c in range(shady.size):
        # height above the sea as plants and snow feel it
        height[c] = dem[c] + np.float32(110) * patch[c] - np.float32(90) * k.pole * shady[c]
    for c in range(shady.size):
        high[c] = ramp(height[c], k.treeline_m - np.float32(130), np.float32(1 / 260))
    for c in range(shady.size):
        above = np.float32(0.85) * ramp(height[c], k.treeline_m + np.float32(250), np.float32(1 / 600))
        rocky[c] = max(ramp(slope[c] + np.float32(0.12) * patch[c], k.steep, np.float32(3)), above)
    for c in range(shady.size):
        trees[c] = tree_score(shady[c], hollow[c], dem[c], stream[c], patch[c], w)
    for c in range(shady.size):
        trees[c] = ramp(trees[c], k.forest, k.per_forest) * (one - high[c]) * (one - rocky[c])
    for c in range(shady.size):
        green[c] = k.riparian * ramp(stream[c], k.stream - np.float32(2.5), np.float32(0.5)) * (one - rocky[c])
    for c in range(shady.size):
        even = ramp(slope[c], np.float32(0.5), np.float32(-3))
        river[c] = k.river * ramp(stream[c], k.stream, np.float32(0.7)) * even
    for c in range(shady.size):
        level = ramp(slope[c], np.float32(0.28), np.float32(-8)) * (one - high[c])
        valley[c] = ramp(valley_score(hollow[c], slope[c], patch[c], w), k.valley, k.per_valley) * level
    for c in range(shady.size):
        bare[c] = ramp(np.float32(0.16) * other[c] + np.float32(0.3) * patch[c], np.float32(-0.35), one)
    for c in range(shady.size):
        t = one + k.texture * np.float32(0.18) * grain[c]
        tone[c] = min(max(t, np.float32(0.4)), np.float32(1.8))


@kernel
def water_row(g: Ground, r: int, w: Weights, k: Cover, rows: Float) -> None:
    """Share of sea, of all water (level ground in a hollow, or at height zero) and of snow.

    Snow is of the season by score, for good above its line; less under trees and on walls, none on water.
    """
    dem, slope, hollow, patch = g.dem[r], g.slope[r], g.hollow[r], g.patch[r]
    sea, wet, white = rows[SALT], rows[WET], rows[WHITE]
    height, shady, trees, one = rows[HEIGHT], rows[SHADY], rows[TREES], np.float32(1)
    for c in range(sea.size):
        sea[c] = ramp(abs(dem[c]), np.float32(0.5), np.float32(-4)) * ramp(slope[c], np.float32(0.02), np.float32(-100))
    for c in range(sea.size):
        lake = ramp(hollow[c], k.lake, k.per_lake) * ramp(slope[c], np.float32(0.012), np.float32(-150))
        wet[c] = max(lake, sea[c])
    for c in range(sea.size):
        lasting = ramp(height[c] - np.float32(250) * slope[c], k.snowline_m - np.float32(90), np.float32(1 / 180))
        season = ramp(snow_score(dem[c], slope[c], shady[c], patch[c], w), k.snow, k.per_snow)
        white[c] = max(lasting, season)
    for c in range(sea.size):
        wall = ramp(slope[c], np.float32(0.9), np.float32(1.6))
        white[c] *= (one - wall) * (one - np.float32(0.65) * trees[c]) * (one - wet[c])


@kernel
def light_row(g: Ground, r: int, sun: Sun, sunshine: Float, light: Float) -> None:
    """Light relative to flat ground in full sun: Lambert's law, cast shadow (`sunshine`), sky."""
    one = np.float32(1)
    per_up = (one - sun.diffuse) / max(sun.up, np.float32(0.05))
    slope, south, east, hollow = g.slope[r], g.south[r], g.east[r], g.hollow[r]
    for c in range(light.size):
        direct = max(south[c] * sun.south + east[c] * sun.east + sun.up, np.float32(0))
        light[c] = direct * per_up * sunshine[c]
    for c in range(light.size):
        flat = one / np.sqrt(one + slope[c] * slope[c])
        # half of the sky at a wall, and less in a hollow
        sky = np.float32(0.5) + np.float32(0.5) * flat - np.float32(0.07) * hollow[c]
        sky = min(max(sky, np.float32(0.2)), np.float32(1.2))
        light[c] = one + sun.shading * (light[c] * flat + sun.diffuse * sky - one)


@kernel
def illuminate(g: Ground, sun: Sun, sunshine: Float, out: Float) -> None:
    """`light_row` of all rows."""
    for r in range(out.shape[0]):
        light_row(g, r, sun, sunshine[r], out[r])


@kernel
def claim(left: Float, upper: Float, lower: Float) -> None:
    """Two covers, one upon the other, take their shares of the light that is left; all in place."""
    for c in range(left.size):
        above = upper[c] * left[c]
        rest = left[c] - above
        below = lower[c] * rest
        upper[c], lower[c] = above, below
        left[c] = rest - below


@kernel
def share_light(rows: Float) -> None:
    """Shares of cover become light that falls on each cover, what is left on open land."""
    left, tone, wet = rows[LIGHT], rows[TONE], rows[WET]
    for c in range(left.size):
        # water has no slope
        left[c] += wet[c] * (np.float32(1) - left[c])
    claim(left, rows[WHITE], rows[SALT])
    claim(left, wet, rows[STREAM])
    for c in range(left.size):
        left[c] *= tone[c]
    claim(left, rows[VALLEY], rows[GREEN])
    claim(left, rows[ROCKY], rows[TREES])
    claim(left, rows[HIGH], rows[BARE])


@kernel
def shine(rows: Float, palette: Float, band: int, haze: Number, out: Float) -> None:
    """Radiance of a row in one band: light on each cover times its albedo, and haze."""
    a, b, d, e = rows[WHITE], rows[SALT], rows[WET], rows[STREAM]
    pa, pb, pd, pe = palette[SNOW, band], palette[SEA, band], palette[WATER, band], palette[RIVER, band]
    for c in range(out.size):
        out[c] = haze + pa * a[c] + pb * b[c] + pd * d[c] + pe * e[c]
    a, b, d = rows[GREEN], rows[ROCKY], rows[TREES]
    pa, pb, pd = palette[RIPARIAN, band], palette[ROCK, band], palette[FOREST, band]
    for c in range(out.size):
        out[c] += pa * a[c] + pb * b[c] + pd * d[c]
    a, b, d = rows[HIGH], rows[BARE], rows[LIGHT]
    pa, pb, pd = palette[ALPINE, band], palette[GROUND, band], palette[OPEN, band]
    for c in range(out.size):
        out[c] += pa * a[c] + pb * b[c] + pd * d[c]


@kernel
def paint(
    g: Ground,
    place: tuple[Weights, Cover, Parcels, Sun],
    tables: tuple[Float, Float, Float, Float],
    sky: tuple[Float, Float],
    radiance: Float,
) -> None:
    """Radiance, shape (3, row, col).

    `tables` are the palette, one period of rock strata, haze and brightness of thin cloud per band; `sky` is the share
    of direct sun and the opacity of thin cloud, each of a pixel. Row by row and cover by cover: short loops over few
    arrays are what the compiler turns into vector code, and a row stays in the cache.
    """
    weights, k, parcels, sun = place
    palette, strata, haze, thin = tables
    width = radiance.shape[2]
    rows, farm = np.ones((ROWS, width), np.float32), np.empty((3, width), np.float32)
    for r in range(radiance.shape[1]):
        veil = sky[1][r % sky[1].shape[0]]
        plant_row(g, r, weights, k, rows)
        water_row(g, r, weights, k, rows)
        has_farm = farm_row(g, r, (k, parcels), palette, (rows, farm))
        light_row(g, r, sun, sky[0][r % sky[0].shape[0]], rows[LIGHT])
        share_light(rows)
        if k.strata > np.float32(0):
            layer_row(g.dem[r], g.other[r], k, strata, rows[ROCKY])
        for band in range(3):
            out = radiance[band, r]
            shine(rows, palette, band, haze[band], out)
            if has_farm:
                for c in range(width):
                    out[c] += rows[VALLEY, c] * farm[band, c]
            if thin[band] > np.float32(0):
                for c in range(width):
                    out[c] += veil[c] * (haze[band] + thin[band] - out[c])


@kernel
def overcast(radiance: Float, puff: Float, at: Float, shadow: tuple[int, int], white: Float) -> None:
    """Cumulus and its shadow, in place: opacity ramps up from `at[0]` by `at[1]`, the shadow lies `shadow` away."""
    h, w = puff.shape
    one = np.float32(1)
    for r in range(h):
        a = min(max(r - shadow[0], 0), h - 1)
        for c in range(w):
            b = min(max(c - shadow[1], 0), w - 1)
            dark = one - np.float32(0.55) * ramp(puff[a, b], at[0], at[1])
            cover = ramp(puff[r, c], at[0], at[1])
            thick = np.float32(0.8) + np.float32(0.2) * ramp(puff[r, c], at[0], at[1] * np.float32(0.3))
            for i in range(3):
                x = radiance[i, r, c] * dark
                radiance[i, r, c] = x + cover * (white[i] * thick - x)
