"""Perlin noise of several packages in one run: the same pixels, octaves and wavelength."""

from __future__ import annotations

import importlib
import math
import random
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from harness import Bar, Table, number, say

from im2dem.synth.noise import Lattice, NoiseOptions, noise

SIDE_PX, OCTAVES, WAVELENGTH_PX = 1024, 8, 256
# The prototype's frame: 256 pixels a side over one cell, five octaves.
FRAME_PX, FRAME_OCTAVES = 256, 5
PYTHON_PX = 48  # of what takes microseconds a pixel

Maker = Callable[[int], Any]  # of a square of so many pixels a side


def compare(repeats: int = 5) -> tuple[Table, tuple[Bar, ...]]:
    """A row for each package, times in those of `synth.noise`, and the two bars."""
    ours = _least(_ours, SIDE_PX, repeats)
    rows = [("im2dem, gradients of 256 directions", "all cores", "1.0")]
    array_peers = []
    for name, what, make, side in _peers():
        say(f"  {name}")
        try:
            ratio = _least(make, side, 2 if side < SIDE_PX else repeats) / ours
        except ImportError:
            rows.append((name, what, "not installed"))
            continue
        if what == "NumPy or Numba":
            array_peers.append(ratio)
        rows.append((name, what, number(ratio, 1)))
    frame = _least(_frame, FRAME_PX, repeats * 4)
    prototype = _least(_prototype, PYTHON_PX, 2) / frame
    rows.append((f"the prototype's loop ({FRAME_PX} pixels, {FRAME_OCTAVES} octaves)", "Python", number(prototype, 0)))
    nearest = min(array_peers, default=math.inf)
    bars = (
        Bar("noise against the prototype's loop", "at least 1000 times", f"{prototype:.0f} times", prototype >= 1000),
        Bar(
            "noise against the fastest peer with NumPy or Numba", "at least 1 time", f"{nearest:.1f} times",
            1 <= nearest < math.inf,
        ),
    )  # fmt: skip
    return Table("", ("noise", "how", "time, ours = 1"), tuple(rows)), bars


def _least(make: Maker, side: int, repeats: int) -> float:
    """Seconds a pixel; the least of some runs, since other work on the machine only ever adds."""
    make(min(side, 16))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        make(side)
        found.append((time.perf_counter() - start) / side**2)
    return min(found)


def _ours(side: int) -> Any:
    return noise(Lattice((side, side)), 1, NoiseOptions(WAVELENGTH_PX, OCTAVES))


def _frame(side: int) -> Any:
    return noise(Lattice((side, side), 1 / FRAME_PX), 1, NoiseOptions(1.0, FRAME_OCTAVES))


def _peers() -> tuple[tuple[str, str, Maker, int], ...]:
    return (
        ("perlin-numpy", "NumPy or Numba", _perlin_numpy, SIDE_PX),
        ("opensimplex (simplex)", "NumPy or Numba", _opensimplex, SIDE_PX),
        ("pyfastnoiselite", "C++, arrays", _fast_noise_lite, SIDE_PX),
        ("noise", "C, a call a pixel", _noise, 8 * PYTHON_PX),
    )


def _perlin_numpy(side: int) -> Any:
    package = importlib.import_module("perlin_numpy")
    # Its sides are multiples of the cells of the last octave.
    side = max(side, WAVELENGTH_PX)
    cells = side // WAVELENGTH_PX
    return package.generate_fractal_noise_2d((side, side), (cells, cells), OCTAVES, rng=np.random.default_rng(1))


def _opensimplex(side: int) -> Any:
    package = importlib.import_module("opensimplex")
    total, at = np.zeros((side, side)), np.arange(side) / WAVELENGTH_PX
    for k in range(OCTAVES):
        total += package.noise2array(at * 2**k, at * 2**k) / 2**k
    return total


def _fast_noise_lite(side: int) -> Any:
    package = importlib.import_module("pyfastnoiselite.pyfastnoiselite")
    source = package.FastNoiseLite(1)
    source.noise_type = package.NoiseType.NoiseType_Perlin
    source.fractal_type = package.FractalType.FractalType_FBm
    source.fractal_octaves, source.frequency = OCTAVES, 1 / WAVELENGTH_PX
    row, col = np.mgrid[:side, :side].astype(np.float32)
    return source.gen_from_coords(np.stack([col.ravel(), row.ravel()]))


def _noise(side: int) -> Any:
    one = importlib.import_module("noise").pnoise2
    return [one(c / WAVELENGTH_PX, r / WAVELENGTH_PX, OCTAVES) for r in range(side) for c in range(side)]


class _Prototype:
    """The steps of the prototype's generator: any number of axes, gradients drawn when met, lists of corners."""

    def __init__(self, octaves: int) -> None:
        self.octaves, self.gradients = octaves, dict[tuple[int, ...], tuple[float, ...]]()

    def __call__(self, *point: float) -> float:
        parts = (self._one(*(x * 2**k for x in point)) / 2**k for k in range(self.octaves))
        return sum(parts) / (2 - 2 ** (1 - self.octaves))

    def _gradient(self, corner: tuple[int, ...]) -> tuple[float, ...]:
        if corner not in self.gradients:
            drawn = [random.gauss(0, 1) for _ in corner]
            length = math.hypot(*drawn)
            self.gradients[corner] = tuple(v / length for v in drawn)
        return self.gradients[corner]

    def _one(self, *point: float) -> float:
        cells = [(math.floor(x), math.floor(x) + 1) for x in point]
        values = []
        for corner in product(*cells):
            gradient, value = self._gradient(corner), 0.0
            for axis in range(len(point)):
                value += gradient[axis] * (point[axis] - corner[axis])
            values.append(value)
        for axis in reversed(range(len(point))):
            t = point[axis] - cells[axis][0]
            fade = t * t * (3 - 2 * t)
            values = [a + fade * (b - a) for a, b in zip(values[::2], values[1::2], strict=True)]
        return values[0] * 2 * len(point) ** -0.5


def _prototype(side: int) -> Any:
    one = _Prototype(FRAME_OCTAVES)
    # Spread over the frame, so that as many gradients are drawn a pixel as over a whole one.
    step = FRAME_PX // side
    return [one(r * step / FRAME_PX, c * step / FRAME_PX) for r in range(side) for c in range(side)]
