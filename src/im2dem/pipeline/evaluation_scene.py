"""The tiles of one scene, each scored for the prediction and for the trivial rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.alignment import parse_alignment
from im2dem.core.baselines import trivial_rows
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.metrics_tile import Scores, TileOptions, TileTruth, score_tile
from im2dem.core.metrics_uncertainty import ErrorLaw
from im2dem.core.nodata import without_spikes
from im2dem.core.protocols import RasterReader
from im2dem.core.tiles import TilePlan
from im2dem.dataset.pairs import Pair

from .evaluation_gallery import Gallery
from .evaluation_table import TileScore


@dataclass(frozen=True, eq=False)
class TileView:
    """What a further row may look at: one tile, all arrays on its grid.

    Parameters
    ----------
    dem
        True heights, (row, col), metres, NaN = not scored; for rows that are told some of them.
    image
        (band, row, col), digital numbers, NaN = no data; or None.
    pred, sigma
        The model's heights and their standard deviation, (row, col), metres; or None.
    pixel_size_m
        Along columns and rows, metres; None when unknown.
    rng
        The tile's own source of chance.
    """

    dem: NDArray[np.floating]
    image: NDArray[np.float32] | None
    pred: NDArray[np.float32] | None
    sigma: NDArray[np.float32] | None
    pixel_size_m: tuple[float, float] | None
    rng: np.random.Generator


@dataclass(frozen=True)
class TileRow:
    """A further row of the table, made tile by tile from what is there: a mean of training tiles, a fusion.

    Parameters
    ----------
    name
        Of the row.
    answer
        Heights (row, col) and their standard deviation or None; None in place of both: no such row on this tile.
    is_metric
        Heights are metres above the truth's zero; else only A2 and A3 make sense.
    """

    name: str
    answer: Callable[[TileView], tuple[NDArray[np.floating], NDArray[np.floating] | None] | None]
    is_metric: bool = True


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
    spike_m
        True heights farther than this from the median around them are not scored, see `core.nodata.without_spikes`;
        None: all are.
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
    model_tiles
        Side and overlap of the tiles that the model works in, pixels: seams lie where they begin and end.
    rows
        Further rows of the table, made tile by tile.
    gallery_tiles
        Best and worst tiles to keep for looking at, of either kind.
    draws
        Bootstrap samples.
    seed
        Seeds everything random; each tile draws from its own stream.
    """

    tile_px: int = 256
    min_tile_px: int = 128
    min_valid: float = 0.5
    min_relief_m: float = 0.0
    spike_m: float | None = None
    alignments: tuple[str, ...] = ("A0", "A1", "A2", "A3")
    sigma_law: ErrorLaw = "laplace"
    trivial: bool = True
    prior_factors: tuple[int, ...] = (16,)
    gsd_m: float | None = None
    seam_rows: tuple[int, ...] = ()
    seam_cols: tuple[int, ...] = ()
    model_tiles: tuple[int, int] | None = None
    rows: tuple[TileRow, ...] = ()
    gallery_tiles: int = 0
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
    rivals
        Name, heights and sigma of other models.
    """

    pair: Pair
    region: str
    truth: RasterReader
    pred: RasterReader | None
    sigma: RasterReader | None
    image: RasterReader | None
    rivals: tuple[tuple[str, RasterReader, RasterReader | None], ...] = ()

    def seams(self, options: EvaluateOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns before which a tile of the model begins or after which one ends, and those of the options.

        Raises
        ------
        UsageError
            The model's tiles do not overlap as they should, see `core.tiles.tile_starts`.
        """
        if options.model_tiles is None:
            return options.seam_rows, options.seam_cols
        plan = TilePlan(self.truth.grid.shape, *options.model_tiles)
        both = zip((plan.row_starts, plan.col_starts), plan.tile_shape, plan.shape, strict=True)
        rows, cols = ({e for s in starts for e in (s, s + tile)} - {0, n} for starts, tile, n in both)
        return tuple(sorted(rows | {*options.seam_rows})), tuple(sorted(cols | {*options.seam_cols}))


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


