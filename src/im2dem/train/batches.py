"""Batches as a pure function of (chips, recipe, step): the same step gives the same batch, so a run resumes exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.errors import InputError
from im2dem.core.scaling import SLOPE_UNIT
from im2dem.core.sun import turn_sun, turns_into
from im2dem.dataset.chips import DEM_STEP_M, VOID, Chips
from im2dem.runtime.session import Condition

from .guide import draw_guides
from .recipe import Augment, Recipe
from .recolour import recolour


@dataclass(frozen=True)
class Batch:
    """Tensors of a step.

    image (n, 3, s, s) in [0, 1]; condition (n, 8); relief (n, 1, s, s) in slope units with zero mean;
    valid (n, 1, s, s), 1 where there is truth; gsd_m (n,); guide (n, 4, s, s) for a guided net, else (n, 0, s, s).
    """

    image: Tensor
    condition: Tensor
    relief: Tensor
    valid: Tensor
    gsd_m: Tensor
    guide: Tensor

    @property
    def guide_or_none(self) -> Tensor | None:
        """The guide, None for a net without one."""
        return self.guide if self.guide.shape[1] else None

    @property
    def target(self) -> Tensor:
        """What the net itself has to give: the relief, less the guide's coarse heights; zero mean over valid pixels."""
        if not self.guide.shape[1]:
            return self.relief
        rest = self.relief - self.guide[:, :1] * self.valid
        mean = rest.sum((1, 2, 3), keepdim=True) / self.valid.sum((1, 2, 3), keepdim=True).clamp_min(1)
        return (rest - mean) * self.valid

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; images in channels-last order, which the convolutions want."""
        image = self.image.to(device, non_blocking=True, memory_format=torch.channels_last)
        rest = (self.condition, self.relief, self.valid, self.gsd_m, self.guide)
        return Batch(image, *(t.to(device, non_blocking=True) for t in rest))


@dataclass(frozen=True)
class Turn:
    """How a picture is laid: quarter turns counter-clockwise, then mirrored east-west."""

    quarters: int = 0
    mirror_ew: bool = False

    def apply(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the last two axes."""
        turned = np.rot90(array, self.quarters, axes=(-2, -1))
        return turned[..., ::-1] if self.mirror_ew else turned

    def azimuth(self, azimuth_deg: float) -> float:
        """Where the sun stands after the turn."""
        return turn_sun(azimuth_deg, self.quarters, self.mirror_ew)


MIRROR_NS = Turn(2, True)


