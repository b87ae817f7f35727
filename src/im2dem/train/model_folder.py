"""What every export of a run shares: its checkpoint, the proof that ONNX and torch agree, the folder of the model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from im2dem.core.errors import InputError, ModelError
from im2dem.dataset.landscapes import LICENCE as ARTIFICIAL
from im2dem.io.atomic import check_target, write_bytes
from im2dem.runtime.card import CARD_NAME, ModelCard, file_sha256, save_card

from .journal import BEST, CHECKPOINT

ONNX_NAME = "model.onnx"
_MADE = re.compile(rf"rendered: (?P<recipe>\w+)-\d+ \({re.escape(ARTIFICIAL)}\)")


def find_checkpoint(run_folder: Path, weights: str) -> Path:
    """The file of the "best" or the "last" weights of a run, or of the name given.

    Raises
    ------
    InputError
        The folder holds no such checkpoint.
    """
    checkpoint = run_folder / {"best": BEST, "last": CHECKPOINT}.get(weights, weights)
    if not checkpoint.is_file():
        raise InputError(
            f"{run_folder} holds no {checkpoint.name}; give the folder of a run of `im2dem train`, and --weights best "
            "(there is one when val-* packs were given) or last"
        )
    return checkpoint


def training_sources(run_folder: Path) -> tuple[str, ...]:
    """What a run learned from, one line for each source with its licence; nothing where it was not noted.

    All artificial land is one line with its recipes.
    """
    path = run_folder / "data.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    made = [match for line in lines if (match := _MADE.fullmatch(line))]
    if not made:
        return tuple(lines)
    recipes = ", ".join(sorted({match["recipe"] for match in made}))
    rest = (line for line in lines if not _MADE.fullmatch(line))
    return (*rest, f"rendered: artificial terrain: {recipes} ({ARTIFICIAL.partition(':')[0]})")


def open_onnx(path: Path) -> ort.InferenceSession:
    """A session on the CPU that keeps quiet."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def demand_parity(worst: float, tolerance: float, unit: str) -> float:
    """The difference between torch and ONNX, when it is small enough.

    Raises
    ------
    ModelError
        It is more than `tolerance`, or not a number.
    """
    if not worst <= tolerance:
        raise ModelError(
            f"ONNX and torch differ by {worst:.2g} {unit}, more than {tolerance:g}; the model is not written"
        )
    return worst


def write_model(
    output: Path, write: Callable[[Path], float], card: Callable[[str, float], ModelCard], overwrite: bool
) -> ModelCard:
    """Write model.onnx and card.json into a folder, made when it is not there; nothing when `write` fails.

    Parameters
    ----------
    output
        Folder of the model.
    write
        Writes the ONNX file under the name that it is given, and returns how far it is from the net.
    card
        Makes the card of the file's SHA-256 and that difference.
    overwrite
        Whether a model that is there may be replaced.

    Raises
    ------
    OutputExistsError
        The model is there already.
    ModelError
        From `write`.
    """
    output.mkdir(parents=True, exist_ok=True)
    target = check_target(output / ONNX_NAME, overwrite)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / ONNX_NAME
        difference = write(path)
        write_bytes(target, path.read_bytes(), overwrite=overwrite)
    made = card(file_sha256(target), difference)
    save_card(made, output / CARD_NAME)
    return made
