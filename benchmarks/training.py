"""How fast training is, what its loader costs, and what mixed precision and the layout of memory buy.

Drawn relief is rendered for it, so that no data is needed. The loader's share is measured as a ratio of two
throughputs in one process: batches drawn ahead by the feed, against one batch that is used again and again.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import ROOT, Bar, Outcome, Setup, Table, number, say

from im2dem.core.errors import MissingDependencyError

LOADER_BAR = 0.05
# What the weights that ship were last trained by, and the plain net from scratch that ablations are made with.
RECIPES = ("relief-recolour", "relief")


def run(setup: Setup) -> Outcome:
    """The section; needs PyTorch.

    Raises
    ------
    MissingDependencyError
        PyTorch is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("this section trains: pip install 'im2dem[train]'") from error
    return measure(6, 1) if setup.quick else measure(30, 3)


def measure(steps: int, rounds: int) -> Outcome:
    """Chips a second of some ways to train by each of `RECIPES`, in turn."""
    blocks: list[str | Table] = []
    bars = []
    for name in RECIPES:
        rates = _rates(name, steps, rounds)
        medians = {way: float(np.median(values)) for way, values in rates.items()}
        first = next(iter(medians.values()))
        rows = tuple((way, number(rate, 1), number(rate / first, 2)) for way, rate in medians.items())
        blocks += [_described(name, rounds), Table("", ("way", "chips/s", "ratio"), rows)]
        # of rounds run in turn, so that other work on the machine hits both alike
        pairs = list(zip(*list(rates.values())[:2], strict=True))
        share = float(np.median([max(0.0, 1 - with_loader / without) for with_loader, without in pairs]))
        what = f"share of the time that the loader costs, recipe `{name}`"
        bars.append(Bar(what, "at most 5 %", f"{100 * share:.1f} %", share <= LOADER_BAR))
    return Outcome(tuple(blocks), tuple(bars))


def _described(name: str, rounds: int) -> str:
    import torch

    from im2dem.train.recipe import load_recipe

    recipe = load_recipe(ROOT / f"recipes/{name}.toml")
    device = "GPU" if torch.cuda.is_available() else "CPU"
    return (
        f"Recipe `{name}` on a {device}, {torch.get_num_threads()} threads, batch {recipe.batch} of {recipe.crop_px} "
        f"px; medians of {rounds} rounds in turn. Ratios compare within this run only."
    )


def _rates(name: str, steps: int, rounds: int) -> dict[str, list[float]]:
    from im2dem.train.recipe import load_recipe

    recipe = load_recipe(ROOT / f"recipes/{name}.toml")
    chips = drawn_chips()
    rows: dict[str, Callable[[], float]] = {
        "as shipped: bf16, batches drawn ahead": lambda: _rate(recipe, chips, steps, drawn_ahead=True),
        "one batch again and again, no loader": lambda: _rate(recipe, chips, steps, drawn_ahead=False),
        "float32": lambda: _rate(dataclasses.replace(recipe, bf16=False), chips, max(steps // 3, 3), drawn_ahead=True),
    }
    rates: dict[str, list[float]] = {way: [] for way in rows}
    for _ in range(rounds):
        for way, rate in rows.items():
            rates[way].append(rate())
            say(f"  {name}, {way}: {rates[way][-1]:.1f} chips/s")
    return rates


def drawn_chips() -> Any:
    """Sixteen rendered chips of drawn hills."""
    from im2dem.dataset.synth import DemSource, SynthOptions, make_chips

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:600, :600] / 40.0
    dem = 150 * sum(rng.normal() * np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (8, 3)))
    source = DemSource("drawn", "public domain", dem.astype(np.float32), 30.0, 40.0)
    return make_chips([source], SynthOptions(count=16, size_px=256, seed=1))


def _rate(recipe: Any, chips: Any, steps: int, drawn_ahead: bool) -> float:
    from im2dem.train.batches import Sampler
    from im2dem.train.feed import Feed
    from im2dem.train.loop import Run, make_accelerator

    accelerator = make_accelerator(recipe.bf16)
    run = Run(recipe, accelerator.device, accelerator)
    sampler = Sampler([chips], [chips], recipe)
    warm = 3
    began = 0.0
    one = sampler.batch(0).to(accelerator.device)
    for i, batch in enumerate(
        Feed(sampler, 0, warm + steps, accelerator.device) if drawn_ahead else [one] * (warm + steps)
    ):
        if i == warm:
            began = time.perf_counter()
        run.train_step(batch)
    return steps * recipe.batch / (time.perf_counter() - began)
