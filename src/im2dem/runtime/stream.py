"""Read a raster in rows of tiles, on a second thread, and predict tile by tile, on others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import ModelError, UsageError
from im2dem.core.grid import Window
from im2dem.core.nodata import fill
from im2dem.core.protocols import RasterReader, TileModel
from im2dem.core.tiles import Tile, TilePlan

_STRIDE = 32  # tiles that were padded get a side that networks with five halvings take


@dataclass
class Clock:
    """Seconds by stage; safe to charge from several threads at once."""

    start: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("read", "model", "level", "spool", "blend", "write"), 0.0)
    )

    _lock: Lock = field(default_factory=Lock, repr=False)

    @contextmanager
    def stage(self, name: str, at_once: int = 1) -> Iterator[None]:
        """Charge the time inside the with block to a stage, a part of it where so many blocks run `at_once`."""
        before = time.perf_counter()
        try:
            yield
        finally:
            spent = (time.perf_counter() - before) / at_once
            with self._lock:
                self.seconds[name] += spent

    def read_out(self) -> dict[str, float]:
        """Seconds by stage so far, and "wall": seconds since the clock was made."""
        return {**self.seconds, "wall": time.perf_counter() - self.start}


class TileStream:
    """The answers of a model for all tiles of a plan, in the order of their index.

    Parameters
    ----------
    reader, model, plan
        See `engine.apply_model`. The reader is used on one other thread, the model on as many as its `calls_at_once`
        says (one, where it says nothing).
    batch
        Tiles in one call of the model.
    clock
        Stages "read" and "model" are charged to it.

    Raises
    ------
    UsageError
        The plan's tiles are smaller than the model takes.
    """

    def __init__(self, reader: RasterReader, model: TileModel, plan: TilePlan, batch: int, clock: Clock) -> None:
        self._reader, self._model, self._plan = reader, model, plan
        self._batch, self._clock = batch, clock
        self._calls: int = getattr(model, "calls_at_once", 1)
        self._side = _model_side(plan, model.tile_px, getattr(model, "min_px", 1))

    def rows(self, first: int) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
        """Rows of tiles from number `first` on, as (row, pixels of the full width); each pixel is read once.

        The array is used again for the next row.
        """
        height, width = self._plan.tile_shape[0], self._plan.shape[1]
        starts = self._plan.row_starts
        if first >= len(starts):
            return
        with ThreadPoolExecutor(1, "im2dem-read") as pool:
            coming = pool.submit(self._read, Window(starts[first], 0, height, width))
            band = np.empty((len(self._reader.bands), height, width), np.float32)
            for row in range(first, len(starts)):
                fresh = coming.result()
                kept = height - fresh.shape[1]
                band[:, :kept] = band[:, height - kept :]
                band[:, kept:] = fresh
                del fresh
                if row + 1 < len(starts):
                    seen = starts[row] + height
                    coming = pool.submit(self._read, Window(seen, 0, starts[row + 1] + height - seen, width))
                yield row, band

    def _read(self, window: Window) -> NDArray[np.float32]:
        with self._clock.stage("read"):
            return self._reader.read(window)

    def answers(self, first: int) -> Generator[tuple[Tile, NDArray[np.float32] | None], None, None]:
        """Every tile from row `first` on in order, with the model's answer.

        The answer is float32 (band, row, col), NaN where there is no data; None for a tile without any. The model
        is already at the next batches while the caller works on an answer.
        """
        asked: deque[_Asked] = deque()
        with ThreadPoolExecutor(self._calls, "im2dem-model") as pool, closing(self.rows(first)) as bands:
            for row, band in bands:
                for waiting, batch in self._batches(row, band):
                    asked.append(_Asked(waiting, pool.submit(self._call, np.stack(batch)) if batch else None))
                    if len(asked) > self._calls:
                        yield from asked.popleft().answered()
            for one in asked:
                yield from one.answered()

    def _batches(
        self, row: int, band: NDArray[np.float32]
    ) -> Iterator[tuple[list[tuple[Tile, NDArray[np.bool_] | None]], list[NDArray[np.float32]]]]:
        """A row's tiles, each with where it is valid (None: nowhere), and the pixels of those that have any."""
        waiting: list[tuple[Tile, NDArray[np.bool_] | None]] = []
        batch: list[NDArray[np.float32]] = []
        tiles = self._plan.row(row)
        for tile in tiles:
            pixels = band[:, :, tile.window.col_off : tile.window.col_stop]
            valid: NDArray[np.bool_] = np.asarray(np.isfinite(pixels).all(axis=0))
            has_data = bool(valid.any())
            waiting.append((tile, valid if has_data else None))
            if has_data:
                batch.append(self._padded(pixels if valid.all() else fill(pixels)))
            if len(batch) == self._batch or tile is tiles[-1]:
                yield waiting, batch
                waiting, batch = [], []

    def _padded(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """A tile as large as the model wants it; what is missing mirrors what is there."""
        height, width = pixels.shape[1:]
        if (height, width) == (self._side, self._side):
            return pixels
        return np.pad(pixels, ((0, 0), (0, self._side - height), (0, self._side - width)), mode="symmetric")

    def _call(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._clock.stage("model", self._calls):
            answer = self._model(given)
        wanted = (len(given), self._model.bands_out, self._side, self._side)
        if answer.shape != wanted:
            raise ModelError(f"the model made {answer.shape} of a batch of {given.shape}, wanted {wanted}")
        return answer


@dataclass(frozen=True)
class _Asked:
    """Tiles that are with the model, each with where it is valid; those that are nowhere were not sent."""

    tiles: list[tuple[Tile, NDArray[np.bool_] | None]]
    coming: Future[NDArray[np.float32]] | None

    def answered(self) -> Iterator[tuple[Tile, NDArray[np.float32] | None]]:
        """Wait for the model; its answers tile by tile."""
        answers = iter(self.coming.result() if self.coming is not None else ())
        for tile, valid in self.tiles:
            yield tile, None if valid is None else _masked(next(answers), valid, tile)


def _model_side(plan: TilePlan, own_px: int, min_px: int) -> int:
    """Side of the square tiles that the model gets, pixels: its own, or one that most networks take."""
    if min_px > plan.tile_px:
        raise UsageError(f"the model takes tiles of at least {min_px} px, got {plan.tile_px} px; choose larger tiles")
    side = max(plan.tile_shape)
    return side if side == own_px else max(min_px, -(-side // _STRIDE) * _STRIDE)


def _masked(answer: NDArray[np.float32], valid: NDArray[np.bool_], tile: Tile) -> NDArray[np.float32]:
    """The answer without its padding, NaN where the picture has no data."""
    data = np.asarray(answer[:, : valid.shape[0], : valid.shape[1]], np.float32)
    if not np.isfinite(data).all():
        raise ModelError(f"the model's answer for tile {tile.index} ({tile.window}) has values that are not finite")
    return data if valid.all() else np.where(valid, data, np.float32(np.nan))
