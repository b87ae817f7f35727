"""Kernels on the shape of the land: resampling, slope, box means, cast shadow, drainage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .gate import kernel

Float = NDArray[np.float32]


@kernel
def resample_rows(source: Float, starts: NDArray[np.int64], weights: Float, out: Float) -> None:
    """Each output row is a weighted sum of some source rows: weights has shape (output rows, taps)."""
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[i, c] = np.float32(0)
        for k in range(weights.shape[1]):
            w = weights[i, k]
            r = min(max(starts[i] + k, 0), source.shape[0] - 1)
            for c in range(out.shape[1]):
                out[i, c] += w * source[r, c]


@kernel
def slope_and_north(dem: Float, per_m: np.float32, slope: Float, south: Float, east: Float) -> None:
    """Rise over run, and its parts towards south and east; one-sided at the edges."""
    h, w = dem.shape
    half = np.float32(0.5) * per_m
    for r in range(h):
        a, b = max(r - 1, 0), min(r + 1, h - 1)
        fr = half if b - a == 2 else per_m
        for c in range(w):
            south[r, c] = (dem[b, c] - dem[a, c]) * fr
        for c in range(1, w - 1):
            east[r, c] = (dem[r, c + 1] - dem[r, c - 1]) * half
        east[r, 0] = (dem[r, 1] - dem[r, 0]) * per_m
        east[r, w - 1] = (dem[r, w - 1] - dem[r, w - 2]) * per_m
        for c in range(w):
            slope[r, c] = np.sqrt(south[r, c] * south[r, c] + east[r, c] * east[r, c])


@kernel
def column_mean(field: Float, radius: int, out: Float) -> None:
    """Mean over 2 radius + 1 rows, cut at the edges."""
    h, w = field.shape
    total = np.zeros(w, np.float32)
    for r in range(min(radius, h)):
        for c in range(w):
            total[c] += field[r, c]
    for r in range(h):
        if r + radius < h:
            for c in range(w):
                total[c] += field[r + radius, c]
        if r - radius - 1 >= 0:
            for c in range(w):
                total[c] -= field[r - radius - 1, c]
        scale = np.float32(1) / np.float32(min(r + radius, h - 1) - max(r - radius, 0) + 1)
        for c in range(w):
            out[r, c] = total[c] * scale


@kernel
def box_mean(field: Float, radius: int, out: Float) -> None:
    """Mean over a square of 2 radius + 1 pixels, cut at the edges."""
    h, w = field.shape
    middle = np.empty((h, w), np.float32)
    column_mean(field, radius, middle)
    inverse = np.empty(w, np.float32)
    for c in range(w):
        inverse[c] = np.float32(1) / np.float32(min(c + radius, w - 1) - max(c - radius, 0) + 1)
    for r in range(h):
        s = np.float32(0)
        for c in range(min(radius, w)):
            s += middle[r, c]
        for c in range(w):
            if c + radius < w:
                s += middle[r, c + radius]
            if c - radius - 1 >= 0:
                s -= middle[r, c - radius - 1]
            out[r, c] = s * inverse[c]


@kernel
def sunlit(dem: Float, drow: np.float32, dcol: np.float32, drop: np.float32, soft: np.float32, out: Float) -> None:
    """Share of direct light, 0 to 1, by carrying the edge of the shadow from the sun across the picture.

    (drow, dcol) is one step towards the sun, its larger part exactly one pixel along rows; the caller transposes
    otherwise. The edge falls by `drop` metres a step, and shade grows over `soft` metres below it.
    """
    h, w = dem.shape
    edge = np.empty(w, np.float32)
    ahead = np.empty(w, np.float32)
    whole = int(np.floor(dcol))
    part = np.float32(dcol - whole)
    lowest = np.float32(-1e9)
    for c in range(w):
        ahead[c] = lowest
    for i in range(h):
        r = i if drow < 0 else h - 1 - i
        for c in range(w):
            a, b = c + whole, c + whole + 1
            left = ahead[a] if 0 <= a < w else lowest
            right = ahead[b] if 0 <= b < w else lowest
            edge[c] = left + part * (right - left) - drop
        for c in range(w):
            z = dem[r, c]
            out[r, c] = min(max(np.float32(1) - (edge[c] - z) / soft, np.float32(0)), np.float32(1))
            ahead[c] = max(edge[c], z)


@kernel
def halve(dem: Float, wobble: Float, z: Float) -> tuple[np.float32, np.float32]:
    """Means of 2 x 2 pixels plus `wobble` (both of the shape of `z`); returns the lowest and the highest."""
    low, high = np.float32(1e9), np.float32(-1e9)
    for r in range(z.shape[0]):
        for c in range(z.shape[1]):
            v = dem[2 * r, 2 * c] + dem[2 * r + 1, 2 * c] + dem[2 * r, 2 * c + 1] + dem[2 * r + 1, 2 * c + 1]
            v = np.float32(0.25) * v + wobble[r, c]
            z[r, c] = v
            low, high = min(low, v), max(high, v)
    return low, high


@kernel
def from_the_top(z: Float, low: np.float32, high: np.float32) -> NDArray[np.int32]:
    """Flat indices from high to low, by counting: exact to a 16,384th of the range."""
    flat = z.ravel()
    bins = 16384
    scale = np.float32(bins - 1) / max(high - low, np.float32(1e-3))
    count = np.zeros(bins + 1, np.int32)
    level = np.empty(flat.size, np.int32)
    for n in range(flat.size):
        level[n] = bins - 1 - int((flat[n] - low) * scale)
        count[level[n] + 1] += 1
    for i in range(bins):
        count[i + 1] += count[i]
    order = np.empty(flat.size, np.int32)
    for n in range(flat.size):
        order[count[level[n]]] = n
        count[level[n]] += 1
    return order


@kernel
def out_of_a_pit(z: Float, r: int, c: int) -> tuple[int, int]:
    """The lowest cell within three; (-1, -1) when none is lower."""
    lowest, to_r, to_c = z[r, c], -1, -1
    for a in range(max(r - 3, 0), min(r + 4, z.shape[0])):
        for b in range(max(c - 3, 0), min(c + 4, z.shape[1])):
            if z[a, b] < lowest:
                lowest, to_r, to_c = z[a, b], a, b
    return to_r, to_c


@kernel
def downhill(z: Float, r: int, c: int) -> tuple[int, int]:
    """The neighbour to which the way is steepest; (-1, -1) when none is lower."""
    best, to_r, to_c = np.float32(0), -1, -1
    for a in range(max(r - 1, 0), min(r + 2, z.shape[0])):
        for b in range(max(c - 1, 0), min(c + 2, z.shape[1])):
            fall = z[r, c] - z[a, b]
            if a != r and b != c:
                fall *= np.float32(0.70710678)
            if fall > best:
                best, to_r, to_c = fall, a, b
    return to_r, to_c


@kernel
def drainage(dem: Float, wobble: Float, out: Float) -> None:
    """log2 of the upstream area in pixels of `dem`, at half its resolution: shape (rows // 2, cols // 2).

    Each cell drains to its steepest lower neighbour, a pit to the lowest cell within three, so that small pits
    do not cut a river. `wobble` (metres, half resolution) lets streams on even ground wander.
    """
    h, w = out.shape
    z = np.empty((h, w), np.float32)
    low, high = halve(dem, wobble, z)
    order = from_the_top(z, low, high)
    area = np.full((h, w), np.float32(4))
    for n in range(h * w):
        r, c = order[n] // w, order[n] % w
        to_r, to_c = downhill(z, r, c)
        if to_r < 0:
            to_r, to_c = out_of_a_pit(z, r, c)
            if to_r < 0:
                continue
            for k in range(1, 3):
                a, b = r + (to_r - r) * k // 3, c + (to_c - c) * k // 3
                area[a, b] = max(area[a, b], area[r, c])
        area[to_r, to_c] += area[r, c]
    for r in range(h):
        for c in range(w):
            out[r, c] = np.log2(area[r, c])


@kernel
def enlarge(coarse: Float, out: Float) -> None:
    """Twice the resolution, bilinear; an odd last row or column repeats."""
    h, w = coarse.shape
    for r in range(out.shape[0]):
        y = min(max(np.float32(0.5) * r - np.float32(0.25), np.float32(0)), np.float32(h - 1))
        a = int(y)
        b = min(a + 1, h - 1)
        fr = y - np.float32(a)
        for c in range(out.shape[1]):
            x = min(max(np.float32(0.5) * c - np.float32(0.25), np.float32(0)), np.float32(w - 1))
            i = int(x)
            j = min(i + 1, w - 1)
            fc = x - np.float32(i)
            top = coarse[a, i] + fc * (coarse[a, j] - coarse[a, i])
            bottom = coarse[b, i] + fc * (coarse[b, j] - coarse[b, i])
            out[r, c] = top + fr * (bottom - top)
