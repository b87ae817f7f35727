"""Apply a model of colours to heights of any size: tiles that agree where they meet need no blending.

The contract of the file:

=============  ====================  ====================================================================
input/output   float32 shape         meaning
=============  ====================  ====================================================================
`dem`          (1, 1, h, w)          heights above the reference of the scene, metres; sides multiples of 16
`condition`    (1, 18)               see `ColourCondition.vector`
`variety`      (1, 8)                normal; 0 is the middle of all
`noise`        (1, 4, h, w)          see `world_noise`
`image`        (1, 3, h, w)          red, green, blue, 0 to 1
=============  ====================  ====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from im2dem.core.errors import ModelError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader, RasterWriter

from .card import load_card, verified_onnx
from .colouring_condition import CONDITION_SIZE, PHOTOGRAPHS, VARIETY_SIZE, ColourCondition, usual_key
from .colouring_noise import world_noise
from .colouring_sea import paint_sea

STRIDE = 16
# Of the training pictures' deviation, in drawing a variety: the rarest of them look like none (the truncation trick of
# Brock and others, "Large scale GAN training", 2019).
DRAWN_SPREAD = 0.6
WHITE = 255.0
INPUTS = frozenset({"dem", "condition", "variety", "noise"})
# The mean height is taken from about this many pixels along each side.
SAMPLE_PX = 512


class ColourModel:
    """A model folder that colours heights.

    Parameters
    ----------
    card_path
        The model's card, see `card.find_model`.
    condition
        Sun in the picture, pixel size, climate, season.
    seed
        Of the variety and of the noise; None: the usual variety of the climate, the noise of seed 0.
    threads
        Threads for one call; default: as many as there are cores.

    Raises
    ------
    ModelError
        Card or file cannot be used, or they are those of another kind of model.
    """

    def __init__(
        self, card_path: Path, condition: ColourCondition, seed: int | None = None, threads: int | None = None
    ) -> None:
        self.card = load_card(card_path)
        if self.card.direction != "dem-to-image":
            raise ModelError(f"the model {self.card.name} goes {self.card.direction}; colours need dem-to-image")
        path = verified_onnx(self.card, card_path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise ModelError(f"the model file {path} cannot be loaded: {error}") from error
        takes = {node.name for node in self._session.get_inputs()}
        if takes != INPUTS:
            raise ModelError(
                f"the model {self.card.name} takes {', '.join(sorted(takes))}; `im2dem colour` needs one of a run of "
                f"kind 'colour', which takes {', '.join(sorted(INPUTS))}"
            )
        self.seed = seed or 0
        mean, spread = usual_variety(self.card.varieties, condition)
        drawn = mean if seed is None else mean + DRAWN_SPREAD * spread * _normal(seed)
        self._told = {
            "condition": condition.vector().reshape(1, CONDITION_SIZE),
            "variety": drawn.astype(np.float32).reshape(1, VARIETY_SIZE),
        }

    @property
    def reach_px(self) -> int:
        """Heights further away than this do not count for a pixel."""
        return self.card.overlap_px // 2

    def __call__(self, dem: NDArray[np.float32], row0: int, col0: int) -> NDArray[np.float32]:
        """Colours of a window.

        Parameters
        ----------
        dem
            float32, shape (row, col), metres above the scene's reference, no NaN; sides are multiples of 16.
        row0, col0
            Where it begins in the world, pixels.

        Returns
        -------
        float32, shape (3, row, col), 0 to 1.

        Raises
        ------
        ModelError
            The runtime fails.
        """
        noise = world_noise(row0, col0, (dem.shape[0], dem.shape[1]), self.seed)
        given = {"dem": np.ascontiguousarray(dem, np.float32)[None, None], "noise": noise[None], **self._told}
        try:
            (image,) = self._session.run(["image"], given)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise ModelError(f"the model {self.card.name} failed on {dem.shape}: {error}") from error
        return np.asarray(image[0], dtype=np.float32)


def _normal(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(VARIETY_SIZE)


def usual_variety(
    known: Mapping[str, ArrayLike], condition: ColourCondition
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the variety of such pictures, 8 numbers each.

    Parameters
    ----------
    known
        See `ModelCard.varieties`; the narrowest that fits is taken, of all photographs where the climate is not there.
    condition
        Climate and season.
    """
    wanted = (usual_key(condition.climate, condition.season), usual_key(condition.climate, None), PHOTOGRAPHS)
    for key in wanted:
        if key in known:
            mean, spread = np.asarray(known[key], np.float64)
            return mean, spread
    return np.zeros(VARIETY_SIZE), np.ones(VARIETY_SIZE)


