"""Training windows of one size, cut from packs of any size: what a device holds to draw its batches from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from im2dem.core.errors import InputError
from im2dem.dataset.chips import VOID, Chips

# Neighbouring windows of a scene overlap by half: a crop may lie anywhere.
OVERLAP = 2
VOID_CELLS = 8
MOST_VOID = 0.6


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one kind of pair ("real" or "rendered"), on a device.

    Parameters
    ----------
    rgb
        uint8, shape (n, 3, size, size).
    dem
        int16 in steps of `chips.DEM_STEP_M`, VOID = no data, shape (n, size, size).
    origin
        Pack and chip of each window, int64, shape (n, 2).
    share
        How often each is drawn, shape (n,), of sum 1.
    upto
        Its running sum.
    known
        Share of pixels with heights in each of 8 x 8 cells of a window, float32, shape (n, 8, 8), in main memory.
    """

    rgb: Tensor
    dem: Tensor
    origin: NDArray[np.int64]
    share: NDArray[np.float64]
    upto: NDArray[np.float64]
    known: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.share)

    def draw(self, rng: np.random.Generator) -> int:
        """The number of a random window."""
        return min(int(np.searchsorted(self.upto, rng.random(), side="right")), len(self) - 1)

    def known_share(self, i: int, row: float, col: float, span: float) -> float:
        """Share of known heights about a square of window `i`; corner and side as shares of the window's side."""
        first = (int(row * VOID_CELLS), int(col * VOID_CELLS))
        last = (int(np.ceil((row + span) * VOID_CELLS)), int(np.ceil((col + span) * VOID_CELLS)))
        return float(self.known[i, first[0] : last[0], first[1] : last[1]].mean())


def cut_windows(packs: Sequence[Chips], size_px: int, device: torch.device) -> Windows | None:
    """All windows of some packs; None when there is no pack.

    A pack counts by the square root of its valid pixels, so that small good pairs are not drowned.

    Raises
    ------
    InputError
        Every window is mostly void.
    """
    if not packs:
        return None
    corners = [
        (p, i, row, col) for p, c in enumerate(packs) for i in range(len(c)) for row, col in _corners(c, size_px)
    ]
    dem = torch.full((len(corners), size_px, size_px), VOID, dtype=torch.int16, device=device)
    rgb = torch.zeros((len(corners), 3, size_px, size_px), dtype=torch.uint8, device=device)
    known = np.zeros((len(corners), VOID_CELLS, VOID_CELLS), np.float32)
    for n, (p, i, row, col) in enumerate(corners):
        part = (slice(row, row + size_px), slice(col, col + size_px))
        heights = np.ascontiguousarray(packs[p].dem[i][part])
        height, width = heights.shape
        dem[n, :height, :width] = torch.from_numpy(heights).to(device)
        rgb[n, :, :height, :width] = torch.from_numpy(np.ascontiguousarray(packs[p].rgb[i][(slice(None), *part)])).to(
            device
        )
        known[n] = _known_cells(heights, size_px)
    whole = known.mean(axis=(1, 2))
    origin = np.array([(p, i) for p, i, _, _ in corners])
    share = np.zeros(len(corners))
    for p in range(len(packs)):
        own = (origin[:, 0] == p) & (whole > 1 - MOST_VOID)
        share[own] = whole[own] / max(whole[own].sum(), 1e-9) * np.sqrt(whole[own].sum())
    if not share.any():
        raise InputError(f"no window of {size_px} px of the packs has heights in most of its pixels")
    share /= share.sum()
    return Windows(rgb, dem, origin, share, np.cumsum(share), known)


def _corners(chips: Chips, size_px: int) -> list[tuple[int, int]]:
    """Upper left corners of windows that cover a chip; a smaller chip is one window, void beyond its edge."""
    height, width = chips.dem.shape[1:]
    rows, cols = (_starts(side, size_px) for side in (height, width))
    return [(row, col) for row in rows for col in cols]


def _starts(side: int, size_px: int) -> list[int]:
    if side <= size_px:
        return [0]
    count = int(np.ceil((side - size_px) * OVERLAP / size_px)) + 1
    return [int(start) for start in np.linspace(0, side - size_px, count).round()]


def _known_cells(heights: NDArray[np.int16], size_px: int) -> NDArray[np.float32]:
    known = np.zeros((size_px, size_px), np.float32)
    known[: heights.shape[0], : heights.shape[1]] = heights != VOID
    edges = np.linspace(0, size_px, VOID_CELLS + 1).round().astype(int)
    sums = np.add.reduceat(np.add.reduceat(known, edges[:-1], axis=0), edges[:-1], axis=1)
    area = np.diff(edges)[:, None] * np.diff(edges)
    return np.asarray(sums / area, dtype=np.float32)
