"""`im2dem evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import UsageError
from im2dem.io.atomic import check_target, write_text
from im2dem.pipeline.evaluate import EvaluateOptions, Evaluation, evaluate_files, evaluate_model, find_pairs
from im2dem.pipeline.predict import PredictOptions, predictor

from . import console


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    pred: Annotated[Path | None, typer.Argument(help="Predicted heights: a file, or a folder of them.")] = None,
    truth: Annotated[Path | None, typer.Argument(help="True heights: a file, or a folder of them.")] = None,
    model: Annotated[str | None, typer.Option(help="Score a model over --data instead of files.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of pairs (rgb.*, dem.tif, meta.json).")] = None,
    split: Annotated[str | None, typer.Option(help="Only pairs of this split: train, val or test.")] = None,
    name: Annotated[str | None, typer.Option(help="Only pairs whose name contains this.")] = None,
    sun: Annotated[bool, typer.Option(help="Tell the model the sun of meta.json, where it is known.")] = True,
    alignments: Annotated[str, typer.Option(help="A0, A1, A2, A3, A4(k), with commas.")] = "A0,A1,A2,A3",
    show: Annotated[str, typer.Option(help="Alignments to print; all are in --json and --csv.")] = "A2",
    tile: Annotated[int, typer.Option(help="Side of a scored tile in pixels.")] = 256,
    min_relief: Annotated[float, typer.Option(help="Leave out tiles with less relief (std, metres).")] = 0.0,
    by_relief: Annotated[bool, typer.Option("--by-relief", help="Print the classes of relief too.")] = False,
    model_tile: Annotated[int | None, typer.Option(help="Tile side of the model; default: its card's.")] = None,
    level: Annotated[bool, typer.Option(help="Level the model's tiles.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write every row and figure to this file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the CSV file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Score heights against the truth: files (PRED TRUTH), or a model over pairs (--model, --data)."""
    target = check_target(csv, overwrite) if csv else None
    options = EvaluateOptions(
        tile_px=tile, min_tile_px=max(tile // 2, 1), min_relief_m=min_relief, alignments=_names(alignments), seed=seed
    )
    with console.progress_bar() as progress:

        def tick(done: int, total: int) -> None:
            progress("scoring", done, total)

        if model is not None and data is not None and pred is None:
            pairs = [p for p in find_pairs(data, split) if name is None or name in p.name]
            if not pairs:
                raise UsageError(f"no pair of {data} has {name!r} in its name")
            predict = predictor(PredictOptions(model=model, tile_px=model_tile, level=level), use_sun=sun)
            result = evaluate_model(predict, pairs, options, tick, name=model)
        elif pred is not None and truth is not None and model is None:
            result = evaluate_files(pred, truth, options, tick)
        else:
            raise UsageError("give two files or folders (PRED TRUTH), or --model NAME with --data FOLDER")
    if target is not None:
        write_text(target, result.to_csv(), overwrite=overwrite)
    _print(result, as_json, _names(show), by_relief)


def _print(result: Evaluation, as_json: bool, alignments: tuple[str, ...], by_relief: bool) -> None:
    if as_json:
        console.say(result.to_json())
        return
    groups = sorted({str(row["group"]) for row in result.rows}) if by_relief else ["all"]
    console.say(result.to_table(groups, alignments))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
