"""An optional opponent of the relief net: relief must also look true beside its picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .batches import Batch
from .discriminator import PatchGAN, adversarial_gradient_weight, hinge_losses
from .losses import AMPLITUDE_FLOOR, normalise
from .placing import placed
from .reliefnet import ReliefParts

LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
BASE = 32


class Adversary:
    """A PatchGAN that sees a picture and its relief, both nets scaled to the true relief's spread.

    Parameters
    ----------
    share
        How strongly the generator is pulled, relative to all its other terms together.
    device
        Where the nets are.

    Source
    ------
    Isola et al. (2017), arXiv:1611.07004; the weight as in Esser et al. (2021), arXiv:2012.09841, equation 7.
    """

    def __init__(self, share: float, device: torch.device) -> None:
        self.share = share
        self.judge = placed(PatchGAN(3 + 1, base=BASE), device)
        self.optimiser = torch.optim.Adam(self.judge.parameters(), lr=LEARNING_RATE, betas=BETAS)

    def pull(self, parts: ReliefParts, batch: Batch, loss: Tensor, last_weight: Tensor) -> Tensor:
        """What the generator adds to its loss."""
        made, truth = _judged(parts, batch)
        generator = hinge_losses(self.judge(batch.image, truth), self.judge(batch.image, made)).generator
        return self.share * adversarial_gradient_weight(loss, generator, last_weight) * generator

    def learn(self, parts: ReliefParts, batch: Batch) -> Tensor:
        """One step of the judge; its loss."""
        made, truth = _judged(parts, batch)
        real, fake = self.judge(batch.image, truth), self.judge(batch.image, made.detach())
        loss = hinge_losses(real, fake).discriminator
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """Everything that its next step depends on."""
        return {"judge": self.judge.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.judge.load_state_dict(state["judge"])
        self.optimiser.load_state_dict(state["optimiser"])


def _judged(parts: ReliefParts, batch: Batch) -> tuple[Tensor, Tensor]:
    shape, log_amplitude = parts.shape, parts.log_amplitude
    truth, spread = normalise(batch.target, batch.valid, AMPLITUDE_FLOOR)
    made = shape * log_amplitude.exp()[:, :, None, None] / spread[:, None, None, None]
    return made * batch.valid, truth * batch.valid
