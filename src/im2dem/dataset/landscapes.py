"""Rendered pairs of artificial country: landscapes of `synth.recipes`, made one after the other as chips are cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from im2dem.core.errors import UsageError
from im2dem.synth.noise import Lattice
from im2dem.synth.recipes import RECIPES, find_recipe, make_terrain

from .chips import Chips
from .synth import DemSource, SynthOptions, Turn, make_chips_in_turns

ALL = "all"
LICENCE = "none needed: artificial terrain"
# A landscape takes seconds, a picture milliseconds; windows of one landscape differ by place, turn, scale and picture.
CHIPS_EACH = 64
# From the finest to the coarsest pixel, relative to the recipe's own: beyond, its forms are too large or too small.
SHARPEST, BLUNTEST = 0.5, 2.0
LEAST_SIDE_PX, MOST_SIDE_PX = 512, 2048
# Seeds of landscapes lie apart from those of chips, which are (seed, number).
_LAND = 1
# Where a kind of country is at home, degrees; the others are at home anywhere.
HOME_DEG = {
    "alps": (28, 50), "dunes": (15, 38), "badlands": (30, 50), "canyon": (25, 42), "glacial": (52, 68),
    "islands": (0, 45),
}  # fmt: skip


@dataclass(frozen=True)
class Landscape:
    """One landscape, before it is made.

    Parameters
    ----------
    recipe
        A key of `synth.recipes.RECIPES`.
    seed
        Of the landscape.
    side_px
        Rows and columns.
    step_m
        Pixel size at which it is made, metres.
    enlarged
        Factor by which pixels and relief are then enlarged, where the pixel sizes that are wanted do not suit the
        recipe: relief is roughly self-similar.
    latitude_deg
        Where it lies; None: anywhere.
    """

    recipe: str
    seed: int
    side_px: int
    step_m: float
    enlarged: float
    latitude_deg: float | None

    def make(self, name: str) -> DemSource:
        """The landscape as a height model; the sea is at 0 and level.

        Raises
        ------
        MissingDependencyError
            Numba is not installed.
        """
        dem = make_terrain(self.recipe, Lattice((self.side_px, self.side_px), self.step_m), self.seed)
        rivers = find_recipe(self.recipe).rivers
        if rivers is not None and rivers.sea_m is not None:
            # a picture shows the water, not its bed
            np.maximum(dem, np.float32(rivers.sea_m), out=dem)
        # its foot stays where it is, as in `draw_relief`
        dem += (dem - dem.min()) * np.float32(self.enlarged - 1)
        latitude_deg = math.nan if self.latitude_deg is None else self.latitude_deg
        return DemSource(name, LICENCE, dem, self.step_m * self.enlarged, latitude_deg)


def choose_recipes(words: Sequence[str]) -> tuple[str, ...]:
    """Names of recipes, each once, from words with names between commas; "all" is every recipe.

    Raises
    ------
    UsageError
        A name that no recipe has, or no name.
    """
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    if not names:
        raise UsageError(f"no recipe was named; choose of {', '.join(RECIPES)}, or {ALL}")
    if ALL in names:
        return tuple(RECIPES)
    for name in names:
        find_recipe(name)
    return tuple(dict.fromkeys(names))


def plan_landscapes(recipes: Sequence[str], options: SynthOptions) -> tuple[Landscape, ...]:
    """What landscapes the chips are cut from, recipe after recipe.

    At most 64 chips come from one landscape, and each recipe has a landscape as soon as there is a chip for it. Sides
    are four times those of a chip, from 512 to 2,048 pixels, and never less than 1.25 times a chip's.

    Parameters
    ----------
    recipes
        Keys of `synth.recipes.RECIPES`.
    options
        How many chips of what size and pixel size.

    Raises
    ------
    UsageError
        No such recipe.
    """
    count = max(-(-options.count // CHIPS_EACH), min(len(recipes), options.count))
    side_px = min(max(4 * options.size_px, LEAST_SIDE_PX), MOST_SIDE_PX)
    side_px = max(side_px, math.ceil(1.25 * options.size_px))
    return tuple(
        _draw(recipes[i % len(recipes)], side_px, options, np.random.default_rng([options.seed, i, _LAND]))
        for i in range(count)
    )


def _draw(recipe: str, side_px: int, options: SynthOptions, rng: np.random.Generator) -> Landscape:
    finest, coarsest = options.gsd_range_m
    own_m = find_recipe(recipe).gsd_m
    low, high = (min(max(size_m, SHARPEST * own_m), BLUNTEST * own_m) for size_m in (finest, coarsest))
    step_m = math.exp(rng.uniform(math.log(low), math.log(high)))
    enlarged = min(max(step_m, finest), coarsest) / step_m
    latitude_deg = float(rng.uniform(*HOME_DEG[recipe])) if recipe in HOME_DEG else None
    return Landscape(recipe, int(rng.integers(2**31)), side_px, step_m, enlarged, latitude_deg)


def make_land_chips(
    recipes: Sequence[str],
    options: SynthOptions,
    beside: Sequence[DemSource] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Chips:
    """Rendered pairs of artificial landscapes, at most two of which are in memory at a time.

    Parameters
    ----------
    recipes
        Keys of `synth.recipes.RECIPES`; the provenance holds what each landscape was made from.
    options
        As in `make_chips`: the same options, recipes and height models give the same bytes on the same machine.
    beside
        Height models from which the first half of the chips is cut; none: all chips are of landscapes.
    progress
        Called with ("landscapes", landscapes made, landscapes in all) and ("rendering", chips done, chips in all).

    Raises
    ------
    UsageError
        No such recipe.
    InputError
        The height models are too small or have too many voids for the chip size.
    MissingDependencyError
        Numba is not installed.
    """
    tell = progress or (lambda stage, done, total: None)
    first = options.count // 2 if beside else 0
    made = options.count - first
    plan = plan_landscapes(recipes, replace(options, count=made))
    named = {f"{land.recipe}-{i}": land for i, land in enumerate(plan)}

    def turns() -> Iterator[Turn]:
        if first:
            yield Turn(beside, first)
        for i, (name, land) in enumerate(named.items()):
            source = land.make(name)
            tell("landscapes", i + 1, len(plan))
            yield Turn([source], (i + 1) * made // len(plan) - i * made // len(plan))

    chips = make_chips_in_turns(turns(), options, lambda done, total: tell("rendering", done, total))
    landscapes = {name: asdict(land) for name, land in named.items()}
    return replace(chips, provenance={**chips.provenance, "recipes": list(recipes), "landscapes": landscapes})
