"""Rendered training pairs: windows of real height models, resampled, photographed by `synth.appearance`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import InputError
from im2dem.synth.appearance import draw_appearance, render

from .chips import Chips, quantise_heights

MOST_RELIEF_M = 7900.0


@dataclass(frozen=True, eq=False)
class DemSource:
    """A height model to cut windows from.

    Parameters
    ----------
    name, licence
        For the provenance.
    dem
        Heights in metres, shape (row, col), NaN = no data, north up.
    gsd_m
        Pixel size on the ground, metres.
    latitude_deg
        Of its middle, or NaN.
    """

    name: str
    licence: str
    dem: NDArray[np.float32]
    gsd_m: float
    latitude_deg: float


@dataclass(frozen=True)
class SynthOptions:
    """How many chips, of what.

    Parameters
    ----------
    count, size_px, seed
        Number of chips, their side, and the seed of all chance.
    gsd_range_m
        Chips are made within this range of pixel sizes.
    least_relief_m
        Windows with a smaller standard deviation are kept one time in ten only.
    """

    count: int = 1000
    size_px: int = 256
    seed: int = 0
    gsd_range_m: tuple[float, float] = (8.0, 240.0)
    least_relief_m: float = 8.0


def cut_window(source: DemSource, size_px: int, zoom: float, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """A random window of the source, resampled to `size_px` pixels of `zoom` source pixels; None where it has voids."""
    span = max(round(size_px * zoom), 8)
    height, width = source.dem.shape
    if span > min(height, width):
        return None
    row, col = int(rng.integers(0, height - span + 1)), int(rng.integers(0, width - span + 1))
    window = source.dem[row : row + span, col : col + span]
    if not np.isfinite(window).all():
        return None
    if zoom > 1.2:
        window = ndimage.gaussian_filter(window, 0.35 * zoom)
    if span == size_px:
        return np.array(window, dtype=np.float32)
    # cubic where pixels are made, linear where they are dropped after the blur
    order = 3 if zoom < 1 else 1
    at = (np.arange(size_px) + 0.5) * span / size_px - 0.5
    grid = np.meshgrid(at, at, indexing="ij")
    return np.asarray(ndimage.map_coordinates(window, grid, order=order, mode="nearest"), dtype=np.float32)


def draw_relief(
    sources: Sequence[DemSource], options: SynthOptions, rng: np.random.Generator
) -> tuple[DemSource, NDArray[np.float32], float]:
    """A window with some relief: its source, heights in metres and pixel size in metres."""
    areas = np.array([np.sqrt(s.dem.size) for s in sources])
    for _ in range(2000):
        source = sources[int(rng.choice(len(sources), p=areas / areas.sum()))]
        highest = min(options.gsd_range_m[1] / source.gsd_m, 4.0)
        lowest = min(max(options.gsd_range_m[0] / source.gsd_m, 0.7), highest)
        zoom = float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))
        dem = cut_window(source, options.size_px, zoom, rng)
        if dem is None or (dem.std() < options.least_relief_m and rng.random() > 0.1):
            continue
        # Relief is roughly self-similar: the same slopes at another pixel size are a plausible other place.
        own_gsd_m = source.gsd_m * zoom
        smallest, largest = max(0.6, options.gsd_range_m[0] / own_gsd_m), min(1.6, options.gsd_range_m[1] / own_gsd_m)
        scale = float(np.exp(rng.uniform(np.log(min(smallest, 1.0)), np.log(max(largest, smallest, 0.6)))))
        steeper = float(np.exp(rng.normal(0, 0.2)))
        dem = dem * np.float32(scale * steeper)
        if np.ptp(dem) < MOST_RELIEF_M:
            return source, dem, own_gsd_m * scale
    raise InputError(
        f"no window of {options.size_px} px without voids was found in {len(sources)} height model(s); "
        "give larger models or a smaller --size"
    )


def make_chips(
    sources: Sequence[DemSource], options: SynthOptions, progress: Callable[[int, int], None] | None = None
) -> Chips:
    """Rendered pairs; the same options and sources give the same bytes.

    Raises
    ------
    InputError
        The sources are too small or have too many voids for the chip size.
    """
    size = options.size_px
    rgb = np.empty((options.count, 3, size, size), dtype=np.uint8)
    dem = np.empty((options.count, size, size), dtype=np.int16)
    records = np.empty((4, options.count))
    names = []
    for i in range(options.count):
        rng = np.random.default_rng([options.seed, i])
        source, heights, gsd_m = draw_relief(sources, options, rng)
        look = draw_appearance(rng)
        rgb[i] = render(heights, gsd_m, look, rng)
        dem[i] = quantise_heights(heights)
        records[:, i] = gsd_m, look.sun_azimuth_deg, look.sun_elevation_deg, source.latitude_deg
        names.append(f"{source.name}/{i}")
        if progress:
            progress(i + 1, options.count)
    used = sorted({n.split("/")[0] for n in names})
    provenance = {
        "kind": "rendered",
        "seed": options.seed,
        "sources": [{"name": s.name, "licence": s.licence} for s in sources if s.name in used],
    }
    return Chips(rgb, dem, records[0], records[1], records[2], records[3], tuple(names), provenance)
