"""`im2dem train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.core.errors import InputError, UsageError
from im2dem.dataset.chips import load_chips

from . import console, extras


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train")(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file, see recipes/.")],
    data: Annotated[list[Path], typer.Option("--data", help="Pack, or folder of packs; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; a run that is there goes on.")],
    settings: Annotated[list[str], typer.Option("--set", help="key=value over the recipe, e.g. loss.normal=0.3.")] = [],  # noqa: B006
    start: Annotated[Path | None, typer.Option(help="Weights of another run to start from (its best.pt).")] = None,
) -> None:
    """Train a model. Packs named val-* choose the best weights; an interrupted run goes on from its checkpoint."""
    loop, recipes = extras.train_room("loop"), extras.train_room("recipe")
    resolved = recipes.load_recipe(recipe, dict(_setting(s) for s in settings))
    paths = [p for d in data for p in (sorted(d.glob("*.npz")) if d.is_dir() else [d])]
    packs = [(p.name.startswith("val-"), load_chips(p)) for p in paths]
    if not packs:
        raise InputError(
            f"no .npz pack in {', '.join(map(str, data))}; make some with `im2dem dataset pack` or `synth`"
        )
    real = [c for held, c in packs if not held and c.provenance["kind"] == "real"]
    rendered = [c for held, c in packs if not held and c.provenance["kind"] == "rendered"]
    held_out = [c for held, c in packs if held]

    def report(row: dict[str, Any]) -> None:
        console.errors.print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), markup=False)

    run = loop.train(resolved, (real, rendered, held_out), out, report, start)
    best = f", best {run.best['score']:.3f} at step {run.best['step']}" if run.best else ""
    console.say(f"run      {out}  (step {run.step}{best})")


def _setting(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set wants key=value, got {text!r}")
    return key, value
