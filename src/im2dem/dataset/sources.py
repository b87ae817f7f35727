"""The seam between a training set and where its pixels come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .encode import Draft, Recipe, finish
from .plan import Block
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
        File name.
    read
        Called when it is not there.
    """
    if folder is None:
        return read()
    file = folder / f"{key}.npy"
    try:
        return np.asarray(np.load(file))
    except (OSError, ValueError, EOFError):
        values = read()
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with open(part, "wb") as stream:
        np.save(stream, values)
    part.replace(file)
    return values
