"""The model card: what a model takes and gives, what it was made from, how good it is and where it fails.

A model is a folder with two files: `card.json` and the ONNX file that the card names and pins by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from im2dem.core.errors import ModelError, ModelNotFoundError, OutputError

from .colouring_condition import VARIETY_SIZE

CARD_NAME = "card.json"
INPUTS = ("image", "condition", "guide")
DIRECTIONS = ("image-to-dem", "dem-to-image")


@dataclass(frozen=True)
class ModelCard:
    """Everything a person or the engine must know about a model.

    Parameters
    ----------
    name, version, created
        Short name, version text, and day of training as YYYY-MM-DD.
    direction
        "image-to-dem" or "dem-to-image".
    bands
        Input bands in order, e.g. ("red", "green", "blue").
    tile_px, overlap_px
        Side of a tile and least overlap of neighbours, pixels.
    onnx, sha256
        Name of the ONNX file beside the card, and its SHA-256 in hexadecimal.
    licence
        SPDX identifier of the weights' licence.
    height_kind
        What the heights mean, e.g. "relative shape with amplitude guess".
    dem_kind
        What was learnt: "DSM", "DTM" or "nDSM".
    gsd_range_m
        Least and largest ground sampling distance seen in training, metres.
    scaling
        How pictures become model input: {"percentiles": [low, high]}.
    min_px
        Least side that the net takes, pixels.
    sigma_scale
        Calibration on validation scenes: factor on the predicted standard deviation.
    amplitude_scale
        Calibration on validation scenes: factor on the predicted heights; 1 in the ONNX file itself.
    training_data, limits
        Sources of the training data with their licences, and known limits; one sentence each.
    metrics
        Figures of the validation, nested as the evaluation prints them.
    inputs
        What the net takes: "image", "condition" and perhaps "guide" (a prior and points).
    sigma_calibration
        How the predicted sigma was put right on held-out regions, where more than `sigma_scale` is known.
    deepness
        Metadata keys of the QGIS plugin Deepness, as written into the ONNX file.
    sun_sector_deg
        Where the sun always stood in training, from and to, degrees clockwise from the top of the picture; tiles under
        another sun are turned so that it stands there. None: any sun.
    told_gsd_m
        Pixel sizes beyond these two are told to the net as the nearer one, metres; None: as they are.
    varieties
        Of a dem-to-image model: by climate, by climate and season ("temperate winter"), and for "photographs" of any,
        the mean and the standard deviation of the variety (8 numbers each) that such pictures have.

    Raises
    ------
    ModelError
        A value of the wrong type or out of its range; the message names it.
    """

    name: str
    version: str
    created: str
    direction: str
    bands: tuple[str, ...]
    tile_px: int
    overlap_px: int
    onnx: str
    sha256: str
    licence: str
    height_kind: str
    dem_kind: str
    gsd_range_m: tuple[float, float]
    scaling: Mapping[str, Any]
    min_px: int = 64
    sigma_scale: float = 1.0
    amplitude_scale: float = 1.0
    training_data: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("image", "condition")
    sigma_calibration: Mapping[str, Any] = field(default_factory=dict)
    deepness: Mapping[str, Any] = field(default_factory=dict)
    sun_sector_deg: tuple[float, float] | None = None
    told_gsd_m: tuple[float, float] | None = None
    varieties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("bands", "gsd_range_m", "training_data", "limits", "inputs", "sun_sector_deg", "told_gsd_m"):
            value = getattr(self, key)
            if isinstance(value, list):  # JSON has no tuples
                object.__setattr__(self, key, tuple(value))
        for key, (is_good, wanted) in _CHECKS.items():
            value = getattr(self, key)
            if not is_good(value):
                raise ModelError(f"model card: {key} must be {wanted}, got {value!r}")
        if self.overlap_px >= self.tile_px or self.min_px > self.tile_px:
            raise ModelError(
                f"model card: overlap_px ({self.overlap_px}) must be less than tile_px ({self.tile_px}) "
                f"and min_px ({self.min_px}) at most that"
            )

    @property
    def percentiles(self) -> tuple[float, float]:
        """Percentiles of each band that become 0 and 1."""
        low, high = self.scaling["percentiles"]
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """The card of plain values.

        Raises
        ------
        ModelError
            A key that cards do not have, a key missing, or a value out of range.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"model card: unknown key(s) {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ModelError(f"model card: {str(error).removeprefix('ModelCard.__init__() ')}") from error


def _is_number(value: object) -> bool:
    # Whole numbers of JSON have no end; NaN and infinity are no numbers here.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(v, str) for v in value)


def _is_range(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(_is_number(v) for v in value)
        and value[0] <= value[1]
    )


