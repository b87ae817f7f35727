"""Lattice noise on world coordinates: Perlin and simplex, summed over octaves, and its usual shapes.

A value depends on the seed and the place alone, never on the array it is computed in, so tiles agree to the last
bit. Lattice points are hashed as integers and gradients come from a table made by multiplication, no function of
the mathematics library takes part: every machine that follows IEEE 754 gives the same bytes. Sums are made in
float64 and rounded once at the end.

Source
------
Perlin (2002), Improving noise, doi:10.1145/566654.566636 (fade of degree 5); Gustavson (2005), Simplex noise
demystified; Musgrave, Kolb & Mace (1989), doi:10.1145/74333.74337 (ridged sums). The hash is the finaliser of
MurmurHash3 (A. Appleby, public domain).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from im2dem.core.errors import UsageError

from . import noise_fast
from .compiled import HAS_NUMBA
from .noise_lattice import GRADIENT_X, GRADIENT_Y, PERLIN_SCALE, SIMPLEX_SCALE, SKEW, UNSKEW, hash_lattice, octave_seed

Float = NDArray[np.floating[Any]]
Basis = Literal["perlin", "simplex"]
Shape = Literal["fbm", "ridged", "billow"]


@dataclass(frozen=True)
class NoiseOptions:
    """A sum of octaves.

    Parameters
    ----------
    wavelength_m
        Side of a lattice cell of the first octave, metres (or any unit of the coordinates).
    octaves
        How many, 1 to 32.
    gain, lacunarity
        Amplitude and frequency of an octave relative to the one before.
    shape
        "fbm" adds octaves as they are; "billow" adds 2 |n| - 1, round hills with sharp valleys; "ridged" adds
        (1 - |n|)^2 with each octave weighted by the one before, rough sharp crests and smooth valleys.
    basis
        "perlin" or "simplex".

    Raises
    ------
    UsageError
        A wavelength that is not positive, octaves outside 1 to 32, or an unknown shape or basis.
    """

    wavelength_m: float = 1000.0
    octaves: int = 6
    gain: float = 0.5
    lacunarity: float = 2.0
    shape: Shape = "fbm"
    basis: Basis = "perlin"

    def __post_init__(self) -> None:
        if not self.wavelength_m > 0:
            raise UsageError(f"a wavelength must be above 0, got {self.wavelength_m}")
        if not 1 <= self.octaves <= 32:
            raise UsageError(f"octaves must be 1 to 32, got {self.octaves}")
        if self.shape not in ("fbm", "ridged", "billow"):
            raise UsageError(f"the shape of noise is fbm, ridged or billow, got {self.shape!r}")
        if self.basis not in ("perlin", "simplex"):
            raise UsageError(f"the basis of noise is perlin or simplex, got {self.basis!r}")


@dataclass(frozen=True)
class Lattice:
    """A regular grid of world coordinates: pixel (row, col) stands at ((col0 + col + shift) * step, ...).

    Parameters
    ----------
    shape
        (rows, columns).
    step_m
        Pixel size, metres.
    row0, col0
        Whole-number position of the first pixel in the world; rows count southwards.
    shift
        0.5: values at pixel centres; 0: at corners.
    """

    shape: tuple[int, int]
    step_m: float = 1.0
    row0: int = 0
    col0: int = 0
    shift: float = 0.5

    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x of the columns and y (southwards) of the rows, metres; of a pixel, whichever lattice it belongs to."""
        rows, cols = (
            (np.arange(first, first + n, dtype=np.int64).astype(np.float64) + self.shift) * self.step_m
            for first, n in zip((self.row0, self.col0), self.shape, strict=True)
        )
        return cols, rows

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """x and y of every pixel, each of shape (row, col), metres."""
        x, y = self.axes()
        return np.broadcast_to(x[None, :], self.shape), np.broadcast_to(y[:, None], self.shape)


