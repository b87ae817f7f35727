"""The data files of ImageToDEM, the research prototype: read, written, and cut from packs of chips.

Such a file is an ``.npz`` with two arrays: ``arr_0``, pictures of shape (n, 256, 256, 3), float 0..255, red, green,
blue; and ``arr_1``, heights of shape (n, 256, 256, 1) or (n, 256, 256), int16 0..255: 0 is the lowest height of the
whole data set and 255 its highest. The metres are lost, and so are place, pixel size and licence.

Source
------
Panagiotou et al. (2020), "Generating Elevation Surface from a Single RGB Remotely Sensed Image Using Deep Learning",
Remote Sensing 12(12), 2002, doi:10.3390/rs12122002.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError, UsageError
from im2dem.core.nodata import fill
from im2dem.core.scaling import Stretch
from im2dem.io.atomic import new_file
from im2dem.io.npz import read_npz

from .chips import Chips

SEED_TILE_PX = 256
TOP_LEVEL = 255
_OUTSIDE_DN = 2  # packs hold black where there is no picture


@dataclass(frozen=True, eq=False)
class SeedTiles:
    """The content of a file.

    Parameters
    ----------
    rgb
        uint8, shape (n, 256, 256, 3).
    dem
        int16, shape (n, 256, 256), levels 0..255.
    """

    rgb: NDArray[np.uint8]
    dem: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.dem)


def is_seed_npz(path: Path) -> bool:
    """Whether a file is an .npz with the array names of the prototype; False for what cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"arr_0.npy", "arr_1.npy"} <= set(archive.namelist())
    except Exception:  # of zipfile's own, of the system, and of what zipfile reads without a check
        return False


def read_seed_npz(path: Path) -> SeedTiles:
    """Pictures and heights of a file; pictures are rounded to whole numbers, which those of the prototype are.

    Raises
    ------
    InputError
        The file is missing or no .npz, an array is missing, has another shape than wanted, no tile, or values outside
        0..255.
    """
    found = read_npz(path)
    if not {"arr_0", "arr_1"} <= found.keys():
        names = ", ".join(found) or "none"
        raise InputError(f"{path} holds the arrays {names}; wanted are arr_0 (pictures) and arr_1 (heights)")
    rgb, dem = found["arr_0"], found["arr_1"]
    side = SEED_TILE_PX
    if rgb.ndim != 4 or rgb.shape[1:] != (side, side, 3) or len(rgb) == 0:
        raise InputError(f"{path}: arr_0 has the shape {rgb.shape}, wanted are pictures (n, {side}, {side}, 3), n > 0")
    if dem.shape not in ((len(rgb), side, side), (len(rgb), side, side, 1)):
        raise InputError(
            f"{path}: arr_1 has the shape {dem.shape}; {len(rgb)} pictures want heights "
            f"({len(rgb)}, {side}, {side}) or ({len(rgb)}, {side}, {side}, 1)"
        )
    for name, array in (("arr_0", rgb), ("arr_1", dem)):
        if array.dtype.kind not in "iuf":
            raise InputError(f"{path}: {name} holds {array.dtype}, wanted are numbers")
        low, high = float(array.min()), float(array.max())
        if not 0 <= low <= high <= TOP_LEVEL:  # also refuses NaN
            raise InputError(f"{path}: {name} runs from {low:g} to {high:g}, wanted are levels from 0 to {TOP_LEVEL}")
    return SeedTiles(np.rint(rgb).astype(np.uint8), np.rint(dem).astype(np.int16).reshape(-1, side, side))


def write_seed_npz(path: Path, tiles: SeedTiles, *, overwrite: bool = False) -> Path:
    """Write a file as the prototype did: compressed, float32 pictures, int16 heights (n, 256, 256, 1).

    Raises
    ------
    UsageError
        Shapes or values that the format does not have.
    OutputExistsError
        The file is there and `overwrite` is False.
    OutputError
        The file cannot be written.
    """
    side, n = SEED_TILE_PX, len(tiles)
    if tiles.rgb.shape != (n, side, side, 3) or tiles.dem.shape != (n, side, side) or n == 0:
        raise UsageError(
            f"pictures {tiles.rgb.shape} with heights {tiles.dem.shape}; the format wants ({n}, {side}, {side}, 3) "
            f"and ({n}, {side}, {side}), at least one of them; cut tiles with tiles_of_chips"
        )
    if not 0 <= int(tiles.dem.min()) <= int(tiles.dem.max()) <= TOP_LEVEL:
        raise UsageError(f"heights run from {tiles.dem.min()} to {tiles.dem.max()}; scale them with to_levels first")
    with new_file(path, overwrite=overwrite) as file:
        np.savez_compressed(file, tiles.rgb.astype(np.float32), tiles.dem.astype(np.int16)[..., None])
    return path


