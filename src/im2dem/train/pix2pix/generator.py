"""The U-Net of pix2pix: eight steps down, eight up, skips between."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import Down, Up, start_weights

STRIDE = 256
_WIDTHS = (1, 2, 4, 8, 8, 8, 8, 8)
_DROPPED = 3
DROPOUT = 0.5


class Generator(nn.Module):
    """Heights from a picture, or a picture from heights.

    Input (n, in_channels, h, w) in [-1, 1], h and w multiples of 256; output (n, out_channels, h, w) in [-1, 1].

    In evaluation there is no dropout, and batch norm takes each image's own statistics. The prototype predicted with
    `training=True`: the same statistics, since it predicted one image at a time, but with dropout, so that two
    predictions of one picture differed. `moving=True` takes the moving statistics, as the prototype did when it
    computed its validation losses.

    Parameters
    ----------
    in_channels, out_channels
        3 and 1 for heights from a picture, 1 and 3 for a picture from heights. The prototype gave one channel of
        heights, not three alike.
    base
        Channels after the first step; 64 is the published net, less is for tests.
    """

    def __init__(self, in_channels: int, out_channels: int, base: int = 64) -> None:
        super().__init__()
        widths = [base * w for w in _WIDTHS]
        self.downs = nn.ModuleList(
            Down(c_in, c_out, norm=i > 0)
            for i, (c_in, c_out) in enumerate(zip([in_channels, *widths], widths, strict=False))
        )
        ups = []
        c_in = widths[-1]
        for i, c_out in enumerate(widths[-2::-1]):
            ups.append(Up(c_in, c_out, DROPOUT if i < _DROPPED else 0.0))
            c_in = 2 * c_out
        self.ups = nn.ModuleList(ups)
        self.last = nn.ConvTranspose2d(c_in, out_channels, 4, 2, 1)
        start_weights(self)

    def forward(self, x: Tensor, moving: bool = False) -> Tensor:
        skips = []
        for down in self.downs:
            x = down(x, moving)
            skips.append(x)
        for up, skip in zip(self.ups, skips[-2::-1], strict=True):
            x = torch.cat([up(x, moving), skip], dim=1)
        return torch.tanh(self.last(x).float())
