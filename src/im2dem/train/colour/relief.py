"""What the net sees of the relief: slopes, bumps at five scales, light. All of it local, in physical units."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 4
# Two slopes at three scales, steepness, a bump a level, the height above the widest level, the height itself.
FEATURES = 2 * 3 + 1 + LEVELS + 2
LIGHT = 2
# Between two of them a ridge thinner than their distance may be missed.
SHADOW_PX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 18.0, 22.0, 27.0, 33.0, 40.0, 48.0)
# Where no single sun is known, the light of a sun half-way up in the south-east gives the form.
USUAL_SUN = (0.5, -0.5, 0.7071)
HEIGHT_UNIT_M = 1000.0
BRIGHTEST = 3.0


class ReliefFeatures(nn.Module):
    """Slopes and bumps of heights.

    Takes `dem` (n, 1, h, w) in metres and `gsd_m` (n, 1, 1, 1); gives (n, 13, h, w). A bump at level k is the height
    above its mean over about 2 ** (k + 2) pixels, by the width of that mean: the same number means the same form at
    any pixel size. It reaches 31 pixels.

    Source
    ------
    Holschneider et al. (1989), the a-trous algorithm, with the binomial filter (1, 4, 6, 4, 1) / 16.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16, persistent=False)

    def forward(self, dem: Tensor, gsd_m: Tensor) -> Tensor:
        east, north = slopes(dem, gsd_m)
        out = [east, north, (east.square() + north.square() + 1e-8).sqrt()]
        smooth = dem
        for k in range(LEVELS):
            wider = self._blurred(smooth, 2**k)
            out.append((smooth - wider) * 4.0 / (gsd_m * 2**k))
            smooth = wider
            if k in (1, LEVELS - 1):
                out += slopes(smooth, gsd_m)
        out += [(dem - smooth) / (gsd_m * 2**LEVELS), dem / HEIGHT_UNIT_M]
        return torch.cat(out, dim=1)

    def _blurred(self, x: Tensor, step: int) -> Tensor:
        pad = 2 * step
        x = F.conv2d(F.pad(x, (0, 0, pad, pad), mode="replicate"), self.kernel.view(1, 1, 5, 1), dilation=(step, 1))
        return F.conv2d(F.pad(x, (pad, pad, 0, 0), mode="replicate"), self.kernel.view(1, 1, 1, 5), dilation=(1, step))


def slopes(dem: Tensor, gsd_m: Tensor) -> tuple[Tensor, Tensor]:
    """Rise over run towards east and towards north, each of the shape of `dem`; the edge repeats."""
    wide = F.pad(dem, (1, 1, 1, 1), mode="replicate")
    east = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / (2 * gsd_m)
    north = (wide[:, :, :-2, 1:-1] - wide[:, :, 2:, 1:-1]) / (2 * gsd_m)
    return east, north


def sunlight(dem: Tensor, gsd_m: Tensor, condition: Tensor) -> Tensor:
    """Lambert's light relative to flat ground, 0 to 3, and the share that no terrain within 48 px shades.

    Parameters
    ----------
    dem
        Metres, shape (n, 1, h, w).
    gsd_m
        Shape (n, 1, 1, 1).
    condition
        Shape (n, 18): the first four are the direction to the sun (east, north, up) and whether it is known.

    Returns
    -------
    Shape (n, 2, h, w). Without a known sun nothing is shaded.
    """
    is_known = condition[:, 3:4] > 0.5
    sun = torch.where(is_known, condition[:, :3], condition.new_tensor(USUAL_SUN))
    towards_east, towards_north, up = (v[:, None, None, None] for v in sun.unbind(1))
    east, north = slopes(dem, gsd_m)
    cosine = (up - east * towards_east - north * towards_north) / (1 + east.square() + north.square()).sqrt()
    bright = (cosine / up.clamp_min(0.1)).clamp(0.0, BRIGHTEST)
    lit = _lit(dem, gsd_m, sun)
    return torch.cat([bright, torch.where(is_known[:, :, None, None], lit, torch.ones_like(lit))], dim=1)


def _lit(dem: Tensor, gsd_m: Tensor, sun: Tensor) -> Tensor:
    """Share of direct light, 0 to 1: how far the terrain towards the sun stands above the ray, by its climb."""
    n, _, height, width = dem.shape
    level = sun[:, :2].norm(dim=1).clamp_min(1e-3)
    climb = (sun[:, 2] / level).clamp_min(0.05)[:, None, None, None] * gsd_m  # metres a pixel along the ray
    # grid_sample counts from -1 to 1 across the picture
    step_x = (sun[:, 0] / level)[:, None, None] * (2 / (width - 1))
    step_y = (-sun[:, 1] / level)[:, None, None] * (2 / (height - 1))
    x = torch.arange(width, device=dem.device, dtype=dem.dtype) * (2 / (width - 1)) - 1
    y = torch.arange(height, device=dem.device, dtype=dem.dtype) * (2 / (height - 1)) - 1
    far = dem.new_tensor(SHADOW_PX)[:, None, None]
    across = (x + (far * step_x[:, None])).expand(n, len(SHADOW_PX), height, width)
    down = (y[:, None] + (far * step_y[:, None])).expand(n, len(SHADOW_PX), height, width)
    at = torch.stack([across, down], dim=-1).reshape(n, len(SHADOW_PX) * height, width, 2)
    # all distances in one call, one below the other
    seen = F.grid_sample(dem, at, mode="bilinear", padding_mode="border", align_corners=True)
    above = (seen.reshape(n, len(SHADOW_PX), height, width) - far * climb).amax(dim=1, keepdim=True) - dem
    light: Tensor = (1 - above / climb.clamp_min(1e-3)).clamp(0.0, 1.0)
    return light
