"""Asking a net that takes known heights as input, as `predict --prior` and `predict --points` ask it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.anchor_surface import CellSurface
from im2dem.core.grid import Window
from im2dem.io.points import PlacedPoints
from im2dem.io.prior import Prior
from im2dem.runtime.card import find_model, load_card

from .anchoring import AnchorInMemory, AnchorOptions
from .evaluate import Predict
from .predict import PredictOptions, predictor

Float = NDArray[np.float64]
Answer = tuple[NDArray[np.floating], NDArray[np.floating] | None]
Scene = tuple[NDArray[np.float32], dict[str, Any]]
Guided = Callable[[AnchorOptions], Predict]


def guided_by(options: PredictOptions, use_sun: bool = True) -> Guided | None:
    """How a model is asked with known heights; None where it takes none.

    Parameters
    ----------
    options, use_sun
        As `predictor` takes them.

    Raises
    ------
    ModelError
        There is no such model, or its card cannot be read.
    """
    if "guide" not in load_card(find_model(options.model)).inputs:
        return None
    return lambda anchor: predictor(replace(options, anchor=anchor), use_sun)


def told_cells(guided: Guided, scene: Scene, z: Float, factor: int) -> Answer:
    """Heights and sigma of a whole scene where the true means of blocks are told.

    Parameters
    ----------
    guided
        Of `guided_by`.
    scene
        Picture and what is known of it, as `Predict` takes them.
    z
        True heights, shape (row, col), metres, NaN = not known.
    factor
        Side of a block, pixels.
    """
    image, known = scene
    surface = CellSurface((z.shape[0], z.shape[1]), factor)
    prior = Prior(surface, surface.means(z), None, factor * (known["gsd_m"] or 1.0), ("means of the truth",))
    return guided(AnchorInMemory(prior))(image, known)


def told_points(
    guided: Guided,
    scene: Scene,
    tile: tuple[Float, tuple[slice, slice]],
    points: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> Answer:
    """Heights and sigma of one tile where some true heights of it are told.

    Parameters
    ----------
    guided, scene
        As `told_cells`.
    tile
        True heights of the scene, and where the tile is.
    points
        Rows and columns in the tile.
    """
    (image, known), (z, at), (row, col) = scene, tile, points
    unknown = np.full(len(row), np.nan)
    height = z[at][row, col]
    numbers = np.arange(1, len(row) + 1)
    middle = row.astype(np.float64) + 0.5, col.astype(np.float64) + 0.5
    placed = PlacedPoints(*middle, height, np.full(len(row), 0.1), numbers, unknown, unknown, ())
    window = Window(at[0].start, at[1].start, *z[at].shape)
    return guided(AnchorInMemory(points=placed))(image[:, *at], {**known, "grid": known["grid"].crop(window)})
