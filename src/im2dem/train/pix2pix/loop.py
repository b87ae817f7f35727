"""The training loop of the prototype's conditional GAN: flat, resumable at any step.

One step, as in the TensorFlow tutorial: the generator makes an image, the discriminator judges the true and the made
one beside what was given, both gradients are taken before either net moves, then both move. Order of tiles, dropout and
jitter are functions of (seed, epoch) and (seed, step), so that a run that was killed goes on with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from im2dem.core.errors import InputError, UsageError
from im2dem.io.atomic import require_space
from im2dem.train.discriminator import PatchGAN, bce_losses
from im2dem.train.interrupt import Interrupt
from im2dem.train.journal import BEST, CHECKPOINT, Journal, Reporter, Silent
from im2dem.train.loop import NotFiniteError
from im2dem.train.placing import placed

from .data import HeightScale, Pix2PixData, epoch_order, load_tiles, make_batch
from .generator import Generator
from .recipe import Pix2PixRecipe, pix2pix_recipe
from .validate import score, snapshot

LOG_EVERY = 50
ADAM_BETA2 = 0.999
ADAM_EPS = 1e-7  # that of Keras; torch's own is 1e-8
LOSSES = ("generator", "gan", "l1", "discriminator")


class Pix2PixRun:
    """The state of a run: both nets, both optimisers, step.

    Parameters
    ----------
    recipe
        Sizes and schedule.
    scale
        Of the heights.
    gsd_range_m
        Least and largest pixel size of the training tiles, metres.
    device
        Where the nets are.
    """

    def __init__(
        self, recipe: Pix2PixRecipe, scale: HeightScale, gsd_range_m: tuple[float, float], device: torch.device
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.scale, self.gsd_range_m, self.device = recipe, scale, gsd_range_m, device
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        c_in, c_out = recipe.channels
        self.generator = placed(Generator(c_in, c_out, recipe.base), device, layout)
        self.discriminator = placed(PatchGAN(c_in + c_out, recipe.base), device, layout)
        self.optimisers = tuple(
            torch.optim.Adam(net.parameters(), lr=recipe.learning_rate, betas=(recipe.beta1, ADAM_BETA2), eps=ADAM_EPS)
            for net in (self.generator, self.discriminator)
        )
        self.layout = layout
        self.step = 0
        self.best: dict[str, Any] = {}
        self.sums = dict.fromkeys(LOSSES, 0.0)
        self.counted = 0

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            **self.weights(),
            "discriminator": self.discriminator.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "sums": self.sums,
            "counted": self.counted,
        }

    def weights(self) -> dict[str, Any]:
        """What a prediction depends on: a third of the state, kept of the best epoch."""
        return {
            "recipe": self.recipe.to_dict(),
            "scale": {"low": self.scale.low, "high": self.scale.high, "unit": self.scale.unit},
            "gsd_range_m": list(self.gsd_range_m),
            "generator": self.generator.state_dict(),
            "step": self.step,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state.

        Raises
        ------
        UsageError
            The state is of a run on other heights.
        """
        if HeightScale(**state["scale"]) != self.scale:
            raise UsageError(
                f"the run learned from heights of {state['scale']}, the data given now have {self.scale}; "
                "give the same files, or another --out"
            )
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        self.step, self.best = state["step"], state["best"]
        self.sums, self.counted = dict(state["sums"]), state["counted"]

    def train_step(self, given: Tensor, wanted: Tensor) -> dict[str, float]:
        """One update of both nets; the losses before it.

        Raises
        ------
        NotFiniteError
            A loss is NaN or infinite; the nets are as they were, but for their moving statistics.
        """
        recipe = self.recipe
        torch.manual_seed(_step_seed(recipe.seed, self.step))  # of the dropout
        given, wanted = (t.to(self.device, memory_format=self.layout) for t in (given, wanted))
        self.generator.train()
        self.discriminator.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bf16):
            made = self.generator(given)
            real_logits, fake_logits = self.discriminator(given, wanted), self.discriminator(given, made)
        game = bce_losses(real_logits, fake_logits)
        l1 = (wanted - made).abs().mean()
        total = game.generator + recipe.l1_weight * l1
        values = [loss.item() for loss in (total, game.generator, l1, game.discriminator)]
        losses = dict(zip(LOSSES, values, strict=True))
        if not all(map(math.isfinite, values)):
            raise NotFiniteError(f"the losses are {losses} at step {self.step}")
        self._gradients(self.generator, total, keep=True)
        self._gradients(self.discriminator, game.discriminator, keep=False)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        return losses

    def log_row(self, losses: dict[str, float]) -> None:
        """Count the losses of a step into the next row of log.csv."""
        self.sums = {key: self.sums[key] + value for key, value in losses.items()}
        self.counted += 1

    def pop_row(self) -> dict[str, float]:
        """Mean losses since the row before."""
        row = {key: value / max(self.counted, 1) for key, value in self.sums.items()}
        self.sums, self.counted = dict.fromkeys(LOSSES, 0.0), 0
        return row

    @staticmethod
    def _gradients(net: nn.Module, loss: Tensor, keep: bool) -> None:
        weights = list(net.parameters())
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights, retain_graph=keep), strict=True):
            weight.grad = gradient


