"""Predicted against true heights: files, folders, or a model over pairs, beside the trivial rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import GridMismatchError, NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.protocols import RasterReader
from im2dem.core.raster import Raster
from im2dem.dataset.pairs import Meta, Pair, find_pairs
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.io.warp import warp_to_grid

from .evaluation_gallery import Gallery
from .evaluation_pairs import Regions, is_same_grid, match_files
from .evaluation_scene import EvaluateOptions, Scene, pixel_size_m, score_scene
from .evaluation_table import Evaluation, TileScore, aggregate, paired

__all__ = ["EvaluateOptions", "Evaluation", "Pair", "Rival", "evaluate_files", "evaluate_model", "find_pairs"]

FloatArray = NDArray[np.float32]
Predict = Callable[[FloatArray, Meta], tuple[FloatArray, FloatArray | None]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rival:
    """Another model, scored on the same tiles: the name of its rows, and a function as `evaluate_model` takes it."""

    name: str
    predict: Predict


def evaluate_files(
    pred: str | Path,
    truth: str | Path,
    options: EvaluateOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Scores of predicted height models that lie in files.

    A prediction on another grid is warped onto the truth's (bilinear) when both are georeferenced. A second
    band of a prediction with two bands is its sigma. Pixels without picture (a pair folder has one) are not
    scored.

    Parameters
    ----------
    pred, truth
        Two files, or two folders. In a folder, files are known by their stem, and subfolders with a
        `dem.tif` by their name; both sides are matched by it.
    options
        Tiles, alignments, trivial rows.
    progress
        Called with scenes done and scenes in all.

    Returns
    -------
    Rows for "prediction" and the trivial rows.

    Raises
    ------
    UsageError
        One is a file and the other a folder, or nothing matches.
    NotAnImageError
        A file is not there or cannot be read.
    GridMismatchError
        The grids differ and at least one has no reference system.
    NoDataError
        Not one tile has enough valid pixels.
    """
    options = options or EvaluateOptions()
    matched, notes = match_files(Path(pred), Path(truth))
    regions, gallery = Regions(), _gallery(options)
    scores: list[TileScore] = []
    for done, (predicted, pair) in enumerate(matched):
        with ExitStack() as stack:
            reader = stack.enter_context(open_dem(pair.dem))
            opened = stack.enter_context(open_dem(predicted.dem))
            if opened.info.unit != "m":
                notes.append(
                    f"{pair.name}: predicted heights are relative ({opened.info.unit}); A0 and A1 mean nothing"
                )
            heights: RasterReader = opened
            sigma: RasterReader | None = _open_sigma(predicted.dem, stack)
            if not is_same_grid(heights.grid, reader.grid):
                heights = _warped(heights, reader.grid, predicted.dem)
                sigma = None if sigma is None else _warped(sigma, reader.grid, predicted.dem)
                notes.append(f"{pair.name}: the prediction was warped onto the grid of the truth (bilinear)")
            image = _open_image(pair, reader.grid, stack)
            region = regions.of(pair, reader.grid)
            scene = Scene(pair, region, reader, heights, sigma, image)
            found, remarks = score_scene(scene, "prediction", options, gallery)
            scores, notes = scores + found, notes + remarks
        if progress is not None:
            progress(done + 1, len(matched))
    return _finish(paired(scores, "prediction"), options, notes, gallery)


