"""What a prediction of relief is judged by while it learns."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.scaling import SLOPE_UNIT

from .batches import Batch
from .recipe import LossWeights
from .reliefnet import RIDGE_SPANS_PX, ReliefParts

# One metre on a 10 m pixel in slope units: below this, log-amplitudes are not told apart.
AMPLITUDE_FLOOR = 1e-3
# Relief that a coarse model leaves to the net: errors count in relation to it down to this many slope units.
GUIDED_FLOOR = 5e-3
GRADIENT_SCALES = (1, 2, 4, 8)
TRIM = 0.2


def masked_mean(x: Tensor, valid: Tensor) -> Tensor:
    """Mean of every chip over its valid pixels, shape (n,)."""
    return (x * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3)).clamp_min(1)


def normalise(relief: Tensor, valid: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Zero mean and unit mean absolute deviation over valid pixels; the deviation, shape (n,)."""
    centred = relief - masked_mean(relief, valid)[:, None, None, None]
    spread = masked_mean(centred.abs(), valid).clamp_min(floor)
    return centred / spread[:, None, None, None], spread


def gradient_loss(shape: Tensor, target: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of first differences at four scales, each scaled back to one pixel of that scale."""
    total = shape.new_zeros(())
    for scale in GRADIENT_SCALES:
        if scale > 1:
            shape, target, valid = (F.avg_pool2d(t, 2) for t in (shape, target, valid))
        whole = (valid > 0.99).float()
        for dim in (2, 3):
            dh = (_ahead(shape, dim) - _behind(shape, dim)) - (_ahead(target, dim) - _behind(target, dim))
            total = total + (weight * masked_mean(dh.abs(), _ahead(whole, dim) * _behind(whole, dim))).mean()
    return total / len(GRADIENT_SCALES)


def _ahead(t: Tensor, dim: int) -> Tensor:
    return t.narrow(dim, 1, t.shape[dim] - 1)


def _behind(t: Tensor, dim: int) -> Tensor:
    return t.narrow(dim, 0, t.shape[dim] - 1)


def slopes(relief: Tensor) -> Tensor:
    """Slopes (rise over run) along rows and columns of relief in slope units, shape (n, 2, h - 2, w - 2)."""
    rise = relief * SLOPE_UNIT
    along_x = (rise[:, :, 1:-1, 2:] - rise[:, :, 1:-1, :-2]) / 2
    along_y = (rise[:, :, 2:, 1:-1] - rise[:, :, :-2, 1:-1]) / 2
    return torch.cat([along_x, along_y], dim=1)


def ridge_lines(relief: Tensor, valid: Tensor) -> Tensor:
    """How far pixels stand above (ridges, towards 1) or below (valleys, towards -1) the land about them.

    Parameters
    ----------
    relief, valid
        (n, 1, h, w), any unit; 1 where there is truth.

    Returns
    -------
    (n, 2, h, w), one channel for each side of `RIDGE_SPANS_PX`.

    Source
    ------
    The topographic position index of Weiss (2001), ESRI user conference: height less the mean of the neighbourhood,
    here over its standard deviation in the chip and bent to -1..1.
    """
    channels = []
    for side in RIDGE_SPANS_PX:
        pool = partial(F.avg_pool2d, kernel_size=side, stride=1, padding=side // 2, count_include_pad=False)
        above = (relief - pool(relief * valid) / pool(valid).clamp_min(1e-3)) * valid
        spread = masked_mean(above**2, valid).sqrt().clamp_min(1e-6)[:, None, None, None]
        channels.append(torch.tanh(above / spread))
    return torch.cat(channels, dim=1)


def relief_loss(
    parts: ReliefParts, batch: Batch, weights: LossWeights, relief_floor_m: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The training loss and its terms.

    Parameters
    ----------
    parts
        Of `ReliefNet.parts`.
    batch
        Truth in slope units; with a guide, what is judged is the net's own part.
    weights
        Of the terms.
    relief_floor_m
        Chips count std / (std + this) where the shape is judged.
    """
    shape_raw, log_amplitude, log_b, lines = parts
    valid = batch.valid
    shape, own_spread = normalise(shape_raw, valid, 1e-3)
    relief = batch.target
    target, spread = normalise(relief, valid, AMPLITUDE_FLOOR)
    relief_m = spread * SLOPE_UNIT * batch.gsd_m * 1.25
    weight = relief_m / (relief_m + relief_floor_m)
    error = (shape - target).abs() * valid
    flat = error.flatten(1)
    kept, _ = flat.topk(int(flat.shape[1] * (1 - TRIM)), dim=1, largest=False)
    shape_term = (weight * kept.sum(1) / (valid.sum(dim=(1, 2, 3)) * (1 - TRIM)).clamp_min(1)).mean()

    log_spread = log_amplitude[:, 0] + own_spread.log()
    amplitude_term = (log_spread - spread.log()).abs().mean()
    predicted = shape * log_spread.exp()[:, None, None, None]
    inner = F.max_pool2d(1 - valid, 3, 1, 1)[:, :, 1:-1, 1:-1] < 0.5
    inner_weight = weight[:, None, None, None] * inner.float()
    p, z = slopes(shape * spread[:, None, None, None]), slopes(relief)
    cosine = (1 + (p * z).sum(1, keepdim=True)) / (
        (1 + (p**2).sum(1, keepdim=True)) * (1 + (z**2).sum(1, keepdim=True))
    ).sqrt()
    normal_term = ((1 - cosine) * inner_weight).sum() / inner.float().sum().clamp_min(1)
    p = slopes(predicted)
    steep = ((p**2).sum(1, keepdim=True) + 1e-6).sqrt() - ((z**2).sum(1, keepdim=True) + 1e-6).sqrt()
    slope_term = (steep.abs() * inner.float()).sum() / inner.float().sum().clamp_min(1)

    scale = log_amplitude.detach()[:, :, None, None] + log_b
    dh = (predicted.detach() - relief).abs()
    laplace_term = masked_mean(dh * (-scale).exp() + log_b, valid).mean()
    # with heights to go by, the amplitude is no guess: the part that the net adds must fit as it is
    is_guided = (batch.guide[:, 1::2].amax(dim=(1, 2, 3)) > 0).float() if batch.guide.shape[1] else 0 * spread
    misfit = masked_mean((predicted - relief).abs(), valid) / (spread + GUIDED_FLOOR)
    terms = {
        "guided": (is_guided * misfit).mean(),
        "shape": shape_term,
        "gradient": gradient_loss(shape, target, valid, weight),
        "normal": normal_term,
        "amplitude": amplitude_term,
        "laplace": laplace_term,
        "slope": slope_term,
    }
    if lines.shape[1]:
        off = (lines - ridge_lines(relief, valid)).abs().mean(1, keepdim=True)
        terms["ridges"] = (weight * masked_mean(off, valid)).mean()
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return total, {name: term.detach() for name, term in terms.items()}