def noise(
    lattice: Lattice, seed: int, options: NoiseOptions | None = None, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """A sum of octaves over a regular grid.

    Parameters
    ----------
    lattice
        Where.
    seed
        Any whole number; 64 bits of it count.
    options
        Default `NoiseOptions()`.
    dtype
        float32 or float64; float32 is the float64 result, rounded.

    Returns
    -------
    Shape of the lattice, about -1 to 1, mean about 0 for "fbm".

    Raises
    ------
    UsageError
        Another dtype.
    """
    chosen = options or NoiseOptions()
    x, y = lattice.axes()
    if HAS_NUMBA and chosen.basis == "perlin":
        out = np.empty((y.size, x.size), dtype=_kind(dtype))
        return noise_fast.perlin_grid(x, y, _numbers(seed, chosen), out)
    return noise_at(*lattice.points(), seed, chosen, dtype)


def noise_at(
    x: Float, y: Float, seed: int, options: NoiseOptions | None = None, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """A sum of octaves at any points: the same bytes as `noise` where points coincide.

    Parameters
    ----------
    x, y
        Coordinates, any one shape, metres.
    seed, options, dtype
        As in `noise`.

    Returns
    -------
    Shape of `x`, about -1 to 1.

    Raises
    ------
    UsageError
        Another dtype than float32 and float64.
    """
    chosen = options or NoiseOptions()
    x, y = (np.ascontiguousarray(a, dtype=np.float64) for a in np.broadcast_arrays(x, y))
    if HAS_NUMBA:
        kernel = noise_fast.perlin_points if chosen.basis == "perlin" else noise_fast.simplex_points
        return _as(kernel(x.ravel(), y.ravel(), *_numbers(seed, chosen)).reshape(x.shape), dtype)
    return _as(sum_in_numpy(x, y, seed, chosen), dtype)


def warped(
    lattice: Lattice,
    seed: int,
    options: NoiseOptions,
    reach_m: float,
    warp: NoiseOptions | None = None,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Noise whose coordinates were moved by other noise: bent, swept forms instead of round ones.

    Parameters
    ----------
    lattice, seed, options, dtype
        As in `noise`.
    reach_m
        By how much points are moved at most, about, metres.
    warp
        The noise that moves; default: twice the wavelength, 3 octaves.

    Returns
    -------
    Shape of the lattice, about -1 to 1.

    Source
    ------
    Quilez (2002), Domain warping, iquilezles.org/articles/warp.
    """
    x, y = displaced(lattice, seed, reach_m, warp or NoiseOptions(options.wavelength_m * 2, 3))
    return noise_at(x, y, seed, options, dtype)


def displaced(
    lattice: Lattice, seed: int, reach_m: float, warp: NoiseOptions
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points of a lattice, each moved by up to about `reach_m`, metres."""
    x, y = lattice.points()
    return (
        x + reach_m * noise(lattice, seed ^ 0x5BD1E995, warp, np.float64),
        y + reach_m * noise(lattice, seed ^ 0x27D4EB2F, warp, np.float64),
    )


def sum_in_numpy(x: Float, y: Float, seed: int, options: NoiseOptions) -> NDArray[np.float64]:
    """The sum of octaves with NumPy alone, shape of `x`; the compiled kernels give the same bytes."""
    base = _perlin if options.basis == "perlin" else _simplex
    total, before = np.zeros(x.shape), np.ones(x.shape)
    amplitude, frequency, whole = 1.0, 1.0 / options.wavelength_m, 0.0
    for octave in range(options.octaves):
        value = base(x * frequency, y * frequency, octave_seed(seed, octave))
        if options.shape == "billow":
            value = np.abs(value) * 2.0 - 1.0
        elif options.shape == "ridged":
            crest = 1.0 - np.abs(value)
            crest = crest * crest * before
            before = np.minimum(crest * 2.0, 1.0)
            value = crest * 2.0 - 1.0
        total = total + value * amplitude
        whole += amplitude
        amplitude *= options.gain
        frequency *= options.lacunarity
    return np.asarray(total / whole)


def _perlin(x: Float, y: Float, seed: np.uint64) -> NDArray[np.float64]:
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    ix, iy = x0.astype(np.int64), y0.astype(np.int64)
    corner = []
    for dy in (0, 1):
        for dx in (0, 1):
            h = hash_lattice(ix + dx, iy + dy, seed)
            corner.append(GRADIENT_X[h] * (fx - dx) + GRADIENT_Y[h] * (fy - dy))
    u, v = (t * t * t * (t * (t * 6.0 - 15.0) + 10.0) for t in (fx, fy))
    top = corner[0] + u * (corner[1] - corner[0])
    bottom = corner[2] + u * (corner[3] - corner[2])
    return np.asarray((top + v * (bottom - top)) * PERLIN_SCALE)


def _simplex(x: Float, y: Float, seed: np.uint64) -> NDArray[np.float64]:
    skew = (x + y) * SKEW
    x0, y0 = np.floor(x + skew), np.floor(y + skew)
    back = (x0 + y0) * UNSKEW
    fx, fy = x - (x0 - back), y - (y0 - back)
    ix, iy = x0.astype(np.int64), y0.astype(np.int64)
    right = (fx > fy).astype(np.int64)
    total = np.zeros(x.shape)
    for dx, dy, turns in ((0, 0, 0.0), (right, 1 - right, 1.0), (1, 1, 2.0)):
        ax, ay = fx - dx + turns * UNSKEW, fy - dy + turns * UNSKEW
        reach = np.maximum(0.5 - ax * ax - ay * ay, 0.0)
        reach = reach * reach
        h = hash_lattice(ix + dx, iy + dy, seed)
        total = total + reach * reach * (GRADIENT_X[h] * ax + GRADIENT_Y[h] * ay)
    return np.asarray(total * SIMPLEX_SCALE)


_SHAPES = {"fbm": 0, "billow": 1, "ridged": 2}


def _numbers(seed: int, o: NoiseOptions) -> tuple[Any, ...]:
    seeds = np.array([octave_seed(seed, k) for k in range(o.octaves)], dtype=np.uint64)
    return seeds, 1.0 / o.wavelength_m, o.gain, o.lacunarity, _SHAPES[o.shape]


def _as(values: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
    return values.astype(_kind(dtype), copy=False)


def _kind(dtype: DTypeLike) -> np.dtype[Any]:
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise UsageError(f"noise comes as float32 or float64, got {kind}")
    return kind
