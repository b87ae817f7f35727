"""The training loop: flat, resumable at any step, everything it reads in one checkpoint."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from im2dem.core.errors import Im2DemError, OutputError
from im2dem.dataset.chips import Chips
from im2dem.io.atomic import publish

from .batches import Batch, Sampler
from .losses import relief_loss
from .recipe import Recipe, recipe_from_dict
from .reliefnet import ReliefNet
from .validate import Validator

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
LOG_EVERY = 50


class NotFiniteError(Im2DemError, ArithmeticError):
    """The loss is NaN or infinite; the batch is saved beside the checkpoint."""


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(recipe.steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Run:
    """The state of a training run: net, averaged net, optimiser, step."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.net = ReliefNet(recipe.network).to(device, memory_format=torch.channels_last)
        self.ema = deepcopy(self.net).eval().requires_grad_(False)
        decay = [p for p in self.net.parameters() if p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)
        self.step = 0
        self.best: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "recipe": self.recipe.to_dict(),
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]

    def train_step(self, batch: Batch) -> tuple[float, dict[str, Tensor]]:
        """One update; returns the loss and its terms."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, recipe)
        self.net.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bf16):
            parts = self.net.parts(batch.image, batch.condition)
        loss, terms = relief_loss(parts, batch, recipe.loss, recipe.relief_floor_m)
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss.item()} at step {self.step}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip)
        self.optimiser.step()
        self._average(min(recipe.ema, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return loss.item(), terms

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        averaged = self.ema.state_dict()
        for name, value in self.net.state_dict().items():
            if value.dtype.is_floating_point:
                averaged[name].lerp_(value, 1 - decay)
            else:
                averaged[name].copy_(value)


def load_run(path: Path, device: torch.device) -> Run:
    """A run from its checkpoint file."""
    state = torch.load(path, map_location=device, weights_only=True)
    run = Run(recipe_from_dict(state["recipe"]), device)
    run.restore(state)
    return run


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write, flush, rename: a kill at any moment leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(state, file)
    publish(part, path)


def train(
    recipe: Recipe,
    chips: tuple[Sequence[Chips], Sequence[Chips], Sequence[Chips]],
    out: Path,
    report: Callable[[dict[str, Any]], None] = lambda row: None,
    start: Path | None = None,
    stop_at: int | None = None,
) -> Run:
    """Train, or go on where `out` left off.

    Parameters
    ----------
    recipe
        What to do; must equal the one in `out` when resuming.
    chips
        Real pairs and rendered pairs to train on, and real pairs to validate on.
    out
        Folder of the run: recipe.json, checkpoint.pt, best.pt, log.csv, validation.csv.
    report
        Called with every logged row.
    start
        Weights of another run to start from (fine-tuning).
    stop_at
        Stop early at this step, as an interruption would.

    Raises
    ------
    OutputError
        The folder cannot be written.
    NotFiniteError
        The loss is NaN; the batch is in ``out/bad-batch.pt``.
    """
    real, rendered, held_out = chips
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _prepare_folder(out, recipe)
    (out / "data.txt").write_text("\n".join(data_lines([*real, *rendered])) + "\n")
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        run = load_run(checkpoint, device)
    else:
        run = Run(recipe, device)
        if start is not None:
            weights = torch.load(start, map_location=device, weights_only=True)["ema"]
            run.net.load_state_dict(weights)
            run.ema.load_state_dict(weights)
    sampler = Sampler(real, rendered, recipe)
    validator = Validator(held_out) if held_out else None
    last = recipe.steps if stop_at is None else min(stop_at, recipe.steps)
    workers = max(1, min(8, (os.cpu_count() or 2) - 1)) if device.type == "cuda" else 1
    began, first = time.monotonic(), run.step
    # one thread for each worker: a second pool of OpenMP threads beside the net's would fight over the cores
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ahead = [pool.submit(sampler.batch, s) for s in range(run.step, min(run.step + 2 * workers, last))]
        while run.step < last:
            batch = ahead.pop(0).result().to(device)
            if run.step + 2 * workers < last:
                ahead.append(pool.submit(sampler.batch, run.step + 2 * workers))
            try:
                loss, terms = run.train_step(batch)
            except NotFiniteError:
                torch.save({"batch": batch.__dict__, "state": run.state()}, out / "bad-batch.pt")
                raise
            if run.step % LOG_EVERY == 0:
                rate = (run.step - first) * recipe.batch / (time.monotonic() - began)
                row = {"step": run.step, "loss": loss, **{k: float(v) for k, v in terms.items()}, "chips_per_s": rate}
                append_row(out / "log.csv", row)
                report(row)
            if run.step % recipe.validate_every == 0 or run.step == recipe.steps:
                if validator is not None and _validate(run, validator, out, report):
                    break
                save_checkpoint(checkpoint, run.state())
    save_checkpoint(checkpoint, run.state())
    return run


def _validate(run: Run, validator: Validator, out: Path, report: Callable[[dict[str, Any]], None]) -> bool:
    """Score the averaged weights, keep the best; True when the patience is over."""
    row = {"step": run.step, **validator.score(run.ema, run.device)}
    append_row(out / "validation.csv", row)
    report(row)
    if not run.best or row["score"] > run.best["score"]:
        run.best = row
        save_checkpoint(out / BEST, run.state())
    patience = run.recipe.patience
    return bool(patience) and run.step - int(run.best["step"]) >= patience * run.recipe.validate_every


def _prepare_folder(out: Path, recipe: Recipe) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(recipe.to_dict(), indent=1)
        path = out / "recipe.json"
        if path.exists() and json.loads(path.read_text()) != json.loads(text):
            raise OutputError(f"{out} holds a run of another recipe; give another folder, or remove it")
        path.write_text(text)
        probe = out / "space.part"
        probe.write_bytes(bytes(200_000_000 if recipe.steps > 100 else 1))
        probe.unlink()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"the run's folder {out} cannot be written (200 MB are needed): {error}") from error


def data_lines(chips: Sequence[Chips]) -> list[str]:
    """One line for every source of the training data, with its licence, for the model's card."""
    lines = {
        f"{c.provenance['kind']}: {source['name']} ({source['licence']})"
        for c in chips
        for source in c.provenance["sources"]
    }
    return sorted(lines)


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a line to a CSV file, with a header when it is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, (float, np.floating)) else v for k, v in row.items()})
