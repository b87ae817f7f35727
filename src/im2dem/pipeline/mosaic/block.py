"""One block of a mosaic: read from its scenes, predicted with its halo, kept under a name that says what it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import NoDataError
from im2dem.core.grid import Grid, Window
from im2dem.core.scaling import Stretch, sample_reader, strips
from im2dem.io.atomic import write_text
from im2dem.io.geotiff import open_dem, open_reader
from im2dem.io.reader import FileReader
from im2dem.pipeline.predict import predict_file
from im2dem.pipeline.prediction import PredictOptions

from .scenes import Scene, Task
from .world import Block, World

RAW = "raw"


@dataclass(frozen=True)
class Job:
    """What all blocks of a mosaic share.

    Parameters
    ----------
    folder
        Of the results; every worker reaches it under this name.
    world
        The grid of blocks.
    options
        For `predict_file`.
    key
        Text that stands for model and options: blocks of another key are not taken over.
    """

    folder: str
    world: World
    options: PredictOptions
    key: str

    def raw(self, block: Block) -> Path:
        """Where the prediction of a block with its halo is."""
        return Path(self.folder, RAW, f"{block.name}.tif")

    def fingerprint(self, task: Task) -> str:
        """Changes when the block has to be predicted again."""
        text = json.dumps([self.key, asdict(task.block), [(s.fingerprint, asdict(s.window)) for s in task.scenes]])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class RawBlock:
    """A predicted block, before it is levelled.

    Parameters
    ----------
    block
        Its place.
    fingerprint
        See `Job.fingerprint`.
    valid
        Pixels with a height; 0: nothing was written.
    mean
        Of these heights, metres.
    seen
        When the scene that fills most of it was taken.
    """

    block: Block
    fingerprint: str
    valid: int
    mean: float
    seen: str


def known(job: Job, task: Task) -> RawBlock | None:
    """A block that is done already, or None."""
    path = job.raw(task.block)
    try:
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        valid, mean = int(found["valid"]), float(found["mean"])
        raw = RawBlock(task.block, str(found["fingerprint"]), valid, mean, str(found["seen"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if raw.fingerprint != job.fingerprint(task) or (raw.valid and not path.exists()):
        return None
    return raw


def predict_block(job: Job, task: Task) -> RawBlock:
    """Predict a block with its halo and note that it is done; the note comes last, so it stands for a whole file.

    The result depends on the pixels of block and halo, and, where several scenes meet in it, on the percentiles of
    each of these scenes: on nothing else.
    """
    path = job.raw(task.block)
    scene = _main_scene(job.world.haloed(task.block), task.scenes)
    options = replace(job.options, bands=None)  # chosen when the scenes are opened
    if options.sun is None and options.date is None:
        options = replace(options, sun=scene.sun)
    with BlockReader(job, task) as reader:
        try:
            source: Any = reader  # readers are taken as `predict_dem` takes them
            predict_file(source, path, options)
            valid, mean = _mean(path)
        except NoDataError:
            path.unlink(missing_ok=True)  # of an older state of the scenes
            valid, mean = 0, 0.0
    shutil.rmtree(path.with_name(path.name + ".part"), ignore_errors=True)
    raw = RawBlock(task.block, job.fingerprint(task), valid, mean, scene.seen)
    note = {**asdict(raw), "block": [task.block.row, task.block.col]}
    write_text(path.with_suffix(".json"), json.dumps(note) + "\n", overwrite=True)
    return raw


class BlockReader:
    """Block and halo as one picture: a `RasterReader` over several scenes, the last listed on top.

    Where several scenes meet, each is first brought to its own percentiles, so that haze and sun of one do not shift
    the stretch of the other.
    """

    bands = ("red", "green", "blue")

    def __init__(self, job: Job, task: Task) -> None:
        self._window = job.world.haloed(task.block)
        self.grid: Grid = job.world.grid(self._window)
        self.name = " + ".join(Path(s.path).name for s in task.scenes)
        self.fingerprint = job.fingerprint(task)
        self._task, self._bands = task, job.options.bands
        self._stack = ExitStack()
        self._readers: list[tuple[Scene, FileReader, Stretch | None]] = []

    def __enter__(self) -> BlockReader:
        several = len(self._task.scenes) > 1
        with ExitStack() as stack:
            for scene in self._task.scenes:
                reader = stack.enter_context(open_reader(scene.path, bands=self._bands))
                stretch = _scene_stretch(scene.path, scene.fingerprint, self._bands) if several else None
                self._readers.append((scene, reader, stretch))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def read(self, window: Window) -> NDArray[np.float32]:
        """Values of a window of the block's grid, float32 (3, row, col), NaN where no scene has data."""
        row, col = self._window.row_off + window.row_off, self._window.col_off + window.col_off
        wanted = Window(row, col, *window.shape)
        out = np.full((3, *window.shape), np.nan, np.float32)
        for scene, reader, stretch in self._readers:
            part = wanted.intersection(scene.window)
            if part is None:
                continue
            offset = part.row_off - scene.window.row_off, part.col_off - scene.window.col_off
            values = reader.read(Window(*offset, *part.shape))
            if stretch is not None:
                low, high = (np.array(ends, np.float32)[:, None, None] for ends in (stretch.low, stretch.high))
                values = (values - low) / (high - low)
            place = (slice(None), *part.slices(wanted))
            out[place] = np.where(np.isfinite(values).all(axis=0), values, out[place])
        return out


@lru_cache(maxsize=64)
def _scene_stretch(path: str, fingerprint: str, bands: tuple[int, ...] | None) -> Stretch | None:
    del fingerprint  # part of the key: the file may change
    with open_reader(path, bands=bands) as reader:
        try:
            return Stretch.from_samples(sample_reader(reader))
        except NoDataError:
            return None


def _main_scene(window: Window, scenes: tuple[Scene, ...]) -> Scene:
    """The scene with the largest part of a window; of equal ones the upper."""

    def area(scene: Scene) -> int:
        part = scene.window.intersection(window)
        return part.height * part.width if part else 0

    return max(reversed(scenes), key=area)


def _mean(path: Path) -> tuple[int, float]:
    count, total = 0, 0.0
    with open_dem(path) as reader:
        for strip in strips(reader.grid):
            height = reader.read(strip)[0]
            height = height[np.isfinite(height)]
            count, total = count + height.size, total + float(height.sum(dtype=np.float64))
    return count, total / count if count else 0.0


def describe(job: Job) -> dict[str, Any]:
    """The world as plain values, for the summary."""
    world = job.world
    return {
        "crs": world.crs,
        "pixel": list(world.size),
        "phase": list(world.phase),
        "block_px": world.block_px,
        "halo_px": world.halo_px,
    }
