"""All doors by name, and one damaged input sent through one of them."""

from __future__ import annotations

import shutil
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import im2dem
from im2dem.core.errors import Im2DemError

from . import models, rasters, records
from .door import Door, Drawn
from .mutations import mutated

DOORS: dict[str, Door] = {**rasters.DOORS, **records.DOORS, **models.DOORS}
_PACKAGE = str(Path(im2dem.__file__).parent)


@dataclass(frozen=True)
class Outcome:
    """What came of an input.

    Parameters
    ----------
    word
        "read", or the name of the `Im2demError` that was told, or "fault".
    where
        Of a fault: the error, and the innermost line of the package that it passed.
    """

    word: str
    where: str = ""


def draw_inputs(door: Door, folder: Path) -> Drawn:
    """The whole inputs of a door, drawn in a folder that is made and removed again."""
    folder.mkdir(parents=True)
    try:
        return door.seeds(folder)
    finally:
        shutil.rmtree(folder)


def damaged_input(name: str, number: int, seed: int, inputs: Drawn) -> dict[str, bytes]:
    """Input `number` of a door: the same for the same seed."""
    return mutated(np.random.default_rng([seed, number, sum(name.encode())]), inputs)


def send(door: Door, files: dict[str, bytes], folder: Path) -> Outcome:
    """Write an input into a folder, read it as the commands do, and clear the folder."""
    folder.mkdir()
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            door.read(folder)
    except Im2DemError as error:
        return Outcome(type(error).__name__)
    except Exception as error:
        return Outcome("fault", _where(error))
    finally:
        shutil.rmtree(folder)
    return Outcome("read")


def _where(error: BaseException) -> str:
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(_PACKAGE)]
    place = f"{Path(ours[-1].filename).relative_to(_PACKAGE)}:{ours[-1].lineno}" if ours else "the test itself"
    return f"{place} {type(error).__name__}: {' '.join(str(error).split())[:160]}"


def whole_inputs_are_read(door: Door, inputs: Sequence[dict[str, bytes]], folder: Path) -> list[Outcome]:
    """What comes of the inputs before they are damaged."""
    return [send(door, dict(files), folder) for files in inputs]
