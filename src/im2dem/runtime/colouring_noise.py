"""Noise that belongs to places, not to tiles: a function of world row, world column and seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Cells of the lattices, pixels: grain, trees and fields, patches, districts. The net learned from these.
NOISE_CELLS_PX = (1, 4, 16, 64)
_UNIT_VARIANCE = np.float32(12.0**0.5)
_GOLDEN, _MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def world_noise(row0: int, col0: int, shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Noise of a window of the world.

    Parameters
    ----------
    row0, col0
        First row and column, counted in pixels from the world's origin; may be negative.
    shape
        Rows and columns.
    seed
        Another seed, another noise.

    Returns
    -------
    float32, shape (4, row, col): a lattice of uniform values of mean 0 and variance 1 for each of `NOISE_CELLS_PX`,
    bilinear between. Windows that overlap agree to the bit.
    """
    layers = [_layer(row0, col0, shape, cell, seed * len(NOISE_CELLS_PX) + k) for k, cell in enumerate(NOISE_CELLS_PX)]
    return np.stack(layers)


def _layer(row0: int, col0: int, shape: tuple[int, int], cell: int, seed: int) -> NDArray[np.float32]:
    (row, down), (col, across) = (_between(start, n, cell) for start, n in zip((row0, col0), shape, strict=True))
    lattice = _hashed(np.arange(row[0], row[-1] + 2), np.arange(col[0], col[-1] + 2), seed)
    row, col = row - row[0], col - col[0]
    along = lattice[:, col] + across * (lattice[:, col + 1] - lattice[:, col])
    return np.asarray(along[row] + down[:, None] * (along[row + 1] - along[row]), dtype=np.float32)


def _between(start: int, n: int, cell: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The lattice point before each pixel's middle, and how far it is on the way to the next, 0 to 1."""
    # in whole numbers, so that far from the origin nothing is rounded
    twice = 2 * np.arange(start, start + n, dtype=np.int64) + 1 - cell
    before = twice // (2 * cell)
    return before, ((twice - before * (2 * cell)) / (2 * cell)).astype(np.float32)


def _hashed(rows: NDArray[np.int64], cols: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """A uniform value of variance 1 a lattice point.

    Source
    ------
    The finaliser of Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA, fig. 16.
    """
    start = np.full(1, seed & 0xFFFFFFFFFFFFFFFF, np.uint64)
    by_row = _mixed(_mixed(start) ^ rows.astype(np.uint64))
    bits = _mixed(by_row[:, None] ^ (cols.astype(np.uint64) * _GOLDEN)[None])
    unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return np.asarray((unit - np.float32(0.5)) * _UNIT_VARIANCE, dtype=np.float32)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
