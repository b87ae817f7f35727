"""`im2dem evaluate`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from im2dem.core.errors import UsageError
from im2dem.io.atomic import check_target, write_text
from im2dem.pipeline.evaluate import (
    EvaluateOptions,
    Evaluation,
    Progress,
    Rival,
    evaluate_files,
    evaluate_model,
    find_pairs,
)
from im2dem.pipeline.evaluation_anchor import AnchorProtocol, evaluate_anchors
from im2dem.pipeline.evaluation_causes import count_causes
from im2dem.pipeline.evaluation_cost import model_cost, time_ratio
from im2dem.pipeline.evaluation_guided import guided_by
from im2dem.pipeline.evaluation_training import NAME as MEAN_ROW
from im2dem.pipeline.evaluation_training import mean_training_row
from im2dem.pipeline.predict import PredictOptions, predictor
from im2dem.pipeline.report import ReportFacts, build_report
from im2dem.runtime.card import CARD_NAME, ModelCard, find_model, load_card, verified_onnx

from . import console, extras

_CHECKPOINTS = {"best.pt": "best", "checkpoint.pt": "last"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    pred: Annotated[Path | None, typer.Argument(help="Predicted heights: a file, or a folder of them.")] = None,
    truth: Annotated[Path | None, typer.Argument(help="True heights: a file, or a folder of them.")] = None,
    model: Annotated[str | None, typer.Option(help="Score a model over --data: name, path, or training run.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of pairs (rgb.*, dem.tif, meta.json).")] = None,
    baseline: Annotated[list[str], typer.Option(help="Another model beside it; may be repeated.")] = [],  # noqa: B006
    train_data: Annotated[Path | None, typer.Option(help="Pairs or packs for the row 'mean training DEM'.")] = None,
    split: Annotated[str | None, typer.Option(help="Only pairs of this split: train, val or test.")] = None,
    name: Annotated[str | None, typer.Option(help="Only pairs whose name contains this.")] = None,
    sun: Annotated[bool, typer.Option(help="Tell the model the sun of meta.json, where it is known.")] = True,
    alignments: Annotated[str, typer.Option(help="A0, A1, A2, A3, A4(k), with commas.")] = "A0,A1,A2,A3",
    protocol: Annotated[
        str | None, typer.Option(help="Anchors instead: A4 (points), A5 (coarse heights), A4(k), A5(k), with commas.")
    ] = None,
    show: Annotated[str, typer.Option(help="Alignments to print; all are in --json and --csv.")] = "A2",
    coarse: Annotated[str, typer.Option(help="Block sides of the bicubic rows in pixels, with commas.")] = "16",
    tile: Annotated[int, typer.Option(help="Side of a scored tile in pixels.")] = 256,
    min_relief: Annotated[float, typer.Option(help="Leave out tiles with less relief (std, metres).")] = 0.0,
    spikes: Annotated[
        float | None,
        typer.Option(help="Leave out true heights farther than this from the median around them, metres.", min=0.0),
    ] = None,
    by_relief: Annotated[bool, typer.Option("--by-relief", help="Print the classes of relief too.")] = False,
    model_tile: Annotated[int | None, typer.Option(help="Tile side of the model; default: its card's.")] = None,
    level: Annotated[bool, typer.Option(help="Level the model's tiles.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    csv: Annotated[Path | None, typer.Option(help="Write every row and figure to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one HTML page with tables, charts and tiles.")] = None,
    report_tiles: Annotated[int, typer.Option(min=0, help="Best and worst tiles in the report, of each.")] = 12,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the CSV file and the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Score heights against the truth: files (PRED TRUTH), or a model over pairs (--model, --data)."""
    targets = {path: check_target(path, overwrite) for path in (csv, report) if path is not None}
    options = EvaluateOptions(
        tile_px=tile,
        min_tile_px=max(tile // 2, 1),
        min_relief_m=min_relief,
        spike_m=spikes,
        alignments=_names(alignments),
        prior_factors=_whole_numbers(coarse),
        gallery_tiles=report_tiles if report is not None else 0,
        seed=seed,
    )
    with ExitStack() as stack:
        progress = stack.enter_context(console.progress_bar())

        def tick(done: int, total: int) -> None:
            progress("scoring", done, total)

        if protocol is not None:
            _anchors(protocol, (model, data), (split, name), (options, sun, model_tile, level), tick, as_json)
            return
        if train_data is not None:
            options = replace(options, rows=(mean_training_row(train_data, options),))
        if model is not None and data is not None and pred is None:
            pairs = [p for p in find_pairs(data, split) if name is None or name in p.name]
            if not pairs:
                raise UsageError(f"no pair of {data} has {name!r} in its name")
            models = [_opened(text, stack) for text in (model, *baseline)]
            predicts = [
                predictor(PredictOptions(model=str(m.card_path), tile_px=model_tile, level=level), use_sun=sun)
                for m in models
            ]
            main = models[0]
            options = replace(options, model_tiles=_model_tiles(main.card, model_tile))
            rivals = [Rival(m.name, f) for m, f in zip(models[1:], predicts[1:], strict=True)]
            result = evaluate_model(predicts[0], pairs, options, tick, name=main.name, rivals=rivals)
            result = replace(result, models=tuple(_facts(m, main) for m in models))
            method, cards = main.name, tuple(_summary(m.card) for m in models)
        elif pred is not None and truth is not None and model is None and not baseline:
            result, method, cards = evaluate_files(pred, truth, options, tick), "prediction", ()
        else:
            raise UsageError("give two files or folders (PRED TRUTH), or --model NAME with --data FOLDER")
    result = replace(result, notes=(*result.notes, *_absent(train_data, baseline)))
    if csv is not None:
        write_text(targets[csv], result.to_csv(), overwrite=overwrite)
    if report is not None:
        facts = ReportFacts(_title(method, split), method, _command(), cards)
        write_text(targets[report], build_report(result, facts), overwrite=overwrite)
    _print(result, as_json, _names(show), by_relief)


def _anchors(
    protocol: str,
    source: tuple[str | None, Path | None],
    which: tuple[str | None, str | None],
    how: tuple[EvaluateOptions, bool, int | None, bool],
    tick: Progress,
    as_json: bool,
) -> None:
    """The table of A4 and A5."""
    (model, data), (split, name), (options, use_sun, model_tile, level) = source, which, how
    if model is None or data is None:
        raise UsageError("--protocol scores a model over pairs: give --model NAME and --data FOLDER")
    wanted = AnchorProtocol.named(protocol, scene=options)
    pairs = [p for p in find_pairs(data, split) if name is None or name in p.name]
    if not pairs:
        raise UsageError(f"no pair of {data} has {name!r} in its name")
    with ExitStack() as stack:
        card = _opened(model, stack).card_path
        chosen = PredictOptions(model=str(card), tile_px=model_tile, level=level)
        predict = predictor(chosen, use_sun=use_sun)
        result = evaluate_anchors(predict, pairs, wanted, tick, guided_by(chosen, use_sun))
    console.say(result.to_json() if as_json else result.to_table())


@dataclass(frozen=True)
class _Model:
    """A model of the command line: its name in the table, and its card."""

    name: str
    card_path: Path
    card: ModelCard


def _opened(text: str, stack: ExitStack) -> _Model:
    """A model by name or path; a training run is exported to a folder that lives as long as the stack.

    Raises
    ------
    MissingDependencyError
        A training run was given, and the extra for it is not installed.
    ModelNotFoundError
        Neither a model nor a run.
    """
    run = Path(text).expanduser()
    weights = next((kind for file, kind in _CHECKPOINTS.items() if (run / file).is_file()), None)
    if weights is not None and not (run / CARD_NAME).is_file():
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / run.resolve().name
        extras.train_room("export").export_run(run, folder, name=run.resolve().name, weights=weights)
        return _Model(run.resolve().name, folder / CARD_NAME, load_card(folder / CARD_NAME))
    path = find_model(text)
    card = load_card(path)
    return _Model(card.name, path, card)


def _model_tiles(card: ModelCard, model_tile: int | None) -> tuple[int, int]:
    """Side and overlap of the tiles in which the model will work."""
    side = model_tile or card.tile_px
    return side, min(card.overlap_px, side - 1)


def _facts(model: _Model, main: _Model) -> dict[str, Any]:
    """Size of a model; its time as a ratio to the main one's."""
    onnx = verified_onnx(model.card, model.card_path)
    cost = model_cost(onnx)
    facts: dict[str, Any] = {"model": model.name, **asdict(cost)}
    facts["gmac"], facts["onnx_mb"] = round(cost.gmac, 4), round(cost.onnx_mb, 2)
    if model is not main:
        facts[f"time over {main.name}"] = round(time_ratio(onnx, verified_onnx(main.card, main.card_path)), 3)
    return facts


def _summary(card: ModelCard) -> dict[str, Any]:
    """What a reader of the report should know of a model."""
    low, high = card.gsd_range_m
    return {
        "model": f"{card.name} {card.version}, {card.created}",
        "licence": card.licence,
        "heights": f"{card.height_kind}; {card.dem_kind}",
        "pixels": f"{low:g} to {high:g} m",
        "tiles": f"{card.tile_px} px, overlap {card.overlap_px} px",
        "sha256": card.sha256,
        "learned from": card.training_data,
        "limits": card.limits,
    }


def _absent(train_data: Path | None, baseline: Iterable[str]) -> list[str]:
    """Why rows that every table should have are not there."""
    notes = []
    if train_data is None:
        notes.append(f"no row '{MEAN_ROW}': it needs the training pairs or packs, --train-data DIR")
    if not baseline:
        notes.append("no other model beside it: name one with --baseline, best the seed's recipe trained on this split")
    return notes


def _title(method: str, split: str | None) -> str:
    words = {"val": "the validation split", "test": "the test split", "train": "the training split"}
    return f"{method} on {words[split]}" if split in words else f"Evaluation of {method}"


def _command() -> str:
    """The command as it was given, folders without what leads to them: reports are passed on."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["im2dem", *words])


def _print(result: Evaluation, as_json: bool, alignments: tuple[str, ...], by_relief: bool) -> None:
    if as_json:
        console.say(result.to_json())
        return
    groups = sorted({str(row["group"]) for row in result.rows}) if by_relief else ["all"]
    console.say(result.to_table(groups, alignments))
    for facts in result.models:
        console.say("  ".join(f"{key} {value}" for key, value in facts.items()))
    if result.gallery is not None:
        console.say("what may have spoilt the worst tiles: " + (count_causes(result.gallery.worst) or "none was kept"))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in _names(text))
    except ValueError as error:
        raise UsageError(f"--coarse wants whole numbers with commas, e.g. 8,16,32; got {text!r}") from error
    if any(number < 1 for number in numbers):
        raise UsageError(f"blocks need a side of at least 1 pixel, got {text!r}")
    return numbers
