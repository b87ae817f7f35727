"""The tiles of one scene, each scored for the prediction and for the trivial rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from im2dem.core.alignment import parse_alignment
from im2dem.core.baselines import trivial_rows
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.metrics_tile import Scores, TileOptions, TileTruth, score_tile
from im2dem.core.metrics_uncertainty import ErrorLaw
from im2dem.core.protocols import RasterReader
from im2dem.dataset.pairs import Pair

from .evaluation_table import TileScore


@dataclass(frozen=True)
class EvaluateOptions:
    """How an evaluation is made.

    Parameters
    ----------
    tile_px
        Side of a tile, pixels; tiles do not overlap.
    min_tile_px
        Tiles cut by the scene's edge are kept down to this side.
    min_valid
        Share of a tile's pixels that must be valid.
    min_relief_m
        Tiles whose heights have a smaller standard deviation are left out, metres.
    alignments
        A0, A1, A2, A3, A4(k); see `core.alignment`.
    sigma_law
        Law that turns a predicted sigma into intervals: "laplace" or "gaussian".
    trivial
        Print the trivial rows too.
    prior_factors
        Block sides of the bicubic rows, pixels.
    gsd_m
        Metres per pixel for files that do not tell.
    seam_rows, seam_cols
        Rows and columns of the scene before which the prediction has seams; empty: no seam ratio.
    draws
        Bootstrap samples.
    seed
        Seeds everything random; each tile draws from its own stream.
    """

    tile_px: int = 256
    min_tile_px: int = 128
    min_valid: float = 0.5
    min_relief_m: float = 0.0
    alignments: tuple[str, ...] = ("A0", "A1", "A2", "A3")
    sigma_law: ErrorLaw = "laplace"
    trivial: bool = True
    prior_factors: tuple[int, ...] = (16,)
    gsd_m: float | None = None
    seam_rows: tuple[int, ...] = ()
    seam_cols: tuple[int, ...] = ()
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.alignments:
            parse_alignment(name)
        if self.tile_px < 16 or not 1 <= self.min_tile_px <= self.tile_px:
            raise UsageError(
                f"tiles of {self.tile_px} px, kept from {self.min_tile_px} px, cannot be scored; "
                f"give a side of at least 16 and a smaller or equal least side"
            )


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything of one pair that tiles are read from, on one grid.

    Parameters
    ----------
    pair
        Names and meta data.
    region
        Place, for the bootstrap.
    truth, pred, sigma
        Heights and their predicted standard deviation, one band each; pred None: only the trivial rows.
    image
        The picture, or None.
    """

    pair: Pair
    region: str
    truth: RasterReader
    pred: RasterReader | None
    sigma: RasterReader | None
    image: RasterReader | None


def tile_windows(grid: Grid, options: EvaluateOptions) -> Iterator[Window]:
    """Tiles side by side from the upper left; those cut by the edge are kept down to `min_tile_px`."""
    for row in range(0, grid.height, options.tile_px):
        for col in range(0, grid.width, options.tile_px):
            height, width = min(options.tile_px, grid.height - row), min(options.tile_px, grid.width - col)
            # A scene smaller than the least tile is still one tile: there is nothing else to score.
            if height >= min(options.min_tile_px, grid.height) and width >= min(options.min_tile_px, grid.width):
                yield Window(row, col, height, width)


def pixel_size_m(pair: Pair, grid: Grid, window: Window, options: EvaluateOptions) -> tuple[float, float] | None:
    """Ground size of a window's pixels, metres: of the grid, `meta.json`, as given, or None."""
    size = grid.pixel_size_m(window.row_off + window.height / 2)
    if size is not None:
        return size
    gsd = pair.meta.get("gsd_m") or options.gsd_m
    return (float(gsd), float(gsd)) if gsd else None


