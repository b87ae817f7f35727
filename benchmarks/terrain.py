"""Artificial terrain beside real heights: the shape of the land in figures, tiles that agree, the speed of noise."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import rasterio
from harness import Bar, Outcome, Setup, Table, number, say
from numpy.typing import NDArray
from rasterio.windows import Window

from im2dem.synth.hydrology import drainage_density
from im2dem.synth.noise import Lattice, NoiseOptions, noise
from im2dem.synth.recipes import RECIPES, make_terrain, make_tile

# A real piece of each kind: file, first row, first column, pixel size in metres. None is known for the others.
REAL = {
    "alps": ("taiwan-35m", 3000, 2600, 35.0),
    "hills": ("ozarks-30m", 700, 700, 30.0),
    "volcano": ("japan-alps-31m", 2000, 1500, 31.0),
    "plateau": ("meghalaya-50m", 200, 200, 50.0),
    "plains": ("sierra-80m", 1950, 1200, 80.0),
}
EXPLAIN = (
    "Each recipe (seed 7, its own pixel size) and, where there is one, a real piece of that kind. *Integral*: mean "
    "height between lowest and highest. *Drainage*: km of streams that drain 200 pixels, times the pixel size in km. "
    "*Spectrum*: exponent of the radial power spectrum, wavelengths of 4 to 64 pixels."
)


def run(setup: Setup) -> Outcome:
    """Statistics, tiles and noise."""
    size = 128 if setup.quick else 256
    rows = [row for name in RECIPES for row in _both(name, size, setup.data)]
    columns = ("land", "integral", "slope p50", "slope p90", "drainage", "spectrum")
    tiles = 20 if setup.quick else 1000
    agree = _agreeing_tiles(tiles)
    ratio = noise_ratio()
    return Outcome(
        (EXPLAIN, Table("", columns, tuple(rows)), f"Perlin noise, 8 octaves: {ratio:.0f} times a loop over pixels."),
        (
            Bar("tiles equal to a window of another tile, bit for bit", f"{tiles}", f"{agree}", agree == tiles),
            Bar("noise against a loop over pixels", "at least 1000 times", f"{ratio:.0f} times", ratio >= 1000),
        ),
    )


def figures(dem: NDArray[np.floating], gsd_m: float) -> tuple[str, ...]:
    """Cells of the table for heights in metres, shape (row, col)."""
    z = np.asarray(dem, dtype=np.float64)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(z, gsd_m))))
    integral = (z.mean() - z.min()) / np.ptp(z)
    density = drainage_density(z, gsd_m, 200 * gsd_m**2) * gsd_m / 1000.0
    half, ninety = np.percentile(slope, (50, 90))
    return number(integral, 2), number(half, 1), number(ninety, 1), number(density, 3), number(spectrum(z), 2)


def spectrum(dem: NDArray[np.float64]) -> float:
    """Exponent of the radial power spectrum between wavelengths of 4 and 64 pixels."""
    n = min(dem.shape)
    window = np.hanning(n)
    z = dem[:n, :n] - dem[:n, :n].mean()
    power = np.abs(np.fft.fft2(z * window[:, None] * window)) ** 2
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n))
    edges = np.geomspace(1 / 64, 1 / 4, 13)
    at = np.digitize(f.ravel(), edges)
    mean = [power.ravel()[at == k].mean() for k in range(1, edges.size)]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(mean), 1)[0])


def noise_ratio(size: int = 1024, loop: int = 24) -> float:
    """Time of a plain loop over pixels by that of `noise`, for as many pixels."""
    options = NoiseOptions(256.0, 8)
    noise(Lattice((8, 8)), 1, options)
    fast, slow = [], []
    # The least of five: other work on the machine only ever adds.
    for _ in range(5):
        start = time.perf_counter()
        noise(Lattice((size, size)), 1, options)
        fast.append((time.perf_counter() - start) / size**2)
        start = time.perf_counter()
        for row in range(loop):
            for col in range(loop):
                _plain(row + 0.5, col + 0.5, options)
        slow.append((time.perf_counter() - start) / loop**2)
    return min(slow) / min(fast)


def _plain(x: float, y: float, options: NoiseOptions) -> float:
    """Perlin octaves of one pixel in plain Python."""
    total, amplitude, frequency = 0.0, 1.0, 1.0 / options.wavelength_m
    for octave in range(options.octaves):
        px, py = x * frequency, y * frequency
        ix, iy = int(px), int(py)
        fx, fy = px - ix, py - iy
        u, v = (t * t * t * (t * (t * 6 - 15) + 10) for t in (fx, fy))
        dots = []
        for dy in (0, 1):
            for dx in (0, 1):
                angle = hash((ix + dx, iy + dy, octave)) % 6283 / 1000.0
                dots.append(math.cos(angle) * (fx - dx) + math.sin(angle) * (fy - dy))
        top, bottom = dots[0] + u * (dots[1] - dots[0]), dots[2] + u * (dots[3] - dots[2])
        total += amplitude * (top + v * (bottom - top))
        amplitude, frequency = amplitude * options.gain, frequency * options.lacunarity
    return total


def _both(name: str, size: int, data: Path | None) -> list[tuple[str, ...]]:
    say(f"  {name}")
    gsd_m = RECIPES[name].gsd_m
    rows = [(name, *figures(make_terrain(name, Lattice((size, size), gsd_m), 7), gsd_m))]
    if data is not None and name in REAL:
        stem, row, col, real_gsd_m = REAL[name]
        path = data.parent / "dem" / f"{stem}.tif"
        if path.exists():
            with rasterio.open(path) as file:
                z = file.read(1, window=Window(col, row, size, size)) * file.scales[0]
            rows.append((f"- real: {stem}", *figures(z, real_gsd_m)))
    return rows


def _agreeing_tiles(count: int) -> int:
    rng = np.random.default_rng(7)
    agree = 0
    for k in range(count):
        if k % 50 == 0:
            say(f"  tile {k} of {count}")
        name = tuple(RECIPES)[k % len(RECIPES)]
        row, col = (int(v) for v in rng.integers(-10_000, 10_000, 2))
        d_row, d_col = (int(v) for v in rng.integers(0, 8, 2))
        step_m = RECIPES[name].gsd_m
        whole = make_tile(name, Lattice((16, 16), step_m, row, col), 7)
        part = make_tile(name, Lattice((8, 8), step_m, row + d_row, col + d_col), 7)
        agree += bool(np.array_equal(whole[d_row : d_row + 8, d_col : d_col + 8], part))
    return agree
