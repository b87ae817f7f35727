"""What anchors are worth: heights from points (A4) and from a coarse model (A5), beside what interpolates the same."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial.distance import cdist

from im2dem.core.alignment import block_mean, upsample
from im2dem.core.anchor_field import FieldOptions, fit_field
from im2dem.core.anchor_fusion import fuse
from im2dem.core.anchor_surface import CellSurface
from im2dem.core.errors import NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.metrics_uncertainty import calibration_gap, coverage_curve
from im2dem.core.terrain import slope_deg
from im2dem.dataset.pairs import Pair
from im2dem.io.geotiff import open_dem, open_reader

from .evaluate import Predict, Progress
from .evaluation_guided import Answer, Guided, told_cells, told_points
from .evaluation_scene import EvaluateOptions, pixel_size_m, tile_windows

Float = NDArray[np.float64]

POINTS = (3, 5, 10, 25, 100)
FACTORS = (8, 16, 32, 64)
WORSE = 1.02
"""Error over that of the interpolation above which an anchor counts as having made things worse."""
LEAST_SIGMA_M = 0.1
LEVEL_M = 0.5
"""Tiles that spread by less are water or filled holes: a ratio of two errors near zero means nothing."""


@dataclass(frozen=True)
class AnchorProtocol:
    """What is measured.

    Parameters
    ----------
    points
        Numbers of known heights in a tile, each at least 3.
    factors
        Sides of the coarse cells, pixels, each at least 2.
    most_pairs, most_tiles
        Look at no more pairs, and tiles of a pair; None: at all.
    scene
        Tiles, and the metres per pixel of pairs that do not tell.

    Raises
    ------
    UsageError
        A number out of range.
    """

    points: tuple[int, ...] = POINTS
    factors: tuple[int, ...] = FACTORS
    most_pairs: int | None = None
    most_tiles: int | None = None
    scene: EvaluateOptions = field(default_factory=EvaluateOptions)

    def __post_init__(self) -> None:
        if min(self.points, default=3) < 3 or min(self.factors, default=2) < 2:
            raise UsageError(
                f"A4 needs at least 3 points and A5 cells of at least 2 pixels, got {self.points} and {self.factors}"
            )

    @classmethod
    def named(cls, text: str, **others: Any) -> AnchorProtocol:
        """Of names with commas: A4 and A5 for the usual series, A4(10) or A5(16) for one of it.

        Raises
        ------
        UsageError
            Another name.

        >>> AnchorProtocol.named("A4(7),A5").points
        (7,)
        """
        chosen: dict[str, list[int]] = {"A4": [], "A5": []}
        for name in (part.strip() for part in text.split(",")):
            match = re.fullmatch(r"(A4|A5)(?:\((\d+)\))?", name)
            if match is None:
                raise UsageError(f"{name!r} is no protocol of anchors; give A4, A5, A4(k) or A5(k), e.g. A4,A5(16)")
            usual = POINTS if match[1] == "A4" else FACTORS
            chosen[match[1]] += [int(match[2])] if match[2] else usual
        return cls(tuple(dict.fromkeys(chosen["A4"])), tuple(dict.fromkeys(chosen["A5"])), **others)


@dataclass(frozen=True)
class AnchorTile:
    """One answer on one tile.

    Attributes
    ----------
    protocol, method, pair
        Like "A5(16)", "fusion" and the name of the pair.
    relief_m, rmse_m, slope_mae_deg
        True spread, error of the heights, and of their slopes (NaN without a pixel size).
    ratio, slope_ratio
        Errors over those of the reference: bicubic (A5) or inverse distances (A4).
    coverage
        Share of errors within the nominal intervals 0.05 to 0.95; empty without a sigma.
    """

    protocol: str
    method: str
    pair: str
    relief_m: float
    rmse_m: float
    slope_mae_deg: float
    ratio: float
    slope_ratio: float
    coverage: tuple[float, ...] = ()


@dataclass(frozen=True)
class AnchorRow:
    """Means over tiles; `share_worse` is that of tiles above 1.02 times the reference's error.

    `ratio` and `slope_ratio` are means, `worst` the largest ratio, `ece` the calibration error of sigma (NaN without).
    """

    protocol: str
    method: str
    tiles: int
    rmse_m: float
    slope_mae_deg: float
    ratio: float
    slope_ratio: float
    worst: float
    share_worse: float
    ece: float


@dataclass(frozen=True)
class AnchorEvaluation:
    """The rows, the tiles that they are made of, and remarks."""

    rows: tuple[AnchorRow, ...]
    tiles: tuple[AnchorTile, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Rows and notes; what is not defined is null."""
        rows = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(row).items()}
            for row in self.rows
        ]
        return json.dumps({"rows": rows, "notes": self.notes}, indent=1, ensure_ascii=False)

    def to_table(self) -> str:
        """For people, in plain text."""
        head = ("protocol", "method", "tiles", "RMSE m", "slope MAE", "ratio", "slope r.", "worst", "> 1.02", "ECE")
        lines = [head] + [
            (
                *(row.protocol, row.method, str(row.tiles), f"{row.rmse_m:.2f}", f"{row.slope_mae_deg:.2f}"),
                *(f"{row.ratio:.3f}", f"{row.slope_ratio:.3f}", f"{row.worst:.3f}"),
                *(f"{100 * row.share_worse:.0f} %", f"{row.ece:.3f}" if math.isfinite(row.ece) else "-"),
            )
            for row in self.rows
        ]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        aligned = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*aligned, "", *self.notes])


