"""One net out of several runs: the mean of their weights (a "model soup").

Runs that began at the same weights and learned from other pictures, or in another order, stand around a net that is
often better than each of them: M. Wortsman and others, "Model soups", ICML 2022. Nothing is slower for it. Nets that
did not begin together have nothing in common, and their mean is worth nothing: validate it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from im2dem.core.errors import InputError, OutputExistsError, UsageError
from im2dem.io.atomic import write_bytes, write_text

from .journal import BEST, CHECKPOINT, RECIPE
from .loop import load_run, read_checkpoint
from .model_folder import training_sources

MADE_OF = "averaged.json"


def average_runs(
    runs: Sequence[Path], shares: Sequence[float], out: Path, *, overwrite: bool = False
) -> dict[str, Any]:
    """The mean of the averaged weights of relief runs, as a run that can be exported, evaluated and started from.

    Parameters
    ----------
    runs
        Folders of runs (their best weights, or the last where there are no best), or single checkpoint files.
    shares
        How much each counts, positive; they need not add up to 1.
    out
        Folder to make: ``best.pt`` with the recipe of the first run, ``recipe.json``, ``data.txt`` with the sources of
        all, ``averaged.json``.
    overwrite
        Whether an average that is there may be replaced; a run never is.

    Returns
    -------
    What was averaged: ``{"of": [{"run", "share", "recipe", "step"}]}``, as in ``averaged.json``.

    Raises
    ------
    UsageError
        Fewer than two runs, shares that are not positive, or a file that is no checkpoint.
    InputError
        A run without weights, or nets of different sizes.
    OutputExistsError
        There is something at `out` already.
    """
    if len(runs) < 2 or len(runs) != len(shares):
        raise UsageError(f"an average needs at least two runs and a share for each, got {len(runs)} and {len(shares)}")
    if not all(0 < share < float("inf") for share in shares):
        raise UsageError(f"shares must be positive numbers, got {', '.join(f'{share:g}' for share in shares)}")
    if out.exists() and not (overwrite and (out / MADE_OF).is_file()):
        raise OutputExistsError(
            f"{out} is there already; give another folder" + ("" if overwrite else " or --overwrite")
        )
    files = [_weights_of(run) for run in runs]
    states = [read_checkpoint(file, torch.device("cpu")) for file in files]
    mean = load_run(files[0], torch.device("cpu"))
    mean.ema.load_state_dict(_mean([state["ema"] for state in states], [s / sum(shares) for s in shares], files))
    mean.net.load_state_dict(mean.ema.state_dict())
    mean.best = {}  # the scores were those of the first run
    made = {
        "of": [
            {
                "run": file.parent.name,
                "share": round(s / sum(shares), 4),
                "recipe": state["recipe"]["name"],
                "step": state["step"],
            }
            for file, s, state in zip(files, shares, states, strict=True)
        ]
    }
    sources = sorted({line for file in files for line in training_sources(file.parent)})
    buffer = io.BytesIO()
    torch.save(mean.state(), buffer)
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / BEST, buffer.getvalue(), overwrite=True)
    write_text(out / RECIPE, json.dumps(mean.recipe.to_dict(), indent=1), overwrite=True)
    write_text(out / "data.txt", "\n".join(sources) + "\n", overwrite=True)
    write_text(out / MADE_OF, json.dumps(made, indent=1) + "\n", overwrite=True)
    return made


def _weights_of(run: Path) -> Path:
    if run.is_file():
        return run
    found = next((run / name for name in (BEST, CHECKPOINT) if (run / name).is_file()), None)
    if found is None:
        raise InputError(f"{run} holds no weights; give the folder of a run of `im2dem train`, or a checkpoint file")
    return found


def _mean(
    weights: Sequence[dict[str, torch.Tensor]], shares: Sequence[float], files: Sequence[Path]
) -> dict[str, torch.Tensor]:
    first = weights[0]
    for other, file in zip(weights[1:], files[1:], strict=True):
        if {n: v.shape for n, v in other.items()} != {n: v.shape for n, v in first.items()}:
            raise InputError(
                f"the net of {file} has other sizes than that of {files[0]}; only nets of one recipe average"
            )
    part = torch.tensor(shares, dtype=torch.float64)
    return {
        name: torch.tensordot(part, torch.stack([w[name].double() for w in weights]), dims=1).to(value.dtype)
        if value.dtype.is_floating_point
        else value
        for name, value in first.items()
    }
