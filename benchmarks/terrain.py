"""Artificial terrain beside real heights: figures of its shape, tiles that agree, and peers."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import noise_peers
import numpy as np
import rasterio
import river_peers
from harness import Bar, Outcome, Setup, Table, number, say
from numpy.typing import NDArray
from rasterio.windows import Window

from im2dem.synth.hydrology import drainage_density
from im2dem.synth.noise import Lattice
from im2dem.synth.recipes import RECIPES, make_terrain, make_tile

# A real piece of each kind: file, first row, first column, pixel size in metres. None is known for the others.
REAL = {
    "alps": ("taiwan-35m", 3000, 2600, 35.0),
    "hills": ("ozarks-30m", 700, 700, 30.0),
    "volcano": ("japan-alps-31m", 2000, 1500, 31.0),
    "plateau": ("meghalaya-50m", 200, 200, 50.0),
    "islands": ("hobart-33m", 120, 150, 33.0),
    "glacial": ("colorado-10m", 150, 100, 10.0),
    "plains": ("sierra-80m", 1950, 1200, 80.0),
}
EXPLAIN = (
    "Each recipe (seed 7, its own pixel size) and, where there is one, a real piece of that kind. *Integral*: mean "
    "height between lowest and highest. *Drainage*: km of streams that drain 200 pixels, times the pixel size in km. "
    "*Spectrum*: exponent of the radial power spectrum, wavelengths of 4 to 64 pixels. *Compass*: share of the land's "
    "curvature across lines within 5 degrees of a multiple of 45: 0.22 by chance, more where water kept to the eight "
    "directions of the grid and left grooves side by side."
)
MOST_COMPASS = 0.27


def run(setup: Setup) -> Outcome:
    """Statistics, tiles, noise, rivers and size."""
    size = 128 if setup.quick else 256
    rows = [row for name in RECIPES for row in _both(name, size, setup.data)]
    columns = ("land", "integral", "slope p50", "slope p90", "drainage", "spectrum", "compass")
    tiles = 20 if setup.quick else 1000
    agree = _agreeing_tiles(tiles)
    noises, noise_bars = noise_peers.compare(2 if setup.quick else 5)
    rivers, river_bars = river_peers.compare(setup.quick)
    large, large_bar = _large(513 if setup.quick else 4097)
    by_rivers = {row[0] for row in rows if row[0] in RECIPES and RECIPES[row[0]].rivers is not None}
    worst = max(float(row[-1]) for row in rows if row[0] in by_rivers)
    return Outcome(
        (
            EXPLAIN, Table("", columns, tuple(rows)), "**Noise**", noises, "**Rivers**", rivers,
            "**A large landscape**", large,
        ),
        (
            Bar("tiles equal to a window of another tile, bit for bit", f"{tiles}", f"{agree}", agree == tiles),
            Bar(
                "share of grooves along the grid, recipes with rivers (0.22 by chance)", f"at most {MOST_COMPASS}",
                number(worst, 2), worst <= MOST_COMPASS,
            ),
            *noise_bars, *river_bars, large_bar,
        ),
    )  # fmt: skip


def _large(side: int) -> tuple[str, Bar]:
    """One eroded landscape in a process of its own: processor time and memory."""
    say(f"  {side} x {side}")
    with tempfile.TemporaryDirectory() as folder:
        words = ("terrain", "--recipe", "alps", "--seed", "7", "--size", str(side), "--gsd", "10")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "im2dem", *words, "-o", str(Path(folder) / "dem.tif")],
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
    # The largest of all children: of this one, unless an earlier section had a larger.
    peak = after.ru_maxrss / 2**20
    bytes_px = after.ru_maxrss * 1024 / side**2
    text = (
        f"`im2dem terrain --recipe alps --size {side} --gsd 10`: {minutes:.1f} minutes of processor time, at most "
        f"{peak:.1f} GiB of memory ({bytes_px:.0f} bytes a pixel)."
    )
    return text, Bar(f"memory of {side} x {side} eroded pixels", "at most 4 GiB", f"{peak:.1f} GiB", peak <= 4)


def figures(dem: NDArray[np.floating], gsd_m: float) -> tuple[str, ...]:
    """Cells of the table for heights in metres, shape (row, col)."""
    z = np.asarray(dem, dtype=np.float64)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(z, gsd_m))))
    integral = (z.mean() - z.min()) / np.ptp(z)
    density = drainage_density(z, gsd_m, 200 * gsd_m**2) * gsd_m / 1000.0
    half, ninety = np.percentile(slope, (50, 90))
    shape = number(integral, 2), number(half, 1), number(ninety, 1), number(density, 3)
    return *shape, number(spectrum(z), 2), number(compass(z), 2)


def compass(dem: NDArray[np.float64]) -> float:
    """Share of curvature across lines within 5 degrees of a multiple of 45, of heights (row, col), metres."""
    down, right = np.gradient(dem)
    (mixed, across), (along, _) = np.gradient(right), np.gradient(down)
    strength = np.hypot(across - along, 2 * mixed)
    off_deg = np.degrees(0.5 * np.arctan2(2 * mixed, across - along)) % 45.0
    return float(strength[(off_deg < 5) | (off_deg > 40)].sum() / strength.sum())


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


def _both(name: str, size: int, data: Path | None) -> list[tuple[str, ...]]:
    say(f"  {name}")
    gsd_m = RECIPES[name].gsd_m
    rows = [(name, *figures(make_terrain(name, Lattice((size, size), gsd_m), 7), gsd_m))]
    real = real_piece(name, size, data)
    if real is not None:
        rows.append((f"- real: {REAL[name][0]}", *figures(real, REAL[name][3])))
    return rows


def real_piece(name: str, size: int, data: Path | None) -> NDArray[np.float32] | None:
    """Heights of a real piece of a kind of country, float32 (size, size), metres; None where there is none."""
    if data is None or name not in REAL:
        return None
    stem, row, col, _ = REAL[name]
    path = data.parent / "dem" / f"{stem}.tif"
    if not path.exists():
        return None
    with rasterio.open(path) as file:
        z = file.read(1, window=Window(col, row, size, size)) * file.scales[0]
    return np.asarray(z, dtype=np.float32)


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
