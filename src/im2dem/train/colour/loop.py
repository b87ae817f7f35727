"""The training loop: steps until the recipe's steps or minutes are over, files every minute."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from im2dem.core.errors import InputError
from im2dem.io.atomic import write_bytes
from im2dem.train.interrupt import Interrupt
from im2dem.train.journal import CHECKPOINT, Journal, Reporter, Silent

from .data import Sampler, load_pools
from .recipe import ColourRecipe
from .run import LOSSES, ColourRun, check_finite
from .validate import Validator, png_bytes
from .varieties import usual_varieties

GENERATOR = "generator.pt"
PREVIEW = "preview.png"
LOG_EVERY = 50


def train_colour(
    recipe: ColourRecipe,
    data: Sequence[Path],
    out: Path,
    reporter: Reporter | None = None,
    stop_at: int | None = None,
) -> ColourRun:
    """Train, or go on where `out` left off.

    Parameters
    ----------
    recipe
        What to do; must equal the one in `out` when going on, but for its minutes.
    data
        Packs of chips; those named val-* are held out.
    out
        Folder of the run, see `im2dem.train.journal`; generator.pt holds what predicts, preview.png what it makes of
        held-out ground.
    reporter
        Told every step and every logged row.
    stop_at
        Stop early at this step, as an interruption would.

    Raises
    ------
    InputError
        The data cannot be used.
    OutputError
        The folder cannot be written.
    NotFiniteError
        A loss is NaN.
    KeyboardInterrupt
        After a checkpoint was written.
    """
    reporter = reporter or Silent()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    journal = Journal(out, {**recipe.to_dict(), "minutes": 0.0})
    real, rendered, held_out, sources = load_pools(data, recipe, device)
    sampler = Sampler(real, rendered, recipe)
    validator = Validator(next(pool for pool in (held_out, real, rendered) if len(pool)), recipe.crop_px)
    journal.note_data((), [str(path.resolve()) for path in data])
    (out / "data.txt").write_text("\n".join(sources) + "\n", encoding="utf-8")
    run = ColourRun(recipe, device)
    if (out / CHECKPOINT).exists():
        run.restore(read_state(out / CHECKPOINT, device))
        journal.go_on_from(run.step)
    torch.backends.cudnn.benchmark = True
    last = recipe.steps if stop_at is None else min(stop_at, recipe.steps)

    def save() -> None:
        varieties = usual_varieties(run.encoder, real, rendered, recipe.crop_px)
        _save(run, validator, journal, reporter, run.weights(sources, varieties))

    before, began, first, saved = run.minutes, time.monotonic(), run.step, time.monotonic()
    sums: dict[str, Any] = dict.fromkeys(LOSSES, 0.0)
    counted = 0
    with Interrupt() as interrupt:
        while run.step < last and not interrupt.is_asked and not 0 < recipe.minutes <= run.minutes:
            losses = run.train_step(sampler.batch(run.step))
            sums = {key: sums[key] + losses[key] for key in LOSSES}
            counted += 1
            run.minutes = before + (time.monotonic() - began) / 60
            reporter.step(run.step, recipe.steps)
            if run.step % LOG_EVERY == 0:
                means = {key: float(value) / counted for key, value in sums.items()}
                check_finite(means, run.step)
                chips_per_s = (run.step - first) * recipe.batch / (time.monotonic() - began)
                row = {"step": run.step, **means, "minutes": run.minutes, "chips_per_s": chips_per_s}
                journal.log("log", row)
                reporter.row(row)
                sums, counted = dict.fromkeys(LOSSES, 0.0), 0
            if time.monotonic() - saved >= recipe.save_every_s:
                save()
                saved = time.monotonic()
    save()
    journal.close()
    if interrupt.is_asked:
        raise KeyboardInterrupt
    return run


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The values of a checkpoint.

    Raises
    ------
    InputError
        The file is not there, or is no checkpoint of such a run.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises what its unpickler, its zip reader and the system raise
        raise InputError(f"{path} is no checkpoint of `im2dem train`: {error}") from error
    if "judge" not in state or "encoder" not in state:
        raise InputError(f"{path} is a checkpoint of another kind of recipe, not of colour")
    return state


def _save(run: ColourRun, validator: Validator, journal: Journal, reporter: Reporter, weights: dict[str, Any]) -> None:
    scores, sheet = validator.score(run)
    row = {"step": run.step, **scores}
    journal.log("validation", row)
    reporter.row(row)
    journal.save(GENERATOR, weights)
    journal.save(CHECKPOINT, run.state())
    write_bytes(journal.folder / PREVIEW, png_bytes(sheet), overwrite=True)
