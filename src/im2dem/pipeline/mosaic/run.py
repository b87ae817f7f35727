"""A mosaic from its index to its files: plan, predict blocks, level all, join, publish."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from im2dem._version import __version__
from im2dem.core.errors import ModelError, NoDataError, OutputError, OutputExistsError, UsageError
from im2dem.core.grid import Window
from im2dem.core.levelling import Levels, OverlapStats
from im2dem.io.atomic import write_text
from im2dem.io.environment import is_virtual
from im2dem.io.geotiff import open_dem
from im2dem.pipeline.anchoring import AnchorOptions, what_anchors
from im2dem.pipeline.prediction import PredictOptions
from im2dem.runtime.card import ModelCard, find_model, load_card

from .block import RAW, Job, RawBlock, describe, known, predict_block
from .crew import Crew, crew, threads_of
from .index import scene_paths
from .join import BLOCKS, ITEMS, Joining, Levelled, datum_of, is_joined, join_block
from .level import FORWARD, Comparing, compare_block, solve, steps, write_levels
from .scenes import Scene, Task, count_tasks, open_scenes, tasks
from .stac import write_catalog, write_vrt
from .world import Block, World

log = logging.getLogger("im2dem")

Progress = Callable[[str, int, int], None]
Bounds = tuple[float, float, float, float]

_OURS = ("job.json", "levels.json", "mosaic.json", "mosaic.vrt", "catalog.json")
_AROUND = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]
_MOST_BLOCKS = 10_000_000


@dataclass(frozen=True)
class MosaicOptions:
    """How a mosaic is made.

    Parameters
    ----------
    predict
        For each block; `gsd_m` and `resume` are not for mosaics. With a prior each block is anchored to it by itself,
        and none is levelled; known points are not for mosaics.
    block_px
        Side of a block, pixels.
    bounds
        (left, bottom, right, top) in the unit of the scenes' CRS: only blocks that hold a part of it; None: all.
    scheduler, workers
        Who works: a Dask scheduler, or processes of this machine; default: this process.
    """

    predict: PredictOptions = field(default_factory=PredictOptions)
    block_px: int = 4096
    bounds: Bounds | None = None
    scheduler: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.predict.anchor.points is not None:
            raise UsageError("known points are for a single picture; tie a mosaic to a coarse height model (--prior)")
        if self.predict.anchor.prior == "auto":
            raise UsageError(
                "--prior auto fetches heights for a single picture; give a mosaic one file that covers it, e.g. a VRT"
            )
        if self.predict.gsd_m is not None:
            raise UsageError("--gsd is for a picture without georeference; the scenes of a mosaic have one")


@dataclass(frozen=True)
class MosaicReport:
    """What was done.

    Parameters
    ----------
    folder
        Of the results.
    scenes, blocks
        Scenes of the index, and blocks of the plan.
    predicted, resumed, empty
        Blocks predicted now, taken over from a former run, and without any valid pixel.
    joined, kept
        Finished blocks written now, and those that were as they would be.
    valid
        Predicted pixels with a height, halos counted with their blocks.
    levels
        What levelling did, see `level.steps`.
    vertical_datum
        Of heights that a prior made absolute, where it is known.
    job
        World, model and options as plain values.
    """

    folder: Path
    scenes: int
    blocks: int
    predicted: int
    resumed: int
    empty: int
    joined: int
    kept: int
    valid: int
    levels: dict[str, Any]
    vertical_datum: str | None
    job: dict[str, Any]


def predict_mosaic(
    index: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    options: MosaicOptions | None = None,
    progress: Progress | None = None,
) -> MosaicReport:
    """Heights of many scenes, or of one picture of any size, block by block.

    The folder holds ``blocks/`` (a cloud-optimised GeoTIFF each), ``mosaic.vrt``, ``items/`` and ``catalog.json``
    (STAC), ``mosaic.json`` (summary), ``levels.json`` and ``raw/`` (predictions before levelling, with halo). A second
    call goes on where the first one stopped; what is done is not done again.

    Parameters
    ----------
    index
        See `index.scene_paths`.
    folder
        Made if need be; all workers must reach it, and the scenes, under the same path.
    options
        See `MosaicOptions`.
    progress
        Called with (stage, done, total), the stages being "blocks", "compare" and "join".

    Raises
    ------
    InputError
        The index, a scene or the model cannot be used; scenes differ in CRS or pixel grid; no pixel is valid.
    UsageError
        Options that make no sense, or a folder with the results of other options.
    RemoteError
        No Dask scheduler answers, or workers die again and again.
    """
    options, say = options or MosaicOptions(), progress or (lambda stage, done, total: None)
    job, (world, scenes, wanted), total = _plan(index, folder, options)
    _begin(job, options.predict.overwrite)
    with crew(options.scheduler, options.workers) as workers:
        predicted = _Predicted(job, workers, say)
        blocks = predicted.all(tasks(world, scenes, wanted), total)
        if not blocks:
            raise NoDataError(f"{index}: not one of the {total} blocks has a valid pixel; is the nodata value right?")
        pairs = _compare(job, workers, blocks, say)
        # Blocks that hold on to a prior have their level; what is left between them is for the halos to blend.
        absolute = options.predict.anchor.is_given
        levels = Levels.none(len(blocks)) if absolute else solve(blocks, pairs, options.predict.level)
        write_levels(Path(job.folder), blocks, levels)
        joined = _join(job, workers, blocks, levels, say)
    report = MosaicReport(
        Path(job.folder), len(scenes), total, predicted.fresh, predicted.resumed, total - len(blocks), joined,
        len(blocks) - joined, sum(b.valid for b in blocks), steps(levels, pairs), datum_of(job, blocks[0]),
        json.loads(job.key),
    )  # fmt: skip
    _publish(job, blocks, report)
    return report


def _plan(
    index: str | os.PathLike[str], folder: str | os.PathLike[str], options: MosaicOptions
) -> tuple[Job, tuple[World, Sequence[Scene], Window | None], int]:
    """The job, where its blocks and scenes lie, and how many blocks there are; nothing is written yet."""
    card = load_card(find_model(options.predict.model))
    if card.direction != "image-to-dem":
        raise ModelError(f"the model {card.name} goes {card.direction}; heights from a picture need image-to-dem")
    overlap = options.predict.overlap_px
    halo = min(card.overlap_px if overlap is None else max(1, overlap), options.block_px // 2)
    world, scenes = open_scenes(scene_paths(index), options.predict.bands, options.block_px, halo)
    wanted = None if options.bounds is None else world.window_of(options.bounds)
    total = count_tasks(world, scenes, wanted)
    if not total:
        raise NoDataError(f"no scene of {index} reaches into the box {options.bounds}; it is in {world.crs[:40]}")
    if total > _MOST_BLOCKS:
        raise UsageError(f"{total:,} blocks are too many for one mosaic; choose larger ones (--block-px)")
    return _job(Path(folder).absolute(), world, card, options), (world, scenes, wanted), total


def summary(report: MosaicReport) -> dict[str, Any]:
    """The report as plain values, for ``--json`` and ``mosaic.json``."""
    return {**asdict(report), "folder": str(report.folder), "vrt": str(report.folder / "mosaic.vrt")}


class _Predicted:
    """Blocks that were predicted, now or before."""

    def __init__(self, job: Job, workers: Crew, say: Progress) -> None:
        self._job, self._workers, self._say = job, workers, say
        self.fresh = self.resumed = 0

    def all(self, plan: Iterator[Task], total: int) -> list[RawBlock]:
        """Those with heights, from north-west to south-east."""
        found: list[RawBlock] = []

        def missing() -> Iterator[Task]:
            for task in plan:
                raw = known(self._job, task)
                if raw is None:
                    yield task
                else:
                    self.resumed += 1
                    found.append(raw)

        for raw in self._workers.map(predict_block, self._job, missing(), "im2dem-predict"):
            self.fresh += 1
            found.append(raw)
            self._say("blocks", self.fresh + self.resumed, total)
        return sorted((raw for raw in found if raw.valid), key=lambda raw: raw.block)


def _job(folder: Path, world: World, card: ModelCard, options: MosaicOptions) -> Job:
    """What stays the same however often a mosaic is gone on with; threads, batches and workers do not matter.

    The provider does: two of them round differently.
    """
    p = options.predict
    threads = p.threads if p.threads is not None else threads_of(options.workers)
    anchor = _anchor(p.anchor)
    chosen = replace(p, threads=threads, overwrite=True, resume=False, anchor=anchor)
    key = {
        "im2dem": __version__,
        "model": {"name": card.name, "sha256": card.sha256, "licence": card.licence},
        "bands": p.bands,
        "sun": p.sun,
        "date": p.date.isoformat() if p.date else None,
        "tile_px": p.tile_px or card.tile_px,
        "overlap_px": p.overlap_px if p.overlap_px is not None else card.overlap_px,
        "level": p.level,
        "provider": p.provider,
        "compress": p.compress,
        **({"anchor": what_anchors(anchor)} if anchor.is_given else {}),
    }
    world_only = describe(Job(str(folder), world, chosen, ""))
    return Job(str(folder), world, chosen, json.dumps({**key, **world_only}, sort_keys=True))


def _anchor(options: AnchorOptions) -> AnchorOptions:
    """With the prior under the name that all workers reach it by; raises where it cannot be read."""
    if options.prior is None:
        return options
    with open_dem(options.prior):
        pass
    return options if is_virtual(options.prior) else replace(options, prior=os.path.abspath(options.prior))


def _begin(job: Job, overwrite: bool) -> None:
    """Make the folder, or take up the one that is there if it is of the same job."""
    folder, note = Path(job.folder), Path(job.folder, "job.json")
    if overwrite and note.exists():
        for name in (RAW, BLOCKS, ITEMS):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in _OURS:
            (folder / name).unlink(missing_ok=True)
    if note.exists():
        try:
            before = dict(json.loads(note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            before = {}
        now = json.loads(job.key)
        differing = sorted(k for k in {*now, *before} if now.get(k) != before.get(k))
        if differing:
            raise OutputExistsError(
                f"{folder} holds a mosaic of other options ({', '.join(differing)}); choose another folder, or pass "
                "--overwrite to throw it away"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise OutputExistsError(f"{folder} is not empty and holds no mosaic; choose another folder (--out)")
    try:
        for name in (RAW, BLOCKS, ITEMS):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); choose another place") from error
    if not note.exists():
        write_text(note, job.key + "\n")


def _compare(job: Job, workers: Crew, blocks: Sequence[RawBlock], say: Progress) -> list[OverlapStats]:
    place = {raw.block: i for i, raw in enumerate(blocks)}

    def works() -> Iterator[Comparing]:
        for raw in blocks:
            later = (raw.block.neighbour(*step) for step in FORWARD)
            yield Comparing(raw, tuple(blocks[place[b]] for b in later if b in place))

    pairs: list[OverlapStats] = []
    for done, results in enumerate(workers.map(_compared, job, works(), "im2dem-compare"), start=1):
        for first, second, stats in results:
            ends = {"first": place[first], "second": place[second]}
            pairs.append(OverlapStats(**{**stats, **ends}))
        say("compare", done, len(blocks))
    # Workers finish in any order, sums of floats do not forgive that.
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


def _compared(job: Job, work: Comparing) -> list[tuple[Block, Block, dict[str, Any]]]:
    results = zip(work.others, compare_block(job, work), strict=True)
    return [(work.first.block, other.block, stats) for other, stats in results if stats is not None]


def _join(job: Job, workers: Crew, blocks: Sequence[RawBlock], levels: Levels, say: Progress) -> int:
    place = {raw.block: i for i, raw in enumerate(blocks)}

    def levelled(i: int) -> Levelled:
        return Levelled(blocks[i], float(levels.gain[i]), float(levels.offset[i]))

    def works() -> Iterator[Joining]:
        for i, raw in enumerate(blocks):
            around = (raw.block.neighbour(*step) for step in _AROUND)
            work = Joining(levelled(i), tuple(levelled(place[b]) for b in around if b in place))
            if not is_joined(job, work):
                yield work

    done = 0
    for done, _ in enumerate(workers.map(join_block, job, works(), "im2dem-join"), start=1):
        say("join", done, len(blocks))
    return done


def _heights_of(report: MosaicReport) -> str:
    if "anchor" not in report.job:
        return "Relative heights in metres"
    return f"Heights in metres above {report.vertical_datum or 'the datum of the prior, which does not say'},"


def _publish(job: Job, blocks: Sequence[RawBlock], report: MosaicReport) -> None:
    folder = Path(job.folder)
    write_vrt(folder, job.world, [raw.block for raw in blocks], report.vertical_datum)
    model = report.job["model"]
    write_catalog(
        folder,
        [raw.block.name for raw in blocks],
        f"{_heights_of(report)} with their standard deviation, by im2dem {__version__}, model {model['name']} "
        f"({model['licence']})",
    )
    write_text(folder / "mosaic.json", json.dumps(summary(report), indent=1) + "\n", overwrite=True)
