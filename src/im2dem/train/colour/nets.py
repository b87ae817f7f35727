"""The generator of colours, the encoder of its variety, and the judge."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from im2dem.runtime.colouring_condition import CONDITION_SIZE, REFERENCE_GSD_M, VARIETY_SIZE
from im2dem.runtime.colouring_noise import NOISE_CELLS_PX

from .recipe import ColourRecipe
from .relief import FEATURES, LIGHT, ReliefFeatures, sunlight

NOISE = len(NOISE_CELLS_PX)
# Convolutions at strides 2 to 16 and back: 163 px; then light, whose shadows come from 48 px and slopes from one more.
REACH_PX = 224
FINE = 24
AMBIENT_START, HAZE_START = -1.0, -3.0
MOST_HAZE = 0.5
BRIGHTEST_ALBEDO = 1.25
PADDING: Final = "replicate"


def normed(x: Tensor) -> Tensor:
    """Every pixel's features scaled to a mean square of 1: no statistics of the tile.

    Source
    ------
    Karras et al. (2018), arXiv:1710.10196, section 4.2.
    """
    return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + 1e-6).to(x.dtype)


def doubled(x: Tensor) -> Tensor:
    """Features at twice the size, smoothly: repeated pixels leave a lattice in what is painted.

    Source
    ------
    Odena et al. (2016), Deconvolution and checkerboard artifacts, doi:10.23915/distill.00003.
    """
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Block(nn.Module):
    """Two 3 x 3 convolutions around a scale and a shift by the condition, added to the input."""

    def __init__(self, c_in: int, c_out: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, 1, 1, padding_mode=PADDING)
        self.film = nn.Linear(embedding, 2 * c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, padding_mode=PADDING)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()
        nn.init.zeros_(self.film.bias)
        nn.init.normal_(self.film.weight, std=0.02)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        scale, shift = self.film(embedded)[:, :, None, None].chunk(2, dim=1)
        y = normed(self.conv1(F.silu(normed(x)))) * (1 + scale) + shift
        added: Tensor = self.skip(x) + self.conv2(F.silu(y))
        return added


class ColourNet(nn.Module):
    """Colours of heights: ``albedo x light + haze``.

    Takes `dem` (n, 1, h, w), metres, h and w multiples of 16; `condition` (n, 18), see `ColourCondition`; `variety`
    (n, 8), normal; `noise` (n, 4, h, w), of unit variance, see `draw_noise`. Gives (n, 3, h, w), 0 to 1, or a little
    beyond. Nothing further than 224 px away counts for a pixel, and tiles whose corners differ by multiples of 16 px
    agree.
    """

    def __init__(self, recipe: ColourRecipe) -> None:
        super().__init__()
        size, widths = recipe.embedding, recipe.widths
        self.features = ReliefFeatures()
        seen = FEATURES + LIGHT + NOISE
        self.embed = nn.Sequential(nn.Linear(CONDITION_SIZE + VARIETY_SIZE, size), nn.SiLU(), nn.Linear(size, size))
        self.air = nn.Linear(size, 3 + 3 + 1)
        self.stem = nn.Conv2d(4 * seen, widths[0], 3, 1, 1, padding_mode=PADDING)
        self.downs = nn.ModuleList(
            Block(c_in, c_out, size) for c_in, c_out in zip((widths[0], *widths), widths, strict=False)
        )
        self.middle = Block(widths[-1], widths[-1], size)
        self.ups = nn.ModuleList(
            Block(below + here, here, size) for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], FINE, 3, 1, 1, padding_mode=PADDING)
        self.fine = nn.Conv2d(FINE + seen, FINE, 3, 1, 1, padding_mode=PADDING)
        self.last = nn.Conv2d(FINE, 3, 3, 1, 1, padding_mode=PADDING)
        nn.init.zeros_(self.air.bias)
        nn.init.normal_(self.air.weight, std=0.02)

    def forward(self, dem: Tensor, condition: Tensor, variety: Tensor, noise: Tensor) -> Tensor:
        relief, light = see(self.features, dem, condition)
        return self.paint(relief, light, condition, variety, noise)

    def paint(self, relief: Tensor, light: Tensor, condition: Tensor, variety: Tensor, noise: Tensor) -> Tensor:
        """Colours of features that `see` made."""
        embedded = F.silu(self.embed(torch.cat([condition, variety], dim=1)))
        given = torch.cat([relief, light - 1, noise], dim=1)
        x = self.stem(F.pixel_unshuffle(given, 2))
        skips: list[Tensor] = []
        for i, down in enumerate(self.downs):
            x = down(F.avg_pool2d(x, 2) if i else x, embedded)
            skips.append(x)
        x = self.middle(x, embedded)
        for up, skip in zip(self.ups, skips[-2::-1], strict=True):
            x = up(torch.cat([doubled(x), skip], dim=1), embedded)
        x = self.head(doubled(F.silu(normed(x))))
        x = self.fine(torch.cat([x, given.to(x.dtype)], dim=1))
        albedo = BRIGHTEST_ALBEDO * torch.sigmoid(self.last(F.silu(x)).float())
        return self._lit(albedo, light, self.air(embedded).float())

    def _lit(self, albedo: Tensor, light: Tensor, air: Tensor) -> Tensor:
        ambient, haze, curve = air[:, :, None, None].split([3, 3, 1], dim=1)
        ambient = torch.sigmoid(ambient + AMBIENT_START)
        haze = MOST_HAZE * torch.sigmoid(haze + HAZE_START)
        shade = ambient + (1 - ambient) * light[:, :1] * light[:, 1:]
        return albedo * shade.clamp_min(1e-3) ** torch.exp(0.3 * torch.tanh(curve)) + haze


def see(features: ReliefFeatures, dem: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, 13, h, w) and light (n, 2, h, w) of heights, in float32."""
    gsd_m = REFERENCE_GSD_M * torch.exp2(condition[:, 4])[:, None, None, None]
    return features(dem, gsd_m), sunlight(dem, gsd_m, condition)


