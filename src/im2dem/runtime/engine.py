"""Apply a tile model to a raster of any size with the memory of one row of tiles.

Pass 1 reads the picture in rows of tiles (each pixel once), predicts every tile that has data, compares it with
its neighbours and stores it in a spool on disk. Then the tiles are levelled. Pass 2 takes the tiles from the
spool, levels, blends and writes them, row by row from the top. Where neither levelling nor centring is asked for,
tiles are blended and written as they come, without a spool. Reading, the model, what is done with its answers
and writing are each on a thread of their own, one step apart.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.blend import axis_weights
from im2dem.core.errors import UsageError
from im2dem.core.levelling import LevelOptions, Levels, OverlapCollector, OverlapStats, solve_levels
from im2dem.core.protocols import RasterReader, RasterWriter, TileModel
from im2dem.core.tiles import Tile, TilePlan

from .join import Join, Progress, nothing
from .spool import RowRecord, Spool, TileRecord
from .stream import Clock, TileStream

__all__ = ["ApplyOptions", "ApplyReport", "LevelSummary", "Progress", "apply_model"]


@dataclass(frozen=True)
class ApplyOptions:
    """How to apply a model.

    Parameters
    ----------
    tile_px, overlap_px
        Side of a tile and least overlap, pixels; default: what the model prefers.
    batch
        Tiles in one call of the model.
    level, level_gain
        Bring tiles to one level by offsets, and by gains as well.
    centre
        Shift the result so that its mean over valid pixels is 0: the level of relative heights means nothing.
    scratch
        Folder for the spool, kept for the caller to delete or to resume from. Default: a temporary folder,
        deleted. Takes 4 bytes for each pixel and band of every tile.
    resume
        Go on with what is in `scratch`, if its fingerprint fits.
    fingerprint
        Text that stands for picture, model and settings.

    Raises
    ------
    UsageError
        A batch below 1, or resuming without a scratch folder.
    """

    tile_px: int | None = None
    overlap_px: int | None = None
    batch: int = 1
    level: bool = True
    level_gain: bool = True
    centre: bool = True
    scratch: Path | None = None
    resume: bool = False
    fingerprint: str = ""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"a batch needs at least 1 tile, got {self.batch}")
        if self.resume and self.scratch is None:
            raise UsageError("resuming needs the scratch folder of the run that was interrupted")


@dataclass(frozen=True)
class LevelSummary:
    """What levelling did.

    Attributes
    ----------
    pairs, groups
        Overlaps that were compared, and groups of tiles that they tie together.
    gain_min, gain_max
        Extremes of the gains; 1 where nothing was done.
    offset_spread
        Standard deviation of the offsets, unit of the heights.
    step_before, step_after
        Median absolute difference of mean height between neighbours, before and after, same unit; NaN without
        pairs.
    """

    pairs: int
    groups: int
    gain_min: float
    gain_max: float
    offset_spread: float
    step_before: float
    step_after: float


@dataclass(frozen=True)
class ApplyReport:
    """What was done and how long it took.

    Attributes
    ----------
    seconds
        "read" and "model" (each on its own thread), "level" (comparing and solving), "spool",
        "blend", "write" (on its own thread) and "wall".
    tiles, skipped, resumed
        Tiles of the plan; those without data; those taken over from an interrupted run.
    levels
        See `LevelSummary`; None when tiles were not levelled.
    """

    seconds: dict[str, float]
    tiles: int
    skipped: int
    resumed: int
    levels: LevelSummary | None


def apply_model(
    reader: RasterReader,
    model: TileModel,
    writer: RasterWriter,
    options: ApplyOptions | None = None,
    progress: Progress | None = None,
) -> ApplyReport:
    """Apply a model to a raster and write the result row by row.

    Parameters
    ----------
    reader
        The model's input, (band, row, col), already scaled as the model wants it. Read on a second thread,
        never on two at once.
    model
        Takes square tiles. Its first output band is levelled and centred; a second one is the standard
        deviation of the first and follows its gain. An attribute `min_px` is the least side it takes.
    writer
        Gets windows of full width from top to bottom, NaN where the reader had no data in any one band; on one
        other thread, never two at once.
    options
        See `ApplyOptions`.
    progress
        See `Progress`.

    Raises
    ------
    NoDataError
        The raster has not one valid pixel. Nothing was written.
    ModelError
        The model's answer has the wrong shape or values that are not finite.
    UsageError
        Tile, overlap and the model's least side do not go together.
    OutputError
        The scratch folder cannot be used.
    """
    options = options or ApplyOptions()
    plan = TilePlan(
        reader.grid.shape,
        model.tile_px if options.tile_px is None else options.tile_px,
        model.overlap_px if options.overlap_px is None else options.overlap_px,
    )
    run = _Run(reader, model, plan, options, progress or (lambda stage, done, total: None))
    if options.level or options.centre or options.scratch is not None:
        return run.two_passes(writer)
    return run.one_pass(writer)


class _Run:
    """One application of a model, and what its steps share."""

    def __init__(
        self,
        reader: RasterReader,
        model: TileModel,
        plan: TilePlan,
        options: ApplyOptions,
        progress: Progress,
    ) -> None:
        self.model, self.plan = model, plan
        self.options, self.progress = options, progress
        self.clock = Clock()
        self.stream = TileStream(reader, model, plan, options.batch, self.clock)

    def one_pass(self, writer: RasterWriter) -> ApplyReport:
        """Predict, blend and write as tiles come."""
        skipped = 0
        with self._join(writer) as join, closing(self._predict(0)) as answers:
            for tile, data in answers:
                skipped += data is None
                join.feed(tile, data)
            join.finish()
        return ApplyReport(self.clock.read_out(), len(self.plan), skipped, 0, None)

    def two_passes(self, writer: RasterWriter) -> ApplyReport:
        """Predict into a spool, level, blend and write."""
        options = self.options
        with _scratch(options.scratch) as folder, self._spool(folder) as spool:
            resumed = len(spool.rows) * len(self.plan.col_starts)
            self._fill_spool(spool)
            records = {tile.index: tile for row in spool.rows for tile in row.tiles}
            if not records:
                raise nothing(self.plan)
            self.progress("level", 0, 1)
            with self.clock.stage("level"):
                pairs = [pair for row in spool.rows for pair in row.pairs]
                levels = _solve(len(self.plan), records, pairs, options)
                summary = _summary(levels, pairs) if options.level else None
                if options.centre:
                    levels = _centred(levels, records)
            self.progress("level", 1, 1)
            with self._join(writer) as join:
                for tile in self.plan:
                    join.feed(tile, self._levelled(spool, tile, levels) if tile.index in records else None)
                join.finish()
        return ApplyReport(self.clock.read_out(), len(self.plan), len(self.plan) - len(records), resumed, summary)

    def _join(self, writer: RasterWriter) -> Join:
        return Join(self.plan, self.model.bands_out, writer, self.clock, self.progress)

    def _spool(self, folder: Path) -> Spool:
        options = self.options
        return Spool(
            folder,
            self.plan,
            self.model.bands_out,
            fingerprint=options.fingerprint,
            resume=options.resume,
            durable=options.scratch is not None,
        )

    def _fill_spool(self, spool: Spool) -> None:
        """Predict, compare and store the rows that the spool does not have yet."""
        plan, first = self.plan, len(spool.rows)
        row_weights = axis_weights(plan.shape[0], plan.row_starts, plan.tile_shape[0])
        col_weights = axis_weights(plan.shape[1], plan.col_starts, plan.tile_shape[1])
        collector = OverlapCollector(plan)
        if 0 < first < len(plan.row_starts):
            known = {tile.index for tile in spool.rows[-1].tiles}
            for tile in plan.row(first - 1):  # the next row will be compared with it
                collector.feed(tile, spool.read(tile)[0] if tile.index in known else None)
        records: list[TileRecord] = []
        pairs: list[OverlapStats] = []
        with closing(self._predict(first)) as answers:
            for tile, data in answers:
                with self.clock.stage("level"):
                    pairs += collector.feed(tile, None if data is None else data[0])
                    if data is not None:
                        weights = row_weights[tile.row_index], col_weights[tile.col_index]
                        records.append(_record(tile, data[0], *weights))
                with self.clock.stage("spool"):
                    if data is not None:
                        spool.write(tile, data)
                    if tile.col_index == len(plan.col_starts) - 1:
                        spool.finish_row(RowRecord(tile.row_index, tuple(records), tuple(pairs)))
                        records, pairs = [], []

    def _predict(self, first: int) -> Generator[tuple[Tile, NDArray[np.float32] | None], None, None]:
        with closing(self.stream.answers(first)) as answers:
            for tile, data in answers:
                self.progress("predict", tile.index + 1, len(self.plan))
                yield tile, data

    def _levelled(self, spool: Spool, tile: Tile, levels: Levels) -> NDArray[np.float32]:
        with self.clock.stage("spool"):
            data = spool.read(tile)
        with self.clock.stage("blend"):
            data *= np.float32(levels.gain[tile.index])  # height and sigma alike
            data[0] += np.float32(levels.offset[tile.index])
        return data


def _record(
    tile: Tile, height: NDArray[np.float32], row_weight: NDArray[np.float32], col_weight: NDArray[np.float32]
) -> TileRecord:
    """Weight and mean of a tile as the blender counts them: from these follows the mean of the result."""
    valid = np.isfinite(height)
    if valid.all():
        mass = float(row_weight.sum(dtype=np.float64) * col_weight.sum(dtype=np.float64))
    else:
        mass = float(row_weight @ (valid @ col_weight))
        height = np.where(valid, height, np.float32(0))
    # Along a row in float32, over the rows in float64: one tile's mean needs no more.
    total = float(row_weight.astype(np.float64) @ (height @ col_weight))
    return TileRecord(tile.index, mass, total / mass)


def _solve(n_tiles: int, records: dict[int, TileRecord], pairs: list[OverlapStats], options: ApplyOptions) -> Levels:
    if not options.level:
        return Levels.none(n_tiles)
    mean, mass = np.zeros((2, n_tiles))
    for index, record in records.items():
        mean[index], mass[index] = record.mean, record.mass
    return solve_levels(n_tiles, pairs, mean=mean, mass=mass, options=LevelOptions(gain=options.level_gain))


def _centred(levels: Levels, records: dict[int, TileRecord]) -> Levels:
    """Levels shifted so that the mean of the blended result over its valid pixels is 0."""
    total = sum(r.mass * (levels.gain[i] * r.mean + levels.offset[i]) for i, r in records.items())
    return replace(levels, offset=levels.offset - total / sum(r.mass for r in records.values()))


def _summary(levels: Levels, pairs: list[OverlapStats]) -> LevelSummary:
    offset, gain = levels.offset, levels.gain
    before = [abs(p.mean_second - p.mean_first) for p in pairs]
    after = [
        abs(gain[p.second] * p.mean_second + offset[p.second] - gain[p.first] * p.mean_first - offset[p.first])
        for p in pairs
    ]
    return LevelSummary(
        len(pairs),
        levels.components,
        float(gain.min()),
        float(gain.max()),
        float(offset.std()),
        float(np.median(before)) if pairs else math.nan,
        float(np.median(after)) if pairs else math.nan,
    )


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="im2dem-") as temporary:
        yield Path(temporary)
