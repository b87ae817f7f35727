"""The best and the worst tiles of an evaluation, kept with their arrays while the scenes go by."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluation_table import TileScore

# Below this spread a tile is water or a plain, and best and worst are luck.
LEAST_RELIEF_M = 5.0


@dataclass(frozen=True, eq=False)
class Exhibit:
    """One tile to look at.

    Parameters
    ----------
    score
        Its place and figures.
    lonlat
        Longitude and latitude of its middle, degrees; None without a reference system.
    pixel_size_m
        Along columns and rows, metres; 1 where unknown.
    image
        (band, row, col), digital numbers; or None.
    dem, pred
        True and predicted heights, (row, col), metres, not aligned; NaN = no data.
    """

    score: TileScore
    lonlat: tuple[float, float] | None
    pixel_size_m: tuple[float, float]
    image: NDArray[np.float32] | None
    dem: NDArray[np.float32]
    pred: NDArray[np.float32]


class Gallery:
    """The `n` best and `n` worst tiles by a figure under one alignment; memory does not grow with the scenes.

    Parameters
    ----------
    n
        Tiles of either kind.
    figure
        Figure that ranks, larger is better; with "-" in front, smaller is.
    alignment
        Whose scores count.
    """

    def __init__(self, n: int, figure: str = "pearson_r", alignment: str = "A2") -> None:
        self.n, self.figure, self.alignment = n, figure.removeprefix("-"), alignment
        self._sign = -1.0 if figure.startswith("-") else 1.0
        self._order = count()
        self._best: list[tuple[float, int, Exhibit]] = []
        self._worst: list[tuple[float, int, Exhibit]] = []

    def offer(self, score: TileScore, arrays: Callable[[], dict[str, Any]]) -> None:
        """Keep a tile if it is among the best or worst; `arrays` makes the other members of `Exhibit` when asked."""
        value = self._sign * score.scores.get(self.figure, math.nan)
        if score.alignment != self.alignment or score.relief_std_m < LEAST_RELIEF_M or not math.isfinite(value):
            return
        for heap, key in ((self._best, value), (self._worst, -value)):
            if self.n > 0 and (len(heap) < self.n or key > heap[0][0]):
                item = (key, next(self._order), Exhibit(score, **arrays()))
                if len(heap) < self.n:
                    heapq.heappush(heap, item)
                else:
                    heapq.heapreplace(heap, item)

    @property
    def best(self) -> tuple[Exhibit, ...]:
        """From the best on; with few tiles, those that are not among the worst."""
        taken = {id_of(exhibit) for exhibit in self.worst}
        return tuple(e for _, _, e in sorted(self._best, key=_rank) if id_of(e) not in taken)

    @property
    def worst(self) -> tuple[Exhibit, ...]:
        """From the worst on."""
        return tuple(exhibit for _, _, exhibit in sorted(self._worst, key=_rank))


def id_of(exhibit: Exhibit) -> tuple[str, int, int]:
    """Scene and corner of a tile: what tells two tiles apart."""
    return exhibit.score.scene, exhibit.score.row_off, exhibit.score.col_off


def _rank(item: tuple[float, int, Exhibit]) -> tuple[float, int]:
    return -item[0], item[1]