def draw_noise(n: int, side: int, chance: torch.Generator) -> Tensor:
    """Noise as the net learns from: lattices of uniform values, enlarged bilinearly, shape (n, 4, side, side)."""
    layers = []
    for cell in NOISE_CELLS_PX:
        lattice = (
            torch.rand(n, 1, side // cell + 3, side // cell + 3, generator=chance, device=chance.device) - 0.5
        ) * (12**0.5)
        if cell > 1:
            wide = F.interpolate(lattice, scale_factor=float(cell), mode="bilinear", align_corners=False)
            row, col = torch.randint(cell, (2,), generator=chance, device=chance.device).tolist()
            lattice = wide[:, :, cell + row :, cell + col :]
        layers.append(lattice[:, :, :side, :side])
    return torch.cat(layers, dim=1)


class Encoder(nn.Module):
    """The variety of a picture: mean and log-variance, (n, 8) each."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1] + 6, 2 * VARIETY_SIZE)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        x = rgb * 4 - 2
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        moments = torch.cat([rgb.mean(dim=(2, 3)), rgb.std(dim=(2, 3))], dim=1) * 4
        mean, log_variance = self.last(torch.cat([x.mean(dim=(2, 3)), moments], dim=1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-6, 2)


class PatchJudge(nn.Module):
    """One scale of the judge: features of three layers and logits of patches."""

    def __init__(self, channels: int, base: int) -> None:
        super().__init__()
        widths = (channels, base, 2 * base, 4 * base)
        self.downs = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(widths))
        self.conv = spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, 1, 1))
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))
        self.project = spectral_norm(nn.Linear(CONDITION_SIZE, widths[-1], bias=False))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[list[Tensor], Tensor]:
        kept = []
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
            kept.append(x)
        x = F.leaky_relu(self.conv(x), 0.2)
        kept.append(x)
        fits = (x * self.project(condition)[:, :, None, None]).mean(dim=1, keepdim=True)
        return kept, (self.last(x) + fits).float()


class Judge(nn.Module):
    """Whether a picture is a true one of its relief, at three scales.

    Takes `rgb` (n, 3, h, w), what is seen of the relief (n, 15, h, w) and the condition (n, 18).
    """

    def __init__(self, base: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchJudge(3 + FEATURES + LIGHT, base) for _ in range(3))

    def forward(self, rgb: Tensor, seen: Tensor, condition: Tensor) -> list[tuple[list[Tensor], Tensor]]:
        x = torch.cat([rgb * 2 - 1, seen.to(rgb.dtype)], dim=1)
        out = []
        for i, scale in enumerate(self.scales):
            x = F.avg_pool2d(x, 2) if i else x
            out.append(scale(x, condition))
        return out
