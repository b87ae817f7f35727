"""Heights from slopes: the surface whose slopes come nearest to those that a net sees, in the sense of least squares.

Light shows slopes, not heights. A convolution that is to make a mountain of them must carry them across the picture,
farther than it sees; this layer does so exactly, without a weight. The sum of squares is least for the solution of
Poisson's equation with free edges, which is a division in the domain of cosines.

Source
------
Frankot and Chellappa (1988), IEEE PAMI 10(4), 439-451, equation 21; with cosines instead of a period, as in Simchony et
al. (1990), IEEE PAMI 12(5), 435-446.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Slopes are averaged over squares of so many pixels before they are summed up: what is finer, the net draws itself.
CELL_PX = 8


def integrate(slopes: Tensor) -> Tensor:
    """Heights of zero mean.

    Parameters
    ----------
    slopes
        (n, 2, h, w), float32: rise from cell to cell along columns (to the right) and along rows (downwards).

    Returns
    -------
    (n, 1, h, w), in the unit of the rise.
    """
    height, width = slopes.shape[-2:]
    cos_x, sin_x, k_x, norm_x = _waves(width, slopes)
    cos_y, sin_y, k_y, norm_y = _waves(height, slopes)
    along_x = cos_y @ slopes[:, :1] @ sin_x.T
    along_y = sin_y @ slopes[:, 1:] @ cos_x.T
    square = k_y[:, None] ** 2 + k_x[None, :] ** 2
    level = (square == 0).to(square)  # the mean height, which slopes do not tell
    amplitude = -(k_x[None, :] * along_x + k_y[:, None] * along_y) / (square + level)
    heights: Tensor = cos_y.T @ (amplitude * (norm_y[:, None] * norm_x[None, :])) @ cos_x
    return heights


def _waves(n: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cosines and sines (wave, cell), their numbers in radians a cell, and what makes the cosines orthonormal."""
    cell = torch.arange(n, device=like.device, dtype=like.dtype)
    k = cell * (math.pi / n)
    phase = k[:, None] * (cell[None, :] + 0.5)
    norm = (2 - (cell == 0).to(like)) / n
    return torch.cos(phase), torch.sin(phase), k, norm


class Integral(nn.Module):
    """Long waves of relief from the slopes that features show; without effect until it has learned.

    Input: features (n, c, h / 2, w / 2) of a picture of h by w pixels. Output: (n, 1, h, w), slope units.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slopes = nn.Conv2d(channels, 2, 3, 1, 1, padding_mode="replicate")
        for parameter in self.slopes.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        slopes = F.avg_pool2d(self.slopes(features).float(), CELL_PX // 2)
        with torch.autocast(features.device.type, enabled=False):
            heights = integrate(slopes)
        return F.interpolate(heights, size=size, mode="bilinear", align_corners=False)
