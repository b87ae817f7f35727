"""Chips in memory: pictures with their heights, packed into one file for training.

A pack is an uncompressed ``.npz``: ``rgb`` uint8 (n, 3, h, w), ``dem`` int16 (n, h, w) in steps of ``dem_step_m`` with
-32768 = no data, and one float per chip for ``gsd_m``, ``sun_azimuth_deg``, ``sun_elevation_deg``, ``latitude_deg``
(NaN = unknown), plus ``names`` and a JSON text ``provenance``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import GridMismatchError, InputError
from im2dem.io.atomic import publish
from im2dem.io.npz import read_npz

VOID = -32768
DEM_STEP_M = 0.25
_LARGE = ("rgb", "dem")
_RECORDS = ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "latitude_deg")


@dataclass(frozen=True, eq=False)
class Chips:
    """Pictures of one size with their heights.

    Parameters
    ----------
    rgb
        uint8, shape (n, 3, row, col); 0 in all bands where there is no picture.
    dem
        int16, shape (n, row, col), heights above the chip's own mean in steps of 0.25 m; -32768 = no data.
    gsd_m, sun_azimuth_deg, sun_elevation_deg, latitude_deg
        One float a chip; NaN = unknown.
    names
        One text a chip.
    provenance
        Where the chips come from, with licences; saved with the weights that were trained on them.
    """

    rgb: NDArray[np.uint8]
    dem: NDArray[np.int16]
    gsd_m: NDArray[np.float64]
    sun_azimuth_deg: NDArray[np.float64]
    sun_elevation_deg: NDArray[np.float64]
    latitude_deg: NDArray[np.float64]
    names: tuple[str, ...]
    provenance: dict[str, Any]

    def __post_init__(self) -> None:
        n, _, height, width = self.rgb.shape
        lengths = {
            len(v) for v in (self.gsd_m, self.sun_azimuth_deg, self.sun_elevation_deg, self.latitude_deg, self.names)
        }
        if self.dem.shape != (n, height, width) or lengths != {n}:
            raise GridMismatchError(
                f"pictures of shape {self.rgb.shape} with heights of shape {self.dem.shape} and {lengths} records"
            )

    def __len__(self) -> int:
        return len(self.names)

    def heights_m(self, i: int) -> NDArray[np.float32]:
        """Heights of one chip in metres, NaN = no data, shape (row, col)."""
        dem = self.dem[i]
        return np.where(dem == VOID, np.float32(np.nan), dem * np.float32(DEM_STEP_M))


def quantise_heights(dem: NDArray[np.float32]) -> NDArray[np.int16]:
    """Heights in metres with NaN to steps of 0.25 m about their mean; void where NaN.

    Raises
    ------
    InputError
        A height more than 8 km from the mean, which no chip on Earth has: the unit is wrong.
    """
    valid = np.isfinite(dem)
    if not valid.any():
        return np.full(dem.shape, VOID, dtype=np.int16)
    steps = (dem - dem[valid].mean()) / DEM_STEP_M
    if np.abs(steps[valid]).max() > 32000:
        raise InputError("a height is more than 8 km away from its chip's mean; are the heights in metres?")
    return np.where(valid, np.rint(np.where(valid, steps, 0)), VOID).astype(np.int16)


def save_chips(path: Path, chips: Chips) -> None:
    """Write a pack; the file appears only when it is whole."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file,
            rgb=chips.rgb,
            dem=chips.dem,
            gsd_m=chips.gsd_m,
            sun_azimuth_deg=chips.sun_azimuth_deg,
            sun_elevation_deg=chips.sun_elevation_deg,
            latitude_deg=chips.latitude_deg,
            names=np.array(chips.names),
            provenance=np.array(json.dumps(chips.provenance)),
        )
    publish(part, path)


def load_chips(path: Path, mapped: bool = False) -> Chips:
    """Read a pack.

    Parameters
    ----------
    path
        File made by `save_chips`.
    mapped
        Leave pictures and heights on disk and map them into memory: for packs larger than the memory.

    Raises
    ------
    InputError
        The file is missing, or is not a pack of chips.
    """
    try:
        values = read_npz(path, {*_RECORDS, "names", "provenance", *(() if mapped else _LARGE)})
        if mapped:
            values |= {k: _map_member(path, k + ".npy") for k in _LARGE}
        _check(values)
        return Chips(
            **{k: values[k] for k in (*_LARGE, *_RECORDS)},
            names=tuple(str(name) for name in values["names"]),
            provenance=_provenance(str(values["provenance"])),
        )
    except Exception as error:  # as in `io.npz`, and a mapping that reaches beyond the file
        raise InputError(
            f"{path} is not a pack of chips (made by `im2dem dataset pack` or `synth`): {error}"
        ) from error


def _check(values: Mapping[str, NDArray[Any]]) -> None:
    missing = {*_LARGE, *_RECORDS, "names", "provenance"} - values.keys()
    if missing:
        raise ValueError(f"without {', '.join(sorted(missing))}")
    rgb, dem = values["rgb"], values["dem"]
    if rgb.ndim != 4 or rgb.shape[1] != 3 or rgb.dtype != np.uint8 or dem.dtype != np.int16:
        raise ValueError(f"rgb is {rgb.dtype} {rgb.shape}, dem {dem.dtype}; wanted uint8 (n, 3, row, col) and int16")
    odd = [k for k in _RECORDS if values[k].ndim != 1 or values[k].dtype.kind not in "iuf"]
    odd += [k for k, ndim in (("names", 1), ("provenance", 0)) if values[k].ndim != ndim]
    if odd:
        raise ValueError(f"{', '.join(odd)} is not one number or text a chip")


def _provenance(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except RecursionError as error:
        raise ValueError("its provenance is nested too deeply") from error
    sources = told.get("sources", []) if isinstance(told, dict) else None
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise ValueError("its provenance is not an object with a list of sources")
    return dict(told)


def _map_member(path: Path, member: str) -> NDArray[Any]:
    """An array of an uncompressed .npz without reading it: a stored zip holds plain .npy files in a row."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member} is compressed and cannot be mapped; pack it again")
    with path.open("rb") as file:
        file.seek(info.header_offset)
        # the local header: 30 bytes, with the lengths of the name and of the extra field in its last four
        fixed = file.read(30)
        file.seek(int.from_bytes(fixed[26:28], "little") + int.from_bytes(fixed[28:30], "little"), 1)
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if is_fortran:
            raise ValueError(f"{member} is in Fortran order; pack it again")
        return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)
