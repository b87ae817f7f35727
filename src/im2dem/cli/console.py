"""What every command shares: summaries on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

STAGES = {
    "predict": "reading and predicting",
    "level": "levelling tiles",
    "anchor": "anchoring",
    "write": "blending and writing",
    "terrain": "shaping the land",
    "colour": "colouring",
    "blocks": "predicting blocks",
    "compare": "comparing neighbours",
    "join": "joining blocks",
}

errors = Console(stderr=True, highlight=False)


def start_logging(verbose: bool) -> None:
    """Send the library's log to stderr; warnings only unless `verbose`."""
    logger = logging.getLogger("im2dem")
    logger.handlers = [RichHandler(console=errors, show_time=False, show_path=False)]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


def tell_error(text: str) -> None:
    """One sentence on stderr, on one line: a path broken in two can be neither read nor copied."""
    errors.print(text, style="bold red", markup=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of the human summary, on stdout."""
    sys.stdout.write(text + "\n")


def say_json(value: Any) -> None:
    """The one machine-readable summary, on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, default=str, allow_nan=False) + "\n")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (stage, done, total) that draws bars on stderr; silent when stderr is not a terminal."""
    columns = (TextColumn("{task.description:>24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as bar:

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(STAGES.get(stage, stage), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield update
