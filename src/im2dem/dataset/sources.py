"""The seam between a training set and where its pixels come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .area import Area
from .encode import Draft, Recipe, finish
from .plan import Block, Portion
from .store import EncodedChip, Outcome


@dataclass
class Log:
    """What happened while blocks were read.

    Parameters
    ----------
    counts
        E.g. "scenes read", "scenes failed", "reads repeated".
    problems
        The first few failures in words.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, what: str, problem: str | None = None, count: int = 1) -> None:
        """Count something, and keep the words of the first 20 problems."""
        self.counts[what] += count
        if problem is not None and len(self.problems) < 20:
            self.problems.append(problem)

    def merge(self, other: Log) -> None:
        """Add another log to this one."""
        self.counts.update(other.counts)
        self.problems = (self.problems + other.problems)[:20]


class PairSource(Protocol):
    """Where pictures and heights come from; its fields can be pickled, so that a block is read on any machine."""

    @property
    def provenance(self) -> dict[str, Any]:
        """For the manifest: sources, collections, licences."""
        ...

    def read(self, block: Block, cache: Path | None, log: Log) -> Iterator[Draft | Outcome]:
        """A draft of each chip of a block, or what became of it instead.

        Parameters
        ----------
        block
            Chips to read.
        cache
            Folder for what was downloaded already, so that an interrupted block does not ask for it again.
        log
            To tell of failures that the block survived.
        """
        ...


@dataclass(frozen=True)
class Expected:
    """What a build is expected to read.

    Parameters
    ----------
    bytes_per_pixel
        Download for one pixel of a chip.
    scenes_per_block
        Mean over the blocks that the catalogue was asked about, or None: it was not asked.
    asked_blocks
        How many those were.
    """

    bytes_per_pixel: float
    scenes_per_block: float | None = None
    asked_blocks: int = 0


class AreaSource(PairSource, Protocol):
    """A source that can be asked for any area."""

    @property
    def request(self) -> dict[str, Any]:
        """All that decides about the content, as JSON can hold it."""
        ...

    def bytes_per_pixel(self) -> int:
        """Memory that a pixel of a block takes while it is made."""
        ...

    def blocks(self, area: Area, portion: Portion) -> list[Block]:
        """The plan of an area: chips in blocks that are read in one go; empty where there is none."""
        ...

    def expected(self, blocks: Sequence[Block]) -> Expected:
        """What reading these blocks would take, without downloading a pixel; at least one block."""
        ...


def work(
    source: PairSource, block: Block, recipe: Recipe, cache: Path | None, log: Log
) -> Iterator[tuple[Outcome, EncodedChip | None]]:
    """Read a block and finish its chips, one after the other."""
    for item in source.read(block, cache, log):
        yield (item, None) if isinstance(item, Outcome) else finish(item, recipe)


def work_whole(
    source: PairSource, block: Block, recipe: Recipe
) -> tuple[list[tuple[Outcome, EncodedChip | None]], Log]:
    """A block on another machine: everything at once, nothing on its disk."""
    log = Log()
    return list(work(source, block, recipe, None, log)), log


def cached(folder: Path | None, key: str, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """An array from the cache of a block, or read and put there: whole or not at all.

    Parameters
    ----------
    folder
        Of the block; None: no cache.
    key
        Name in the folder.
    read
        Called when it is not there.
    """
    if folder is None:
        return read()
    file = folder / f"{key.replace('/', '-')}.npy"
    try:
        return np.asarray(np.load(file))
    except Exception:  # not there, or damaged in one of the many ways that NumPy's parser of headers tells
        values = read()
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with open(part, "wb") as stream:
        np.save(stream, values)
    part.replace(file)
    return values
