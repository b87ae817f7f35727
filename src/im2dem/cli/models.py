"""`im2dem models`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.pipeline.predict import DEFAULT_MODEL
from im2dem.runtime.card import find_model, list_models, load_card

from . import console, extras

app = typer.Typer(help="The models: those that ship, and your own.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON summary.")]


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the models that ship with this installation."""
    cards = [load_card(find_model(name)) for name in list_models()]
    if as_json:
        console.say_json([asdict(card) for card in cards])
        return
    for card in cards:
        mark = "*" if card.name == DEFAULT_MODEL else " "
        low, high = card.gsd_range_m
        console.say(f"{mark} {card.name:<20} {card.direction:<14} {low:g}-{high:g} m/px  {card.licence}")
    console.say("* default of `im2dem predict`")


@app.command("info")
def info(name: Annotated[str, typer.Argument(help="Name or path of a model.")], as_json: AsJson = False) -> None:
    """Print a model's card: what it learned from, its licence, its scores and its limits."""
    card = asdict(load_card(find_model(name)))
    if as_json:
        console.say_json(card)
        return
    for key, value in card.items():
        console.say(f"{key:<14} {_plain(value)}")


@app.command("export")
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model: model.onnx and card.json.")],
    name: Annotated[str | None, typer.Option(help="Name of the model; default: that of the folder.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "Apache-2.0",
    weights: Annotated[str, typer.Option(help="best or last.")] = "best",
    guide: Annotated[bool, typer.Option(help="Keep the input for known heights, where the net has one.")] = True,
    half: Annotated[bool, typer.Option("--half", help="Store weights of a relief net in 16 bits.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model in the folder.")] = False,
) -> None:
    """Make model.onnx and its card of a training run; refuses when ONNX and torch differ."""
    export_run = extras.train_room("export").export_run
    options = {"licence": licence, "weights": weights, "guide": guide, "half": half, "overwrite": overwrite}
    card = export_run(run, output, name=name or output.name, **options)
    console.say(f"model    {output}  ({card.name}, sha256 {card.sha256[:12]})")


@app.command("average")
def average(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs that began alike, or checkpoints.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the mean, a run as others are.")],
    share: Annotated[
        list[float] | None, typer.Option(help="How much a run counts; once for each, in their order. Default: alike.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a mean that is there.")] = False,
) -> None:
    """Average the weights of several training runs into one net, which is as fast as each of them."""
    average_runs = extras.train_room("averaging").average_runs
    made = average_runs(runs, share or [1.0] * len(runs), output, overwrite=overwrite)
    for one in made["of"]:
        console.say(f"{one['share']:.0%}  {one['run']}  ({one['recipe']}, step {one['step']})")
    console.say(f"mean     {output}  (next: im2dem models export {output} -o MODEL)")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple) and value and isinstance(value[0], str):
        return "\n               ".join(value)
    return json.dumps(value, indent=1) if isinstance(value, dict) else str(value)
