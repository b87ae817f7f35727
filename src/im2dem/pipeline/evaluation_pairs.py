"""Which files belong together: pairs of a data set, predictions and their truth, and places seen twice."""

from __future__ import annotations

import math
from pathlib import Path

from pyproj import CRS

from im2dem.core.errors import NotAnImageError, UsageError
from im2dem.core.grid import Grid
from im2dem.dataset.pairs import Pair, pair_of

_RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".asc", ".hgt")


def match_files(pred: Path, truth: Path) -> tuple[list[tuple[Pair, Pair]], list[str]]:
    """Predictions with their truth, and notes on files that stay alone.

    Parameters
    ----------
    pred, truth
        Two files, or two folders; see `evaluate.evaluate_files`.

    Returns
    -------
    (prediction, truth) sorted by name; notes.

    Raises
    ------
    NotAnImageError
        One does not exist.
    UsageError
        A file and a folder were given, or no name is in both folders.
    """
    for path in (pred, truth):
        if not path.exists():
            raise NotAnImageError(f"{path}: no such file or folder")
    if pred.is_dir() != truth.is_dir():
        raise UsageError(f"{pred} and {truth}: give two files or two folders, not one of each")
    if not pred.is_dir():
        return [(Pair(truth.stem, pred), Pair(truth.stem, truth))], []
    predicted, true = _height_models(pred), _height_models(truth)
    names = sorted(predicted.keys() & true.keys())
    if not names:
        raise UsageError(
            f"no name is in both {pred} ({', '.join(sorted(predicted)[:3]) or 'no raster'}) "
            f"and {truth} ({', '.join(sorted(true)[:3]) or 'no raster'}); name predictions like their truth"
        )
    notes = []
    for where, alone in ((pred, predicted.keys() - true.keys()), (truth, true.keys() - predicted.keys())):
        if alone:
            notes.append(f"only in {where}, not scored: {', '.join(sorted(alone))}")
    return [(predicted[name], true[name]) for name in names], notes


def _height_models(folder: Path) -> dict[str, Pair]:
    found = {
        path.stem: Pair(path.stem, path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix.lower() in _RASTER_SUFFIXES
    }
    inner = folder / "pairs" if (folder / "pairs").is_dir() else folder
    pairs = (pair_of(path) for path in sorted(inner.iterdir()) if path.is_dir())
    return found | {pair.name: pair for pair in pairs if pair is not None}


def is_same_grid(one: Grid, two: Grid) -> bool:
    """True when pixels coincide: same shape and, where both are georeferenced, same place.

    Parameters
    ----------
    one, two
        Grids of any kind. One without a reference system is the same as any other of its shape.
    """
    if one.shape != two.shape:
        return False
    if one.crs is None or two.crs is None:
        return True
    # 1e-6 of a pixel for each pixel of the raster: writers round the numbers of a transform differently.
    step = 1e-6 * max(abs(two.transform.a), abs(two.transform.b), abs(two.transform.d), abs(two.transform.e))
    corners = [(col, row) for col in (0, two.width) for row in (0, two.height)]
    near = all(math.dist(one.transform @ corner, two.transform @ corner) <= step * max(two.shape) for corner in corners)
    return near and (one.crs == two.crs or bool(CRS.from_user_input(one.crs) == CRS.from_user_input(two.crs)))


class Regions:
    """Names of places, for the bootstrap: pairs on one georeferenced grid (dates) are one region."""

    def __init__(self) -> None:
        self._seen: list[tuple[Grid, str]] = []

    def of(self, pair: Pair, grid: Grid) -> str:
        """`region` of the pair's meta data, else the first pair seen on this grid, else the pair's name."""
        if "region" in pair.meta:
            return str(pair.meta["region"])
        if grid.crs is None:
            return pair.name
        known = next((name for other, name in self._seen if is_same_grid(grid, other)), None)
        if known is None:
            self._seen.append((grid, pair.name))
        return known or pair.name