def evaluate_model(
    predict: Predict | None,
    pairs: Sequence[Pair],
    options: EvaluateOptions | None = None,
    progress: Progress | None = None,
    name: str = "model",
    rivals: Sequence[Rival] = (),
) -> Evaluation:
    """Scores of a model over pairs, beside those of other models and the trivial rows.

    Parameters
    ----------
    predict
        From a whole picture (float32 (3, row, col), digital numbers, NaN = no data) and what is known about
        it to heights and sigma, each (row, col), sigma may be None. What is known: `meta.json`, with `name`,
        `grid` (`core.grid.Grid`), `gsd_m` and `pixel_size_m` (along columns, along rows; None when unknown)
        set. None: only the trivial rows.
    pairs
        From `find_pairs`; pairs without a picture are left out with a note.
    options
        Tiles, alignments, trivial rows.
    progress
        Called with pairs done and pairs in all.
    name
        Name of the model's rows.
    rivals
        Other models, each a row on the same tiles.

    Returns
    -------
    Rows for the model, the rivals and the trivial rows.

    Raises
    ------
    GridMismatchError
        Picture and heights of a pair, or picture and prediction, differ in shape.
    NotAnImageError
        A file cannot be read.
    NoDataError
        Not one tile has enough valid pixels.
    UsageError
        Two models of one name.
    """
    options = options or EvaluateOptions()
    names = [name, *(rival.name for rival in rivals)]
    if len(set(names)) < len(names):
        raise UsageError(f"two models have one name ({', '.join(names)}); each row needs its own")
    notes: list[str] = []
    regions, gallery = Regions(), _gallery(options)
    scores: list[TileScore] = []
    for done, pair in enumerate(pairs):
        with ExitStack() as stack:
            reader = stack.enter_context(open_dem(pair.dem))
            image = _open_image(pair, reader.grid, stack)
            region = regions.of(pair, reader.grid)
            if image is None:
                notes.append(f"{pair.name}: left out, it has no picture")
            else:
                pred, sigma = (None, None) if predict is None else _predicted(predict, pair, image, options)
                others = tuple((rival.name, *_predicted(rival.predict, pair, image, options)) for rival in rivals)
                scene = Scene(pair, region, reader, pred, sigma, image, others)
                found, remarks = score_scene(scene, name, options, gallery)
                scores, notes = scores + found, notes + remarks
        if progress is not None:
            progress(done + 1, len(pairs))
    return _finish(paired(scores, name), options, notes, gallery)


def _gallery(options: EvaluateOptions) -> Gallery | None:
    return Gallery(options.gallery_tiles) if options.gallery_tiles else None


def _predicted(
    predict: Predict, pair: Pair, image: RasterReader, options: EvaluateOptions
) -> tuple[Raster, Raster | None]:
    grid = image.grid
    size = pixel_size_m(pair, grid, grid.window, options)
    known = {
        **pair.meta,
        "name": pair.name,
        "grid": grid,
        "pixel_size_m": size,
        "gsd_m": None if size is None else math.sqrt(size[0] * size[1]),
    }
    heights, sigma = predict(image.read(grid.window), known)
    for array in (heights, sigma):
        if array is not None and array.shape != grid.shape:
            raise GridMismatchError(
                f"{pair.name}: the model answered {array.shape} for a picture of {grid.shape}; "
                f"it must answer one height a pixel"
            )
    return (
        Raster(np.asarray(heights)[None], grid, ("height",)),
        None if sigma is None else Raster(np.asarray(sigma)[None], grid, ("sigma",)),
    )


def _open_sigma(path: Path, stack: ExitStack) -> RasterReader | None:
    """The second band of a file that has exactly two."""
    try:
        with open_dem(path, band=3):
            return None
    except UsageError:
        pass
    try:
        return stack.enter_context(open_dem(path, band=2))
    except UsageError:
        return None


def _open_image(pair: Pair, grid: Grid, stack: ExitStack) -> RasterReader | None:
    if pair.image is None:
        return None
    image = stack.enter_context(open_reader(pair.image))
    if image.grid.shape != grid.shape:
        raise GridMismatchError(
            f"{pair.name}: picture {image.grid.shape} and heights {grid.shape} differ in shape; a pair lies on one grid"
        )
    return image


def _warped(reader: RasterReader, grid: Grid, path: Path) -> Raster:
    if reader.grid.crs is None or grid.crs is None:
        raise GridMismatchError(
            f"{path}: the prediction is {reader.grid.shape}, the truth {grid.shape}, and warping needs "
            f"a reference system on both; georeference them, or give rasters of one shape"
        )
    data = warp_to_grid(reader.read(reader.grid.window), reader.grid, grid)
    return Raster(data, grid, reader.bands)


def _finish(scores: list[TileScore], options: EvaluateOptions, notes: list[str], gallery: Gallery | None) -> Evaluation:
    if not scores:
        raise NoDataError(
            "not one tile could be scored: "
            + ("; ".join(notes) or "there was nothing to score")
            + f"; a tile needs {100 * options.min_valid:.0f} % valid pixels"
        )
    regions = {score.region for score in scores}
    unit = f"{len(regions)} regions" if len(regions) > 1 else "tiles (one region only: too narrow)"
    spread = f"means over tiles of {options.tile_px} px; [95 % bootstrap interval] over {unit}"
    rows = aggregate(scores, options.seed, options.draws)
    return Evaluation(rows, (spread, *dict.fromkeys(notes)), tuple(scores), gallery)
