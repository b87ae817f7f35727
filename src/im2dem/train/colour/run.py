"""The state of a run, and one step of it."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from im2dem.core.errors import InputError
from im2dem.runtime.colouring_condition import VARIETY_SIZE
from im2dem.train.lite0 import LiteEncoder
from im2dem.train.loop import NotFiniteError
from im2dem.train.placing import placed

from .data import Batch
from .losses import colour_distance, divergence, judge_loss, matching_loss, pleasing_loss, style_distance, within
from .metrics import INPUT_MEAN, INPUT_STD, perceptual_distance
from .nets import ColourNet, Encoder, Judge, draw_noise, see
from .recipe import ColourRecipe, colour_recipe

LOSSES = ("total", "l1", "matching", "adversarial", "divergence", "variety", "perceptual", "style", "judge")
BETAS = (0.5, 0.99)
WARM_UP_STEPS = 200
# Constant until here, then in a straight line to a twentieth.
CONSTANT_SHARE = 0.55
CLIP = 5.0


class ColourRun:
    """Generator, averaged generator, encoder, judge, both optimisers, step and minutes spent.

    Parameters
    ----------
    recipe
        Sizes and weights.
    device
        Where the nets are.
    """

    def __init__(self, recipe: ColourRecipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.net = placed(ColourNet(recipe), device)
        self.ema = deepcopy(self.net).eval().requires_grad_(False)
        self.encoder = Encoder().to(device)
        self.judge = placed(Judge(recipe.judge_base), device)
        has_looks = recipe.perceptual > 0 or recipe.style > 0
        self.looks = placed(LiteEncoder().eval().requires_grad_(False), device) if has_looks else None
        makers = [*self.net.parameters(), *self.encoder.parameters()]
        self.optimisers = (
            torch.optim.Adam(makers, lr=recipe.learning_rate, betas=BETAS),
            torch.optim.Adam(self.judge.parameters(), lr=recipe.judge_rate, betas=BETAS),
        )
        self.step, self.minutes = 0, 0.0

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "recipe": self.recipe.to_dict(),
            "net": self.net.state_dict(),
            "ema": self.ema.state_dict(),
            "encoder": self.encoder.state_dict(),
            "judge": self.judge.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "minutes": self.minutes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        for net, key in ((self.net, "net"), (self.ema, "ema"), (self.encoder, "encoder"), (self.judge, "judge")):
            net.load_state_dict(state[key])
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        self.step, self.minutes = state["step"], state["minutes"]

    def weights(self, sources: list[str], varieties: dict[str, list[list[float]]]) -> dict[str, Any]:
        """What predicts: the averaged generator with its recipe, the usual varieties, the sources of the data."""
        return {
            "recipe": self.recipe.to_dict(),
            "generator": self.ema.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "sources": sources,
            "varieties": varieties,
        }

    def progress(self) -> float:
        """Share of the run that is done, 0 to 1, by steps or by the clock, whichever is further."""
        recipe = self.recipe
        spent = self.minutes / recipe.minutes if recipe.minutes > 0 else 0.0
        return min(max(self.step / recipe.steps, spent), 1.0)

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One update of all nets; the losses before it, as tensors, so that the device need not be waited for."""
        recipe = self.recipe
        factor = min((self.step + 1) / WARM_UP_STEPS, 1.0, max(1 - (self.progress() - CONSTANT_SHARE) * 2.1, 0.05))
        for optimiser, rate in zip(self.optimisers, (recipe.learning_rate, recipe.judge_rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        chance = torch.Generator(device=self.device)
        chance.manual_seed(recipe.seed * 7_000_003 + self.step + 1_000_000_007)
        n = len(batch.dem)
        told = n // 2 if recipe.has_judge else n
        noise = draw_noise(n, batch.dem.shape[-1], chance)
        free = torch.randn(n, VARIETY_SIZE, generator=chance, device=self.device)
        with torch.no_grad():
            relief, light = see(self.net.features, batch.dem, batch.condition)
        seen = torch.cat([relief, light], dim=1)
        true = batch.rgb * batch.valid
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.bf16):
            mean, log_variance = self.encoder(true[:told])
            known = mean + free[:told] * torch.exp(0.5 * log_variance)
            raw = self.net.paint(relief, light, batch.condition, torch.cat([known, free[told:]]), noise)
            made = within(raw) * batch.valid
            terms = {
                "l1": colour_distance(raw[:told], true[:told], batch.valid[:told]),
                "divergence": divergence(mean, log_variance),
                **self._likeness(made[:told], true[:told]),
            }
            game = torch.zeros((), device=self.device)
            if recipe.has_judge:
                game = self._judge_step(true, made.detach(), seen, batch.condition)
                terms |= self._judged(made, true, seen, batch.condition)
                found, _ = self.encoder(made[told:])
                terms["variety"] = (found - free[told:]).abs().mean()
        total = torch.stack([getattr(recipe, key) * term for key, term in terms.items()]).sum()
        self.optimisers[0].zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimisers[0].param_groups for p in g["params"]], CLIP)
        self.optimisers[0].step()
        for weight in self.judge.parameters():
            weight.requires_grad_(True)
        self._average()
        self.step += 1
        none = dict.fromkeys(LOSSES, torch.zeros((), device=self.device))
        return none | {"total": total.detach(), **{k: v.detach() for k, v in terms.items()}, "judge": game}

    def _likeness(self, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Distances in the features of an ImageNet network; empty where the recipe has none."""
        if self.looks is None:
            return {}
        with torch.no_grad():
            wanted = [layer.float() for layer in self.looks((true - INPUT_MEAN) / INPUT_STD)]
        found = [layer.float() for layer in self.looks((made - INPUT_MEAN) / INPUT_STD)]
        return {"perceptual": perceptual_distance(found, wanted).mean(), "style": style_distance(found, wanted)}

    def _judged(self, made: Tensor, true: Tensor, seen: Tensor, condition: Tensor) -> dict[str, Tensor]:
        """What the judge says, who learns nothing from it."""
        told = len(made) // 2
        for weight in self.judge.parameters():
            weight.requires_grad_(False)
        judged = self.judge(made, seen, condition)
        with torch.no_grad():
            wanted = self.judge(true[:told], seen[:told], condition[:told])
        return {"matching": matching_loss(wanted, judged, told), "adversarial": pleasing_loss(judged)}

    def _judge_step(self, true: Tensor, made: Tensor, seen: Tensor, condition: Tensor) -> Tensor:
        n = len(true)
        both = self.judge(torch.cat([true, made]), seen.repeat(2, 1, 1, 1), condition.repeat(2, 1))
        parts = [[(layers, logits[:n]) for layers, logits in both], [(layers, logits[n:]) for layers, logits in both]]
        loss = judge_loss(*parts)
        self.optimisers[1].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[1].step()
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        own: list[Tensor] = list(self.net.parameters())
        averaged: list[Tensor] = list(self.ema.parameters())
        torch._foreach_lerp_(averaged, own, 1 - decay)


def check_finite(losses: dict[str, float], step: int) -> None:
    """Raise where a loss is no number.

    Raises
    ------
    NotFiniteError
        A loss is NaN or infinite.
    """
    if not all(map(math.isfinite, losses.values())):
        raise NotFiniteError(f"the losses are {losses} at step {step}")


def load_generator(path: Any) -> tuple[ColourNet, dict[str, Any]]:
    """The generator of a generator.pt on the CPU, ready to predict, and the other values of the file.

    Raises
    ------
    InputError
        The file is not there, or holds no such generator.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        net = ColourNet(colour_recipe(state["recipe"]))
        net.load_state_dict(state["generator"])
    except Exception as error:  # torch raises what its unpickler, its zip reader and the system raise
        raise InputError(f"{path} holds no generator of a run of kind 'colour': {error}") from error
    return net.eval(), state
