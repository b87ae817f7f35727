"""`im2dem train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.core.errors import UsageError
from im2dem.dataset.training_data import find_training_data

from . import console, extras


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("train")(train)


def train(
    recipe: Annotated[Path | None, typer.Argument(help="TOML file, see recipes/.", show_default=False)] = None,
    data: Annotated[
        list[Path], typer.Option("--data", help="Pack, folder of packs, or folder of pairs; may be repeated.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; default: runs/NAME of the recipe.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of a run to go on with; recipe and data are those it began with.")
    ] = None,
    settings: Annotated[list[str], typer.Option("--set", help="key=value over the recipe, e.g. loss.normal=0.3.")] = [],  # noqa: B006
    start: Annotated[
        Path | None,
        typer.Option(help="Weights to start from: best.pt of a run, a model's folder, or the name of one that ships."),
    ] = None,
) -> None:
    """Train a model. Packs named val-* choose the best weights; an interrupted run goes on from its checkpoint."""
    recipes, journal = extras.train_room("recipe"), extras.train_room("journal")
    if resume is not None:
        if settings or start or (out and out != resume):
            raise UsageError("--resume goes on with a run as it was begun: leave out --set, --start and --out")
        table, files = journal.read_run(resume)
        if recipe is not None and recipes.complete(recipes.read_table(recipe)) != recipes.complete(table):
            raise UsageError(f"{recipe} is not the recipe that {resume} was begun with; leave it out, or take --out")
        out, data = resume, data or files
    elif recipe is None:
        raise UsageError("give a recipe (see recipes/), or --resume RUN")
    else:
        table = recipes.read_table(recipe, dict(_setting(s) for s in settings))
    if not data:
        raise UsageError("give the data to train on: --data PACKS, or a folder of pairs")
    resolved = recipes.complete(table)
    out = out or Path("runs") / str(resolved["name"])
    with console.progress_bar() as progress:
        reporter = _Reporter(progress)
        if resolved["kind"] == "pix2pix":
            if start is not None:
                raise UsageError("--start is for relief recipes; pix2pix learns from scratch")
            recipe_of = extras.train_room("pix2pix.recipe").pix2pix_recipe
            run = extras.train_room("pix2pix.loop").train_pix2pix(recipe_of(table), _packs(data), out, reporter)
            best = f", best L1 {run.best['l1']:.4f} at step {run.best['step']}" if run.best else ""
        elif resolved["kind"] == "colour":
            if start is not None:
                raise UsageError("--start is for relief recipes; the colour net learns from scratch")
            recipe_of = extras.train_room("colour.recipe").colour_recipe
            run, best = extras.train_room("colour.loop").train_colour(recipe_of(table), _packs(data), out, reporter), ""
        else:
            loop = extras.train_room("loop")
            run = loop.train(recipes.recipe_from_dict(table), find_training_data(data), out, reporter, start)
            best = f", best {run.best['score']:.3f} at step {run.best['step']}" if run.best else ""
    console.say(f"run      {out}  (step {run.step}{best})")


def _packs(paths: list[Path]) -> list[Path]:
    """The .npz files given or in the folders given."""
    return [file for path in paths for file in ([path] if path.is_file() else sorted(path.glob("*.npz")))]


class _Reporter:
    """Rows as lines and steps as a bar with the time left, both on stderr."""

    def __init__(self, progress: Callable[[str, int, int], None]) -> None:
        self._progress = progress

    def row(self, row: dict[str, Any]) -> None:
        console.errors.print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), markup=False)

    def step(self, done: int, total: int) -> None:
        self._progress("training", done, total)


def _setting(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set wants key=value, got {text!r}")
    return key, value
