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
HEIGHT, HIGH, ROCKY, TREES, BARE, GREEN, STREAM, VALLEY, TONE, SALT, WHITE, SPARE, LAYER, SNOWY, WET, LIGHT = range(16)


@kernel
def ramp(x: Number, start: Number, per: Number) -> Number:
    """0 below the start, 1 above the end, straight between."""
    return min(max((x - start) * per, np.float32(0)), np.float32(1))


@kernel
def score_row(g: Ground, r: int, w: Weights, rows: tuple[Float, Float, Float]) -> None:
    """How much a pixel is a place for trees, for fields and for snow; only the order of the values counts."""
    trees, valley, snow = rows
    dem, slope, south, hollow, stream, noise = g.dem[r], g.slope[r], g.south[r], g.hollow[r], g.stream[r], g.patch[r]
    for c in range(trees.size):
        trees[c] = w.by_pole * w.pole * south[c] / (slope[c] + np.float32(0.1)) + w.by_hollow * hollow[c]
    for c in range(trees.size):
        snow[c] = (dem[c] - w.middle_m) * w.per_m
    for c in range(trees.size):
        trees[c] += w.by_height * snow[c] + w.by_stream * (stream[c] - np.float32(6)) + w.by_noise * noise[c]
    for c in range(trees.size):
        valley[c] = np.float32(0.7) * hollow[c] - slope[c] * w.per_slope + w.freedom * noise[c]
    for c in range(trees.size):
        snow[c] += np.float32(0.25) * noise[c] - np.float32(0.4) * slope[c]
        snow[c] += np.float32(0.3) * w.pole * south[c] / (slope[c] + np.float32(0.1))


@kernel
def score(g: Ground, w: Weights, out: Float) -> None:
    """`score_row` of all rows, shape (3, row, col)."""
    for r in range(out.shape[1]):
        score_row(g, r, w, (out[0, r], out[1, r], out[2, r]))


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
def ramp_row(x: Float, start: Number, per: Number, out: Float) -> None:
    """`ramp` along a row."""
    for c in range(x.size):
        out[c] = min(max((x[c] - start) * per, np.float32(0)), np.float32(1))


@kernel
def dim_row(row: Float, share: Float) -> None:
    """What `share` leaves of a row, in place."""
    for c in range(row.size):
        row[c] *= np.float32(1) - share[c]


@kernel
def lay_row(row: Float, share: Float, value: Number) -> None:
    """A cover of one value on top of a row, in place."""
    for c in range(row.size):
        row[c] += share[c] * (value - row[c])


@kernel
def mix_row(row: Float, share: Float, above: Float) -> None:
    """A cover on top of a row, in place."""
    for c in range(row.size):
        row[c] += share[c] * (above[c] - row[c])


@kernel
def zone_row(g: Ground, r: int, k: Cover, height: Float, spare: Float) -> None:
    """Height above the sea as plants and snow feel it: metres, bent by noise and by the shady side."""
    dem, patch, south, slope = g.dem[r], g.patch[r], g.south[r], g.slope[r]
    for c in range(height.size):
        spare[c] = south[c] / (slope[c] + np.float32(0.1))
    for c in range(height.size):
        height[c] = dem[c] + np.float32(110) * patch[c] - np.float32(90) * k.pole * spare[c]


@kernel
def tone_row(g: Ground, r: int, k: Cover, bare: Float, tone: Float) -> None:
    """Share of bare ground in open land, and the fine grain of everything."""
    other, patch, grain = g.other[r], g.patch[r], g.grain[r]
    for c in range(bare.size):
        share = np.float32(0.35) + np.float32(0.16) * other[c] + np.float32(0.3) * patch[c]
        bare[c] = min(max(share, np.float32(0)), np.float32(1))
    for c in range(tone.size):
        t = np.float32(1) + k.texture * np.float32(0.18) * grain[c]
        tone[c] = min(max(t, np.float32(0.4)), np.float32(1.8))


