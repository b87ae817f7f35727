"""Blend tiles and write what is final, the writing on a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from im2dem.core.blend import Blender
from im2dem.core.errors import NoDataError
from im2dem.core.grid import Window
from im2dem.core.protocols import RasterWriter
from im2dem.core.tiles import Tile, TilePlan

from .stream import Clock

Progress = Callable[[str, int, int], None]
"""Called with the stage ("predict", "level" or "write"), what is done and what there is to do."""


class Join:
    """Tiles in, finished rows out; holds back empty rows until there is something to write. A context manager.

    Parameters
    ----------
    plan, bands
        Where tiles lie and how many bands each has.
    writer
        Used on one other thread, one window at a time, from top to bottom; one window at most waits for it.
    clock
        Stages "blend" and "write" are charged to it.
    progress
        Told of rows that are final.
    """

    def __init__(self, plan: TilePlan, bands: int, writer: RasterWriter, clock: Clock, progress: Progress) -> None:
        self._plan, self._bands, self._writer = plan, bands, writer
        self._clock, self._progress = clock, progress
        self._blender = Blender(plan, bands)
        self._pool = ThreadPoolExecutor(1, "im2dem-write")
        self._pending: Future[None] | None = None
        self._done = 0  # rows that are final
        self._sent = 0  # rows that the writer has, or gets next
        self._any = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True)  # whoever closes the writer after this must be alone with it

    def feed(self, tile: Tile, data: NDArray[np.float32] | None) -> None:
        """Add a tile, float32 (band, row, col), NaN = no data; None: there is nothing in it.

        Raises what the writer raised for an earlier window.
        """
        with self._clock.stage("blend"):
            self._blender.feed(tile, data)
        self._any = self._any or data is not None
        height, width = self._plan.shape
        done = self._blender.rows_done()
        if done > self._done:
            if self._any:
                self._write_empty(self._done)
                with self._clock.stage("blend"):
                    rows = self._blender.result(Window(self._done, 0, done - self._done, width))
                self._write(rows)
            self._done = done
            self._progress("write", done, height)

    def finish(self) -> None:
        """After the last tile: wait for the writer.

        Raises
        ------
        NoDataError
            No tile had data; nothing was written.
        """
        if not self._any:
            raise nothing(self._plan)
        self._wait()

    def _write_empty(self, stop: int) -> None:
        width, most = self._plan.shape[1], self._plan.tile_shape[0]
        while self._sent < stop:
            rows = min(most, stop - self._sent)
            self._write(np.full((self._bands, rows, width), np.nan, np.float32))

    def _write(self, rows: NDArray[np.float32]) -> None:
        window = Window(self._sent, 0, rows.shape[1], rows.shape[2])
        self._sent += rows.shape[1]
        self._wait()
        self._pending = self._pool.submit(self._store, window, rows)

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _store(self, window: Window, rows: NDArray[np.float32]) -> None:
        with self._clock.stage("write"):
            self._writer.write(window, rows)


def nothing(plan: TilePlan) -> NoDataError:
    """The error for a picture without a valid pixel."""
    height, width = plan.shape
    return NoDataError(
        f"the picture of {height} x {width} pixels has not one valid pixel; is the nodata value or "
        "the choice of bands right?"
    )
