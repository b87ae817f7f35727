"""What the generator, its encoder and the judge want small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

JudgedScales = list[tuple[list[Tensor], Tensor]]


def judge_loss(real: JudgedScales, made: JudgedScales) -> Tensor:
    """Hinge loss, mean over the scales (Lim & Ye 2017, arXiv:1705.02894)."""
    terms = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for (_, r), (_, m) in zip(real, made, strict=True)]
    return torch.stack(terms).mean()


def pleasing_loss(made: JudgedScales) -> Tensor:
    """How far from being taken for true, mean over the scales."""
    return -torch.stack([logits.mean() for _, logits in made]).mean()


def matching_loss(real: JudgedScales, made: JudgedScales, n: int) -> Tensor:
    """Mean distance of the judge's features of the first `n` pictures, each layer by the size of its true features.

    Source
    ------
    Wang et al. (2018), arXiv:1711.11585, equation 4.
    """
    terms = []
    for (true_layers, _), (made_layers, _) in zip(real, made, strict=True):
        for true, other in zip(true_layers, made_layers, strict=True):
            true = true[:n].detach().float()
            terms.append((true - other[:n].float()).abs().mean() / (true.abs().mean() + 1e-3))
    return torch.stack(terms).mean()


def style_distance(made: list[Tensor], true: list[Tensor]) -> Tensor:
    """How far the means and spreads of features lie apart, over the size of the true ones; mean over layers.

    Parameters
    ----------
    made, true
        Layers of features, (n, c, h, w) each.

    Source
    ------
    Li et al. (2017), Demystifying neural style transfer, arXiv:1701.01036, equation 10, of absolute differences.
    """
    terms = []
    for one, other in zip(made, true, strict=True):
        moments = [torch.stack([x.mean(dim=(2, 3)), x.std(dim=(2, 3))]) for x in (one, other)]
        size = moments[1].abs().mean(dim=2, keepdim=True) + 1e-3
        terms.append(((moments[0] - moments[1]).abs() / size).mean())
    return torch.stack(terms).mean()


def colour_distance(made: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference where there is a picture: of pixels and of squares of 8 x 8 pixels, half each."""
    fine = ((made - true).abs() * valid).sum() / (3 * valid.sum()).clamp_min(1)
    coarse_valid = F.avg_pool2d(valid, 8)
    means = [F.avg_pool2d(t * valid, 8) / coarse_valid.clamp_min(1e-3) for t in (made, true)]
    coarse = ((means[0] - means[1]).abs() * coarse_valid).sum() / (3 * coarse_valid.sum()).clamp_min(1)
    return 0.5 * (fine + coarse)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the standard normal distribution, mean over pictures, nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()


def within(made: Tensor) -> Tensor:
    """Colours beyond 0 and 1 pressed to a tenth of their excess: white is white, but a way back remains."""
    inside = made.clamp(0, 1)
    return inside + 0.1 * (made - inside)