@kernel
def rock_row(g: Ground, r: int, k: Cover, height: Float, rock: Float, spare: Float) -> None:
    """Share of bare rock: where it is steep, and far above the trees."""
    slope, patch = g.slope[r], g.patch[r]
    for c in range(rock.size):
        rock[c] = slope[c] + np.float32(0.12) * patch[c]
    ramp_row(rock, k.steep, np.float32(3), rock)
    ramp_row(height, k.treeline_m + np.float32(250), np.float32(1 / 600), spare)
    for c in range(rock.size):
        rock[c] = max(rock[c], np.float32(0.85) * spare[c])


@kernel
def water_row(g: Ground, r: int, k: Cover, lake: Float, sea: Float, spare: Float) -> None:
    """Share of water, lakes and sea, and of sea: level ground in a hollow, or at height zero."""
    dem, slope, hollow = g.dem[r], g.slope[r], g.hollow[r]
    for c in range(sea.size):
        sea[c] = min(max(np.float32(2) - np.float32(4) * abs(dem[c]), np.float32(0)), np.float32(1))
        sea[c] *= min(max(np.float32(2) - np.float32(100) * slope[c], np.float32(0)), np.float32(1))
    ramp_row(hollow, k.lake, k.per_lake, lake)
    ramp_row(slope, np.float32(0.012), np.float32(-150), spare)
    for c in range(sea.size):
        lake[c] = max(lake[c] * spare[c] * k.has_lake, sea[c])


@kernel
def snow_row(g: Ground, r: int, k: Cover, score_row: Float, rows: tuple[Float, Float, Float], white: Float) -> None:
    """Share of snow: of the season by score, for good above its line; less under trees and on walls."""
    height, trees, spare = rows
    slope = g.slope[r]
    for c in range(white.size):
        spare[c] = height[c] - np.float32(250) * slope[c]
    ramp_row(spare, k.snowline_m - np.float32(90), np.float32(1 / 180), white)
    if k.has_snow > np.float32(0):
        ramp_row(score_row, k.snow, k.per_snow, spare)
        for c in range(white.size):
            white[c] = max(white[c], spare[c])
    ramp_row(slope, np.float32(0.9), np.float32(1.6), spare)
    dim_row(white, spare)
    for c in range(white.size):
        white[c] *= np.float32(1) - np.float32(0.65) * trees[c]


@kernel
def farm_row(g: Ground, r: int, place: tuple[Cover, Parcels], palette: Float, valley: Float, farm: Float) -> None:
    """Albedo of fields, roads and towns, shape (3, column), where there is valley floor."""
    k, p = place
    for c in range(valley.size):
        if valley[c] <= np.float32(0.01):
            for i in range(3):
                farm[i, c] = np.float32(0)
            continue
        patch, other, grain = g.patch[r, c], g.other[r, c], g.grain[r, c]
        number, road = parcel(r, c, p.bend_px * other, patch, p)
        field = FIELDS + (number & 15)
        lightness = np.float32(0.85) + np.float32(0.3 / 15) * np.float32(number >> 4)
        built = ramp(patch - other + np.float32(0.25) * grain, k.town, np.float32(2))
        town = town_tone(r, c, grain, road) if built > np.float32(0) else np.float32(1)
        for i in range(3):
            f = palette[field, i] * lightness
            f += np.float32(0.5) * road * (palette[ROAD, i] - f)
            farm[i, c] = f + built * (palette[TOWN, i] * town - f)


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
def air_row(a: Float, light: Float, haze: Number, thin: Number, veil: Float) -> None:
    """Albedo becomes radiance, in place: times light, plus haze, behind thin cloud of opacity thin x veil."""
    if thin > np.float32(0):
        for c in range(a.size):
            a[c] = a[c] * light[c] * (np.float32(1) - veil[c]) + haze + thin * veil[c]
    else:
        for c in range(a.size):
            a[c] = a[c] * light[c] + haze