def world_origin(grid: Grid) -> tuple[int, int]:
    """Row and column of the raster's corner in the world of its reference system, whole pixels.

    Neighbouring rasters of one lattice count on from each other, and so their noise goes on. (0, 0) where the raster
    is turned or has no place.
    """
    t = grid.transform
    if grid.crs is None or t.b or t.d or t.a <= 0 or t.e >= 0:
        return 0, 0
    return round(t.f / t.e), round(t.c / t.a)


def reference_height_m(reader: RasterReader) -> float:
    """Mean height of a thinned-out raster, metres: what heights are counted from in all tiles.

    Raises
    ------
    UsageError
        The raster has no height at all.
    """
    height, width = reader.grid.shape
    step = max(height // SAMPLE_PX, 1), max(width // SAMPLE_PX, 1)
    total, count = 0.0, 0
    for row in range(0, height, step[0]):
        values = reader.read(Window(row, 0, 1, width))[0, 0, :: step[1]]
        known = values[np.isfinite(values)]
        total, count = total + float(known.sum(dtype=np.float64)), count + known.size
    if not count:
        raise UsageError("the height model has no height at all; there is nothing to colour")
    return total / count


def apply_colours(
    reader: RasterReader,
    model: ColourModel,
    writer: RasterWriter,
    progress: Callable[[str, int, int], None] | None = None,
) -> int:
    """Colour a height model tile by tile, digital numbers 0 to 255, NaN where there is no height.

    Every tile is given all heights that count for its pixels, and tiles begin at multiples of 16 px of the world, so
    that two of them give a pixel the same colour, to the rounding of float32.

    Returns
    -------
    Number of tiles.

    Raises
    ------
    UsageError
        The raster has no height at all.
    ModelError
        The runtime fails.
    """
    reference = reference_height_m(reader)
    origin = world_origin(reader.grid)
    cores = list(_cores(reader.grid.shape, origin, max(model.card.tile_px - model.card.overlap_px, STRIDE)))
    for done, core in enumerate(cores):
        around = _around(core, reader.grid.shape, origin, model.reach_px)
        dem, valid = _heights(reader, around, reference, 2 * model.reach_px)
        if valid[core.slices(around)].any():
            rgb = model(dem, origin[0] + around.row_off, origin[1] + around.col_off)
            rgb = paint_sea(rgb, dem + np.float32(reference))
            out = rgb[(slice(None), *core.slices(around))] * np.float32(WHITE)
            out[:, ~valid[core.slices(around)]] = np.nan
        else:
            out = np.full((3, *core.shape), np.nan, np.float32)
        writer.write(core, out)
        if progress is not None:
            progress("colour", done + 1, len(cores))
    return len(cores)


def _cores(shape: tuple[int, int], origin: tuple[int, int], side: int) -> Iterator[Window]:
    """Windows that fill the raster once, row by row, cut at multiples of `side` of the world."""
    side -= side % STRIDE
    rows, cols = (_cuts(n, start, side) for n, start in zip(shape, origin, strict=True))
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            yield Window(top, left, bottom - top, right - left)


def _cuts(n: int, start: int, side: int) -> list[int]:
    inner = range(-start % side or side, n, side)
    return [0, *inner, n]


def _around(core: Window, shape: tuple[int, int], origin: tuple[int, int], reach: int) -> Window:
    """A core with all that counts for it, from one multiple of 16 of the world to another.

    At the edge of the raster it goes no further than to the next multiple: the net goes on with the edge itself.
    """
    spans = []
    for first, size, n, start in zip((core.row_off, core.col_off), core.shape, shape, origin, strict=True):
        low, high = max(first - reach, 0) + start, min(first + size + reach, n) + start
        low, high = math.floor(low / STRIDE) * STRIDE, math.ceil(high / STRIDE) * STRIDE
        spans.append((low - start, high - low))
    return Window(spans[0][0], spans[1][0], spans[0][1], spans[1][1])


def _heights(
    reader: RasterReader, window: Window, reference: float, margin: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Heights above the reference without gaps, and where they are known, both of the shape of the window."""
    values = reader.read(window)[0]
    valid = np.isfinite(values)
    if not valid.all():
        # the nearest height of a gap may lie outside the window: look further, so that all tiles find the same
        wide = Window(
            window.row_off - margin, window.col_off - margin, window.height + 2 * margin, window.width + 2 * margin
        )
        inside = wide.intersection(reader.grid.window)
        if inside is None or not valid.any():
            return np.zeros(window.shape, np.float32), valid
        more = reader.read(wide)[0]
        nearest = ndimage.distance_transform_edt(~np.isfinite(more), return_distances=False, return_indices=True)
        values = more[tuple(nearest)][window.slices(wide)]
    return (values - np.float32(reference)).astype(np.float32), valid
