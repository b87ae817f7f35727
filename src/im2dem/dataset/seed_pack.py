"""Folders of pairs to a data file of the research prototype: one pass for the range of heights, one an array."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError
from im2dem.core.nodata import fill
from im2dem.io.atomic import check_target, new_file, write_text
from im2dem.io.geotiff import open_dem

from .chips import VOID
from .pairs import Pair, read_pair
from .seed_npz import SEED_TILE_PX, cut_tiles, to_levels

Progress = Callable[[str, int, int], None]
_Tile = tuple[NDArray[np.uint8], NDArray[np.float32]]


@dataclass(frozen=True)
class SeedPack:
    """What was packed.

    Parameters
    ----------
    path
        The data file; `record_of(path)` lies beside it.
    tiles
        Number of tiles of 256 px.
    height_range_m
        Heights that became 0 and 255: the lowest and the highest of all tiles, metres.
    too_small
        Pairs that gave no tile: below 256 px, or with too few heights.
    """

    path: Path
    tiles: int
    height_range_m: tuple[float, float]
    too_small: int


def record_of(path: Path) -> Path:
    """The JSON file beside a data file: what the format itself cannot hold."""
    return path.with_name(path.name + ".json")


def pack_seed_npz(
    pairs: Sequence[Pair],
    path: Path,
    *,
    least_valid: float = 0.9,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SeedPack:
    """Write pairs as the arrays of the prototype (see `seed_npz`), however many there are: memory holds one pair.

    Heights are those of the pairs above their own zero (above the sea, where they have a datum), as the prototype's
    were; its scale is one minimum and one maximum for all tiles. Metres, pixel sizes, sun, names and licences go into a
    JSON file beside it, by which `unpack` gives the metres back to a 510th of the range.

    Parameters
    ----------
    pairs
        With pictures of 8 bits and any size; tiles are cut side by side from the upper left corner.
    path
        File to write, .npz.
    least_valid
        Least share of a tile that has heights; holes are filled from their surroundings.
    overwrite
        Replace the files.
    progress
        Called with (stage, done, total).

    Raises
    ------
    InputError
        No tile in any pair, or no relief in any tile.
    OutputError
        The disk is full or not writable.
    """
    check_target(path, overwrite)
    check_target(record_of(path), overwrite)
    records: list[dict[str, Any]] = []
    low, high, too_small = np.inf, -np.inf, 0
    for i, pair in enumerate(pairs):
        count = 0
        for _, dem in _tiles(pair, least_valid):
            low, high, count = min(low, float(dem.min())), max(high, float(dem.max())), count + 1
            records.append(_record(pair))
        too_small += count == 0
        if progress is not None:
            progress("measuring", i + 1, len(pairs))
    if not records or not high > low:
        raise InputError(
            f"none of the {len(pairs)} pairs has a tile of {SEED_TILE_PX} x {SEED_TILE_PX} px with relief; "
            f"build them with --size {SEED_TILE_PX} or larger"
        )
    n, side = len(records), SEED_TILE_PX

    def pictures() -> Iterator[NDArray[Any]]:
        for i, pair in enumerate(pairs):
            yield from (picture.astype(np.float32) for picture, _ in _tiles(pair, least_valid))
            if progress is not None:
                progress("pictures", i + 1, len(pairs))

    def heights() -> Iterator[NDArray[Any]]:
        for i, pair in enumerate(pairs):
            yield from (to_levels(dem, (low, high))[..., None] for _, dem in _tiles(pair, least_valid))
            if progress is not None:
                progress("heights", i + 1, len(pairs))

    with new_file(path, overwrite) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_member(archive, "arr_0.npy", (n, side, side, 3), np.dtype(np.float32), pictures())
        _write_member(archive, "arr_1.npy", (n, side, side, 1), np.dtype(np.int16), heights())
    told = {"height_range_m": [low, high], "tiles": records}
    write_text(record_of(path), json.dumps(told, indent=1, allow_nan=False) + "\n", overwrite=overwrite)
    return SeedPack(path, n, (low, high), too_small)


def _tiles(pair: Pair, least_valid: float) -> Iterator[_Tile]:
    """Tiles of a pair: pictures, and heights without holes."""
    chips = read_pair(pair)
    with open_dem(pair.dem) as reader:
        dem = reader.read(reader.grid.window)[0]
    dem[chips.dem[0] == VOID] = np.nan
    for picture, part in cut_tiles(chips.rgb[0], dem, least_valid):
        yield picture, fill(part[None])[0]


def _record(pair: Pair) -> dict[str, Any]:
    keys = ("split", "gsd_m", "licence", "vertical_datum", "sun_azimuth_deg", "sun_elevation_deg", "latitude_about")
    return {"name": pair.name, **{key: pair.meta.get(key) for key in keys}}


def _write_member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], items: Iterator[NDArray[Any]]
) -> None:
    """An array of an .npz, written item by item."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(name, "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        count = 0
        for item in items:
            member.write(np.ascontiguousarray(item, dtype).tobytes())
            count += 1
    if count != shape[0]:
        raise InputError(
            f"{count} tiles were read where {shape[0]} had been counted; do not change the pairs meanwhile"
        )
