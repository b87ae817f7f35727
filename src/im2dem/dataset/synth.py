"""Rendered training pairs: windows of height models, turned, resampled, photographed by `synth.appearance`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import InputError, UsageError
from im2dem.synth.appearance import Appearance, draw_appearance

from .chips import Chips, quantise_heights
from .resampling import resample

MOST_RELIEF_M = 7900.0
# A window with more void than this is not used; less is filled for the picture and stays void in the label.
MOST_VOID = 0.1
OWN_LATITUDE = 0.6
SEA_RELIEF_M = 0.2


@dataclass(frozen=True, eq=False)
class DemSource:
    """A height model to cut windows from: a file that was read, or any array.

    Parameters
    ----------
    name, licence
        For the provenance.
    dem
        Heights in metres above the sea, shape (row, col), NaN = no data, north up.
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

    def __post_init__(self) -> None:
        if self.dem.ndim != 2 or not self.gsd_m > 0:
            raise InputError(
                f"{self.name}: heights of shape {self.dem.shape} at {self.gsd_m} m a pixel cannot be rendered; "
                "two dimensions and a positive pixel size are wanted"
            )
        # the kernels read one kind of array
        object.__setattr__(self, "dem", np.ascontiguousarray(self.dem, dtype=np.float32))

    @cached_property
    def halved(self) -> DemSource:
        """Means of 2 x 2 pixels, made when first asked for: coarse windows need not read every height.

        A mean over a void is void.
        """
        height, width = (n // 2 * 2 for n in self.dem.shape)
        rows = self.dem[0:height:2, :width] + self.dem[1:height:2, :width]
        return replace(self, dem=(rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25), gsd_m=2 * self.gsd_m)


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
    steepness
        Range of the factor by which slopes are exaggerated.
    """

    count: int = 1000
    size_px: int = 256
    seed: int = 0
    gsd_range_m: tuple[float, float] = (8.0, 240.0)
    least_relief_m: float = 8.0
    steepness: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        for name, (low, high) in (("pixel sizes", self.gsd_range_m), ("steepness", self.steepness)):
            if not 0 < low <= high < float("inf"):
                raise UsageError(f"the range of {name} must be two positive numbers, the lower first: {low}, {high}")


class RenderedChip(NamedTuple):
    """A rendered pair.

    Attributes
    ----------
    rgb
        uint8, shape (3, row, col).
    dem
        float32, shape (row, col), metres, NaN = no data.
    gsd_m
        Pixel size on the ground, metres.
    sun_azimuth_deg, sun_elevation_deg
        NaN for a composite, which has no single sun.
    latitude_deg
        To which the sun, the treeline and the country belong.
    """

    rgb: NDArray[np.uint8]
    dem: NDArray[np.float32]
    gsd_m: float
    sun_azimuth_deg: float
    sun_elevation_deg: float
    latitude_deg: float


def cut_window(
    source: DemSource, size_px: int, zoom: float, rng: np.random.Generator, least_relief_m: float = 0.0
) -> NDArray[np.float32] | None:
    """A random window of the source, resampled to `size_px` pixels of `zoom` source pixels, NaN = no data.

    None where the source is too small, the window has too many voids or (mostly) less relief than wanted.
    """
    if zoom >= 2:
        return cut_window(source.halved, size_px, zoom / 2, rng, least_relief_m)
    span = max(round(size_px * zoom), 8)
    height, width = source.dem.shape
    if span > min(height, width):
        return None
    row, col = int(rng.integers(0, height - span + 1)), int(rng.integers(0, width - span + 1))
    window = source.dem[row : row + span, col : col + span]
    if not _is_wanted(window[:: max(span // 24, 1), :: max(span // 24, 1)], least_relief_m, rng):
        return None
    out = resample(source.dem, (row, col), span, size_px)
    # a minimum is NaN as soon as one height is: cheaper than asking each
    if np.isfinite(out.min()):
        return out
    valid = np.isfinite(window)
    if valid.mean() < 1 - MOST_VOID:
        return None
    # what the filling reaches becomes void again, so that a flat one serves
    filled = np.where(valid, window, window[valid].mean()).astype(np.float32)
    out = resample(filled, (0, 0), span, size_px)
    out[resample(valid.astype(np.float32), (0, 0), span, size_px) < 0.99] = np.nan
    return out


def _is_wanted(thinned: NDArray[np.float32], least_relief_m: float, rng: np.random.Generator) -> bool:
    """Whether a window is worth a chip: not with voids; of the plains one in ten is, of the open sea nearly none."""
    from im2dem.synth.appearance.geometry import moments

    mean, deviation = moments(thinned)
    if not np.isfinite(mean):
        valid = thinned[np.isfinite(thinned)]
        if valid.size < (1 - 2 * MOST_VOID) * thinned.size:
            return False
        deviation = float(valid.std())
    return deviation >= least_relief_m or rng.random() < (0.1 if deviation > SEA_RELIEF_M else 0.004)


def fill_voids(dem: NDArray[np.float32]) -> NDArray[np.float32]:
    """NaN replaced by the nearest height; same shape, metres."""
    void = ~np.isfinite(dem)
    nearest = ndimage.distance_transform_edt(void, return_distances=False, return_indices=True)
    return np.asarray(dem[tuple(nearest)], dtype=np.float32)


def draw_relief(
    sources: Sequence[DemSource], options: SynthOptions, rng: np.random.Generator
) -> tuple[DemSource, NDArray[np.float32], float]:
    """A turned window with some relief: its source, heights in metres (NaN = no data) and pixel size in metres.

    Raises
    ------
    InputError
        2,000 windows in a row were too large for their source, mostly void or too high.
    """
    shares = np.cumsum([np.sqrt(s.dem.size) for s in sources])
    for _ in range(2000):
        source = sources[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        highest = min(options.gsd_range_m[1] / source.gsd_m, 4.0)
        lowest = min(max(options.gsd_range_m[0] / source.gsd_m, 0.7), highest)
        zoom = math.exp(rng.uniform(math.log(lowest), math.log(highest)))
        dem = cut_window(source, options.size_px, zoom, rng, options.least_relief_m)
        if dem is None:
            continue
        # Relief is roughly self-similar: the same slopes at another pixel size are a plausible other place.
        own_gsd_m = source.gsd_m * zoom
        smallest, largest = max(0.6, options.gsd_range_m[0] / own_gsd_m), min(1.6, options.gsd_range_m[1] / own_gsd_m)
        scale = float(np.exp(rng.uniform(np.log(min(smallest, 1.0)), np.log(max(largest, smallest, 0.6)))))
        steeper = float(
            np.exp(min(max(rng.normal(0, 0.25), math.log(options.steepness[0])), math.log(options.steepness[1])))
        )
        base_m, peak_m = dem.min(), dem.max()
        if not np.isfinite(base_m):
            base_m, peak_m = np.nanmin(dem), np.nanmax(dem)
        if (peak_m - base_m) * scale * steeper >= MOST_RELIEF_M:
            continue
        # the foot of the hills stays where it is, so that coasts stay at the sea and peaks near their climate
        factor = np.float32(scale * steeper)
        dem *= factor
        dem += np.float32(base_m) * (1 - factor)
        return source, _turned(dem, int(rng.integers(8))), own_gsd_m * scale
    raise InputError(
        f"no window of {options.size_px} px without voids was found in {len(sources)} height model(s); "
        "give larger models or a smaller --size"
    )


def _turned(dem: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """One of the eight ways to lay a square down, in rows."""
    from im2dem.synth.appearance.geometry import transpose

    dem = (dem.T if turn & 4 else dem)[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
    if abs(dem.strides[0]) > abs(dem.strides[1]):
        return np.ascontiguousarray(dem)
    out = np.empty(dem.shape, np.float32)
    transpose(np.ascontiguousarray(dem.T), out)
    return out


def _draw_latitude(own_deg: float, rng: np.random.Generator) -> float | None:
    """The source's latitude, on either side of the equator, or (None) any."""
    if not np.isfinite(own_deg) or rng.random() > OWN_LATITUDE:
        return None
    return float(own_deg * rng.choice((-1.0, 1.0)))


def render_chip(
    sources: Sequence[DemSource], options: SynthOptions, rng: np.random.Generator
) -> tuple[RenderedChip, DemSource, Appearance]:
    """One pair, where its heights come from and how it was taken.

    Raises
    ------
    InputError
        As `draw_relief`.
    MissingDependencyError
        Numba is not installed.
    """
    from im2dem.synth.appearance import render

    source, dem, gsd_m = draw_relief(sources, options, rng)
    look = draw_appearance(rng, _draw_latitude(source.latitude_deg, rng), gsd_m)
    whole = dem if np.isfinite(dem.min()) else fill_voids(dem)
    rgb = render(whole, gsd_m, look, rng)
    # many suns are no sun
    azimuth, elevation = (
        (np.nan, np.nan) if look.kind == "composite" else (look.sun_azimuth_deg, look.sun_elevation_deg)
    )
    return RenderedChip(rgb, dem, gsd_m, azimuth, elevation, look.latitude_deg), source, look


class RenderedStream:
    """Pairs without end, rendered when asked for: no pack on disk, no chip twice.

    Threads may share a stream: it holds no state, all chance is the caller's `rng`, and most of the work is done
    without the interpreter's lock.

    Parameters
    ----------
    sources
        Height models, kept by reference.
    options
        `count` and `seed` do not matter here.

    Raises
    ------
    InputError
        No source.
    """

    def __init__(self, sources: Sequence[DemSource], options: SynthOptions | None = None) -> None:
        if not sources:
            raise InputError("a stream of rendered chips needs at least one height model, got none")
        self.sources = tuple(sources)
        self.options = options or SynthOptions()

    def chip(self, rng: np.random.Generator) -> RenderedChip:
        """The pair that this state of `rng` gives: picture, heights in metres, pixel size, sun, latitude.

        Raises
        ------
        InputError
            The sources are too small or have too many voids for the chip size.
        MissingDependencyError
            Numba is not installed.
        """
        return render_chip(self.sources, self.options, rng)[0]


class Turn(NamedTuple):
    """Height models, and how many chips are cut from them before the next turn."""

    sources: Sequence[DemSource]
    chips: int


def make_chips(
    sources: Sequence[DemSource], options: SynthOptions, progress: Callable[[int, int], None] | None = None
) -> Chips:
    """Rendered pairs; the same options and sources give the same bytes on the same machine.

    Raises
    ------
    InputError
        The sources are too small or have too many voids for the chip size.
    MissingDependencyError
        Numba is not installed.
    """
    return make_chips_in_turns([Turn(sources, options.count)], options, progress)


def make_chips_in_turns(
    turns: Iterable[Turn], options: SynthOptions, progress: Callable[[int, int], None] | None = None
) -> Chips:
    """Rendered pairs from height models of which only one turn's are needed at a time.

    Parameters
    ----------
    turns
        Asked for one after the other; their numbers of chips add up to `options.count`.
    options
        As in `make_chips`.
    progress
        Called with (chips done, chips in all).

    Raises
    ------
    InputError, MissingDependencyError
        As `make_chips`.
    """
    size = options.size_px
    rgb = np.empty((options.count, 3, size, size), dtype=np.uint8)
    dem = np.empty((options.count, size, size), dtype=np.int16)
    records = np.empty((4, options.count))
    names: list[str] = []
    looks: list[Appearance] = []
    cut_from: dict[tuple[str, str], None] = {}

    def one(sources: Sequence[DemSource], i: int) -> tuple[str, Appearance]:
        # a chip has its own seed, so that it does not matter which thread draws it
        chip, source, look = render_chip(sources, options, np.random.default_rng([options.seed, i]))
        rgb[i], dem[i], records[:, i] = chip.rgb, quantise_heights(chip.dem), chip[2:]
        return source.name, look

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for turn in turns:
            first, used = len(looks), set[str]()
            for name, look in pool.map(partial(one, turn.sources), range(first, first + turn.chips)):
                used.add(name)
                names.append(f"{name}/{len(names)}")
                looks.append(look)
                if progress:
                    progress(len(looks), options.count)
            cut_from |= dict.fromkeys((s.name, s.licence) for s in turn.sources if s.name in used)
    provenance = {
        "kind": "rendered",
        "seed": options.seed,
        "sources": [{"name": name, "licence": licence} for name, licence in cut_from],
        "appearance": _columns(looks),
    }
    return Chips(rgb, dem, records[0], records[1], records[2], records[3], tuple(names), provenance)


def _columns(looks: Sequence[Appearance]) -> dict[str, list[Any]]:
    """The parameters of all pictures, one list a parameter."""
    rows = [asdict(look) for look in looks]
    return {
        key: [float(f"{row[key]:.5g}") if isinstance(row[key], float) else row[key] for row in rows]
        for key in (rows[0] if rows else ())
    }