def evaluate_anchors(
    predict: Predict,
    pairs: Sequence[Pair],
    options: AnchorProtocol | None = None,
    progress: Progress | None = None,
    guided: Guided | None = None,
) -> AnchorEvaluation:
    """Errors of anchored heights beside those of interpolating the same points or cells.

    A4(k): k random pixels of a tile are known; the fit of `im2dem predict --points` against inverse distances
    (squared) and a thin-plate spline. A5(f): the means of blocks of f x f pixels are known; the fusion of
    `im2dem predict --prior` over the whole scene against a bicubic interpolation. All errors are in metres as they
    are, on the pixels that picture, truth and prediction share.

    Parameters
    ----------
    predict
        As `evaluate_model` takes it.
    pairs
        Of `find_pairs`; those without a picture are left out with a note.
    options
        Points, factors and tiles.
    progress
        Called with pairs done and pairs in all.
    guided
        Of `evaluation_guided.guided_by`: how a net is asked that takes known heights as input. It is told the cells
        of the whole scene, and the points of one tile at a time.

    Raises
    ------
    NoDataError
        Not one tile has enough valid pixels.
    NotAnImageError
        A file cannot be read.
    """
    options = options or AnchorProtocol()
    chosen = pairs[: options.most_pairs]
    tiles: list[AnchorTile] = []
    notes: list[str] = []
    for done, pair in enumerate(chosen):
        if pair.image is None:
            notes.append(f"{pair.name}: left out, it has no picture")
        else:
            tiles += _of_pair((predict, guided), pair, options)
        if progress is not None:
            progress(done + 1, len(chosen))
    if not tiles:
        raise NoDataError("not one tile could be scored: too few valid pixels, or only level ones")
    notes.append(
        f"means over tiles of {options.scene.tile_px} px that spread by at least {LEVEL_M} m; ratio: RMSE over that of "
        "bicubic (A5) or inverse distances (A4)"
    )
    return AnchorEvaluation(_rows(tiles), tuple(tiles), tuple(notes))


def _rows(tiles: Sequence[AnchorTile]) -> tuple[AnchorRow, ...]:
    rows = []
    for protocol, method in dict.fromkeys((tile.protocol, tile.method) for tile in tiles):
        own = [tile for tile in tiles if (tile.protocol, tile.method) == (protocol, method)]
        figures = np.array([(t.rmse_m, t.slope_mae_deg, t.ratio, t.slope_ratio) for t in own])
        curves = [tile.coverage for tile in own if tile.coverage]
        ece = float(calibration_gap(np.mean(curves, axis=0))) if curves else math.nan
        ratios = figures[:, 2]
        worse = float((ratios > WORSE).mean())
        rmse_m, slope, ratio, slope_ratio = (float(v) for v in figures.mean(axis=0))
        rows.append(
            AnchorRow(protocol, method, len(own), rmse_m, slope, ratio, slope_ratio, float(ratios.max()), worse, ece)
        )
    return tuple(rows)


def _of_pair(nets: tuple[Predict, Guided | None], pair: Pair, options: AnchorProtocol) -> Iterator[AnchorTile]:
    predict, guided = nets
    with open_dem(pair.dem) as dem:
        grid, z = dem.grid, dem.read(dem.grid.window)[0].astype(np.float64)
    with open_reader(pair.image) as reader:  # type: ignore[arg-type]
        image = reader.read(reader.grid.window)
    size = pixel_size_m(pair, grid, grid.window, options.scene)
    gsd_m = None if size is None else math.sqrt(size[0] * size[1])
    known = {**pair.meta, "name": pair.name, "grid": grid, "pixel_size_m": size, "gsd_m": gsd_m}
    pred, sigma = predict(image, known)
    z = np.where(np.isfinite(image).all(axis=0) & np.isfinite(pred), z, np.nan)
    windows = _tiles(grid, z, options)
    for factor in options.factors:
        told = None if guided is None else told_cells(guided, (image, known), z, factor)
        answers = _from_cells(z, pred, factor, told)
        for at in windows:
            here = {name: (h[at], None if s is None else s[at]) for name, (h, s) in answers.items()}
            yield from _scored((f"A5({factor})", pair.name), here, z[at], size)
    for count in options.points:
        for at in windows:
            seed = zlib.crc32(f"{pair.name} {at[0].start} {at[1].start} {count}".encode(), options.scene.seed)
            rows, cols = np.nonzero(np.isfinite(z[at]))
            chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
            points = rows[chosen], cols[chosen]
            told = None if guided is None else told_points(guided, (image, known), (z, at), points)
            answers = _from_points(z[at], pred[at], None if sigma is None else sigma[at], points, told)
            yield from _scored((f"A4({count})", pair.name), answers, z[at], size)


