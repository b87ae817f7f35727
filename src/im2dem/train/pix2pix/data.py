"""Tiles to learn from: the prototype's files, or packs of chips, scaled as the prototype scaled them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from im2dem.core.errors import InputError
from im2dem.core.nodata import fill
from im2dem.dataset.chips import load_chips
from im2dem.dataset.seed_npz import SEED_TILE_PX, TOP_LEVEL, is_seed_npz, read_seed_npz, tiles_of_chips

JITTER_PX = 286
SEED_GSD_M = 30.0  # AW3D30, the heights of the prototype


@dataclass(frozen=True, eq=False)
class Tiles:
    """Pictures of 256 px with their heights.

    Parameters
    ----------
    rgb
        uint8, shape (n, 256, 256, 3).
    heights
        float32, shape (n, 256, 256); metres above the mean of the chip, or levels 0..255 of the prototype's files.
        Voids are filled from their surroundings.
    valid
        bool, shape (n, 256, 256): where the height is a measured one.
    gsd_m
        Metres a pixel, shape (n,).
    names
        Scene or file of each tile.
    """

    rgb: NDArray[np.uint8]
    heights: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd_m: NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class HeightScale:
    """One minimum and one maximum for all heights.

    The prototype took both from its whole data set, here they are those of the training tiles, and the held-out ones
    have no say. Heights beyond them become the nearer end, -1 or 1.

    Parameters
    ----------
    low, high
        The heights that become -1 and 1.
    unit
        "m", or "level" where the files hold the prototype's levels 0..255.
    """

    low: float
    high: float
    unit: str

    def scaled(self, heights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Heights to [-1, 1]."""
        span = np.float32(2 / (self.high - self.low))
        return np.asarray(np.clip((heights - self.low) * span - 1, -1, 1), dtype=np.float32)

    @property
    def half_range(self) -> float:
        """What a difference of 1 in [-1, 1] is, in `unit`."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Pix2PixData:
    """What a run learns from and is judged by.

    Parameters
    ----------
    train, held_out
        Tiles; `held_out` may have none.
    scale
        Of the heights.
    sources
        One line a source of the training data, with its licence, for the model's card.
    """

    train: Tiles
    held_out: Tiles
    scale: HeightScale
    sources: tuple[str, ...]


def load_tiles(paths: Sequence[Path], least_valid: float = 0.9) -> Pix2PixData:
    """Tiles of files: all of the prototype's format, or all packs of chips; those named val-* are held out.

    Parameters
    ----------
    paths
        Files .npz.
    least_valid
        Least share of pixels of a tile with a height.

    Raises
    ------
    InputError
        No file, files of both kinds, a file that cannot be used, no tile to train on, or all heights alike.
    """
    kinds = {path: is_seed_npz(path) for path in paths}
    if len(set(kinds.values())) > 1:
        seeds = ", ".join(path.name for path, is_seed in kinds.items() if is_seed)
        raise InputError(
            f"{seeds}: levels 0..255 without metres cannot be mixed with packs in metres; give files of one kind"
        )
    is_seed = any(kinds.values())
    read = _seed_tiles if is_seed else _pack_tiles
    parts: dict[bool, list[Tiles]] = {False: [], True: []}
    sources: set[str] = set()
    for path in paths:
        tiles, lines = read(path, least_valid)
        is_held_out = path.name.startswith("val-")
        parts[is_held_out].append(tiles)
        if not is_held_out:
            sources |= set(lines)
    train, held_out = (_joined(parts[key]) for key in (False, True))
    if not len(train):
        raise InputError(
            f"no tile to train on in {len(paths)} files: a pack needs chips of at least {SEED_TILE_PX} px a side with "
            f"{least_valid:.0%} of a tile's heights known, and a name that does not begin with val-"
        )
    if is_seed:
        scale = HeightScale(0.0, float(TOP_LEVEL), "level")
    else:
        scale = HeightScale(float(train.heights.min()), float(train.heights.max()), "m")
        if not scale.high > scale.low:
            raise InputError(f"all training heights are {scale.low:g} m; there is nothing to learn from them")
    return Pix2PixData(train, held_out, scale, tuple(sorted(sources)))


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.intp]:
    """The order of n tiles in an epoch: a function of its arguments alone."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def make_batch(
    tiles: Tiles,
    which: Sequence[int] | NDArray[np.intp],
    scale: HeightScale,
    direction: str,
    jitter: np.random.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """What the generator is given and what it should make, (n, channels, 256, 256) in [-1, 1].

    Parameters
    ----------
    tiles, which
        Numbers of the tiles.
    scale
        Of the heights.
    direction
        "rgb2dem" or "dem2rgb".
    jitter
        Chance of the random cut and mirror; None: tiles as they are.
    """
    rgb = torch.from_numpy(tiles.rgb[which]).permute(0, 3, 1, 2).float() / 127.5 - 1
    heights = torch.from_numpy(scale.scaled(tiles.heights[which]))[:, None]
    if jitter is not None:
        rgb, heights = _jittered(torch.cat([rgb, heights], dim=1), jitter).split([3, 1], dim=1)
    given, wanted = (rgb, heights) if direction == "rgb2dem" else (heights, rgb)
    return given.contiguous(), wanted.contiguous()


def _jittered(stack: Tensor, rng: np.random.Generator) -> Tensor:
    side = stack.shape[-1]
    large = F.interpolate(stack, size=(JITTER_PX, JITTER_PX), mode="nearest")
    row, col = (int(v) for v in rng.integers(JITTER_PX - side + 1, size=2))
    part = large[:, :, row : row + side, col : col + side]
    return part.flip(-1) if rng.random() < 0.5 else part


def _seed_tiles(path: Path, least_valid: float) -> tuple[Tiles, list[str]]:
    content = read_seed_npz(path)
    n = len(content)
    tiles = Tiles(
        content.rgb,
        content.dem.astype(np.float32),
        np.broadcast_to(np.True_, content.dem.shape),
        np.full(n, SEED_GSD_M),
        (path.stem,) * n,
    )
    return tiles, [f"ImageToDEM file: {path.name} (licence not stated in the file)"]


def _pack_tiles(path: Path, least_valid: float) -> tuple[Tiles, list[str]]:
    chips = load_chips(path)
    rgb, heights, numbers = tiles_of_chips(chips, least_valid)
    valid = np.isfinite(heights)
    filled = np.stack([fill(h[None])[0] for h in heights]) if len(heights) else heights
    tiles = Tiles(rgb, filled, valid, chips.gsd_m[numbers], tuple(chips.names[i] for i in numbers))
    kind = chips.provenance["kind"]
    return tiles, [f"{kind}: {s['name']} ({s['licence']})" for s in chips.provenance["sources"]]


def _joined(parts: Sequence[Tiles]) -> Tiles:
    side = SEED_TILE_PX
    parts = [part for part in parts if len(part)]
    if not parts:
        return Tiles(
            np.zeros((0, side, side, 3), np.uint8),
            np.zeros((0, side, side), np.float32),
            np.zeros((0, side, side), np.bool_),
            np.zeros(0),
            (),
        )
    return Tiles(
        np.concatenate([p.rgb for p in parts]),
        np.concatenate([p.heights for p in parts]),
        np.concatenate([p.valid for p in parts]),
        np.concatenate([p.gsd_m for p in parts]),
        tuple(name for p in parts for name in p.names),
    )
