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
    """Output rows as weighted sums of rows of a window of `span` rows.

    `sums` holds the first row, in the window, and the weights, shape (output row, tap), of each output row; `corner`
    is the window's first row and column in the source. Rows beyond the window repeat its edge.
    """
    starts, weights = sums
    row0, col0 = corner
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[i, c] = np.float32(0)
        for k in range(weights.shape[1]):
            w = weights[i, k]
            r = row0 + min(max(starts[i] + k, 0), span - 1)
            for c in range(out.shape[1]):
                out[i, c] += w * source[r, col0 + c]


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
def out_of_a_pit(z: Float, r: int, c: int) -> int:
    """Flat index of the lowest cell within three; -1 when none is lower."""
    lowest, to = z[r, c], -1
    for a in range(max(r - 3, 0), min(r + 4, z.shape[0])):
        for b in range(max(c - 3, 0), min(c + 4, z.shape[1])):
            if z[a, b] < lowest:
                lowest, to = z[a, b], a * z.shape[1] + b
    return to


@kernel
def downhill(z: Float, to: NDArray[np.int32]) -> None:
    """Flat index of the neighbour to which the way is steepest; -1 where none is lower. Edge cells keep -1."""
    h, w = z.shape
    for r in range(h):
        for c in range(w):
            to[r * w + c] = -1
    for r in range(1, h - 1):
        for c in range(1, w - 1):
            here, best, at = z[r, c], np.float32(0), -1
            for a in range(-1, 2):
                for b in range(-1, 2):
                    fall = here - z[r + a, c + b]
                    if a != 0 and b != 0:
                        fall *= np.float32(0.70710678)
                    if fall > best:
                        best, at = fall, (r + a) * w + c + b
            to[r * w + c] = at


@kernel
def drainage(dem: Float, wobble: Float, z: Float, out: Float) -> None:
    """log2 of the upstream area in pixels of `dem`, at half its resolution: shape (rows // 2, cols // 2).

    Each cell drains to its steepest lower neighbour, a pit to the lowest cell within three, so that small pits
    do not cut a river. `wobble` (metres) lets streams on even ground wander; `z` is scratch. Both are of `out`'s shape.
    """
    h, w = out.shape
    low, high = halve(dem, wobble, z)
    order = from_the_top(z, low, high)
    to = np.empty(h * w, np.int32)
    downhill(z, to)
    area = out.ravel()
    for n in range(h * w):
        area[n] = np.float32(4)
    for n in range(h * w):
        here = order[n]
        there = to[here]
        if there < 0:
            r, c = here // w, here % w
            there = out_of_a_pit(z, r, c)
            if there < 0:
                continue
            for k in range(1, 3):
                between = (r + (there // w - r) * k // 3) * w + c + (there % w - c) * k // 3
                area[between] = max(area[between], area[here])
        area[there] += area[here]
    for n in range(h * w):
        area[n] = np.log2(area[n])


@kernel
def enlarge(coarse: Float, out: Float) -> None:
    """Twice the resolution, bilinear; an odd last row or column repeats."""
    h, w = coarse.shape
    row = np.empty(w + 1, np.float32)
    quarter, most = np.float32(0.25), np.float32(0.75)
    for r in range(out.shape[0]):
        near = min(r // 2, h - 1)
        far = min(max(near + (1 if r % 2 else -1), 0), h - 1)
        for c in range(w):
            row[c] = most * coarse[near, c] + quarter * coarse[far, c]
        row[w] = row[w - 1]
        for c in range((out.shape[1] + 1) // 2):
            i = min(c, w - 1)
            out[r, 2 * c] = most * row[i] + quarter * row[max(i - 1, 0)]
        for c in range(out.shape[1] // 2):
            out[r, 2 * c + 1] = most * row[c] + quarter * row[c + 1]
