"""How far off heights are expected to be, counted while they pass on their way to the file."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from im2dem.core.grid import Window
from im2dem.core.protocols import RasterWriter


class SigmaMeter:
    """A `RasterWriter` that hands heights and sigma on and keeps the mean square of sigma.

    Parameters
    ----------
    writer
        Takes the windows; the second band is sigma, NaN = no data.
    """

    def __init__(self, writer: RasterWriter) -> None:
        self._writer = writer
        self._total, self._count = 0.0, 0

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Hand a window on, float32 (2, row, col)."""
        sigma, valid = data[1], np.isfinite(data[1])
        self._count += int(valid.sum())
        if not valid.all():
            sigma = np.where(valid, sigma, np.float32(0))
        # Along a row in float32, over the rows in float64: three digits are shown.
        self._total += float(np.einsum("ij,ij->i", sigma, sigma).sum(dtype=np.float64))
        self._writer.write(window, data)

    @property
    def expected(self) -> float:
        """Root mean square of sigma in the unit of the heights; NaN before any valid pixel."""
        return math.sqrt(self._total / self._count) if self._count else math.nan

    def in_words(self, heights_are: str, unit: str) -> str:
        """What the heights are, and how far off to expect their shape.

        >>> meter = SigmaMeter(None)  # type: ignore[arg-type]
        >>> meter.in_words("relative; mean 0", "m")
        'relative; mean 0'
        """
        if not self._count:
            return heights_are
        return f"{heights_are}; expected error of the shape {self.expected:.3g} {unit} (1 sigma)"
