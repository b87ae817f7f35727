"""Compiled sums of octaves. Each repeats the operations of the NumPy versions in `noise`, in the same order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, prange
from .noise_lattice import GRADIENT_X, GRADIENT_Y, PERLIN_SCALE, SIMPLEX_SCALE, SKEW, UNSKEW, mix_one

F64 = NDArray[np.float64]
_56 = np.uint64(56)
BAND_ROWS = 32


@compiled()
def _shaped(value: Any, before: Any, shape: Any) -> Any:
    """(what an octave adds, the weight it leaves for the next): 0 fbm, 1 billow, 2 ridged."""
    if shape == 1:
        return abs(value) * 2.0 - 1.0, before
    if shape == 2:
        crest = 1.0 - abs(value)
        crest = crest * crest * before
        return crest * 2.0 - 1.0, min(crest * 2.0, 1.0)
    return value, before


@compiled()
def _perlin(x: Any, y: Any, seed: Any) -> Any:
    x0, y0 = math.floor(x), math.floor(y)
    fx, fy = x - x0, y - y0
    ix, iy = np.int64(x0), np.int64(y0)
    h0, h1 = np.int64(mix_one(ix, iy, seed) >> _56), np.int64(mix_one(ix + 1, iy, seed) >> _56)
    h2, h3 = np.int64(mix_one(ix, iy + 1, seed) >> _56), np.int64(mix_one(ix + 1, iy + 1, seed) >> _56)
    c0 = GRADIENT_X[h0] * fx + GRADIENT_Y[h0] * fy
    c1 = GRADIENT_X[h1] * (fx - 1.0) + GRADIENT_Y[h1] * fy
    c2 = GRADIENT_X[h2] * fx + GRADIENT_Y[h2] * (fy - 1.0)
    c3 = GRADIENT_X[h3] * (fx - 1.0) + GRADIENT_Y[h3] * (fy - 1.0)
    u = fx * fx * fx * (fx * (fx * 6.0 - 15.0) + 10.0)
    v = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
    top = c0 + u * (c1 - c0)
    bottom = c2 + u * (c3 - c2)
    return (top + v * (bottom - top)) * PERLIN_SCALE


@compiled()
def _simplex(x: Any, y: Any, seed: Any) -> Any:
    skew = (x + y) * SKEW
    x0, y0 = math.floor(x + skew), math.floor(y + skew)
    back = (x0 + y0) * UNSKEW
    fx, fy = x - (x0 - back), y - (y0 - back)
    ix, iy = np.int64(x0), np.int64(y0)
    right = 1 if fx > fy else 0
    total = 0.0
    for corner in range(3):
        dx = 0 if corner == 0 else (right if corner == 1 else 1)
        dy = 0 if corner == 0 else (1 - right if corner == 1 else 1)
        ax, ay = fx - dx + float(corner) * UNSKEW, fy - dy + float(corner) * UNSKEW
        reach = max(0.5 - ax * ax - ay * ay, 0.0)
        reach = reach * reach
        h = np.int64(mix_one(ix + dx, iy + dy, seed) >> _56)
        total = total + reach * reach * (GRADIENT_X[h] * ax + GRADIENT_Y[h] * ay)
    return total * SIMPLEX_SCALE


@compiled(parallel=True)
def perlin_points(x: F64, y: F64, seeds: Any, frequency: float, gain: float, lacunarity: float, shape: int) -> F64:
    """Perlin octaves at points, shape (n,)."""
    out = np.empty(x.size)
    for i in prange(x.size):
        total, before, amplitude, f, whole = 0.0, 1.0, 1.0, frequency, 0.0
        for k in range(seeds.size):
            value, before = _shaped(_perlin(x[i] * f, y[i] * f, seeds[k]), before, shape)
            total = total + value * amplitude
            whole += amplitude
            amplitude *= gain
            f *= lacunarity
        out[i] = total / whole
    return out


@compiled(parallel=True)
def simplex_points(x: F64, y: F64, seeds: Any, frequency: float, gain: float, lacunarity: float, shape: int) -> F64:
    """Simplex octaves at points, shape (n,)."""
    out = np.empty(x.size)
    for i in prange(x.size):
        total, before, amplitude, f, whole = 0.0, 1.0, 1.0, frequency, 0.0
        for k in range(seeds.size):
            value, before = _shaped(_simplex(x[i] * f, y[i] * f, seeds[k]), before, shape)
            total = total + value * amplitude
            whole += amplitude
            amplitude *= gain
            f *= lacunarity
        out[i] = total / whole
    return out


@compiled()
def _columns(x: F64, frequency: float) -> Any:
    """What an octave needs of each column, once for all rows: cell (0 the first), position in the cell, fade."""
    cell, inside, fade = np.empty(x.size, np.int64), np.empty(x.size), np.empty(x.size)
    first = np.int64(math.floor(x[0] * frequency))
    for j in range(x.size):
        at = x[j] * frequency
        base = math.floor(at)
        t = at - base
        cell[j], inside[j] = np.int64(base) - first, t
        fade[j] = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
    return first, cell, inside, fade


@compiled()
def _directions(first: Any, iy: Any, seed: Any, cell: Any, out: F64) -> None:
    """Gradients at the left and right corner of each column's cell, on lattice row `iy`: out is (x, y, x, y) by column.

    Laid out by column so that the loop over pixels reads straight on and the compiler can take several at a time.
    """
    n = cell[-1] + 2
    along, up = np.empty(n), np.empty(n)
    for k in range(n):
        h = np.int64(mix_one(first + k, iy, seed) >> _56)
        along[k], up[k] = GRADIENT_X[h], GRADIENT_Y[h]
    for j in range(cell.size):
        k = cell[j]
        out[0, j], out[1, j], out[2, j], out[3, j] = along[k], up[k], along[k + 1], up[k + 1]


@compiled()
def _row(north: F64, south: F64, inside: F64, fade: F64, fy: float, v: float, out: F64) -> None:
    """One row of one octave, before its amplitude."""
    ax, ay, bx, by = north[0], north[1], north[2], north[3]
    cx, cy, dx, dy = south[0], south[1], south[2], south[3]
    for j in range(out.size):
        fx = inside[j]
        c0 = ax[j] * fx + ay[j] * fy
        c1 = bx[j] * (fx - 1.0) + by[j] * fy
        c2 = cx[j] * fx + cy[j] * (fy - 1.0)
        c3 = dx[j] * (fx - 1.0) + dy[j] * (fy - 1.0)
        u = fade[j]
        top = c0 + u * (c1 - c0)
        bottom = c2 + u * (c3 - c2)
        out[j] = (top + v * (bottom - top)) * PERLIN_SCALE


@compiled()
def _add_octave(x: F64, y: F64, seed: Any, scale: Any, shape: int, total: F64, before: F64) -> None:
    """Add an octave to a band of rows; `scale` is (frequency, amplitude)."""
    frequency, amplitude = scale
    first, cell, inside, fade = _columns(x, frequency)
    north, south, value = np.empty((4, x.size)), np.empty((4, x.size)), np.empty(x.size)
    now, is_first = np.int64(0), True
    for r in range(y.size):
        at = y[r] * frequency
        base = math.floor(at)
        fy = at - base
        iy = np.int64(base)
        if is_first or iy != now:
            if not is_first and iy == now + 1:
                north, south = south, north
            else:
                _directions(first, iy, seed, cell, north)
            _directions(first, iy + 1, seed, cell, south)
            now, is_first = iy, False
        v = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
        _row(north, south, inside, fade, fy, v, value)
        row = total[r]
        if shape == 0:
            for j in range(x.size):
                row[j] = row[j] + value[j] * amplitude
        else:
            for j in range(x.size):
                one, before[r, j] = _shaped(value[j], before[r, j], shape)
                row[j] = row[j] + one * amplitude


@compiled(parallel=True)
def _bands(x: F64, y: F64, seeds: Any, numbers: Any, shape: int, out: Any) -> None:
    """Fill `out` band by band of rows: what is summed up stays near the core that sums it."""
    frequency, gain, lacunarity = numbers
    for band in prange((y.size + BAND_ROWS - 1) // BAND_ROWS):
        start = band * BAND_ROWS
        rows = y[start : start + BAND_ROWS]
        total = np.zeros((rows.size, x.size))
        before = np.ones((rows.size, x.size if shape else 1))
        amplitude, f, whole = 1.0, frequency, 0.0
        for k in range(seeds.size):
            _add_octave(x, rows, seeds[k], (f, amplitude), shape, total, before)
            whole += amplitude
            amplitude *= gain
            f *= lacunarity
        for r in range(rows.size):
            for j in range(x.size):
                out[start + r, j] = total[r, j] / whole


def perlin_grid(x: F64, y: F64, numbers: tuple[Any, ...], out: NDArray[Any]) -> NDArray[Any]:
    """Perlin octaves over the grid of rising `x` (columns) and `y` (rows), into `out`, shape (y, x).

    Parameters
    ----------
    x, y
        Metres.
    numbers
        Seeds of the octaves, frequency, gain, lacunarity, shape (0 fbm, 1 billow, 2 ridged).
    out
        float32 or float64; sums are float64 either way.
    """
    seeds, frequency, gain, lacunarity, shape = numbers
    if out.size:
        _bands(x, y, seeds, (frequency, gain, lacunarity), shape, out)
    return out