def to_levels(heights_m: NDArray[np.float32], height_range_m: tuple[float, float]) -> NDArray[np.int16]:
    """Heights as levels 0..255, as the prototype scaled them: one minimum and one maximum for the whole data set.

    Parameters
    ----------
    heights_m
        Any shape, metres, no NaN. What lies outside of the range becomes its nearer end.
    height_range_m
        The heights that become 0 and 255, metres.

    Returns
    -------
    int16 of the same shape. One level is a 255th of the range: 16 m where the range is 4 km.

    Raises
    ------
    UsageError
        The range is empty.
    """
    low, high = height_range_m
    if not high > low:
        raise UsageError(f"heights from {low:g} to {high:g} m cannot be scaled; the range must not be empty")
    levels = (np.asarray(heights_m, np.float64) - low) * (TOP_LEVEL / (high - low))
    return np.rint(np.clip(levels, 0, TOP_LEVEL)).astype(np.int16)


def tiles_of_chips(
    chips: Chips, least_valid: float = 0.9
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.intp]]:
    """Tiles of 256 px side by side from the upper left corner, as the prototype cut its rasters.

    What the prototype's data did not have is handled so: each chip's picture is stretched to 8 bits between the 1st and
    the 99th percentile of its bands, as `im2dem predict` will do; heights are those above the mean of the *chip*, where
    the prototype's were above the sea.

    Parameters
    ----------
    chips
        Pictures of any size; those below 256 px give no tile.
    least_valid
        Least share of pixels of a tile that have a height.

    Returns
    -------
    Pictures, uint8 (n, 256, 256, 3); heights, float32 (n, 256, 256), metres above the mean of the chip, NaN = no data;
    and the number of the chip that each tile is from, (n,).
    """
    pictures: list[NDArray[np.uint8]] = []
    heights: list[NDArray[np.float32]] = []
    numbers: list[int] = []
    for i in range(len(chips)):
        for picture, dem in cut_tiles(chips.rgb[i], chips.heights_m(i), least_valid):
            pictures.append(picture)
            heights.append(dem)
            numbers.append(i)
    if not pictures:
        side = SEED_TILE_PX
        return np.zeros((0, side, side, 3), np.uint8), np.zeros((0, side, side), np.float32), np.zeros(0, np.intp)
    return np.stack(pictures), np.stack(heights), np.array(numbers)


def cut_tiles(
    rgb: NDArray[np.uint8], dem: NDArray[np.float32], least_valid: float = 0.9
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Tiles of 256 px of one picture, side by side from the upper left corner, with their heights.

    Parameters
    ----------
    rgb
        uint8, shape (3, row, col); stretched to 8 bits as a whole.
    dem
        float32, shape (row, col), metres, NaN = no data.
    least_valid
        Least share of pixels of a tile that have a height.

    Yields
    ------
    Picture, uint8 (256, 256, 3); heights, float32 (256, 256), NaN = no data.
    """
    side, image = SEED_TILE_PX, None
    for row in range(0, dem.shape[0] - side + 1, side):
        for col in range(0, dem.shape[1] - side + 1, side):
            part = (slice(row, row + side), slice(col, col + side))
            if np.isfinite(dem[part]).mean() >= least_valid:
                image = _stretched(rgb) if image is None else image
                yield np.moveaxis(image[(slice(None), *part)], 0, -1), dem[part]


def _stretched(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of full contrast, uint8 (3, row, col); black for want of data is filled from its surroundings."""
    raw = rgb.astype(np.float32)
    raw[:, raw.max(axis=0) <= _OUTSIDE_DN] = np.nan
    samples = raw[:, ::4, ::4].reshape(3, -1)
    if not np.isfinite(samples).any():
        return rgb
    return np.rint(fill(Stretch.from_samples(samples).apply(raw)) * TOP_LEVEL).astype(np.uint8)
