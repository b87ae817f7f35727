"""Finer heights than the mesh of the page: tiles that the page reads only where somebody looks closely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.reduction import block_mean

from .payload import Field, encode_heights

TILE_PX = 512
_BORDER_PX = 1
_LARGER = 1.5
# Steps in the relief of the whole scene: 2,000 m in steps of 12 cm. Sixteen bits a tile would mostly store noise.
_STEPS = 16_000


def halvings(factor: float, finest: int) -> int:
    """Block side of the mesh: a power of two times that of the finest tiles, and near to what the size asks for.

    Parameters
    ----------
    factor
        Pixels of the raster along one of the mesh that would just fit.
    finest
        Block side of the finest tiles.

    Returns
    -------
    At least `factor` / 1.5: a mesh half as large again is better than one of half the size.

    >>> [halvings(factor, 1) for factor in (1.2, 2.1, 3.5, 4.0)]
    [1, 2, 4, 4]
    """
    mesh = finest
    while mesh * _LARGER < factor:
        mesh *= 2
    return mesh


def detail_members(heights: NDArray[np.float32], ratio: int) -> tuple[dict[str, Any] | None, dict[str, Field]]:
    """The member `detail` of the payload, and the tiles by their ids.

    Parameters
    ----------
    heights
        The finest heights, shape (row, col), any unit, NaN = no data.
    ratio
        Pixels of `heights` along one pixel of the mesh, a power of two; 1: there is nothing finer.

    Returns
    -------
    Levels from coarse to fine, and "tile-LEVEL-ROW-COLUMN": field for every tile that has a value.
    """
    if ratio == 1:
        return None, {}
    step = float(np.nanmax(heights) - np.nanmin(heights)) / _STEPS
    levels: list[dict[str, int]] = []
    tiles: dict[str, Field] = {}
    part = ratio // 2
    while part >= 1:
        level = block_mean(heights, part)
        for row, col, block in _blocks(level):
            if np.isfinite(block[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]).any():
                tiles[f"tile-{len(levels)}-{row}-{col}"] = encode_heights(block, step=step)
        levels.append({"width": level.shape[1], "height": level.shape[0]})
        part //= 2
    return {"tile": TILE_PX, "border": _BORDER_PX, "levels": levels}, tiles


def _blocks(level: NDArray[np.float32]) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Every tile with a border, so that slopes go on over its edge; beyond the raster the last pixel is repeated."""
    height, width = level.shape
    around = np.arange(-_BORDER_PX, TILE_PX + _BORDER_PX)
    for row in range(-(-height // TILE_PX)):
        rows = np.clip(row * TILE_PX + around, 0, height - 1)
        for col in range(-(-width // TILE_PX)):
            cols = np.clip(col * TILE_PX + around, 0, width - 1)
            yield row, col, level[np.ix_(rows, cols)]
