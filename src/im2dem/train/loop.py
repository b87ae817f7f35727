"""The training loop: flat, resumable at any step, everything it reads in one checkpoint."""

from __future__ import annotations

import math
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from im2dem.core.errors import Im2DemError, UsageError
from im2dem.dataset.training_data import TrainingData

from .adversary import Adversary
from .batches import Batch, Sampler
from .feed import make_feed
from .from_model import sources_of_model, start_from_model
from .interrupt import Interrupt
from .journal import BEST, CHECKPOINT, Journal, Reporter, Silent
from .losses import relief_loss
from .placing import placed
from .recipe import Recipe, recipe_from_dict
from .reliefnet import ReliefNet, ReliefParts
from .resident import ResidentSampler
from .validate import Validator

LOG_EVERY = 50
# Batches on which normalisations are measured when a run starts from an exported model.
MEASURED_BATCHES = 12


class NotFiniteError(Im2DemError, ArithmeticError):
    """The loss is NaN or infinite; the batch is saved beside the checkpoint."""


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to 2 % of the peak."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / max(recipe.steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Parts(nn.Module):
    """The net seen by the loss: shape, amplitude and sigma apart."""

    def __init__(self, net: ReliefNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, condition: Tensor, guide: Tensor | None) -> ReliefParts:
        return self.net.parts(image, condition, guide)


