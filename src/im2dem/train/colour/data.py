"""All pictures on the device in two flat buffers; crops are gathered, turned and halved there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.errors import InputError
from im2dem.dataset.chips import DEM_STEP_M, VOID, Chips, load_chips
from im2dem.runtime.colouring_condition import CLIMATES
from im2dem.train.journal import data_lines

from .labels import conditions_of, is_wanted
from .recipe import ColourRecipe

LEAST_VALID = 0.99
CORNER_STEP_PX = 16
AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops on the device.

    Parameters
    ----------
    dem
        float32, shape (n, 1, s, s): metres above the mean of the chip or scene; voids filled.
    rgb
        float32, shape (n, 3, s, s), 0 to 1.
    valid
        float32, shape (n, 1, s, s): 1 where there is both a height and a picture.
    condition
        float32, shape (n, 18), see `ColourCondition`.
    """

    dem: Tensor
    rgb: Tensor
    valid: Tensor
    condition: Tensor


class Pool:
    """Pictures of any size with their heights, in two flat buffers on one device.

    Where a picture or a height is missing, the picture is 0 in all bands; a picture that is 0 by itself is made 1.

    Parameters
    ----------
    packs
        Of one kind, each with the numbers of the chips to take.
    crop_px
        Side of the largest crop; chips smaller than that are left out.
    device
        Where the buffers are.
    """

    def __init__(self, packs: Sequence[tuple[Chips, NDArray[np.intp]]], crop_px: int, device: torch.device) -> None:
        self.device = device
        packs = [(chips, which) for chips, which in packs if min(chips.dem.shape[1:]) >= crop_px and len(which)]
        total = sum(len(which) * chips.dem.shape[1] * chips.dem.shape[2] for chips, which in packs)
        self.rgb = torch.empty(total, 3, dtype=torch.uint8, device=device)
        self.dem = torch.empty(total, dtype=torch.int16, device=device)
        records: list[tuple[int, int, int]] = []
        conditions: list[NDArray[np.float32]] = []
        corners: list[NDArray[np.int64]] = []
        at = 0
        for chips, which in packs:
            height, width = chips.dem.shape[1:]
            conditions.append(conditions_of(chips)[which])
            for start in range(0, len(which), AT_ONCE):
                some = which[start : start + AT_ONCE]
                rgb, dem = _cleaned(chips.rgb[some], chips.dem[some])
                corners += [_corners(part, len(records) + i, crop_px) for i, part in enumerate(rgb)]
                records += [(at + i * height * width, height, width) for i in range(len(some))]
                end = at + dem.size
                self.rgb[at:end] = torch.from_numpy(rgb.reshape(-1, 3)).to(device)
                self.dem[at:end] = torch.from_numpy(dem.reshape(-1)).to(device)
                at = end
        table = np.concatenate(corners) if corners else np.zeros((0, 3), np.int64)
        self.corners = torch.from_numpy(table).to(device)
        self.records = torch.tensor(records or np.zeros((0, 3)), dtype=torch.int64, device=device)
        found = np.concatenate(conditions) if conditions else np.zeros((0, 1), np.float32)
        self.conditions = torch.from_numpy(found).to(device)

    def __len__(self) -> int:
        return len(self.corners)

    def crops(self, which: Tensor, side: int) -> Batch:
        """Crops at the corners of these numbers, shape (n,), of `side` pixels, north up."""
        picture, row, col = self.corners[which].unbind(1)
        offset, _, width = self.records[picture].unbind(1)
        span = torch.arange(side, device=self.device)
        index = (
            offset[:, None, None] + (row[:, None, None] + span[:, None]) * width[:, None, None] + col[:, None, None]
        ) + span
        rgb = self.rgb[index].permute(0, 3, 1, 2)
        valid = (rgb.amax(dim=1, keepdim=True) > 0).float()
        dem = self.dem[index].float()[:, None] * DEM_STEP_M
        return Batch(dem, rgb.float() / 255, valid, self.conditions[picture])


class Sampler:
    """Batches of crops, a function of the step alone.

    Parameters
    ----------
    real, rendered
        Pools; one of them may be empty.
    recipe
        Sizes and shares.

    Raises
    ------
    InputError
        Nothing to learn from.
    """

    def __init__(self, real: Pool, rendered: Pool, recipe: ColourRecipe) -> None:
        if not len(real) + len(rendered):
            raise InputError(
                f"no crop of {recipe.crop_px} px with {LEAST_VALID:.0%} of its heights and of its picture was found; "
                "give packs of larger chips, whose names do not begin with val-, or a smaller crop_px"
            )
        self.real, self.rendered, self.recipe = real, rendered, recipe

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        recipe = self.recipe
        pool = self.real if len(self.real) else self.rendered
        chance = torch.Generator(device=pool.device)
        chance.manual_seed(recipe.seed * 1_000_003 + step)
        n = recipe.batch
        real = round(n * recipe.real_share) if len(self.real) and len(self.rendered) else n * bool(len(self.real))
        parts = []
        if real:
            is_coarse = bool(torch.rand((), generator=chance, device=pool.device) < recipe.coarse_share)
            parts.append(_drawn(self.real, real, recipe.crop_px, chance, is_coarse))
        if n - real:
            parts.append(_drawn(self.rendered, n - real, recipe.crop_px, chance, False))
        whole = Batch(*(torch.cat([getattr(p, key) for p in parts]) for key in ("dem", "rgb", "valid", "condition")))
        order = torch.randperm(n, generator=chance, device=pool.device)
        whole = Batch(whole.dem[order], whole.rgb[order], whole.valid[order], whole.condition[order])
        return hidden(turned(whole, chance), recipe, chance)