def train_pix2pix(
    recipe: Pix2PixRecipe,
    data: Sequence[Path],
    out: Path,
    reporter: Reporter | None = None,
    stop_at: int | None = None,
) -> Pix2PixRun:
    """Train, or go on where `out` left off.

    Parameters
    ----------
    recipe
        What to do; must equal the one in `out` when going on.
    data
        Files .npz, all of the prototype's format or all packs of chips; those named val-* choose the best weights.
    out
        Folder of the run, see `im2dem.train.journal`; best.pt holds the generator alone.
    reporter
        Told every step and every logged row.
    stop_at
        Stop early at this step, as an interruption would.

    Raises
    ------
    InputError
        The data cannot be used.
    OutputError
        The folder cannot be written or has no room for the checkpoints.
    UsageError
        The folder holds a run on other data.
    NotFiniteError
        A loss is NaN; the batch is in ``out/bad-batch.pt``.
    KeyboardInterrupt
        After a checkpoint was written.
    """
    reporter = reporter or Silent()
    tiles = load_tiles(data, recipe.least_valid)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gsd_range_m = (float(tiles.train.gsd_m.min()), float(tiles.train.gsd_m.max()))
    run = Pix2PixRun(recipe, tiles.scale, gsd_range_m, device)
    journal = Journal(out, recipe.to_dict())
    journal.note_data((), [str(path.resolve()) for path in data])
    (out / "data.txt").write_text("\n".join(tiles.sources) + "\n", encoding="utf-8")
    if (out / CHECKPOINT).exists():
        run.restore(read_state(out / CHECKPOINT, device))
        journal.go_on_from(run.step)
    require_space(out / CHECKPOINT, _bytes_of(run))
    an_epoch = -(-len(tiles.train) // recipe.batch)
    last = recipe.epochs * an_epoch
    until = last if stop_at is None else min(stop_at, last)
    began, first, saved = time.monotonic(), run.step, -1
    with Interrupt() as interrupt:
        while run.step < until and not interrupt.is_asked:
            epoch, at = divmod(run.step, an_epoch)
            which = epoch_order(len(tiles.train), recipe.seed, epoch)[at * recipe.batch : (at + 1) * recipe.batch]
            jitter = np.random.default_rng([recipe.seed, run.step]) if recipe.jitter else None
            given, wanted = make_batch(tiles.train, which, tiles.scale, recipe.direction, jitter)
            try:
                run.log_row(run.train_step(given, wanted))
            except NotFiniteError:
                torch.save({"given": given, "wanted": wanted, "state": run.state()}, out / "bad-batch.pt")
                raise
            reporter.step(run.step, last)
            is_epoch = run.step % an_epoch == 0
            if is_epoch or run.step % LOG_EVERY == 0:
                row = {"step": run.step, "epoch": (run.step - 1) // an_epoch + 1, **run.pop_row()}
                row["chips_per_s"] = (run.step - first) * recipe.batch / (time.monotonic() - began)
                journal.log("log", row)
                reporter.row(row)
            if is_epoch:
                is_over = _validate(run, tiles, journal, reporter, run.step // an_epoch)
                journal.save(CHECKPOINT, run.state())
                saved = run.step
                if is_over:
                    break
    if run.step != saved:
        journal.save(CHECKPOINT, run.state())
    journal.close()
    if interrupt.is_asked:
        raise KeyboardInterrupt
    return run


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """The values of a checkpoint, or of a best.pt.

    Raises
    ------
    InputError
        The file is not there, or is no checkpoint of such a run.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises what its unpickler, its zip reader and the system raise
        raise InputError(f"{path} is no checkpoint of `im2dem train`: {error}") from error
    if "generator" not in state:
        raise InputError(f"{path} is a checkpoint of another kind of recipe, not of pix2pix")
    return state


def load_generator(path: Path) -> tuple[Generator, dict[str, Any]]:
    """The generator of a checkpoint or a best.pt, on the CPU, ready to predict; and the other values of the file.

    Raises
    ------
    InputError
        The file is not there, or is no checkpoint of such a run.
    """
    state = read_state(path, torch.device("cpu"))
    recipe = pix2pix_recipe(state["recipe"])
    generator = Generator(*recipe.channels, recipe.base)
    generator.load_state_dict(state["generator"])
    return generator.eval(), state


def _validate(run: Pix2PixRun, tiles: Pix2PixData, journal: Journal, reporter: Reporter, epoch: int) -> bool:
    """Score the held-out tiles, keep the best; True when the patience is over."""
    if not len(tiles.held_out):
        return False
    row = {"step": run.step, "epoch": epoch, **score(run.generator, tiles, run.recipe, run.device)}
    journal.log("validation", row)
    journal.snapshot(run.step, snapshot(run.generator, tiles, run.recipe, run.device))
    reporter.row(row)
    if not run.best or row["l1"] < run.best["l1"]:
        run.best = row
        journal.save(BEST, run.weights())
    return bool(run.recipe.patience) and epoch - int(run.best["epoch"]) >= run.recipe.patience


def _step_seed(seed: int, step: int) -> int:
    (drawn,) = np.random.SeedSequence([seed, step]).generate_state(1).tolist()
    return int(drawn)


def _bytes_of(run: Pix2PixRun) -> int:
    """Room for a checkpoint and its successor, and for two best.pt: weights and two moments of both nets."""
    generator, discriminator = (
        4 * sum(p.numel() for p in net.parameters()) for net in (run.generator, run.discriminator)
    )
    return 2 * 3 * (generator + discriminator) + 2 * generator
