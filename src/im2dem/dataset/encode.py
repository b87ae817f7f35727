"""From what a source has read to a chip's files: picture, heights and record on one grid."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from im2dem.core.errors import GridMismatchError, UsageError
from im2dem.core.nodata import NODATA, from_nan
from im2dem.io.environment import gdal_env
from im2dem.io.georeference import file_crs

from .cells import SplitPlan
from .plan import Chip
from .rules import ChipRules, measure
from .shift import measure_shift
from .store import EncodedChip, Outcome

BANDS = ("red", "green", "blue")
REFLECTANCE_STEPS = 10_000
# No scene on Earth is stretched further than this: noise would look like relief.
_LEAST_WHITE = 0.05


@dataclass(frozen=True, eq=False)
class Draft:
    """A chip as a source has read it.

    Parameters
    ----------
    chip
        Its place.
    picture
        float32 (3, row, col), red, green, blue, NaN = no picture; or uint8 with 0 in all bands = no picture.
    dem
        Heights, float32 (row, col), metres, NaN = no height.
    unit
        Of the picture: "reflectance" (0 to 1) or "DN".
    cloud, water
        bool (row, col), or None: nobody knows.
    record
        What goes into meta.json as it is: dates, observations, sun, sources, licence, vertical datum ...
    """

    chip: Chip
    picture: NDArray[Any]
    dem: NDArray[np.float32]
    unit: Literal["reflectance", "DN"] = "reflectance"
    cloud: NDArray[np.bool_] | None = None
    water: NDArray[np.bool_] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.chip.grid.shape
        if self.picture.shape != (3, *shape) or self.dem.shape != shape:
            raise GridMismatchError(
                f"{self.chip.name}: a picture of {self.picture.shape}, heights of {self.dem.shape}, a grid of {shape}"
            )


@dataclass(frozen=True)
class Recipe:
    """What is done with every draft.

    Parameters
    ----------
    rules
        Which chips are dropped.
    split
        Which place belongs to which split.
    depth
        Bits of the picture: 8 (stretched by a number that the record tells) or 16 (reflectance x 10,000).
    """

    rules: ChipRules = field(default_factory=ChipRules)
    split: SplitPlan = field(default_factory=SplitPlan)
    depth: Literal[8, 16] = 8

    def __post_init__(self) -> None:
        if self.depth not in (8, 16):
            raise UsageError(f"pictures have 8 or 16 bits, got {self.depth}")


def finish(draft: Draft, recipe: Recipe) -> tuple[Outcome, EncodedChip | None]:
    """Judge a draft, and make its files when it is worth keeping.

    Parameters
    ----------
    draft
        From a source.
    recipe
        Rules, split, depth.

    Returns
    -------
    What became of it, and its files or None.
    """
    name = draft.chip.name
    picture = _floating(draft.picture)
    measured = measure(picture, draft.dem, draft.cloud, draft.water)
    reason = recipe.rules.reason_to_drop(measured)
    if reason is not None:
        return Outcome(name, reason, json.dumps(measured)), None
    stored, scale = quantise(draft.picture, draft.unit, recipe.depth)
    record = dict(draft.record)
    sun = (record.get("sun_azimuth_deg"), record.get("sun_elevation_deg"))
    grid = draft.chip.grid
    gsd_m, box = draft.chip.gsd_m, draft.chip.box
    shift = measure_shift(picture, draft.dem, gsd_m, None if None in sun else (float(sun[0]), float(sun[1])))  # type: ignore[arg-type]
    rgb = raster_bytes(draft.chip, stored, 0, BANDS, {"IM2DEM_SCALE": repr(scale[0]), "IM2DEM_OFFSET": repr(scale[1])})
    tags = {"VERTICAL_DATUM": str(record["vertical_datum"])} if record.get("vertical_datum") else {}
    dem = raster_bytes(draft.chip, from_nan(draft.dem)[None], NODATA, ("height",), tags)
    lon, lat = draft.chip.lonlat
    cell = recipe.split.cell_of(lon, lat)
    meta = {
        "name": name,
        "split": recipe.split.split_of(box),
        "cell": f"{cell[0]},{cell[1]}",
        "crs": grid.crs,
        "gsd_m": gsd_m,
        "unit": "m",
        "size": list(grid.shape),
        "transform": list(grid.transform)[:6],
        "box": list(box),
        "longitude_about": round(lon, 4),
        "latitude_about": round(lat, 4),
        "registration": "Area",
        "picture": {"unit": draft.unit, "bits": recipe.depth, "scale": scale[0], "offset": scale[1]},
        **measured,
        "shift": None
        if shift is None
        else {
            "down_px": round(shift.down_px, 3),
            "right_px": round(shift.right_px, 3),
            "peak": round(shift.peak, 2),
            "is_sure": shift.is_sure,
        },
        **record,
        "sha256_rgb": hashlib.sha256(rgb).hexdigest(),
        "sha256_dem": hashlib.sha256(dem).hexdigest(),
    }
    text = json.dumps(meta, indent=1, allow_nan=False) + "\n"
    return Outcome(name, "kept"), EncodedChip(name, {"rgb.tif": rgb, "dem.tif": dem, "meta.json": text.encode()}, meta)


def quantise(
    picture: NDArray[Any], unit: Literal["reflectance", "DN"], depth: int
) -> tuple[NDArray[Any], tuple[float, float]]:
    """A picture as whole numbers, 0 in all bands = no picture.

    8 bit: 1 to 255 from 0 to the picture's own 99.8th percentile over all bands, so that colour stays and dark slopes
    keep their steps. 16 bit: reflectance x 10,000, or the numbers as they were.

    Parameters
    ----------
    picture
        As in `Draft`.
    unit
        "reflectance" or "DN".
    depth
        8 or 16; a picture that is uint8 already stays as it is.

    Returns
    -------
    uint8 or uint16 (3, row, col); and (scale, offset): value = stored x scale + offset.
    """
    if picture.dtype == np.uint8:
        return picture, (1.0, 0.0)
    valid = np.isfinite(picture).all(axis=0)
    values = np.where(valid, picture, 0.0)
    if depth == 16:
        steps = REFLECTANCE_STEPS if unit == "reflectance" else 1
        stored = np.clip(np.rint(values * steps), 1, 65535).astype(np.uint16)
        stored[:, ~valid] = 0
        return stored, (1.0 / steps, 0.0)
    white = float(np.percentile(values[:, valid], 99.8)) if valid.any() else 1.0
    white = max(math.ceil(white * 1000) / 1000, _LEAST_WHITE) if unit == "reflectance" else max(math.ceil(white), 1.0)
    scale = white / 254.0
    stored = np.clip(np.rint(values / scale) + 1, 1, 255).astype(np.uint8)
    stored[:, ~valid] = 0
    return stored, (scale, -scale)


def raster_bytes(
    chip: Chip, data: NDArray[Any], nodata: float, bands: tuple[str, ...], tags: Mapping[str, str]
) -> bytes:
    """A GeoTIFF in memory, on the chip's grid.

    Parameters
    ----------
    chip
        For the georeference.
    data
        Shape (band, row, col).
    nodata
        Number that means "nothing here".
    bands
        One name a band.
    tags
        Further tags.
    """
    with gdal_env(), MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            height=chip.grid.height,
            width=chip.grid.width,
            count=data.shape[0],
            dtype=data.dtype.name,
            crs=file_crs(chip.grid.crs),
            transform=chip.grid.transform,
            nodata=nodata,
            compress="deflate",
            predictor=3 if data.dtype.kind == "f" else 2,
            tiled=True,
            blockxsize=256,
            blockysize=256,
            photometric="rgb" if data.shape[0] == 3 else "minisblack",
        ) as file:
            file.write(data)
            file.descriptions = bands
            file.update_tags(AREA_OR_POINT="Area", **tags)
            if bands == ("height",):
                file.units = ("m",)
        return bytes(memory.read())


def _floating(picture: NDArray[Any]) -> NDArray[np.float32]:
    if picture.dtype != np.uint8:
        return np.asarray(picture, dtype=np.float32)
    return np.where((picture == 0).all(axis=0), np.float32(np.nan), picture.astype(np.float32))
