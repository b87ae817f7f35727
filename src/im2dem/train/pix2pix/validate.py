"""Scores of the generator on held-out tiles, and the pictures that `im2dem animate` shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .data import HeightScale, Pix2PixData, Tiles, make_batch
from .recipe import Pix2PixRecipe

SNAPSHOT_TILES = 6


@torch.no_grad()
def score(generator: nn.Module, data: Pix2PixData, recipe: Pix2PixRecipe, device: torch.device) -> dict[str, float]:
    """Means over the held-out tiles, each as `im2dem predict` will compute it: own statistics, no dropout.

    Returns
    -------
    `l1`: mean absolute difference in [-1, 1] over the pixels with a height; `l1_moving`: the same with the moving
    statistics of batch norm, which is how the prototype's own log has it; `r`: Pearson correlation with the truth (of
    the mean of the channels), over tiles whose truth is not flat, 0 where the prediction is flat; `tiles`: how many.
    """
    generator.eval()
    tiles = data.held_out
    rows, correlations = [], []
    for i in range(len(tiles)):
        given, wanted = make_batch(tiles, [i], data.scale, recipe.direction)
        given, valid, truth = given.to(device), tiles.valid[i], wanted[0].numpy()
        made, as_logged = (generator(given, moving)[0].cpu().numpy() for moving in (False, True))
        rows.append([float(np.abs(image - truth)[:, valid].mean()) for image in (made, as_logged)])
        r = _correlation(made.mean(axis=0)[valid], truth.mean(axis=0)[valid])
        if r is not None:
            correlations.append(r)
    l1, l1_moving = np.mean(rows, axis=0)
    return {
        "l1": float(l1),
        "l1_moving": float(l1_moving),
        "r": float(np.mean(correlations)) if correlations else 0.0,
        "tiles": float(len(tiles)),
    }


@torch.no_grad()
def snapshot(
    generator: nn.Module, data: Pix2PixData, recipe: Pix2PixRecipe, device: torch.device
) -> dict[str, NDArray[Any]]:
    """What the generator makes of some held-out tiles: names, image, truth and relief in metres (or levels).

    Nothing for the direction "dem2rgb", which makes no relief.
    """
    tiles: Tiles = data.held_out
    if recipe.direction != "rgb2dem" or not len(tiles):
        return {}
    generator.eval()
    chosen = np.unique(np.linspace(0, len(tiles) - 1, SNAPSHOT_TILES).round().astype(int))
    given, _ = make_batch(tiles, chosen, data.scale, recipe.direction)
    made = np.concatenate([generator(g[None].to(device)).cpu().numpy()[:, 0] for g in given])
    return {
        "names": np.array([tiles.names[i] for i in chosen]),
        "image": np.ascontiguousarray(np.moveaxis(tiles.rgb[chosen], -1, 1)),
        "truth": np.where(tiles.valid[chosen], tiles.heights[chosen], np.nan).astype(np.float32),
        "relief": _in_unit(made, data.scale),
    }


def _in_unit(made: NDArray[np.float32], scale: HeightScale) -> NDArray[np.float32]:
    return ((made + 1) * scale.half_range + scale.low).astype(np.float32)


def _correlation(made: NDArray[np.float32], truth: NDArray[np.float32]) -> float | None:
    if truth.std() == 0:
        return None
    return float(np.corrcoef(made, truth)[0, 1]) if made.std() > 0 else 0.0
