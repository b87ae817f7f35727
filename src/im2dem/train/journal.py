"""What a run leaves in its folder: recipe, sources, logs, checkpoints, snapshots. Nothing here knows a net.

==================  ==================================================================================
recipe.json         the recipe, refused when another run is started in the same folder
data.json, .txt     files that the run learned from; their sources with licences, for the model's card
checkpoint.pt       everything that the next step depends on
best.pt             the same at the best validation
log.csv             loss, its terms, chips a second and the loader's share, every 50 steps
validation.csv      scores on held-out regions
tensorboard/        the same rows for TensorBoard, where it is installed
snapshots/          the same held-out tiles at every validation, for `im2dem animate`
==================  ==================================================================================
"""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from im2dem.core.errors import InputError, OutputError
from im2dem.dataset.chips import Chips
from im2dem.io.atomic import publish, require_space

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
RECIPE = "recipe.json"
DATA = "data.json"
ROOM_BYTES = 200_000_000

logger = logging.getLogger("im2dem")


class Reporter(Protocol):
    """Who is told how the run goes."""

    def row(self, row: dict[str, Any]) -> None:
        """A logged row: every 50 steps, and at every validation."""

    def step(self, done: int, total: int) -> None:
        """A step is done."""


class Silent:
    """Tells nobody."""

    def row(self, row: dict[str, Any]) -> None:
        """Nothing."""

    def step(self, done: int, total: int) -> None:
        """Nothing."""


class Journal:
    """The folder of a run.

    Parameters
    ----------
    folder
        Made when it is not there.
    recipe
        Plain values; must be those that the folder was begun with.
    is_writer
        False for all but the first of several processes: nothing is written then.

    Raises
    ------
    OutputError
        The folder cannot be written, has no room, or holds a run of another recipe.
    """

    def __init__(self, folder: Path, recipe: dict[str, Any], is_writer: bool = True) -> None:
        self.folder, self.is_writer = folder, is_writer
        self._board: Any = None
        if not is_writer:
            return
        text = json.dumps(recipe, indent=1)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / RECIPE
            if path.exists() and _is_other(path, text):
                raise OutputError(f"{folder} holds a run of another recipe; give another folder, or remove it")
            path.write_text(text)
            require_space(folder / CHECKPOINT, ROOM_BYTES)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"the run's folder {folder} cannot be written: {error}") from error

    def note_data(self, chips: Sequence[Chips], files: Sequence[str] = (), inherited: Sequence[str] = ()) -> None:
        """Record what the run learns from: `data.txt` for the card, and the files for `--resume`.

        `inherited` are the sources of the model that it starts from. What was noted before stays.
        """
        if self.is_writer:
            noted = self.folder / "data.txt"
            before = noted.read_text(encoding="utf-8").splitlines() if noted.is_file() else []
            noted.write_text(
                "\n".join(dict.fromkeys((*before, *data_lines(chips), *inherited))) + "\n", encoding="utf-8"
            )
            if files:
                (self.folder / DATA).write_text(json.dumps(list(files)))

    def go_on_from(self, step: int) -> None:
        """Drop the rows of steps that a kill threw away."""
        for name in ("log.csv", "validation.csv") if self.is_writer else ():
            path = self.folder / name
            if path.exists():
                head, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or ["step"]
                kept = [line for line in lines if _step_of(line) <= step]
                part = path.with_name(path.name + ".part")
                part.write_text("\n".join([head, *kept]) + "\n")
                publish(part, path)

    def log(self, name: str, row: dict[str, Any]) -> None:
        """Add a row to `name`.csv and to TensorBoard."""
        if not self.is_writer:
            return
        append_row(self.folder / f"{name}.csv", row)
        if self._board is None:
            self._board = _tensorboard(self.folder / "tensorboard")
        if self._board:
            for key, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{name}/{key.replace(' ', '/')}", value, row["step"])
            self._board.flush()

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint."""
        if self.is_writer:
            save_checkpoint(self.folder / name, state)

    def snapshot(self, step: int, arrays: dict[str, Any]) -> None:
        """Keep what the net makes of the same tiles: ``snapshots/step-0000500.npz``."""
        if self.is_writer and arrays:
            folder = self.folder / "snapshots"
            folder.mkdir(exist_ok=True)
            target = folder / f"step-{step:07d}.npz"
            part = target.with_name(target.name + ".part")
            with part.open("wb") as file:
                np.savez_compressed(file, step=step, **arrays)
            publish(part, target)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board:
            self._board.close()


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("tensorboard is not installed: the run is logged to CSV alone")
        return False
    return SummaryWriter(str(folder))


def read_run(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Recipe and data files of a run that is there, for going on with it.

    Raises
    ------
    InputError
        The folder holds no run.
    """
    try:
        recipe = dict(json.loads((folder / RECIPE).read_text(encoding="utf-8")))
        told = json.loads((folder / DATA).read_text(encoding="utf-8")) if (folder / DATA).exists() else []
        files = [Path(f) for f in told]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{folder} holds no run of `im2dem train` to go on with: {error}") from error
    return recipe, files


def _is_other(path: Path, text: str) -> bool:
    """Whether a file holds another recipe than this one, or none that can be read."""
    try:
        return not _agrees(json.loads(path.read_text(encoding="utf-8")), json.loads(text))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return True


def _step_of(line: str) -> float:
    """The step that a line of a log begins with; infinite where it is torn, so that the line goes."""
    try:
        return float(line.split(",", 1)[0])
    except ValueError:
        return math.inf


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write, flush, rename: a kill at any moment leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"the checkpoint {path} cannot be written ({error}); the one before is whole: make room and resume"
        ) from error
    publish(part, path)


def data_lines(chips: Sequence[Chips]) -> list[str]:
    """One line for every source of the training data, with its licence, for the model's card."""
    lines = {
        f"{c.provenance['kind']}: {source['name']} ({source['licence']})"
        for c in chips
        for source in c.provenance["sources"]
    }
    return sorted(lines)


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a line to a CSV file, with a header when it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, (float, np.floating)) else v for k, v in row.items()})


def _agrees(begun: Any, wanted: Any) -> bool:
    """Whether a run goes on with this recipe; settings that came after it was begun are not held against it."""
    if isinstance(begun, dict) and isinstance(wanted, dict):
        return all(key in wanted and _agrees(value, wanted[key]) for key, value in begun.items())
    return bool(begun == wanted)