class Sampler:
    """Draws training chips from packs of real and rendered pairs."""

    def __init__(self, real: Sequence[Chips], rendered: Sequence[Chips], recipe: Recipe) -> None:
        if not real and not rendered:
            raise InputError("no chips to train on: give at least one pack with --data")
        self.recipe = recipe
        self.pools = {"real": list(real), "rendered": list(rendered)}
        self.weights = {k: _weights(v) for k, v in self.pools.items()}
        self.percentiles = {id(c): _percentiles(c) for c in [*real, *rendered]}

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        r = self.recipe
        rng = np.random.default_rng([r.seed, step])
        share = r.real_share[0] + (r.real_share[1] - r.real_share[0]) * step / max(r.steps, 1)
        samples = []
        for _ in range(r.batch):
            kind = "real" if (rng.random() < share and self.pools["real"]) or not self.pools["rendered"] else "rendered"
            samples.append(self._draw(kind, rng))
        image, condition, relief, valid, gsd_m = (torch.stack(part) for part in zip(*samples, strict=True))
        guide = relief.new_zeros(len(relief), 0, *relief.shape[2:])
        if r.network.guide:
            guide = draw_guides(relief, valid, (r.augment.prior, r.augment.points), rng)
        return Batch(image, condition, relief, valid, gsd_m, guide)

    def _draw(self, kind: str, rng: np.random.Generator) -> tuple[Tensor, ...]:
        r, pool = self.recipe, self.pools[kind]
        for _ in range(50):
            chips = pool[int(rng.choice(len(pool), p=self.weights[kind]))]
            i = int(rng.integers(len(chips)))
            height, width = chips.dem.shape[1:]
            zoom = float(np.exp(rng.uniform(*np.log(r.augment.zoom))))
            span = min(round(r.crop_px * zoom), height, width)
            row, col = int(rng.integers(height - span + 1)), int(rng.integers(width - span + 1))
            dem = chips.dem[i, row : row + span, col : col + span]
            if (dem != VOID).mean() > 0.6:
                break
        else:
            raise InputError(f"50 crops of {chips.names[i]} in a row were mostly void")
        rgb = chips.rgb[i, :, row : row + span, col : col + span]
        turn, condition = place(chips, i, r.crop_px / span, r.augment, kind, rng)
        low, high = (
            crop_percentiles(rgb[:, ::3, ::3])
            if rng.random() < r.augment.crop_stretch
            else self.percentiles[id(chips)][i]
        )
        table = _exposure(low, high, r.augment, rng)
        image, relief, valid = _resize(rgb, table, dem, turn, r.crop_px)
        gsd_m = float(chips.gsd_m[i]) * span / r.crop_px
        is_lit = gsd_m < r.augment.recolour_below_m
        # only a recipe that asks for it draws this number, so that older runs resume as they began
        if r.augment.recolour > 0 and rng.random() < r.augment.recolour and is_lit:
            image = recolour(image[None], relief[None], valid[None], rng)[0]
        image = _lens(image, r.augment, rng)
        relief = relief / (SLOPE_UNIT * gsd_m)
        if (known := float(valid.sum())) == valid.numel():
            relief -= relief.mean()
        else:
            mean = (relief * valid).sum() / known
            image = image * valid + (image * valid).sum((1, 2), keepdim=True) / known * (1 - valid)
            relief = (relief - mean) * valid
        return image, torch.from_numpy(condition), relief, valid, torch.tensor(gsd_m)


def _weights(pool: Sequence[Chips]) -> NDArray[np.float64]:
    """A pack counts by the square root of its valid pixels: small good pairs are not drowned."""
    sizes = np.array([float((c.dem[:, ::8, ::8] != VOID).sum()) ** 0.5 for c in pool])
    return np.asarray(sizes / sizes.sum()) if len(pool) else sizes


def _percentiles(chips: Chips) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return [crop_percentiles(rgb[:, ::4, ::4]) for rgb in chips.rgb]


