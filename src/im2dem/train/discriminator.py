"""A net that tells true from made, and the losses of the game between the two nets.

Used by the recipe `pix2pix`, and offered to any other: a generator that also wants to please a `PatchGAN` makes relief
of the right texture, where a loss of distance alone blurs what the picture leaves open.

::

    judge = PatchGAN(in_channels=3 + 1)
    losses = hinge_losses(judge(image, truth), judge(image, made))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .pix2pix.layers import LEAKY_SLOPE, BatchNorm, Down, start_weights

RECEPTIVE_FIELD_PX = 70


class PatchGAN(nn.Module):
    """Whether each patch of 70 x 70 pixels is true (logit above 0) or made (below).

    Input: what was given, (n, c, h, w), and what is judged, (n, in_channels - c, h, w); output: logits
    (n, 1, h/8 - 2, w/8 - 2), 30 x 30 of 256 x 256. At least 24 px a side.

    Parameters
    ----------
    in_channels
        Channels of both inputs together.
    base
        Channels after the first step; 64 is the published net.

    Source
    ------
    Isola et al. (2017), arXiv:1611.07004, section 3.2.2, with the layers of the TensorFlow tutorial.
    """

    def __init__(self, in_channels: int, base: int = 64) -> None:
        super().__init__()
        self.downs = nn.ModuleList(
            (Down(in_channels, base, norm=False), Down(base, 2 * base), Down(2 * base, 4 * base))
        )
        self.conv = nn.Conv2d(4 * base, 8 * base, 4, 1, 1, bias=False)
        self.norm = BatchNorm(8 * base)
        self.last = nn.Conv2d(8 * base, 1, 4, 1, 1)
        start_weights(self)

    def forward(self, given: Tensor, judged: Tensor, moving: bool = False) -> Tensor:
        x = torch.cat([given, judged], dim=1)
        for down in self.downs:
            x = down(x, moving)
        x = F.leaky_relu(self.norm(self.conv(x), moving), LEAKY_SLOPE)
        judged_px: Tensor = self.last(x).float()
        return judged_px


class AdversarialLosses(NamedTuple):
    """What each side of the game wants small: scalars.

    With `made` not detached one pair of logits serves both; differentiate each loss by its own net's weights only
    (`torch.autograd.grad`), or detach `made` for the discriminator's step.
    """

    discriminator: Tensor
    generator: Tensor


def bce_losses(real_logits: Tensor, fake_logits: Tensor) -> AdversarialLosses:
    """Binary cross entropy; the generator wants to be taken for true (Isola et al. 2017, section 3.1 and 3.3)."""
    real = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
    fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    pleased = F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))
    return AdversarialLosses(real + fake, pleased)


def hinge_losses(real_logits: Tensor, fake_logits: Tensor) -> AdversarialLosses:
    """Hinge loss: logits beyond 1 on their right side cost nothing (Lim & Ye 2017, arXiv:1705.02894)."""
    return AdversarialLosses(F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean(), -fake_logits.mean())


def adversarial_gradient_weight(
    main_loss: Tensor, adversarial_loss: Tensor, last_weight: Tensor, most: float = 1e4
) -> Tensor:
    """The factor that makes the adversarial term pull as strongly as the main one on the generator's last layer.

    Parameters
    ----------
    main_loss, adversarial_loss
        Scalars of one graph, which is kept.
    last_weight
        Weight of the generator's last layer.
    most
        Upper limit, for steps where the discriminator gives no gradient.

    Returns
    -------
    Scalar without gradient, 0 to `most`; multiply it by the share that the term is to have.

    Source
    ------
    Esser et al. (2021), arXiv:2012.09841, equation 7.
    """
    (main,) = torch.autograd.grad(main_loss, last_weight, retain_graph=True)
    (adversarial,) = torch.autograd.grad(adversarial_loss, last_weight, retain_graph=True)
    weight: Tensor = (main.norm() / (adversarial.norm() + 1e-6)).clamp(0, most).detach()
    return weight
