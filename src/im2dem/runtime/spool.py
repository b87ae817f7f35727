"""Tiles on disk between the two passes of the engine, with a journal that lets an interrupted run go on.

Two files: `tiles.f32` holds the tiles, each at its index times the size of a tile, NaN where the picture has
no data; `journal.jsonl` holds a header that says what run this is, then one line for each finished row of
tiles. A line is written only after the tiles it speaks of have reached the disk, so whatever the journal says
is there.

Plain reads and writes, no memory map: mapped pages count as memory of the process.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import OutputError
from im2dem.core.levelling import OverlapStats
from im2dem.core.tiles import Tile, TilePlan

_LOG = logging.getLogger("im2dem")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TileRecord:
    """What is remembered of a tile that has data.

    Attributes
    ----------
    index
        Index of the tile in the plan.
    mass
        Sum of its blending weights over its valid pixels; over all tiles this adds up to the valid pixels.
    mean
        Mean height, so weighted, unit of the heights.
    """

    index: int
    mass: float
    mean: float


@dataclass(frozen=True)
class RowRecord:
    """A finished row of tiles: those that have data, and the comparisons with neighbours that it
    completed."""

    row: int
    tiles: tuple[TileRecord, ...]
    pairs: tuple[OverlapStats, ...]


class Spool:
    """Tiles of a plan in a folder.

    Parameters
    ----------
    folder
        Made if it is not there.
    plan, bands
        Where tiles lie and how many bands each has.
    fingerprint
        Text that stands for picture, model and settings. A journal with another one is not gone on with.
    resume
        Go on with the journal in the folder, if there is one that fits. Otherwise start over.
    durable
        Wait for the disk after every row, so that the journal survives a crash of the machine. Needless for a
        folder that nobody will ever look at again.

    Raises
    ------
    OutputError
        The folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        plan: TilePlan,
        bands: int,
        *,
        fingerprint: str,
        resume: bool,
        durable: bool = True,
    ) -> None:
        self._shape = (bands, *plan.tile_shape)
        self._size = 4 * int(np.prod(self._shape))
        self._durable = durable
        self._journal: BinaryIO
        self._tiles: io.BufferedRandom
        header = {
            "im2dem_spool": _FORMAT,
            "fingerprint": fingerprint,
            "shape": list(plan.shape),
            "tile_px": plan.tile_px,
            "overlap_px": plan.overlap_px,
            "bands": bands,
        }
        journal, tiles = folder / "journal.jsonl", folder / "tiles.f32"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.rows: list[RowRecord] = _read_journal(journal, header, plan) if resume else []
            if not tiles.is_file() or tiles.stat().st_size < self._least_size():
                self.rows.clear()
            # Written anew and put in place at once: a torn last line goes, and no moment is without a good
            # journal. Only then may tiles of another run be lost.
            fresh = folder / "journal.part"
            with fresh.open("wb") as self._journal:
                self._append(header)
                for record in self.rows:
                    self._append(asdict(record))
                self._flush(self._journal)
            fresh.replace(journal)
            self._journal = journal.open("ab")
            self._tiles = tiles.open("r+b" if self.rows else "w+b")
        except OSError as error:
            raise OutputError(f"the scratch folder {folder} cannot be used: {error}") from error

    def write(self, tile: Tile, data: NDArray[np.float32]) -> None:
        """Store a tile, float32 (band, row, col), NaN = no data."""
        try:
            self._tiles.seek(tile.index * self._size)
            self._tiles.write(np.ascontiguousarray(data, np.float32).data)
        except OSError as error:
            raise OutputError(f"a tile cannot be stored in {self._tiles.name}: {error}; is the disk full?") from error

    def read(self, tile: Tile) -> NDArray[np.float32]:
        """The tile as it was stored.

        Raises
        ------
        OutputError
            The file is shorter than the journal says.
        """
        data = np.empty(self._shape, np.float32)
        self._tiles.seek(tile.index * self._size)
        if self._tiles.readinto(data.data.cast("B")) != self._size:
            raise OutputError(f"{self._tiles.name} is damaged: tile {tile.index} is cut off; start without resuming")
        return data

    def finish_row(self, record: RowRecord) -> None:
        """Note that all tiles of a row are stored."""
        try:
            self._flush(self._tiles)
            self._append(asdict(record))
            self._flush(self._journal)
        except OSError as error:
            raise OutputError(f"{self._journal.name} cannot be written: {error}; is the disk full?") from error
        self.rows.append(record)

    def close(self) -> None:
        """Close both files; they stay in the folder.

        Raises
        ------
        OutputError
            What was still in memory cannot be written.
        """
        try:
            self._tiles.close()
            self._journal.close()
        except OSError as error:
            raise OutputError(f"{self._tiles.name} cannot be written: {error}; is the disk full?") from error

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # an error that is on its way already says more than a failing close would
        with suppress(OutputError) if kind is not None else nullcontext():
            self.close()

    def _least_size(self) -> int:
        """Bytes that the file of tiles must have for the journal to be true."""
        return max((tile.index + 1 for row in self.rows for tile in row.tiles), default=0) * self._size

    def _append(self, value: dict[str, Any]) -> None:
        self._journal.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def _flush(self, stream: BinaryIO) -> None:
        stream.flush()
        if self._durable:
            os.fsync(stream.fileno())


def _read_journal(path: Path, header: dict[str, Any], plan: TilePlan) -> list[RowRecord]:
    """Rows that an earlier run of the same thing finished; empty when there is none."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line break is torn or empty
    try:
        found = json.loads(lines[0]) if lines else {}
    except (ValueError, RecursionError):
        found = {}
    if found != header:
        _LOG.warning("the scratch folder %s belongs to another run; starting over", path.parent)
        return []
    rows: list[RowRecord] = []
    for line in lines[1:]:
        try:
            rows.append(_row_record(json.loads(line), plan, len(rows)))
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError):
            break
    if rows:
        _LOG.info("going on after %d finished row(s) of tiles in %s", len(rows), path.parent)
    return rows


def _row_record(value: dict[str, Any], plan: TilePlan, row: int) -> RowRecord:
    """The record of a row; ValueError, TypeError or KeyError where a line is not one of that row of the plan."""
    record = RowRecord(
        value["row"],
        tuple(TileRecord(**tile) for tile in value["tiles"]),
        tuple(OverlapStats(**pair) for pair in value["pairs"]),
    )
    parts = [*map(asdict, record.tiles), *map(asdict, record.pairs)]
    numbers = [v for part in parts for v in part.values()]
    if record.row != row or not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
        raise ValueError(f"not the record of row {row}")
    here = {tile.index for tile in plan.row(row)}
    ends = {end for pair in record.pairs for end in (pair.first, pair.second)}
    if not {tile.index for tile in record.tiles} <= here or not ends <= set(range(max(here) + 1)):
        raise ValueError(f"tiles of another row than {row}")
    return record
