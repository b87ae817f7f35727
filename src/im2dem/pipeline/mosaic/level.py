"""All blocks of a mosaic brought to one level, from what neighbours say about the pixels of their halos."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.grid import Window
from im2dem.core.levelling import Levels, OverlapStats, overlap_stats, solve_levels
from im2dem.core.tiles import Overlap
from im2dem.io.atomic import write_text
from im2dem.io.geotiff import open_dem
from im2dem.io.reader import FileReader

from .block import Job, RawBlock

# Right, lower left, lower, lower right: every pair of neighbours is met once.
FORWARD = ((0, 1), (1, -1), (1, 0), (1, 1))
_MOST_POINTS = 16_384


@dataclass(frozen=True)
class Comparing:
    """A block and its neighbours to the east and south, to be compared."""

    first: RawBlock
    others: tuple[RawBlock, ...]


def compare_block(job: Job, work: Comparing) -> list[dict[str, Any] | None]:
    """What a block and each of its later neighbours say about the pixels they share; None: too few.

    Comparisons are kept beside the block, under the fingerprints of both, and none is made twice.
    """
    path = job.raw(work.first.block).with_suffix(".pairs.json")
    try:
        told = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        told = {}
    kept = {key: value for key, value in told.items() if value is None or _is_comparison(value)}
    now: dict[str, Any] = {}
    for other in work.others:
        key = f"{work.first.fingerprint} {other.fingerprint}"
        now[key] = kept[key] if key in kept else _compare(job, work.first, other)
    if now != told:
        write_text(path, json.dumps(now) + "\n", overwrite=True)
    return list(now.values())


def _is_comparison(value: Any) -> bool:
    """Whether a note is what `_compare` writes: a number for each field of `OverlapStats`."""
    if not isinstance(value, dict) or value.keys() != {field.name for field in fields(OverlapStats)}:
        return False
    return all(isinstance(v, int | float) and abs(v) <= sys.float_info.max for v in value.values())


def _compare(job: Job, first: RawBlock, second: RawBlock) -> dict[str, Any] | None:
    a, b = job.world.haloed(first.block), job.world.haloed(second.block)
    shared = a.intersection(b)
    if shared is None:
        return None
    step = max(1, math.isqrt(shared.height * shared.width // _MOST_POINTS))
    with open_dem(job.raw(first.block)) as left, open_dem(job.raw(second.block)) as right:
        values = [_sampled(reader, shared, place, step) for reader, place in ((left, a), (right, b))]
    extent = shared.height * shared.width / (a.height * a.width)
    stats = overlap_stats(Overlap(0, 1, shared), values[0], values[1], extent)
    return None if stats is None else asdict(stats)


def _sampled(reader: FileReader, shared: Window, place: Window, step: int) -> NDArray[np.float32]:
    offset = shared.row_off - place.row_off, shared.col_off - place.col_off
    height: NDArray[np.float32] = reader.read(Window(*offset, *shared.shape))[0]
    return height[step // 2 :: step, step // 2 :: step]


def solve(blocks: Sequence[RawBlock], pairs: Sequence[OverlapStats], level: bool) -> Levels:
    """Gain and offset of every block; the mean over all heights becomes 0.

    Parameters
    ----------
    blocks
        Those with heights.
    pairs
        Comparisons by position in `blocks`.
    level
        False: blocks stay as they are, but for the common mean.
    """
    mean, mass = np.array([b.mean for b in blocks]), np.array([b.valid for b in blocks], np.float64)
    levels = solve_levels(len(blocks), pairs, mean=mean, mass=mass) if level else Levels.none(len(blocks))
    centre = float((mass * (levels.gain * mean + levels.offset)).sum() / mass.sum())
    return replace(levels, offset=levels.offset - centre)


def steps(levels: Levels, pairs: Sequence[OverlapStats]) -> dict[str, Any]:
    """What levelling did, for the summary: median step of mean height between neighbours, metres, and extremes."""
    before = [abs(p.mean_second - p.mean_first) for p in pairs]
    gain, offset = levels.gain, levels.offset
    after = [
        abs(gain[p.second] * p.mean_second + offset[p.second] - gain[p.first] * p.mean_first - offset[p.first])
        for p in pairs
    ]
    return {
        "pairs": len(pairs),
        "groups": levels.components,
        "gain_min": float(gain.min()),
        "gain_max": float(gain.max()),
        "offset_spread": float(offset.std()),
        "step_before": float(np.median(before)) if pairs else None,
        "step_after": float(np.median(after)) if pairs else None,
    }


def write_levels(folder: Path, blocks: Sequence[RawBlock], levels: Levels) -> None:
    """Gains and offsets by block, apart from the raw blocks: `levels.json`."""
    table = {b.block.name: [float(levels.gain[i]), float(levels.offset[i])] for i, b in enumerate(blocks)}
    write_text(folder / "levels.json", json.dumps(table, indent=0) + "\n", overwrite=True)
