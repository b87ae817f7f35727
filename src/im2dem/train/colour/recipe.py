"""What a run of the colour net is made of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from im2dem.core.errors import UsageError
from im2dem.train.recipe import fill_recipe

KIND = "colour"
STRIDE = 16


@dataclass(frozen=True)
class ColourRecipe:
    """A training run.

    Parameters
    ----------
    kind, name
        Always "colour"; name of the run.
    steps, minutes
        Length of the run: whichever comes first; 0 minutes: no limit. The learning rate falls with the nearer end.
    batch, crop_px, seed
        Chips a step, their side (a multiple of 16), seed of all chance.
    real_share
        Share of the chips that are photographs, where there are both kinds.
    coarse_share
        How often photographs are taken at twice their pixel size.
    hide_sun, hide_climate, hide_season, hide_real
        How often a chip's sun, climate, season, and whether it is a photograph are not told.
    learning_rate, judge_rate, ema
        Of Adam for the generator and for the judge; decay of the averaged weights.
    l1, matching, adversarial, divergence, variety
        Weights of the terms: distance in colour, distance in the judge's features, being taken for true, the
        encoder's divergence from a normal distribution, and finding the variety again in the picture. With neither
        `matching` nor `adversarial` there is no judge, and all chips are told the variety of their true picture.
    perceptual, style
        Weights of the distance in the features of an ImageNet network, place by place, and of their means and spreads.
    widths, judge_base, embedding
        Sizes of the nets.
    save_every_s
        Seconds between checkpoints.
    bf16
        Half precision where the machine has it.

    Raises
    ------
    UsageError
        Another kind, or a number out of range.
    """

    kind: str = KIND
    name: str = "colour"
    steps: int = 30000
    minutes: float = 0.0
    batch: int = 32
    crop_px: int = 160
    seed: int = 0
    real_share: float = 0.4
    coarse_share: float = 0.3
    hide_sun: float = 0.15
    hide_climate: float = 0.15
    hide_season: float = 0.3
    hide_real: float = 0.15
    learning_rate: float = 4e-4
    judge_rate: float = 4e-4
    ema: float = 0.999
    l1: float = 5.0
    matching: float = 3.0
    adversarial: float = 1.0
    divergence: float = 0.02
    variety: float = 0.3
    perceptual: float = 0.0
    style: float = 0.0
    widths: tuple[int, ...] = (48, 96, 160, 192)
    judge_base: int = 48
    embedding: int = 96
    save_every_s: float = 60.0
    bf16: bool = True

    def __post_init__(self) -> None:
        if self.kind != KIND:
            raise UsageError(f"a recipe of kind {self.kind!r} is not one for colours")
        for key, least in (("steps", 1), ("batch", 2), ("seed", 0), ("judge_base", 1), ("embedding", 1)):
            if getattr(self, key) < least:
                raise UsageError(f"{key} = {getattr(self, key)} in the recipe; at least {least} is wanted")
        if self.crop_px < 4 * STRIDE or self.crop_px % STRIDE:
            raise UsageError(f"crop_px = {self.crop_px} in the recipe; a multiple of {STRIDE} from 64 is wanted")
        if len(self.widths) != 4:
            raise UsageError(f"widths = {self.widths} in the recipe; four are wanted, for strides 2, 4, 8 and 16")
        shares = ("real_share", "coarse_share", "hide_sun", "hide_climate", "hide_season", "hide_real")
        for key in shares:
            if not 0 <= getattr(self, key) <= 1:
                raise UsageError(f"{key} = {getattr(self, key)} in the recipe; a share from 0 to 1 is wanted")

    @property
    def has_judge(self) -> bool:
        """Whether the judge has a say."""
        return self.matching > 0 or self.adversarial > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside the weights."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists, as in recipe.json
        return plain


def colour_recipe(table: dict[str, Any]) -> ColourRecipe:
    """A recipe from plain values (`im2dem.train.recipe.read_table`), those missing at their defaults.

    Raises
    ------
    UsageError
        An unknown key, or a value of the wrong kind or out of range.
    """
    filled: ColourRecipe = fill_recipe(ColourRecipe(), table)
    return filled