def score_scene(
    scene: Scene, method: str, options: EvaluateOptions, gallery: Gallery | None = None
) -> tuple[list[TileScore], list[str]]:
    """Figures of every tile of a scene, and notes on tiles left out.

    Parameters
    ----------
    scene
        Readers on one grid.
    method
        Name of the prediction's rows.
    options
        Tiles, alignments, trivial rows.
    gallery
        Keeps the best and the worst tiles of the prediction.

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
        tile = _read_tile(scene, window, options.spike_m)
        if np.isfinite(tile.dem).mean() < options.min_valid:
            left_out[reasons[0]] += 1
        elif tile.relief_m < options.min_relief_m:
            left_out[reasons[1]] += 1
        elif tile.answered == 0:
            left_out[reasons[2]] += 1
        else:
            place = (scene.pair.name, scene.region, window.row_off, window.col_off, tile.relief_m)
            for name, alignment, figures in _score_tile(tile, scene, method, options):
                scores.append(TileScore(name, alignment, *place, figures))
                if gallery is not None and tile.pred is not None and name == method:
                    gallery.offer(scores[-1], partial(_exhibit, tile, scene, options))
    notes = [f"{scene.pair.name}: {n} tiles left out, {why}" for why, n in left_out.items() if n]
    return scores, notes


def _exhibit(tile: _Tile, scene: Scene, options: EvaluateOptions) -> dict[str, Any]:
    """What the gallery keeps of a tile besides its score."""
    window, grid = tile.window, scene.truth.grid
    middle = (window.row_off + window.height / 2, window.col_off + window.width / 2)
    return {
        "lonlat": grid.lonlat(*middle),
        "pixel_size_m": pixel_size_m(scene.pair, grid, window, options) or (1.0, 1.0),
        # Copies: a window of a scene in memory would keep the whole scene.
        "image": None if tile.image is None else tile.image.copy(),
        "dem": tile.dem.copy(),
        "pred": None if tile.pred is None else tile.pred.copy(),
    }


@dataclass(frozen=True, eq=False)
class _Tile:
    """Arrays of a window: heights NaN where not scored; share of the true heights that were predicted."""

    window: Window
    dem: NDArray[np.float32]
    image: NDArray[np.float32] | None
    pred: NDArray[np.float32] | None
    sigma: NDArray[np.float32] | None
    relief_m: float
    answered: float


def _read_tile(scene: Scene, window: Window, spike_m: float | None) -> _Tile:
    nan = np.float32(np.nan)
    z = scene.truth.read(window)[0]
    if spike_m is not None:
        z = without_spikes(z, spike_m)
    image = None if scene.image is None else scene.image.read(window)
    if image is not None:
        z = np.where(np.isfinite(image).all(axis=0), z, nan)
    pred = None if scene.pred is None else scene.pred.read(window)[0]
    sigma = None if scene.sigma is None or pred is None else scene.sigma.read(window)[0]
    true = np.isfinite(z)
    relief = float(z[true].std(dtype=np.float64)) if true.any() else 0.0
    answered = 1.0 if pred is None else float((true & np.isfinite(pred)).sum() / max(int(true.sum()), 1))
    return _Tile(window, z, image, pred, sigma, relief, answered)


def _score_tile(tile: _Tile, scene: Scene, method: str, options: EvaluateOptions) -> Iterator[tuple[str, str, Scores]]:
    """(method, alignment, figures) of the prediction, of other models, and of the trivial and further rows."""
    window = tile.window
    place = f"{scene.pair.name} {window.row_off} {window.col_off}".encode()
    seed = zlib.crc32(place, options.seed & 0xFFFFFFFF)
    # All rows are scored on the same pixels: those that the prediction has.
    dem = tile.dem if tile.pred is None else np.where(np.isfinite(tile.pred), tile.dem, np.float32(np.nan))
    truth = TileTruth(dem, pixel_size_m(scene.pair, scene.truth.grid, window, options), seed)
    seam_rows, seam_cols = scene.seams(options)
    model_options = TileOptions(
        options.alignments,
        options.sigma_law,
        _seams_inside(seam_rows, window.row_off, window.height),
        _seams_inside(seam_cols, window.col_off, window.width),
    )
    if tile.pred is not None:
        for alignment, figures in score_tile(tile.pred, truth, model_options, tile.sigma).items():
            yield method, alignment, {**figures, "answered": tile.answered}
    for name, heights, reader in scene.rivals:
        rival, sigma = heights.read(window)[0], None if reader is None else reader.read(window)[0]
        if (np.isfinite(rival) & truth.valid).any():
            for alignment, figures in score_tile(rival, truth, model_options, sigma).items():
                yield name, alignment, figures
    yield from _simple_rows(tile, truth, options)


def _simple_rows(tile: _Tile, truth: TileTruth, options: EvaluateOptions) -> Iterator[tuple[str, str, Scores]]:
    """(method, alignment, figures) of the trivial rows and of those of the options."""
    relative = tuple(name for name in options.alignments if parse_alignment(name)[0] in ("A2", "A3"))

    def scored(
        name: str, is_metric: bool, answer: NDArray[np.floating] | None, sigma: NDArray[np.floating] | None = None
    ) -> Iterator[tuple[str, str, Scores]]:
        alignments = options.alignments if is_metric else relative
        if answer is not None and alignments:
            for alignment, figures in score_tile(answer, truth, TileOptions(alignments), sigma).items():
                yield name, alignment, figures

    for baseline in trivial_rows(options.prior_factors) if options.trivial else ():
        answer = baseline.answer(tile.image, truth.dem, np.random.default_rng([truth.seed, 2]))
        yield from scored(baseline.name, baseline.is_metric, answer)
    for row in options.rows:
        rng = np.random.default_rng([truth.seed, 3])
        view = TileView(truth.dem, tile.image, tile.pred, tile.sigma, truth.pixel_size_m, rng)
        found = row.answer(view)
        if found is not None:
            yield from scored(row.name, row.is_metric, *found)


def _seams_inside(seams: tuple[int, ...], start: int, size: int) -> tuple[int, ...]:
    """Seams counted from the tile's corner, those near its edge from outside included."""
    reach = 8
    return tuple(seam - start for seam in seams if start - reach < seam < start + size + reach)
