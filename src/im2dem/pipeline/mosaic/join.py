"""Levelled blocks blended with the halos of their neighbours, one file and one STAC item each."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from im2dem.core.blend import axis_weights
from im2dem.core.grid import Window
from im2dem.io.atomic import write_text
from im2dem.io.cog import CogOptions, create_cog
from im2dem.io.environment import gdal_env
from im2dem.io.geotiff import open_dem
from im2dem.io.reader import FileReader

from .block import Job, RawBlock
from .stac import item

BLOCKS, ITEMS = "blocks", "items"
BANDS = ("height", "sigma")
_STRIP_ROWS = 256
_OURS = ("IM2DEM_", "TIFFTAG_SOFTWARE")


@dataclass(frozen=True)
class Levelled:
    """A predicted block with its place in the levels: `gain * height + offset`, metres."""

    raw: RawBlock
    gain: float
    offset: float


@dataclass(frozen=True)
class Joining:
    """A block to be finished, and those around it that have heights."""

    centre: Levelled
    around: tuple[Levelled, ...]

    def fingerprint(self, job: Job) -> str:
        """Changes when the finished block would."""
        parts = [(b.raw.fingerprint, b.gain, b.offset) for b in (self.centre, *self.around)]
        return hashlib.sha256(json.dumps([job.key, parts]).encode()).hexdigest()


def is_joined(job: Job, work: Joining) -> bool:
    """Whether the finished block is there and is what it would be now."""
    name = work.centre.raw.block.name
    try:
        found = json.loads(Path(job.folder, ITEMS, f"{name}.json").read_text(encoding="utf-8"))
        fits = found["properties"]["im2dem:fingerprint"] == work.fingerprint(job)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return bool(fits) and Path(job.folder, BLOCKS, f"{name}.tif").exists()


def join_block(job: Job, work: Joining) -> str:
    """Write the finished block and its item, which comes last; returns its name.

    The weights are those of `core.blend`: over a halo they pass from one block to the next as a raised cosine.
    """
    block, world = work.centre.raw.block, job.world
    core = world.core(block)
    target = Path(job.folder, BLOCKS, f"{block.name}.tif")
    datum, compress = datum_of(job, work.centre.raw), job.options.compress
    options = CogOptions("m", datum, _tags(job, work), compress, overwrite=True)  # type: ignore[arg-type]
    height_range: list[float] = []
    with ExitStack() as stack:
        parts = [_Part(job, part, block, stack) for part in (work.centre, *work.around)]
        writer = stack.enter_context(create_cog(target, world.grid(core), BANDS, options=options))
        for row in range(0, world.block_px, _STRIP_ROWS):
            strip = Window(row, 0, min(_STRIP_ROWS, world.block_px - row), world.block_px)
            data = _blended(parts, strip)
            writer.write(strip, data)
            if np.isfinite(data[0]).any():
                height_range += [float(np.nanmin(data[0])), float(np.nanmax(data[0]))]
    record = item(world.grid(core), block.name, work.centre.raw.seen, f"../{BLOCKS}/{block.name}.tif")
    record["properties"]["im2dem:fingerprint"] = work.fingerprint(job)
    if height_range:
        record["properties"]["im2dem:height_range_m"] = [min(height_range), max(height_range)]
    write_text(Path(job.folder, ITEMS, f"{block.name}.json"), json.dumps(record, indent=1) + "\n", overwrite=True)
    return block.name


class _Part:
    """What one predicted block adds to the block that is being finished."""

    def __init__(self, job: Job, levelled: Levelled, to: Any, stack: ExitStack) -> None:
        world, own = job.world, levelled.raw.block
        core, place = world.core(to), world.haloed(own)
        self.place = Window(place.row_off - core.row_off, place.col_off - core.col_off, *place.shape)
        self.gain, self.offset = np.float32(levelled.gain), np.float32(levelled.offset)
        self.reader: FileReader = stack.enter_context(open_dem(job.raw(own), with_sigma=True))
        # Three blocks in a row are enough to know the weights of any one of them.
        n, tile = world.block_px, world.block_px + 2 * world.halo_px
        weights = axis_weights(2 * n + tile, (0, n, 2 * n), tile)
        self.rows, self.cols = weights[own.row - to.row + 1], weights[own.col - to.col + 1]

    def add(self, strip: Window, total: NDArray[np.float32], weight: NDArray[np.float32]) -> None:
        """Add heights and sigma on a strip of the core."""
        shared = strip.intersection(self.place)
        if shared is None:
            return
        rows, cols = shared.slices(self.place)
        data = self.reader.read(Window(rows.start, cols.start, *shared.shape)) * self.gain
        data[0] += self.offset
        good = np.isfinite(data).all(axis=0)
        own = np.where(good, np.outer(self.rows[rows], self.cols[cols]), np.float32(0))
        place = shared.slices(strip)
        weight[place] += own
        total[(slice(None), *place)] += own * np.where(good, data, np.float32(0))


def _blended(parts: list[_Part], strip: Window) -> NDArray[np.float32]:
    total, weight = np.zeros((2, *strip.shape), np.float32), np.zeros(strip.shape, np.float32)
    for part in parts:
        part.add(strip, total, weight)
    out = np.full_like(total, np.nan)
    np.divide(total, weight, out=out, where=weight > 0)
    return out


def datum_of(job: Job, raw: RawBlock) -> str | None:
    """The vertical datum that a prior gave to a predicted block; None: relative heights, or nobody said."""
    return _tags_of(job, raw).get("VERTICAL_DATUM")


def _tags_of(job: Job, raw: RawBlock) -> dict[str, str]:
    with gdal_env(), rasterio.open(job.raw(raw.block)) as dataset:
        return dict(dataset.tags())


def _tags(job: Job, work: Joining) -> dict[str, str]:
    tags = {key: value for key, value in _tags_of(job, work.centre.raw).items() if key.startswith(_OURS)}
    kind = tags.get("IM2DEM_HEIGHT_KIND", "").replace("mean 0", "levelled over the whole mosaic, whose mean is 0")
    level = json.dumps({"gain": work.centre.gain, "offset_m": work.centre.offset})
    return {**tags, "IM2DEM_HEIGHT_KIND": kind, "IM2DEM_LEVEL": level, "IM2DEM_BLOCK": work.centre.raw.block.name}