@kernel
def plant_row(g: Ground, r: int, weights: Weights, k: Cover, rows: Float) -> None:
    """Shares of everything but water, snow and farms, in their scratch rows."""
    slope, spare = g.slope[r], rows[SPARE]
    height, high, rock, trees, valley = rows[HEIGHT], rows[HIGH], rows[ROCKY], rows[TREES], rows[VALLEY]
    green, river = rows[GREEN], rows[STREAM]
    zone_row(g, r, k, height, spare)
    score_row(g, r, weights, (trees, valley, rows[SNOWY]))
    ramp_row(height, k.treeline_m - np.float32(130), np.float32(1 / 260), high)
    rock_row(g, r, k, height, rock, spare)
    ramp_row(trees, k.forest, k.per_forest, trees)
    dim_row(trees, high)
    dim_row(trees, rock)
    ramp_row(g.stream[r], k.stream - np.float32(2.5), np.float32(0.5), green)
    dim_row(green, rock)
    ramp_row(g.stream[r], k.stream, np.float32(0.7), river)
    ramp_row(slope, np.float32(0.5), np.float32(-3), spare)
    for c in range(spare.size):
        green[c] *= k.riparian
        river[c] *= k.river * spare[c]
    ramp_row(valley, k.valley, k.per_valley, valley)
    dim_row(valley, high)
    ramp_row(slope, np.float32(0.28), np.float32(-8), spare)
    for c in range(spare.size):
        valley[c] *= spare[c]
    tone_row(g, r, k, rows[BARE], rows[TONE])


@kernel
def lay_covers(a: Float, rows: Float, palette: Float, band: int, farm: Float) -> None:
    """Albedo of a row in one band: one cover upon the other."""
    bare, layer, tone, spare = rows[BARE], rows[LAYER], rows[TONE], rows[SPARE]
    for c in range(a.size):
        a[c] = palette[OPEN, band] + bare[c] * (palette[GROUND, band] - palette[OPEN, band])
        spare[c] = palette[ROCK, band] * layer[c]
    lay_row(a, rows[HIGH], palette[ALPINE, band])
    lay_row(a, rows[TREES], palette[FOREST, band])
    mix_row(a, rows[ROCKY], spare)
    lay_row(a, rows[GREEN], palette[RIPARIAN, band])
    mix_row(a, rows[VALLEY], farm)
    for c in range(a.size):
        a[c] *= tone[c]
    lay_row(a, rows[STREAM], palette[RIVER, band])
    lay_row(a, rows[WET], palette[WATER, band])
    lay_row(a, rows[SALT], palette[SEA, band])
    lay_row(a, rows[WHITE], palette[SNOW, band])


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
    rows, farm = np.ones((16, width), np.float32), np.empty((3, width), np.float32)
    even = np.ones(width, np.float32)
    for r in range(radiance.shape[1]):
        plant_row(g, r, weights, k, rows)
        water_row(g, r, k, rows[WET], rows[SALT], rows[SPARE])
        snow_row(g, r, k, rows[SNOWY], (rows[HEIGHT], rows[TREES], rows[SPARE]), rows[WHITE])
        dim_row(rows[WHITE], rows[WET])
        farm_row(g, r, (k, parcels), palette, rows[VALLEY], farm)
        if k.strata > np.float32(0):
            for c in range(width):
                at = int(abs(g.dem[r, c]) * k.strata_per_m + np.float32(0.8) * g.other[r, c] + np.float32(64))
                rows[LAYER, c] = np.float32(1) + k.strata * strata[at & 255]
        light_row(g, r, sun, sky[0][r % sky[0].shape[0]], rows[LIGHT])
        mix_row(rows[LIGHT], rows[WET], even)
        for band in range(3):
            lay_covers(radiance[band, r], rows, palette, band, farm[band])
            air_row(radiance[band, r], rows[LIGHT], haze[band], thin[band], sky[1][r % sky[1].shape[0]])


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
