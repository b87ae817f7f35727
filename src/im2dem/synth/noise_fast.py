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
    """What an octave needs of each column, once for all rows: cell, position in the cell, fade."""
    cell, inside, fade = np.empty(x.size, np.int64), np.empty(x.size), np.empty(x.size)
    for j in range(x.size):
        at = x[j] * frequency
        base = math.floor(at)
        t = at - base
        cell[j], inside[j] = np.int64(base), t
        fade[j] = t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
    return cell, inside, fade


@compiled(parallel=True)
def _add_octave(
    x: F64, y: F64, seed: Any, frequency: float, amplitude: float, shape: int, total: F64, before: F64
) -> None:
    cell, inside, fade = _columns(x, frequency)
    first = cell[0]
    n = cell[-1] - first + 2
    for r in prange(y.size):
        at = y[r] * frequency
        base = math.floor(at)
        fy = at - base
        iy = np.int64(base)
        v = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
        # The part of the dot product that does not change along a cell of this row.
        slope0, slope1, lift0, lift1 = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
        for k in range(n):
            h = np.int64(mix_one(first + k, iy, seed) >> _56)
            slope0[k], lift0[k] = GRADIENT_X[h], GRADIENT_Y[h] * fy
            h = np.int64(mix_one(first + k, iy + 1, seed) >> _56)
            slope1[k], lift1[k] = GRADIENT_X[h], GRADIENT_Y[h] * (fy - 1.0)
        for j in range(x.size):
            k = cell[j] - first
            fx = inside[j]
            c0 = slope0[k] * fx + lift0[k]
            c1 = slope0[k + 1] * (fx - 1.0) + lift0[k + 1]
            c2 = slope1[k] * fx + lift1[k]
            c3 = slope1[k + 1] * (fx - 1.0) + lift1[k + 1]
            u = fade[j]
            top = c0 + u * (c1 - c0)
            bottom = c2 + u * (c3 - c2)
            value = (top + v * (bottom - top)) * PERLIN_SCALE
            if shape == 0:
                total[r, j] = total[r, j] + value * amplitude
            else:
                value, before[r, j] = _shaped(value, before[r, j], shape)
                total[r, j] = total[r, j] + value * amplitude


@compiled(parallel=True)
def _divide(total: F64, whole: float) -> None:
    for r in prange(total.shape[0]):
        for j in range(total.shape[1]):
            total[r, j] = total[r, j] / whole


def perlin_grid(x: F64, y: F64, seeds: Any, frequency: float, gain: float, lacunarity: float, shape: int) -> F64:
    """Perlin octaves over the grid of rising `x` (columns) and `y` (rows), shape (y, x)."""
    total = np.zeros((y.size, x.size))
    before = np.ones(total.shape if shape else (1, 1))
    amplitude, whole = 1.0, 0.0
    for seed in seeds:
        _add_octave(x, y, seed, frequency, amplitude, shape, total, before)
        whole += amplitude
        amplitude *= gain
        frequency *= lacunarity
    _divide(total, whole)
    return total