def _tiles(grid: Grid, z: Float, options: AnchorProtocol) -> list[tuple[slice, slice]]:
    found = []
    for window in tile_windows(grid, options.scene):
        at = window.slices()
        valid = np.isfinite(z[at])
        enough = valid.mean() >= options.scene.min_valid and valid.sum() > 2 * max(options.points, default=0)
        if enough and float(z[at][valid].std()) >= max(LEVEL_M, options.scene.min_relief_m):
            found.append(at)
    if options.most_tiles is not None and len(found) > options.most_tiles:
        found = [found[i] for i in np.linspace(0, len(found) - 1, options.most_tiles).round().astype(int)]
    return found


def _from_cells(z: Float, pred: NDArray[np.floating], factor: int, told: Answer | None) -> dict[str, Answer]:
    """The reference first; `told` is what a net made of the cells that was told them."""
    cells = block_mean(z, factor)
    shape = (z.shape[0], z.shape[1])
    if told is None:
        told = fuse(np.where(np.isfinite(z), pred, np.nan), CellSurface(shape, factor), cells)[:2]
    return {"bicubic": (upsample(cells, factor, shape), None), "fusion": told}


def _from_points(
    z: Float,
    pred: NDArray[np.floating],
    sigma: NDArray[np.floating] | None,
    points: tuple[NDArray[np.int64], NDArray[np.int64]],
    told: Answer | None,
) -> dict[str, Answer]:
    """The reference first. The known pixels count too: they are few, and every method has them."""
    row, col = points
    xy, known = np.column_stack([col, row]).astype(np.float64), z[row, col]
    everywhere = np.column_stack([a.ravel() for a in np.mgrid[0 : z.shape[0], 0 : z.shape[1]][::-1]]).astype(np.float64)
    answers: dict[str, Answer] = {"inverse distance": (_inverse_distance(xy, known, everywhere).reshape(z.shape), None)}
    try:
        plate = RBFInterpolator(xy, known, kernel="thin_plate_spline")(everywhere)
        answers["thin plate"] = (plate.reshape(z.shape), None)
    except np.linalg.LinAlgError:  # all points on one line
        pass
    if told is not None:
        return {**answers, "field": told}
    doubt = None if sigma is None else float(np.sqrt(np.nanmean(sigma**2)) / max(float(np.nanstd(pred)), 1e-9))
    options = FieldOptions(float(max(z.shape)), doubt=doubt)
    fit = fit_field(xy, pred[row, col].astype(np.float64), known, None, options)
    flat = np.nan_to_num(pred.ravel().astype(np.float64))
    added, spread = fit.at(everywhere, flat)
    height = fit.shift + fit.scale * flat + added
    answers["field"] = (height.reshape(z.shape), np.maximum(spread, LEAST_SIGMA_M).reshape(z.shape))
    return answers


def _inverse_distance(xy: Float, known: Float, wanted: Float) -> Float:
    """Weights 1 / distance^2 (Shepard 1968)."""
    weight = 1.0 / np.maximum(cdist(wanted, xy, "sqeuclidean"), 1e-6)
    return np.asarray((weight @ known) / weight.sum(axis=1))


def _scored(
    names: tuple[str, str], answers: dict[str, Answer], z: Float, size: tuple[float, float] | None
) -> Iterator[AnchorTile]:
    valid = np.isfinite(z)
    relief = float(z[valid].std())
    slope = _slope(z, size)
    reference: tuple[float, float] | None = None
    for method, (height, sigma) in answers.items():
        dh = np.where(valid, height - z, np.nan)
        error = float(np.sqrt(np.nanmean(dh**2)))
        off = (
            math.nan
            if slope is None
            else float(np.nanmean(np.abs(_slope(np.where(valid, height, np.nan), size) - slope)))
        )
        reference = reference or (error, off)
        covered = () if sigma is None else coverage_curve(dh[valid], sigma[valid], law="laplace")
        ratios = (error / max(reference[0], 1e-9), off / max(reference[1], 1e-9))
        yield AnchorTile(names[0], method, names[1], relief, error, off, *ratios, covered)


def _slope(z: Float, size: tuple[float, float] | None) -> Any:
    return None if size is None else slope_deg(z, size)