def score_scene(scene: Scene, method: str, options: EvaluateOptions) -> tuple[list[TileScore], list[str]]:
    """Figures of every tile of a scene, and notes on tiles left out.

    Parameters
    ----------
    scene
        Readers on one grid.
    method
        Name of the prediction's rows.
    options
        Tiles, alignments, trivial rows.

    Returns
    -------
    One value for each tile, method and alignment; notes.

    Raises
    ------
    NotAnImageError
        A file is damaged.
    """
    scores: list[TileScore] = []
    left_out = {"too few valid pixels": 0, f"relief below {options.min_relief_m} m": 0, "not predicted": 0}
    reasons = list(left_out)
    for window in tile_windows(scene.truth.grid, options):
        tile = _read_tile(scene, window)
        if np.isfinite(tile.dem).mean() < options.min_valid:
            left_out[reasons[0]] += 1
        elif tile.relief_m < options.min_relief_m:
            left_out[reasons[1]] += 1
        elif tile.answered == 0:
            left_out[reasons[2]] += 1
        else:
            for name, alignment, figures in _score_tile(tile, scene, method, options):
                scores.append(
                    TileScore(
                        name,
                        alignment,
                        scene.pair.name,
                        scene.region,
                        window.row_off,
                        window.col_off,
                        tile.relief_m,
                        figures,
                    )
                )
    notes = [f"{scene.pair.name}: {n} tiles left out, {why}" for why, n in left_out.items() if n]
    return scores, notes


@dataclass(frozen=True, eq=False)
class _Tile:
    """Arrays of a window: heights NaN where not scored; share of the true heights that were predicted."""

    window: Window
    dem: NDArray[np.float32]
    image: NDArray[np.float32] | None
    pred: NDArray[np.float32] | None
    relief_m: float
    answered: float


def _read_tile(scene: Scene, window: Window) -> _Tile:
    nan = np.float32(np.nan)
    z = scene.truth.read(window)[0]
    image = None if scene.image is None else scene.image.read(window)
    if image is not None:
        z = np.where(np.isfinite(image).all(axis=0), z, nan)
    pred = None if scene.pred is None else scene.pred.read(window)[0]
    true = np.isfinite(z)
    relief = float(z[true].std(dtype=np.float64)) if true.any() else 0.0
    answered = 1.0 if pred is None else float((true & np.isfinite(pred)).sum() / max(int(true.sum()), 1))
    return _Tile(window, z, image, pred, relief, answered)


def _score_tile(tile: _Tile, scene: Scene, method: str, options: EvaluateOptions) -> Iterator[tuple[str, str, Scores]]:
    """(method, alignment, figures) of the prediction and of the trivial rows."""
    window = tile.window
    place = f"{scene.pair.name} {window.row_off} {window.col_off}".encode()
    seed = zlib.crc32(place, options.seed & 0xFFFFFFFF)
    # All rows are scored on the same pixels: those that the prediction has.
    dem = tile.dem if tile.pred is None else np.where(np.isfinite(tile.pred), tile.dem, np.float32(np.nan))
    truth = TileTruth(dem, pixel_size_m(scene.pair, scene.truth.grid, window, options), seed)
    if tile.pred is not None:
        sigma = None if scene.sigma is None else scene.sigma.read(window)[0]
        tile_options = TileOptions(
            options.alignments,
            options.sigma_law,
            _seams_inside(options.seam_rows, window.row_off, window.height),
            _seams_inside(options.seam_cols, window.col_off, window.width),
        )
        for alignment, figures in score_tile(tile.pred, truth, tile_options, sigma).items():
            yield method, alignment, {**figures, "answered": tile.answered}
    relative = tuple(name for name in options.alignments if parse_alignment(name)[0] in ("A2", "A3"))
    for baseline in trivial_rows(options.prior_factors) if options.trivial else ():
        answer = baseline.answer(tile.image, dem, np.random.default_rng([seed, 2]))
        alignments = options.alignments if baseline.is_metric else relative
        if answer is not None and alignments:
            for alignment, figures in score_tile(answer, truth, TileOptions(alignments)).items():
                yield baseline.name, alignment, figures


def _seams_inside(seams: tuple[int, ...], start: int, size: int) -> tuple[int, ...]:
    """Seams counted from the tile's corner, those near its edge from outside included."""
    reach = 8
    return tuple(seam - start for seam in seams if start - reach < seam < start + size + reach)
