"""Stand-ins for the seams of `core.protocols`: readers, writers and models that need no file and no network.

A `Raster` is itself a reader. Every model here takes tiles of any size of at least one pixel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster
from im2dem.runtime.card import ModelCard

RGB = ("red", "green", "blue")
METRES = "EPSG:32633"


def toy_card(**differing: Any) -> ModelCard:
    """The card of a small net for tests, but for what differs."""
    card = ModelCard(
        name="toy",
        version="1",
        created="2024-05-01",
        direction="image-to-dem",
        bands=RGB,
        tile_px=64,
        overlap_px=16,
        onnx="model.onnx",
        sha256="0" * 64,
        licence="Apache-2.0",
        height_kind="relative shape with amplitude guess",
        dem_kind="DSM",
        gsd_range_m=(10.0, 90.0),
        scaling={"percentiles": [1.0, 99.0]},
    )
    return replace(card, **differing)


def picture(data: NDArray[np.floating], gsd_m: float = 10.0) -> Raster:
    """A raster of an array (band, row, col) or (row, col), north up, UTM zone 33."""
    data = data[None] if data.ndim == 2 else data
    names = RGB[: len(data)] if len(data) <= 3 else tuple(f"band{i}" for i in range(len(data)))
    grid = Grid(data.shape[1:], Affine(gsd_m, 0, 500_000, 0, -gsd_m, 5_000_000), METRES)
    return Raster(data.astype(np.float32), grid, names)


@dataclass(frozen=True)
class VirtualReader:
    """A raster of any size, computed when it is read: (column + 2 * row) modulo 251, over 251."""

    shape: tuple[int, int]
    bands: tuple[str, ...] = RGB

    @property
    def grid(self) -> Grid:
        return Grid(self.shape, Affine(10, 0, 500_000, 0, -10, 5_000_000), METRES)

    def read(self, window: Window) -> NDArray[np.float32]:
        rows = np.arange(window.row_off, window.row_stop, dtype=np.float32)[:, None]
        cols = np.arange(window.col_off, window.col_stop, dtype=np.float32)[None, :]
        value = np.mod(cols + 2 * rows, np.float32(251)) / np.float32(251)
        value[((rows < 0) | (rows >= self.shape[0]))[:, 0]] = np.nan
        value[:, ((cols < 0) | (cols >= self.shape[1]))[0]] = np.nan
        return np.repeat(value[None], len(self.bands), axis=0)


@dataclass
class CountingReader:
    """Passes reads on and remembers their windows."""

    inner: Raster | VirtualReader
    windows: list[Window] = field(default_factory=list)

    @property
    def grid(self) -> Grid:
        return self.inner.grid

    @property
    def bands(self) -> tuple[str, ...]:
        return self.inner.bands

    def read(self, window: Window) -> NDArray[np.float32]:
        self.windows.append(window)
        return self.inner.read(window)


class MemoryWriter:
    """Keeps what is written; complains when rows do not come from top to bottom, or twice."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float32]] = []
        self.row = 0

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        if window.row_off != self.row or window.col_off != 0 or data.shape[1:] != window.shape:
            raise AssertionError(f"{window} with data of {data.shape} written at row {self.row}")
        self.row = window.row_stop
        self._rows.append(data.copy())

    @property
    def data(self) -> NDArray[np.float32]:
        """(band, row, col)."""
        return np.concatenate(self._rows, axis=1)


class NullWriter:
    """Forgets what is written."""

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        del window, data


@dataclass
class IdentityModel:
    """Height = first band, sigma = 0.1."""

    tile_px: int = 64
    overlap_px: int = 16
    min_px: int = 1
    calls: int = 0

    @property
    def bands_out(self) -> int:
        return 2

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls += 1
        if not np.isfinite(batch).all() or batch.shape[2] != batch.shape[3]:
            raise AssertionError(f"a model must get square tiles without NaN, got {batch.shape}")
        return np.stack([batch[:, 0], np.full_like(batch[:, 0], 0.1)], axis=1)


class RampModel(IdentityModel):
    """Height = column within the tile, whatever the picture shows."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        out = super().__call__(batch)
        out[:, 0] = np.arange(batch.shape[3], dtype=np.float32)
        return out


@dataclass
class OffsetGainModel(IdentityModel):
    """The first band with a random offset and gain for every tile, and white noise of `noise`.

    Offsets are normal with standard deviation `offset`; gains log-normal with `log_gain`.
    """

    seed: int = 0
    offset: float = 80.0
    log_gain: float = 0.0
    noise: float = 0.0
    given: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        out = super().__call__(batch)
        for tile in out[:, 0]:
            offset, gain = self.offset * self._rng.normal(), np.exp(self.log_gain * self._rng.normal())
            self.given.append((float(offset), float(gain)))
            tile += self.noise * self._rng.normal(size=tile.shape)
            tile *= gain
            tile += offset
        return out


@dataclass
class SlowModel(IdentityModel):
    """Takes `seconds` for every tile."""

    seconds: float = 0.01

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(self.seconds * len(batch))
        return super().__call__(batch)


@dataclass
class InterruptingModel(IdentityModel):
    """Somebody presses Ctrl-C during call number `at`, counted from 0."""

    at: int = 0

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.calls == self.at:
            raise KeyboardInterrupt
        return super().__call__(batch)


@dataclass
class FunctionModel(IdentityModel):
    """Height = any function of the batch (n, band, t, t) to (n, t, t)."""

    function: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda batch: batch[:, 0]

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        out = super().__call__(batch)
        out[:, 0] = self.function(batch)
        return out
