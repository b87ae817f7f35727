"""What a run of the prototype's conditional GAN is made of; the defaults are those of the prototype."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from im2dem.core.errors import UsageError
from im2dem.train.recipe import fill_recipe

KIND = "pix2pix"
DIRECTIONS = ("rgb2dem", "dem2rgb")


@dataclass(frozen=True)
class Pix2PixRecipe:
    """A training run.

    Parameters
    ----------
    kind, name
        Always "pix2pix"; name of the run.
    direction
        "rgb2dem": heights from a picture; "dem2rgb": a picture from heights.
    epochs, batch, seed
        Rounds over all tiles, tiles a step, seed of all chance.
    learning_rate, beta1
        Of Adam, for both nets.
    l1_weight
        Of the mean absolute difference, beside the adversarial term of weight 1.
    jitter
        Tiles enlarged to 286 px, cut to 256 again at random, mirrored half of the time. The tutorial does so; the
        prototype had taken it out.
    least_valid
        Least share of a tile's pixels with a height; tiles of the prototype's files have all.
    patience
        Stop after so many epochs without a better validation (0: never, as the prototype).
    base
        Channels after the first step of both nets; 64 is the published net, less is for tests.
    bf16, channels_last
        How the machine computes, not what: half precision, and the order of values in memory.

    Raises
    ------
    UsageError
        Another kind or direction, or a number out of range.
    """

    kind: str = KIND
    name: str = "pix2pix-rgb2dem"
    direction: str = "rgb2dem"
    epochs: int = 300
    batch: int = 1
    seed: int = 0
    learning_rate: float = 2e-4
    beta1: float = 0.5
    l1_weight: float = 100.0
    jitter: bool = False
    least_valid: float = 0.9
    patience: int = 0
    base: int = 64
    bf16: bool = False
    channels_last: bool = True

    def __post_init__(self) -> None:
        if self.kind != KIND:
            raise UsageError(f"a recipe of kind {self.kind!r} is not one for pix2pix")
        if self.direction not in DIRECTIONS:
            raise UsageError(f"direction = {self.direction!r} in the recipe; wanted is {' or '.join(DIRECTIONS)}")
        for key, least in (("epochs", 1), ("batch", 1), ("base", 1), ("patience", 0), ("seed", 0)):
            if getattr(self, key) < least:
                raise UsageError(f"{key} = {getattr(self, key)} in the recipe; at least {least} is wanted")
        if not (self.learning_rate > 0 and self.l1_weight >= 0 and 0 <= self.beta1 < 1 and 0 < self.least_valid <= 1):
            raise UsageError(
                "the recipe wants learning_rate above 0, l1_weight at least 0, beta1 from 0 to below 1 and least_valid "
                f"above 0 to 1; got {self.learning_rate}, {self.l1_weight}, {self.beta1} and {self.least_valid}"
            )

    @property
    def channels(self) -> tuple[int, int]:
        """Channels that the generator takes and gives."""
        return (3, 1) if self.direction == "rgb2dem" else (1, 3)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as saved beside the weights."""
        return asdict(self)


def pix2pix_recipe(table: dict[str, Any]) -> Pix2PixRecipe:
    """A recipe from plain values (`im2dem.train.recipe.read_table`), those missing at their defaults.

    Raises
    ------
    UsageError
        An unknown key, or a value of the wrong kind or out of range.
    """
    filled: Pix2PixRecipe = fill_recipe(Pix2PixRecipe(), table)
    return filled
