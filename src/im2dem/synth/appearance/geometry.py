"""Kernels on the shape of the land: resampling, slope, box means, cast shadow, drainage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .gate import kernel

Float = NDArray[np.float32]


@kernel
def resample_rows(
    source: Float, corner: tuple[int, int], span: int, sums: tuple[NDArray[np.int64], Float], out: Float
) -> None:
    """Output rows as weighted sums of four rows of a window of `span` rows.

    `sums` holds the first row, in the window, and the weights, shape (output row, 4), of each output row; `corner`
    is the window's first row and column in the source. Rows beyond the window repeat its edge.
    """
    starts, weights = sums
    row0, col0 = corner
    to = col0 + out.shape[1]
    for i in range(out.shape[0]):
        first, last = starts[i], span - 1
        a = source[row0 + min(max(first, 0), last), col0:to]
        b = source[row0 + min(max(first + 1, 0), last), col0:to]
        d = source[row0 + min(max(first + 2, 0), last), col0:to]
        e = source[row0 + min(max(first + 3, 0), last), col0:to]
        wa, wb, wd, we = weights[i, 0], weights[i, 1], weights[i, 2], weights[i, 3]
        for c in range(out.shape[1]):
            out[i, c] = wa * a[c] + wb * b[c] + wd * d[c] + we * e[c]


@kernel
def transpose(field: Float, out: Float) -> None:
    """Rows become columns, in blocks of 8 x 8 that the compiler unrolls."""
    h, w = field.shape
    rows, cols = h // 8 * 8, w // 8 * 8
    for r in range(0, rows, 8):
        for c in range(0, cols, 8):
            for i in range(8):
                for j in range(8):
                    out[c + i, r + j] = field[r + j, c + i]
        for c in range(cols, w):
            for j in range(8):
                out[c, r + j] = field[r + j, c]
    for r in range(rows, h):
        for c in range(w):
            out[c, r] = field[r, c]


@kernel
def moments(field: Float) -> tuple[float, float]:
    """Mean and standard deviation; the mean is NaN where a value is, the deviation then anything."""
    one, two = 0.0, 0.0
    start = float(field[0, 0])
    for r in range(field.shape[0]):
        for c in range(field.shape[1]):
            # near zero first, or squares of high plateaus would swallow their relief
            d = float(field[r, c]) - start
            one += d
            two += d * d
    mean = one / field.size
    return start + mean, np.sqrt(max(two / field.size - mean * mean, 0.0))


@kernel
def thin(field: Float, out: Float, step: int) -> None:
    """Every `step`-th pixel of every `step`-th row."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = field[r * step, c * step]


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
def hollows(dem: Float, radius: int, out: Float) -> None:
    """Mean height around minus height, in standard deviations of itself.

    The mean is over a square of 8 radius + 4 pixels, from means of 4 x 4 pixels: it is smooth anyway.
    """
    h, w = dem.shape[0] // 4, dem.shape[1] // 4
    coarse, mean = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    for r in range(h):
        for c in range(w):
            s = np.float32(0)
            for i in range(4):
                for j in range(4):
                    s += dem[4 * r + i, 4 * c + j]
            coarse[r, c] = s * np.float32(1 / 16)
    box_mean(coarse, radius, mean)
    one, two = np.float32(0), np.float32(0)
    for r in range(h):
        for c in range(w):
            d = mean[r, c] - dem[4 * r + 1, 4 * c + 1]
            one += d
            two += d * d
    n = np.float32(h * w)
    per = np.float32(1) / (np.sqrt(max(two / n - one * one / (n * n), np.float32(0))) + np.float32(0.3))
    half = np.empty((2 * h, 2 * w), np.float32)
    enlarge(mean, half)
    enlarge(half, out)
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = (out[r, c] - dem[r, c]) * per


@kernel
def halve(dem: Float, wobble: Float, z: Float) -> None:
    """Means of 2 x 2 pixels plus `wobble` (both of the shape of `z`)."""
    for r in range(z.shape[0]):
        for c in range(z.shape[1]):
            v = dem[2 * r, 2 * c] + dem[2 * r + 1, 2 * c] + dem[2 * r, 2 * c + 1] + dem[2 * r + 1, 2 * c + 1]
            z[r, c] = np.float32(0.25) * v + wobble[r, c]


@kernel
def out_of_a_pit(z: Float, r: int, c: int) -> int:
    """Flat index of the lowest cell within three; -1 when none is lower."""
    lowest, to = z[r, c], -1
    for a in range(max(r - 3, 0), min(r + 4, z.shape[0])):
        for b in range(max(c - 3, 0), min(c + 4, z.shape[1])):
            if z[a, b] < lowest:
                lowest, to = z[a, b], a * z.shape[1] + b
    return to