class Run:
    """The state of a training run: net, averaged net, optimiser, step.

    Parameters
    ----------
    recipe
        Sizes and schedule.
    device
        Where the net is.
    accelerator
        Precision and gradients of several processes; None: one process in float32, for looking at a run.
    """

    def __init__(self, recipe: Recipe, device: torch.device, accelerator: Accelerator | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.accelerator = recipe, device, accelerator
        self.net = placed(ReliefNet(recipe.network), device)
        self.ema = deepcopy(self.net).eval().requires_grad_(False)
        decay = [p for p in self.net.parameters() if p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate)
        self.parts: nn.Module = Parts(self.net)
        if accelerator is not None:
            self.parts = accelerator.prepare_model(self.parts)
        self.adversary: Adversary | None = None
        if recipe.loss.adversarial > 0:
            if accelerator is not None and accelerator.num_processes > 1:
                raise UsageError("loss.adversarial works in one process alone; set it to 0 or launch one")
            self.adversary = Adversary(recipe.loss.adversarial, device)
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
            "adversary": self.adversary.state() if self.adversary else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.net.load_state_dict(state["net"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]
        if self.adversary:
            self.adversary.restore(state["adversary"])

    def start_from(self, path: Path) -> None:
        """Take up the weights of another run, and nothing else of it."""
        weights = read_checkpoint(path, self.device)["ema"]
        self.net.load_weights(weights)
        self.ema.load_weights(weights)

    def start_from_model(self, name_or_path: Path, sampler: Sampler | ResidentSampler) -> None:
        """Take up the weights of an exported model."""
        batches = (sampler.batch(step).to(self.device) for step in range(MEASURED_BATCHES))
        start_from_model(self.net, name_or_path, batches)
        self.ema.load_state_dict(self.net.state_dict())

    def train_step(self, batch: Batch) -> tuple[float, dict[str, Tensor]]:
        """One update; returns the loss and its terms."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, recipe)
        self.net.train()
        parts = self.parts(batch.image, batch.condition, batch.guide_or_none)
        loss, terms = relief_loss(parts, batch, recipe.loss, recipe.relief_floor_m)
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the loss is {loss.item()} at step {self.step}")
        total = loss
        if self.adversary:
            total = loss + self.adversary.pull(parts, batch, loss, self.net.head.weight)
        self.optimiser.zero_grad(set_to_none=True)
        if self.accelerator is None:
            total.backward()
        else:
            self.accelerator.backward(total)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip)
        self.optimiser.step()
        self._average(min(recipe.ema, (1 + self.step) / (10 + self.step)))
        if self.adversary:
            terms["judge"] = self.adversary.learn(parts, batch)
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


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The plain values of a checkpoint file.

    Raises
    ------
    UsageError
        The file is not there, or is no checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises what its unpickler, its zip reader and the system raise
        raise UsageError(f"{path} is not a checkpoint of `im2dem train`: {error}") from error
    return state


def load_run(path: Path, device: torch.device, accelerator: Accelerator | None = None) -> Run:
    """A run from its checkpoint file."""
    state = read_checkpoint(path, device)
    try:
        run = Run(recipe_from_dict(state["recipe"]), device, accelerator)
        run.restore(state)
    except Im2DemError:
        raise
    except Exception as error:  # torch raises what it likes where sizes, names and types are not those of the nets
        raise UsageError(f"{path} does not fit the nets of its recipe: {error}") from error
    return run


def make_accelerator(bf16: bool) -> Accelerator:
    """The accelerator of this process; `accelerate launch` makes it one of several."""
    precision = "bf16" if bf16 else "no"
    if AcceleratorState._shared_state.get("_mixed_precision", precision) != precision:
        AcceleratorState._reset_state()  # another run of this process used another precision
    return Accelerator(mixed_precision=precision)


def train(
    recipe: Recipe,
    data: TrainingData,
    out: Path,
    reporter: Reporter | None = None,
    start: Path | None = None,
    stop_at: int | None = None,
) -> Run:
    """Train, or go on where `out` left off.

    Parameters
    ----------
    recipe
        What to do; must equal the one in `out` when resuming.
    data
        Packs to train on and to choose by.
    out
        Folder of the run, see `journal`.
    reporter
        Told every step and every logged row.
    start
        Weights to start from (fine-tuning): a checkpoint of another run, the folder of a model, or the name of one
        that ships.
    stop_at
        Stop early at this step, as an interruption would.

    Raises
    ------
    OutputError
        The folder cannot be written.
    UsageError
        `start` is no checkpoint, or one of a net of other sizes; several processes with an adversarial term.
    NotFiniteError
        The loss is NaN; the batch is in ``out/bad-batch.pt``.
    KeyboardInterrupt
        After a checkpoint was written.
    """
    reporter = reporter or Silent()
    accelerator = make_accelerator(recipe.bf16)
    device = accelerator.device
    torch.backends.cudnn.benchmark = True  # all batches are of one size
    journal = Journal(out, recipe.to_dict(), accelerator.is_main_process)
    is_model = start is not None and not start.is_file()
    inherited = sources_of_model(start) if start is not None and is_model else ()
    journal.note_data([*data.real, *data.rendered], data.files, inherited)
    checkpoint = out / CHECKPOINT
    is_begun = checkpoint.exists()
    run = load_run(checkpoint, device, accelerator) if is_begun else Run(recipe, device, accelerator)
    if is_begun:
        journal.go_on_from(run.step)
    sampler = (
        ResidentSampler(data.real, data.rendered, recipe, device)
        if recipe.resident
        else Sampler(data.real, data.rendered, recipe)
    )
    if start is not None and not is_begun:
        if is_model:
            run.start_from_model(start, sampler)
        else:
            run.start_from(start)
    validator = Validator(data.held_out) if data.held_out and accelerator.is_main_process else None
    last = recipe.steps if stop_at is None else min(stop_at, recipe.steps)
    feed = make_feed(sampler, run.step, last, device, (accelerator.process_index, accelerator.num_processes))
    began, first, saved = time.monotonic(), run.step, run.step if is_begun else -1
    with Interrupt() as interrupt:
        for batch in feed:
            try:
                loss, terms = run.train_step(batch)
            except NotFiniteError:
                torch.save({"batch": batch.__dict__, "state": run.state()}, out / "bad-batch.pt")
                raise
            reporter.step(run.step, recipe.steps)
            if run.step % LOG_EVERY == 0:
                spent = time.monotonic() - began
                row = {"step": run.step, "loss": loss, **{k: float(v) for k, v in terms.items()}}
                row["chips_per_s"] = (run.step - first) * recipe.batch * accelerator.num_processes / spent
                row["loader_share"] = feed.waited_s / spent
                journal.log("log", row)
                reporter.row(row)
            if run.step % recipe.validate_every == 0 or run.step == recipe.steps:
                is_over = validator is not None and _validate(run, validator, journal, reporter)
                journal.save(CHECKPOINT, run.state())
                saved = run.step
                if _any(is_over, accelerator):
                    break
            if interrupt.is_asked:
                break
    if run.step != saved:
        journal.save(CHECKPOINT, run.state())
    journal.close()
    if interrupt.is_asked:
        raise KeyboardInterrupt
    return run


def _any(is_over: bool, accelerator: Accelerator) -> bool:
    """Whether any process says so; only the first one validates."""
    if accelerator.num_processes == 1:
        return is_over
    flag = torch.tensor(float(is_over), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item())


def _validate(run: Run, validator: Validator, journal: Journal, reporter: Reporter) -> bool:
    """Score the averaged weights, keep the best; True when the patience is over."""
    row = {"step": run.step, **validator.score(run.ema, run.device)}
    journal.log("validation", row)
    journal.snapshot(run.step, validator.snapshot(run.ema, run.device))
    reporter.row(row)
    if not run.best or row["score"] > run.best["score"]:
        run.best = row
        journal.save(BEST, run.state())
    patience = run.recipe.patience
    return bool(patience) and run.step - int(run.best["step"]) >= patience * run.recipe.validate_every
