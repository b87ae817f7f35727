"""What every section is given and what it gives back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.pipeline.evaluate import Pair, find_pairs
from im2dem.pipeline.predict import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Setup:
    """What was asked for on the command line.

    Parameters
    ----------
    data
        Folder of pairs, or None.
    model
        Name or path of the model.
    name
        Only pairs whose name contains this.
    threads
        Of the network; None: all cores.
    quick
        Leave out what takes minutes, repeat less.
    baselines
        Names or paths of models beside the model.
    """

    data: Path | None = None
    model: str = DEFAULT_MODEL
    name: str | None = None
    threads: int | None = None
    quick: bool = False
    baselines: tuple[str, ...] = ()

    def pairs(self, *splits: str) -> tuple[Pair, ...]:
        """The pairs of some splits, by name.

        Raises
        ------
        UsageError
            No data folder was given, or nothing in it fits.
        """
        if self.data is None:
            raise UsageError("this section needs pairs of pictures and heights: give --data FOLDER")
        found = [
            pair
            for pair in find_pairs(self.data)
            if pair.meta.get("split") in splits and (self.name is None or self.name in pair.name)
        ]
        if not found:
            raise UsageError(f"{self.data}: no pair of split {' or '.join(splits)} with {self.name!r} in its name")
        return tuple(found)


@dataclass(frozen=True)
class Table:
    """A table of finished cells with a line above it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Bar:
    """Something that must hold: what, the limit, what was found, and whether it holds."""

    what: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True)
class Outcome:
    """What a section found: paragraphs and tables in order, and the bars."""

    blocks: tuple[str | Table, ...]
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, eq=False)
class Scene:
    """A pair in memory.

    Parameters
    ----------
    image
        float32 (3, row, col), digital numbers, NaN = no data.
    truth
        float32 (row, col), metres, NaN = no data here or in the picture.
    known
        What a predictor is told: `meta.json`, `grid` and `gsd_m`.
    """

    image: NDArray[np.float32]
    truth: NDArray[np.float32]
    known: dict[str, Any]


def open_pair(pair: Pair) -> Scene | None:
    """A pair read whole; None without a picture."""
    if pair.image is None:
        return None
    with open_dem(pair.dem) as dem:
        grid, truth = dem.grid, dem.read(dem.grid.window)[0]
    with open_reader(pair.image) as reader:
        image = reader.read(reader.grid.window)
    truth[~np.isfinite(image).all(axis=0)] = np.nan
    gsd_m = grid.gsd_m if grid.gsd_m is not None else pair.meta.get("gsd_m")
    return Scene(image, truth, {**pair.meta, "grid": grid, "gsd_m": gsd_m})


def has_sun(pair: Pair) -> bool:
    """Whether the sun of a pair's picture is known."""
    return pair.meta.get("sun_azimuth_deg") is not None and pair.meta.get("sun_elevation_deg") is not None


def say(text: str) -> None:
    """Tell what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def number(value: float, digits: int = 3) -> str:
    """A figure for a cell; a dash where it is not defined."""
    return f"{value:.{digits}f}" if abs(value) < float("inf") else "-"