@kernel
def steeper(here: Float, there: Float, way: tuple[np.float32, int], best: Float, to: NDArray[np.int32]) -> None:
    """Along a row: where the fall to the neighbour `there` beats the best so far; `way` is 1 / distance, and offset."""
    per, offset = way[0], np.int32(way[1])
    for c in range(here.size):
        fall = (here[c] - there[c]) * per
        better = fall > best[c]
        best[c] = fall if better else best[c]
        to[c] = offset if better else to[c]


@kernel
def downhill(z: Float, to: NDArray[np.int32]) -> None:
    """Flat index of the neighbour to which the way is steepest, a pit's from `out_of_a_pit`; -1: nowhere.

    Edge cells keep -1.
    """
    h, w = z.shape
    best, offset = np.empty(w - 2, np.float32), np.empty(w - 2, np.int32)
    straight, across = np.float32(1), np.float32(0.70710678)
    for n in range(h * w):
        to[n] = -1
    for r in range(1, h - 1):
        here = z[r, 1 : w - 1]
        for c in range(w - 2):
            best[c], offset[c] = np.float32(0), np.int32(0)
        for i in range(-1, 2):
            for j in range(-1, 2):
                if i != 0 or j != 0:
                    per = across if i != 0 and j != 0 else straight
                    steeper(here, z[r + i, 1 + j : w - 1 + j], (per, i * w + j), best, offset)
        for c in range(w - 2):
            n = r * w + c + 1
            to[n] = n + offset[c] if offset[c] != 0 else out_of_a_pit(z, r, c + 1)


@kernel
def gather(to: NDArray[np.int32], area: Float) -> None:
    """Upstream area of every cell, in place: a cell is passed on when all that flows into it has come."""
    awaited = np.zeros(to.size, np.int32)
    for n in range(to.size):
        if to[n] >= 0:
            awaited[to[n]] += 1
    for n in range(to.size):
        here = n
        # -1 marks what was passed on
        while awaited[here] == 0:
            awaited[here] = -1
            there = to[here]
            if there < 0:
                break
            area[there] += area[here]
            awaited[there] -= 1
            here = there


@kernel
def drainage(dem: Float, wobble: Float, z: Float, out: Float) -> None:
    """log2 of the upstream area in pixels of `dem`, at half its resolution: shape (rows // 2, cols // 2).

    Each cell drains to its steepest lower neighbour, a pit to the lowest cell within three, so that small pits
    do not cut a river. `wobble` (metres) lets streams on even ground wander; `z` is scratch. Both are of `out`'s shape.
    """
    h, w = out.shape
    halve(dem, wobble, z)
    to = np.empty(h * w, np.int32)
    downhill(z, to)
    area = out.ravel()
    for n in range(h * w):
        area[n] = np.float32(4)
    gather(to, area)
    for r in range(1, h - 1):
        for c in range(1, w - 1):
            n = r * w + c
            leap = abs(to[n] - n)
            # a leap out of a pit is drawn too
            if to[n] >= 0 and leap > 1 and abs(leap - w) > 1:
                down, right = to[n] // w - r, to[n] % w - c
                for k in range(1, 3):
                    between = (r + down * k // 3) * w + c + right * k // 3
                    area[between] = max(area[between], area[n])
    logarithm(area, area.view(np.int32))


@kernel
def logarithm(x: Float, bits: NDArray[np.int32]) -> None:
    """log2 in place to 0.01, exact for powers of two: the exponent, and a parabola for the rest; `bits` are x's own."""
    for n in range(x.size):
        exponent = np.float32((bits[n] >> 23) - 127)
        rest = np.float32(1) + np.float32(bits[n] & 0x7FFFFF) * np.float32(1 / 8388608)
        x[n] = exponent + rest * (np.float32(2) - np.float32(1 / 3) * rest) - np.float32(5 / 3)


@kernel
def enlarge(coarse: Float, out: Float) -> None:
    """Twice the resolution, bilinear; odd last rows or columns repeat."""
    h, w = coarse.shape
    row, wide = np.empty(w + 2, np.float32), np.empty(2 * w, np.float32)
    quarter, most = np.float32(0.25), np.float32(0.75)
    even = min(2 * w, out.shape[1])
    for r in range(out.shape[0]):
        near = min(r // 2, h - 1)
        far = min(max(near + (1 if r % 2 else -1), 0), h - 1)
        for c in range(w):
            row[c + 1] = most * coarse[near, c] + quarter * coarse[far, c]
        row[0], row[w + 1] = row[1], row[w]
        for c in range(w):
            middle = most * row[c + 1]
            wide[2 * c] = middle + quarter * row[c]
            wide[2 * c + 1] = middle + quarter * row[c + 2]
        for c in range(even):
            out[r, c] = wide[c]
        for c in range(even, out.shape[1]):
            out[r, c] = row[w]