def _are_moments(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(isinstance(v, tuple | list) and len(v) == VARIETY_SIZE and all(map(_is_number, v)) for v in value)
    )


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("name", "version", "created", "licence", "height_kind", "dem_kind"),
        (_is_text, "a text that is not empty"),
    ),
    "direction": (lambda v: v in DIRECTIONS, " or ".join(DIRECTIONS)),
    "bands": (lambda v: _is_texts(v) and len(v) > 0, "a list of band names"),
    "tile_px": (_is_whole(1), "a whole number of at least 1"),
    "overlap_px": (_is_whole(0), "a whole number of at least 0"),
    "min_px": (_is_whole(1), "a whole number of at least 1"),
    "onnx": (
        lambda v: _is_text(v) and Path(v).name == v and len(v.encode(errors="replace")) <= 255,
        "the name of a file beside the card",
    ),
    "sha256": (
        lambda v: isinstance(v, str) and len(v) == 64 and set(v) <= set("0123456789abcdef"),
        "64 lower-case hexadecimal digits",
    ),
    "gsd_range_m": (lambda v: _is_range(v) and v[0] > 0, "two positive numbers, the smaller first"),
    "scaling": (
        lambda v: isinstance(v, Mapping) and set(v) == {"percentiles"} and _is_range(v["percentiles"]),
        'like {"percentiles": [1, 99]}',
    ),
    "sigma_scale": (lambda v: _is_number(v) and v > 0, "a positive number"),
    "amplitude_scale": (lambda v: _is_number(v) and v > 0, "a positive number"),
    "training_data": (_is_texts, "a list of texts"),
    "limits": (_is_texts, "a list of texts"),
    "inputs": (
        lambda v: _is_texts(v) and "image" in v and set(v) <= set(INPUTS),
        f"a list with image out of {', '.join(INPUTS)}",
    ),
    "sigma_calibration": (lambda v: isinstance(v, Mapping), "an object"),
    "metrics": (lambda v: isinstance(v, Mapping), "an object"),
    "deepness": (lambda v: isinstance(v, Mapping), "an object"),
    "varieties": (
        lambda v: isinstance(v, Mapping) and all(map(_are_moments, v.values())),
        f"an object of pairs of {VARIETY_SIZE} numbers",
    ),
    "told_gsd_m": (
        lambda v: v is None or (_is_range(v) and v[0] > 0),
        "null, or two positive numbers, the smaller first",
    ),
    # Quarter turns bring any sun into a quadrant, but not into less.
    "sun_sector_deg": (
        lambda v: v is None or (_is_range(v) and v[0] >= 0 and v[1] <= 360 and v[1] - v[0] >= 90),
        "null, or two angles from 0 to 360, at least 90 apart",
    ),
}


def load_card(path: Path) -> ModelCard:
    """Read a card.

    Raises
    ------
    ModelError
        The file cannot be read, is not JSON, or is not a valid card.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"the model card {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"the model card {path} must hold one JSON object")
    try:
        return ModelCard.from_dict(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def save_card(card: ModelCard, path: Path) -> None:
    """Write a card as indented JSON.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the model card {path} cannot be written: {error}") from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, as cards pin it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verified_onnx(card: ModelCard, card_path: Path) -> Path:
    """Path of the ONNX file beside a card, after its hash was compared.

    Raises
    ------
    ModelError
        The file is missing, or it is not the one that the card describes.
    """
    path = card_path.parent / card.onnx
    if not path.is_file():
        raise ModelError(f"the model {card.name} has no file {path}; copy it there or install im2dem again")
    found = file_sha256(path)
    if found != card.sha256:
        raise ModelError(
            f"{path} is not the file that its card describes: SHA-256 {found[:12]}..., "
            f"wanted {card.sha256[:12]}...; it is damaged or was exchanged, get both files again"
        )
    return path


def weights_folder() -> Path:
    """Folder of the models that ship inside the package."""
    return Path(str(files("im2dem"))) / "weights"


def list_models(folder: Path | None = None) -> tuple[str, ...]:
    """Sorted names of the models in a folder, default those that ship; `find_model` takes each."""
    base = folder or weights_folder()
    return tuple(sorted(path.parent.name for path in base.glob(f"*/{CARD_NAME}")))


def find_model(name_or_path: str | Path, folder: Path | None = None) -> Path:
    """Path of a model's card.

    Parameters
    ----------
    name_or_path
        Name of a model that ships, or a path: a folder with a card, a card, or an ONNX file beside its card.
    folder
        Where named models are; default: inside the package.

    Raises
    ------
    ModelNotFoundError
        Neither a known name nor a path with a card; the message lists the known names.
    """
    base = folder or weights_folder()
    known = list_models(base)
    if str(name_or_path) in known:
        return base / str(name_or_path) / CARD_NAME
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        card = path / CARD_NAME
    elif path.suffix == ".onnx" and path.is_file():
        card = path.with_name(CARD_NAME)
    else:
        card = path
    if card.suffix == ".json" and card.is_file():
        return card
    missing = f" ({path} has no {CARD_NAME} beside it)" if path.exists() else ""
    raise ModelNotFoundError(
        f"there is no model {str(name_or_path)!r}{missing}; known are: {', '.join(known) or 'none'}. "
        f"A path to a folder with {CARD_NAME} works too"
    )
