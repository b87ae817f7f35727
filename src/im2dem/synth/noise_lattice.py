"""The random part of lattice noise: integer hashes and a table of directions, the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled

DIRECTIONS = 256
# Scale to about -1..1: the largest value of 2-D gradient noise with unit gradients is sqrt(1/2).
PERLIN_SCALE = 1.4142135623730951
# Gustavson's 70 is for gradients of length sqrt(2).
SIMPLEX_SCALE = 99.20434587
SKEW = 0.3660254037844386  # (sqrt(3) - 1) / 2
UNSKEW = 0.21132486540518713  # (3 - sqrt(3)) / 6

_X, _Y = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_33, _56, _11 = np.uint64(33), np.uint64(56), np.uint64(11)


def _directions() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Repeated turning by 1/256 of a circle: multiplications only, since sin and cos differ between libraries.
    turn = complex(0.9996988186962042, 0.024541228522912288)
    z, table = complex(1.0, 0.0), np.empty(DIRECTIONS, dtype=np.complex128)
    for k in range(DIRECTIONS):
        table[k] = z
        z = complex(z.real * turn.real - z.imag * turn.imag, z.real * turn.imag + z.imag * turn.real)
    return table.real.copy(), table.imag.copy()


GRADIENT_X, GRADIENT_Y = _directions()


def mix(ix: NDArray[np.int64], iy: NDArray[np.int64], seed: np.uint64) -> NDArray[np.uint64]:
    """64 random bits for every lattice point, shape of `ix`."""
    with np.errstate(over="ignore"):
        h = np.asarray(ix).astype(np.uint64) * _X + np.asarray(iy).astype(np.uint64) * _Y + seed
        h = (h ^ (h >> _33)) * _M1
        h = (h ^ (h >> _33)) * _M2
        return np.asarray(h ^ (h >> _33))


def hash_lattice(ix: NDArray[np.int64], iy: NDArray[np.int64], seed: np.uint64) -> NDArray[np.int64]:
    """A direction, 0 to 255, for every lattice point, shape of `ix`."""
    return np.asarray((mix(ix, iy, seed) >> _56).astype(np.int64))


@compiled()
def mix_one(ix: Any, iy: Any, seed: Any) -> Any:
    """64 random bits for one lattice point; the same as `mix`."""
    h = np.uint64(ix) * _X + np.uint64(iy) * _Y + seed
    h = (h ^ (h >> _33)) * _M1
    h = (h ^ (h >> _33)) * _M2
    return h ^ (h >> _33)


def octave_seed(seed: int, octave: int) -> np.uint64:
    """The seed of an octave, so that octaves are not copies of each other at another scale."""
    low = np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64).view(np.int64)
    return np.uint64(mix(low, np.array([octave], dtype=np.int64), _Y)[0])
