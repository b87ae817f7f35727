"""What a training run is made of: one TOML file, typed, printed, and saved with the weights."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from im2dem.core.errors import UsageError

from .reliefnet import ReliefNetConfig


@dataclass(frozen=True)
class Augment:
    """How pictures and relief are varied; probabilities unless said.

    Parameters
    ----------
    zoom
        Source pixels per training pixel, drawn log-uniformly between these two.
    sun_sector_deg
        Pictures with a known sun are turned so that it stands between these two azimuths; the card tells the runtime
        to do the same. (0, 360): all eight turns.
    hide_sun_real, hide_sun_rendered
        How often the sun is not told to the net.
    hide_gsd, hide_latitude
        The same for pixel size and latitude.
    grey
        Picture turned to one channel.
    recolour
        Picture covered with other land on the same relief, see `recolour.py`.
    recolour_below_m
        Only where a pixel is smaller than this: coarse pictures of many days show hardly any light, and little
        else than what grows where.
    crop_stretch
        Stretch by the crop's own percentiles instead of its scene's.
    gain, gamma
        Standard deviations of the log of a channel's gain and of the gamma.
    noise, haze
        Largest sigma of added noise, largest added offset, in [0, 1] units.
    blur
        Blurred by up to 1.2 pixels.
    prior, points
        How often a guided net is told a coarse height model, and 3 to 100 heights; otherwise the picture alone.
    """

    zoom: tuple[float, float] = (0.6, 1.7)
    sun_sector_deg: tuple[float, float] = (90.0, 180.0)
    hide_sun_real: float = 0.5
    hide_sun_rendered: float = 0.3
    hide_gsd: float = 0.2
    hide_latitude: float = 0.5
    grey: float = 0.12
    recolour: float = 0.0
    recolour_below_m: float = 1e9
    crop_stretch: float = 0.4
    gain: float = 0.15
    gamma: float = 0.25
    noise: float = 0.03
    haze: float = 0.12
    blur: float = 0.2
    prior: float = 0.5
    points: float = 0.2


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of `losses.relief_loss`, and of the PatchGAN's (`adversarial`, 0: no discriminator).

    `ridges` counts for nets with `network.ridges` alone.
    """

    shape: float = 1.0
    gradient: float = 0.5
    normal: float = 0.2
    amplitude: float = 0.2
    laplace: float = 0.1
    slope: float = 0.1
    guided: float = 1.0
    ridges: float = 0.2
    adversarial: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Parameters
    ----------
    name
        Of the run.
    kind
        "relief".
    steps, batch, crop_px, seed
        Length, chips a step (of each process), side of a chip, seed of all chance.
    real_share
        Share of chips from real pairs at the first and at the last step, linear between.
    learning_rate, weight_decay, warmup_steps, clip, ema
        AdamW with a cosine after a linear warm-up; gradient norm clipped; decay of the averaged weights.
    relief_floor_m
        Chips count std / (std + this): flat chips teach the amplitude, not the shape.
    validate_every, patience
        Steps between validations; stop after this many without a better one (0: never).
    bf16
        Mixed precision.
    resident
        Keep all chips in the memory of the device and draw the batches there: for a GPU.
    """

    name: str = "relief"
    kind: str = "relief"
    steps: int = 20000
    batch: int = 32
    crop_px: int = 160
    seed: int = 0
    real_share: tuple[float, float] = (0.4, 0.7)
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    clip: float = 1.0
    ema: float = 0.999
    relief_floor_m: float = 30.0
    validate_every: int = 500
    patience: int = 0
    bf16: bool = True
    resident: bool = False
    network: ReliefNetConfig = field(default_factory=ReliefNetConfig)
    augment: Augment = field(default_factory=Augment)
    loss: LossWeights = field(default_factory=LossWeights)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside the weights."""
        return asdict(self)


def load_recipe(path: Path, overrides: dict[str, str] | None = None) -> Recipe:
    """A relief recipe from its file; see `read_table`.

    Raises
    ------
    UsageError
        The file cannot be read, a key that no recipe has, or a value of the wrong kind.
    """
    return recipe_from_dict(read_table(path, overrides))


def read_table(path: Path, overrides: dict[str, str] | None = None) -> dict[str, Any]:
    """The plain values of a recipe file; `overrides` maps dotted keys ("loss.normal") to TOML values as text.

    Raises
    ------
    UsageError
        The file, or a value of `overrides`, is not TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        for key, value in (overrides or {}).items():
            *parents, last = key.split(".")
            here = table
            for parent in parents:
                here = here.setdefault(parent, {})
            here[last] = tomllib.loads(f"v = {value}")["v"]
    # Overrides may name a key below one that holds a value.
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"the recipe {path} cannot be read: {error}") from error
    return table


def recipe_from_dict(table: dict[str, Any]) -> Recipe:
    """A recipe from plain values, those missing at their defaults."""
    filled: Recipe = fill_recipe(Recipe(), table)
    if filled.kind != "relief":
        raise UsageError(f"a recipe of kind {filled.kind!r} is not one for a relief net")
    return filled


def complete(table: dict[str, Any]) -> dict[str, Any]:
    """The plain values of a recipe of any kind, the missing ones at their defaults."""
    if not isinstance(table, dict):
        raise UsageError(f"a recipe is a table of keys and values, not a {type(table).__name__}")
    kind = table.get("kind", "relief")
    if kind == "pix2pix":
        from .pix2pix.recipe import pix2pix_recipe

        return pix2pix_recipe(table).to_dict()
    if kind == "colour":
        from .colour.recipe import colour_recipe

        return colour_recipe(table).to_dict()
    if kind != "relief":
        raise UsageError(f"recipes are of the kind colour, relief or pix2pix, not {kind!r}")
    plain: dict[str, Any] = json.loads(json.dumps(recipe_from_dict(table).to_dict()))  # lists, as in recipe.json
    return plain


def fill_recipe(default: Any, table: dict[str, Any], prefix: str = "") -> Any:
    """A copy of a dataclass `default`, possibly nested, with the values of `table` in it.

    Raises
    ------
    UsageError
        A key that `default` does not have, or a value of another kind than the default's.
    """
    known = {f.name: getattr(default, f.name) for f in fields(default)}
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"unknown key {prefix}{key} in the recipe; known here: {', '.join(known)}")
        old = known[key]
        if is_dataclass(old) and isinstance(value, dict):
            changes[key] = fill_recipe(old, value, f"{prefix}{key}.")
        elif isinstance(old, tuple) and isinstance(value, list | tuple):
            changes[key] = tuple(value)
        elif isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
            changes[key] = float(value)
        elif type(value) is not type(old):
            raise UsageError(f"{prefix}{key} = {value!r}: a {type(old).__name__} is wanted")
        else:
            changes[key] = value
    return replace(default, **changes)