def _drawn(pool: Pool, n: int, side: int, chance: torch.Generator, is_coarse: bool) -> Batch:
    which = torch.randint(len(pool), (n,), generator=chance, device=pool.device)
    return halved(pool.crops(which, 2 * side)) if is_coarse else pool.crops(which, side)


def halved(batch: Batch) -> Batch:
    """The same ground at twice the pixel size."""
    condition = batch.condition.clone()
    condition[:, 4] += 1
    valid = (F.avg_pool2d(batch.valid, 2) == 1).float()
    return Batch(F.avg_pool2d(batch.dem, 2), F.avg_pool2d(batch.rgb, 2), valid, condition)


def turned(batch: Batch, chance: torch.Generator) -> Batch:
    """Each crop turned and mirrored by chance, its sun with it."""
    n, device = len(batch.dem), batch.dem.device
    flips = torch.rand(3, n, generator=chance, device=device) < 0.5
    stack = torch.cat([batch.dem, batch.rgb, batch.valid], dim=1)
    condition = batch.condition.clone()
    east, north = condition[:, 0].clone(), condition[:, 1].clone()
    by_row, by_col, swap = (f[:, None, None, None] for f in flips)
    stack = torch.where(by_row, stack.flip(2), stack)  # north becomes south
    north = torch.where(flips[0], -north, north)
    stack = torch.where(by_col, stack.flip(3), stack)
    east = torch.where(flips[1], -east, east)
    stack = torch.where(swap, stack.transpose(2, 3), stack)  # east becomes south, south east
    east, north = torch.where(flips[2], -north, east), torch.where(flips[2], -east, north)
    condition[:, 0], condition[:, 1] = east, north
    dem, rgb, valid = stack.split([1, 3, 1], dim=1)
    return Batch(dem.contiguous(), rgb.contiguous(), valid.contiguous(), condition)


def hidden(batch: Batch, recipe: ColourRecipe, chance: torch.Generator) -> Batch:
    """Some of what is known is not told, so that the net can also do without."""
    seasons = 6 + len(CLIMATES)
    spans = ((0, 4, recipe.hide_sun), (5, 6, recipe.hide_real), (6, seasons, recipe.hide_climate))
    condition = batch.condition.clone()
    for first, last, share in (*spans, (seasons, condition.shape[1], recipe.hide_season)):
        told = torch.rand(len(condition), 1, generator=chance, device=condition.device) >= share
        condition[:, first:last] *= told
    return Batch(batch.dem, batch.rgb, batch.valid, condition)


def load_pools(paths: Sequence[Path], recipe: ColourRecipe, device: torch.device) -> tuple[Pool, Pool, Pool, list[str]]:
    """Pools of photographs, of rendered pictures, of held-out photographs; a line a source, with its licence.

    Raises
    ------
    InputError
        A file that is no pack.
    """
    parts: dict[str, list[tuple[Chips, NDArray[np.intp]]]] = {"real": [], "rendered": [], "held_out": []}
    learned: list[Chips] = []
    for path in paths:
        chips = load_chips(path, mapped=True)
        is_held_out = path.name.startswith("val-")
        kind = "rendered" if chips.provenance.get("kind") == "rendered" else "real"
        parts["held_out" if is_held_out else kind].append((chips, np.flatnonzero(is_wanted(chips))))
        if not is_held_out:
            learned.append(chips)
    # photographs are also taken at half their size
    reach = {"real": 2 * recipe.crop_px, "rendered": recipe.crop_px, "held_out": recipe.crop_px}
    real, rendered, held_out = (Pool(parts[key], reach[key], device) for key in ("real", "rendered", "held_out"))
    return real, rendered, held_out, data_lines(learned)


def _cleaned(rgb: NDArray[np.uint8], dem: NDArray[np.int16]) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Pictures with the bands last, 0 where anything is missing, and heights without voids."""
    rgb, dem = np.ascontiguousarray(np.moveaxis(rgb, 1, -1)), np.array(dem)
    void = dem == VOID
    for i in np.flatnonzero(void.any(axis=(1, 2))):
        if not void[i].all():
            nearest = ndimage.distance_transform_edt(void[i], return_distances=False, return_indices=True)
            dem[i] = dem[i][tuple(nearest)]
        rgb[i][void[i]] = 0
    return rgb, dem


def _corners(rgb: NDArray[np.uint8], number: int, side: int) -> NDArray[np.int64]:
    """Picture, row and column of the crops that are nearly all there, on a grid of 16 px, shape (n, 3)."""
    known = np.pad((rgb.max(axis=-1) > 0).astype(np.int64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    rows, cols = (np.arange(0, size - side + 1, CORNER_STEP_PX) for size in rgb.shape[:2])
    top, left = np.meshgrid(rows, cols, indexing="ij")
    inside = known[top + side, left + side] - known[top, left + side] - known[top + side, left] + known[top, left]
    is_whole = inside >= LEAST_VALID * side * side
    found = np.stack([np.full(top.shape, number), top, left], axis=-1)[is_whole]
    return np.asarray(found, dtype=np.int64)
