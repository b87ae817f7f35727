"""Batches drawn on the device that trains: all chips lie in its memory, a batch is a few tensor operations.

What is drawn is what `batches.Sampler` draws, with one difference: a crop is sampled with bilinear weights, and may
turn, zoom and shift by parts of a pixel in one step. Chance comes from (seed, step) on the host, but for pixel noise,
which is drawn on the device: the same step gives the same batch on the same kind of device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.errors import InputError
from im2dem.core.scaling import SLOPE_UNIT
from im2dem.dataset.chips import DEM_STEP_M, VOID, Chips

from .batches import Batch, Turn, crop_percentiles, place
from .guide import draw_guides
from .recipe import Recipe
from .recolour import recolour
from .windows import Windows, cut_windows

# A window is this much wider than a crop, so that crops can zoom out and lie anywhere.
WINDOW_PER_CROP = 1.4
# Of the quarter turns: (row, col) of the source for (row, col) of the turned picture, both from its middle.
_TURNS = np.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]], np.float32)
LEAST_KNOWN = 0.6


@dataclass(frozen=True)
class Sample:
    """One crop as it was drawn: window, middle and half side (window from -1 to 1), turn, what the net is told."""

    kind: str
    window: int
    middle: tuple[float, float]
    half: float
    turn: Turn
    condition: NDArray[np.float32]
    gsd_m: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    own_stretch: bool


class ResidentSampler:
    """Draws training batches on a device from packs that lie in its memory.

    Parameters
    ----------
    real, rendered
        Packs; windows of 1.4 crops are cut from them, so that rendered chips should be at least as large.
    recipe
        What to draw.
    device
        Where the batches are wanted.

    Raises
    ------
    InputError
        No pack, or nothing but voids.
    """

    def __init__(self, real: Sequence[Chips], rendered: Sequence[Chips], recipe: Recipe, device: torch.device) -> None:
        if not real and not rendered:
            raise InputError("no chips to train on: give at least one pack with --data")
        self.recipe, self.device = recipe, device
        self.size_px = round(recipe.crop_px * WINDOW_PER_CROP / 32) * 32
        self.packs = {"real": list(real), "rendered": list(rendered)}
        self.windows: dict[str, Windows] = {}
        for kind, packs in self.packs.items():
            windows = cut_windows(packs, self.size_px, device)
            if windows is not None:
                self.windows[kind] = windows
        self.percentiles = {
            kind: [[crop_percentiles(rgb[:, ::4, ::4]) for rgb in chips.rgb] for chips in packs]
            for kind, packs in self.packs.items()
        }

    def batch(self, step: int) -> Batch:
        """The batch of a step, on the device."""
        r = self.recipe
        rng = np.random.default_rng([r.seed, step])
        share = r.real_share[0] + (r.real_share[1] - r.real_share[0]) * step / max(r.steps, 1)
        kinds = ["real" if rng.random() < share else "rendered" for _ in range(r.batch)]
        only = next(iter(self.windows)) if len(self.windows) == 1 else None
        samples = [self._draw(only or kind, rng) for kind in kinds]
        image, relief, valid, gsd_m = self._crop(samples)
        image = self._photograph(image, relief, valid, samples, rng)
        amount = valid.sum((1, 2, 3), keepdim=True).clamp_min(1)
        image = image * valid + (image * valid).sum((2, 3), keepdim=True) / amount * (1 - valid)
        relief = relief / (SLOPE_UNIT * gsd_m.view(-1, 1, 1, 1))
        relief = (relief - (relief * valid).sum((1, 2, 3), keepdim=True) / amount) * valid
        condition = self._tensor(np.stack([s.condition for s in samples]))
        guide = torch.zeros(len(samples), 0, *relief.shape[2:], device=self.device)
        if r.network.guide:
            guide = draw_guides(relief, valid, (r.augment.prior, r.augment.points), rng)
        image = image.to(memory_format=torch.channels_last)
        return Batch(image, condition, relief, valid, gsd_m, guide)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device, non_blocking=True)

    def _draw(self, kind: str, rng: np.random.Generator) -> Sample:
        augment, windows = self.recipe.augment, self.windows[kind]
        for _ in range(50):
            i = windows.draw(rng)
            pack, chip = windows.origin[i]
            zoom = float(np.exp(rng.uniform(*np.log(augment.zoom))))
            span = min(self.recipe.crop_px * zoom / self.size_px, 1.0)
            row, col = rng.uniform(0, 1 - span, 2)
            if windows.known_share(i, row, col, span) > LEAST_KNOWN:
                break
        else:
            raise InputError("50 crops in a row were mostly void")
        chips = self.packs[kind][pack]
        enlarge = self.recipe.crop_px / (span * self.size_px)
        turn, condition = place(chips, chip, enlarge, augment, kind, rng)
        low, high = self.percentiles[kind][pack][chip]
        middle = (2 * row + span - 1, 2 * col + span - 1)
        gsd_m = float(chips.gsd_m[chip]) / enlarge
        own_stretch = bool(rng.random() < augment.crop_stretch)
        return Sample(kind, i, middle, span, turn, condition, gsd_m, low, high, own_stretch)

    def _crop(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures in digital numbers, relief in metres, validity, pixel sizes."""
        size, n = self.size_px, len(samples)
        dem = torch.empty(n, size, size, dtype=torch.int16, device=self.device)
        rgb = torch.empty(n, 3, size, size, dtype=torch.uint8, device=self.device)
        for kind, windows in self.windows.items():
            rows = [k for k, s in enumerate(samples) if s.kind == kind]
            if rows:
                at = torch.tensor(rows, device=self.device)
                chosen = torch.tensor([samples[k].window for k in rows], device=self.device)
                dem[at], rgb[at] = windows.dem[chosen], windows.rgb[chosen]
        valid = (dem != VOID).float()[:, None]
        heights = dem.float()[:, None] * DEM_STEP_M
        amount = valid.sum((1, 2, 3), keepdim=True).clamp_min(1)
        heights = (heights - (heights * valid).sum((1, 2, 3), keepdim=True) / amount) * valid
        stack = torch.cat([rgb.float(), heights, valid], dim=1)
        theta = self._tensor(np.stack([_theta(s) for s in samples]))
        out = (n, 1, self.recipe.crop_px, self.recipe.crop_px)
        grid = F.affine_grid(theta, list(out), align_corners=False)
        crops = F.grid_sample(stack, grid, mode="bilinear", padding_mode="border", align_corners=False)
        gsd_m = self._tensor(np.array([s.gsd_m for s in samples], np.float32))
        return crops[:, :3], crops[:, 3:4], (crops[:, 4:5] > 0.99).float(), gsd_m

    def _photograph(
        self, image: Tensor, relief: Tensor, valid: Tensor, samples: Sequence[Sample], rng: np.random.Generator
    ) -> Tensor:
        """Stretch to [0, 1] as the reader does, with another sensor's gain, gamma, haze, blur and noise."""
        a, n = self.recipe.augment, len(samples)
        low = self._tensor(np.stack([s.low for s in samples]))[:, :, None, None]
        high = self._tensor(np.stack([s.high for s in samples]))[:, :, None, None]
        own = torch.tensor([s.own_stretch for s in samples], device=self.device)[:, None, None, None]
        thin = image[:, :, ::4, ::4]
        seen = (thin.amax(1, keepdim=True) > 2) & (valid[:, :, ::4, ::4] > 0)
        thin = torch.where(seen, thin, torch.nan).flatten(2)
        ends = torch.nanquantile(thin, torch.tensor([0.01, 0.99], device=self.device), dim=2)[..., None, None]
        usable = own & torch.isfinite(ends).all(0)
        low = torch.where(usable, ends[0], low)
        high = torch.where(usable, torch.maximum(ends[1], ends[0] + 16), high)
        gain = np.exp(rng.normal(0, a.gain, (n, 3, 1, 1)) + rng.normal(0, a.gain, (n, 1, 1, 1)))
        start = low + (high - low) * self._tensor(rng.normal(0, 0.03, (n, 1, 1, 1)))
        image = ((image - start) / ((high - low) * self._tensor(gain))).clamp(0, 1)
        image = image ** self._tensor(np.exp(rng.normal(0, a.gamma, (n, 1, 1, 1))))
        veil = self._tensor(rng.uniform(0, a.haze, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.4))
        image = image * (1 - veil) + veil
        if a.recolour > 0:
            is_lit = np.array([s.gsd_m < a.recolour_below_m for s in samples]).reshape(n, 1, 1, 1)
            other = self._tensor((rng.random((n, 1, 1, 1)) < a.recolour) & is_lit)
            image = torch.lerp(image, recolour(image, relief, valid, rng), other)
        grey = self._tensor(rng.random((n, 1, 1, 1)) < a.grey)
        image = image * (1 - grey) + image.mean(1, keepdim=True) * grey
        sigma = rng.uniform(0.4, 1.2, n)
        blurred = rng.random(n) < a.blur
        image = self._blur(image, np.where(blurred, sigma, 0.05))
        noise = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        level = self._tensor(rng.uniform(0, a.noise, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.5))
        image = image + level * torch.randn(image.shape, generator=noise, device=self.device)
        return image.clamp(0, 1)

    def _blur(self, image: Tensor, sigma: NDArray[np.float64]) -> Tensor:
        """A Gaussian of its own width for each picture."""
        n, bands, height, width = image.shape
        at = np.arange(-3, 4)
        kernel = np.exp(-0.5 * (at / sigma[:, None]) ** 2)
        weights = self._tensor(kernel / kernel.sum(axis=1, keepdims=True)).repeat_interleave(bands, dim=0)
        flat = F.pad(image, (3, 3, 3, 3), mode="reflect").reshape(1, n * bands, height + 6, width + 6)
        flat = F.conv2d(flat, weights[:, None, None, :], groups=n * bands)
        return F.conv2d(flat, weights[:, None, :, None], groups=n * bands).view(n, bands, height, width)


def _theta(sample: Sample) -> NDArray[np.float32]:
    """Of `torch.nn.functional.affine_grid`: where in the window a pixel of the crop is read, (x, y) order."""
    turn = _TURNS[sample.turn.quarters].copy()
    if sample.turn.mirror_ew:
        turn[:, 1] *= -1
    by_row, by_col = turn[:, 0] * sample.half, turn[:, 1] * sample.half
    return np.array([[by_col[1], by_row[1], sample.middle[1]], [by_col[0], by_row[0], sample.middle[0]]], np.float32)
