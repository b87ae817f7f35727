"""Layers as Keras makes them: its batch norm, its starting weights, its leaky slope."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.3
BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.01  # Keras writes it 0.99: the share that stays
WEIGHT_STD = 0.02


class BatchNorm(nn.Module):
    """Batch norm over (n, channels, h, w).

    In training it takes the statistics of the batch, and a single value per channel too: that becomes the bias alone,
    and hands no gradient down. (At batch 1 this happens in the middle of the U-Net, whose innermost convolution
    therefore learns nothing. So it was in the prototype; Isola et al. say so of theirs in their errata.)

    In evaluation it takes the statistics of each image by itself, or the moving ones when `moving` is True.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, moving: bool = False) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return self._single(x)
        if self.training or moving:
            return F.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=self.training,
                momentum=BATCH_NORM_MOMENTUM,
                eps=BATCH_NORM_EPS,
            )
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        scale = self.weight[:, None, None] * torch.rsqrt(
            centred.square().mean(dim=(2, 3), keepdim=True) + BATCH_NORM_EPS
        )
        return centred * scale + self.bias[:, None, None]

    def _single(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.running_mean.lerp_(x[0, :, 0, 0].to(self.running_mean.dtype), BATCH_NORM_MOMENTUM)
            self.running_var.mul_(1 - BATCH_NORM_MOMENTUM)
        # x - x keeps the layers below in the graph, with gradients of zero, as Keras has them
        return ((x - x) * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class Down(nn.Module):
    """4 x 4 convolution that halves the size, batch norm, leaky ReLU."""

    def __init__(self, c_in: int, c_out: int, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False)
        self.norm = BatchNorm(c_out) if norm else None

    def forward(self, x: Tensor, moving: bool = False) -> Tensor:
        x = self.conv(x)
        return F.leaky_relu(x if self.norm is None else self.norm(x, moving), LEAKY_SLOPE)


class Up(nn.Module):
    """4 x 4 transposed convolution that doubles the size, batch norm, dropout in training, ReLU."""

    def __init__(self, c_in: int, c_out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False)
        self.norm = BatchNorm(c_out)
        self.dropout = dropout

    def forward(self, x: Tensor, moving: bool = False) -> Tensor:
        x = self.norm(self.conv(x), moving)
        if self.dropout and self.training:
            x = F.dropout(x, self.dropout)
        return F.relu(x)


def start_weights(net: nn.Module) -> None:
    """Convolutions from a normal distribution of standard deviation 0.02, their biases 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, WEIGHT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