def crop_percentiles(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 1st and 99th percentile of each band, shape (3,), without the black that means no data."""
    pixels = rgb.reshape(3, -1)
    pixels = pixels[:, pixels.max(axis=0) > 2]
    if pixels.shape[1] < 16:
        return np.zeros(3), np.full(3, 255.0)
    low, high = np.percentile(pixels, [1, 99], axis=1)
    return low, np.maximum(high, low + 16)


def place(
    chips: Chips, i: int, enlarge: float, augment: Augment, kind: str, rng: np.random.Generator
) -> tuple[Turn, NDArray[np.float32]]:
    """How the chip is turned and what the net is told; a hidden sun forbids turns that no satellite would see."""
    azimuth, elevation, latitude = (
        float(v[i]) for v in (chips.sun_azimuth_deg, chips.sun_elevation_deg, chips.latitude_deg)
    )
    hide = augment.hide_sun_real if kind == "real" else augment.hide_sun_rendered
    sun_known = bool(np.isfinite(azimuth)) and rng.random() >= hide
    tell_latitude = bool(np.isfinite(latitude)) and rng.random() >= augment.hide_latitude
    if sun_known:
        turns = turns_into(augment.sun_sector_deg, azimuth)
        turn = Turn(*turns[int(rng.integers(len(turns)))])
        # a latitude goes with a sun in the south or north: say it only when the turn keeps that true
        tell_latitude = tell_latitude and turn.quarters % 2 == 0
    elif tell_latitude and rng.random() < 0.25:
        turn = MIRROR_NS
    else:
        turn = Turn(0, bool(rng.random() < 0.2))
    southern = turn.quarters == 2
    told = Condition(
        sun_azimuth_deg=turn.azimuth(azimuth) if sun_known else None,
        sun_elevation_deg=elevation if sun_known else None,
        gsd_m=float(chips.gsd_m[i]) / enlarge if rng.random() >= augment.hide_gsd else None,
        latitude_deg=(-latitude if southern else latitude) if tell_latitude else None,
    )
    return turn, told.vector()[0]


@lru_cache(maxsize=512)
def _resampling(size: int, span: int) -> Tensor:
    """Weights (size, span) that make `size` samples of `span`, as a triangle as wide as the coarser of both."""
    scale = span / size
    width = max(scale, 1.0)
    away = (np.arange(span) + 0.5) - scale * (np.arange(size)[:, None] + 0.5)
    weights = np.maximum(0.0, 1 - np.abs(away) / width)
    return torch.from_numpy((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def _resize(
    rgb: NDArray[np.uint8], table: NDArray[np.float32], dem: NDArray[np.int16], turn: Turn, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    valid = dem != VOID
    is_whole = bool(valid.all())
    stack = np.empty((4 if is_whole else 5, *dem.shape), np.float32)
    for band, values, of in zip(stack, rgb, table, strict=False):
        np.take(of, values, out=band)
    np.multiply(dem, np.float32(DEM_STEP_M), out=stack[3])
    stack[3] -= stack[3].mean(where=True if is_whole else valid)
    if not is_whole:
        stack[3] *= valid
        stack[4] = valid
    tensor = torch.from_numpy(np.ascontiguousarray(turn.apply(stack)))
    if (span := tensor.shape[-1]) != size:
        weights = _resampling(size, span)  # crops are square
        tensor = (tensor.reshape(-1, span) @ weights.T).view(-1, span, size)
        tensor = torch.stack([weights @ band for band in tensor])
    mask = torch.ones(1, size, size) if is_whole else (tensor[4:] > 0.99).float()
    return tensor[:3], tensor[3:4], mask


def _exposure(
    low: NDArray[np.float64], high: NDArray[np.float64], augment: Augment, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What each of the 256 values of a band becomes, shape (3, 256), 0 to 1.

    Stretched as the reader does, with another sensor's gain and gamma and some haze. A table, as a power of every pixel
    would be the dearest part of drawing a crop.
    """
    span = (high - low) * np.exp(rng.normal(0, augment.gain, 3)) * np.exp(rng.normal(0, augment.gain))
    start = low + (high - low) * rng.normal(0, 0.03, 3)
    table = np.clip((np.arange(256) - start[:, None]) / span[:, None], 0, 1) ** np.exp(rng.normal(0, augment.gamma))
    if rng.random() < 0.4:
        veil = rng.uniform(0, augment.haze)
        table = table * (1 - veil) + veil
    return np.asarray(table, dtype=np.float32)


def _lens(image: Tensor, augment: Augment, rng: np.random.Generator) -> Tensor:
    """Grey at times, blur and noise."""
    if rng.random() < augment.grey:
        image = image.mean(0, keepdim=True).expand(3, -1, -1)
    if rng.random() < augment.blur:
        image = _blur(image, float(rng.uniform(0.4, 1.2)))
    if rng.random() < 0.5:
        noise = rng.standard_normal(tuple(image.shape), dtype=np.float32)
        image = image + float(rng.uniform(0, augment.noise)) * torch.from_numpy(noise)
    return image.clamp(0, 1)


def _blur(image: Tensor, sigma: float) -> Tensor:
    at = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (3, 3, 3, 3), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 7)), kernel.view(1, 1, 7, 1))[:, 0]
