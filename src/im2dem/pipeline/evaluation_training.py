"""The row "mean training DEM": what a model would answer that knows the training places and does not look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.baselines import mean_relief
from im2dem.core.errors import InputError
from im2dem.dataset.chips import load_chips
from im2dem.dataset.pairs import find_pairs
from im2dem.io.geotiff import open_dem

from .evaluation_scene import EvaluateOptions, TileRow, TileView, pixel_size_m, tile_windows

NAME = "mean training DEM"
FloatArray = NDArray[np.floating]


def mean_training_row(data: Path, options: EvaluateOptions) -> TileRow:
    """The mean of the training tiles as a row of the table.

    Parameters
    ----------
    data
        Folder of pairs, of which those of split "train" count; or a pack, or a folder of packs (.npz), of which
        those not named val-* or test-* count.
    options
        Side of the tiles and the share of them that must be valid.

    Returns
    -------
    A row that answers every tile with the same relief.

    Raises
    ------
    UsageError
        No such folder, or no training pair in it.
    InputError
        A pair or pack cannot be read, or no training tile is there.
    """
    tiles = list(_counted(data, options))
    if not tiles:
        raise InputError(f"{data}: no training tile of {options.tile_px} px; the mean training DEM needs some")
    mean = mean_relief(tiles, options.tile_px)

    def answer(view: TileView) -> tuple[FloatArray, None] | None:
        height, width = view.dem.shape
        return np.where(np.isfinite(view.dem), mean[:height, :width], np.nan), None

    return TileRow(NAME, answer, is_metric=False)


def _counted(data: Path, options: EvaluateOptions) -> Iterator[tuple[FloatArray, float]]:
    for dem, gsd_m in _packed(data, options) if _packs(data) else _paired(data, options):
        if np.isfinite(dem).mean() >= options.min_valid:
            yield dem, gsd_m


def _packs(data: Path) -> list[Path]:
    found = [data] if data.suffix == ".npz" else sorted(data.glob("*.npz"))
    return [path for path in found if not path.name.startswith(("val-", "test-"))]


def _packed(data: Path, options: EvaluateOptions) -> Iterator[tuple[FloatArray, float]]:
    side = options.tile_px
    for path in _packs(data):
        chips = load_chips(path)
        for i in range(len(chips)):
            dem = chips.heights_m(i)
            for row in range(0, max(dem.shape[0] - side, 0) + 1, side):
                for col in range(0, max(dem.shape[1] - side, 0) + 1, side):
                    yield dem[row : row + side, col : col + side], float(chips.gsd_m[i])


def _paired(data: Path, options: EvaluateOptions) -> Iterator[tuple[FloatArray, float]]:
    for pair in find_pairs(data, "train"):
        with open_dem(pair.dem) as reader:
            for window in tile_windows(reader.grid, options):
                size = pixel_size_m(pair, reader.grid, window, options)
                if size is None:
                    raise InputError(f"{pair.dem}: nobody knows its pixel size; give gsd_m in meta.json")
                yield reader.read(window)[0], float(np.sqrt(size[0] * size[1]))
