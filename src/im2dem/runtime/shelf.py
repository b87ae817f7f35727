"""A float32 raster in one plain file, written and read in rows: what waits between two passes over a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import OutputError, UsageError
from im2dem.core.grid import Window


class Shelf:
    """Rows of a raster on disk; memory holds only what is asked for.

    Plain reads and writes, no memory map: mapped pages count as memory of the process.

    Parameters
    ----------
    path
        The file; 4 bytes for each pixel and band. Its folder must be there.
    bands, shape
        Number of bands and (height, width).

    Raises
    ------
    OutputError
        The file cannot be made.
    """

    def __init__(self, path: Path, bands: int, shape: tuple[int, int]) -> None:
        self._bands, self.shape = bands, shape
        self._row = 4 * bands * shape[1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w+b")
        except OSError as error:
            raise OutputError(f"the scratch file {path} cannot be made: {error}") from error

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Store rows of full width, float32 (band, row, col): a Shelf is a `RasterWriter`.

        Raises
        ------
        UsageError
            The window is not of full width.
        OutputError
            The disk is full.
        """
        if window.col_off != 0 or window.width != self.shape[1] or data.shape != (self._bands, *window.shape):
            raise UsageError(f"rows of full width are wanted, got {window} with data of {data.shape}")
        try:
            self._file.seek(window.row_off * self._row)
            self._file.write(np.ascontiguousarray(data.transpose(1, 0, 2), np.float32).data)
        except OSError as error:
            raise OutputError(f"{self._file.name} cannot be written: {error}; is the disk full?") from error

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows `start` to `stop` as they were written, float32 (band, row, col).

        Raises
        ------
        OutputError
            They were never written.
        """
        out = np.empty((stop - start, self._bands, self.shape[1]), np.float32)
        self._file.seek(start * self._row)
        if self._file.readinto(out.data.cast("B")) != out.nbytes:
            raise OutputError(f"{self._file.name} ends before row {stop}")
        return out.transpose(1, 0, 2)

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()
