"""Artificial terrain as files: heights, masks, a picture, and the record of how they were made."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from im2dem._version import __version__
from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.io.atomic import check_target, write_bytes, write_text
from im2dem.io.cog import CogOptions, write_raster
from im2dem.synth.noise import Lattice, NoiseOptions, noise
from im2dem.synth.recipes import find_recipe, masks, shape_terrain, shape_tile

from .colour import ColourOptions, colour_dem, picture_options
from .export import export_file
from .export_options import ExportOptions

MOST_SIDE_PX = 16385
DEFAULT_SUN = (150.0, 35.0)
# What grows where a kind of country is at home; the others are temperate.
CLIMATE_OF = {
    "alps": "alpine", "dunes": "arid", "badlands": "arid", "canyon": "arid", "islands": "mediterranean",
    "plateau": "steppe", "glacial": "boreal",
}  # fmt: skip


@dataclass(frozen=True)
class TerrainOptions:
    """What to make.

    Parameters
    ----------
    recipe
        See `synth.recipes.RECIPES`.
    seed
        Of all chance.
    size_px
        Side, pixels.
    gsd_m
        Pixel size, metres; None: the recipe's own.
    tile
        (column, row) of a tile of an endless world, rows southwards; None: one whole landscape.
    overwrite
        Whether files that are there may be replaced.
    """

    recipe: str = "alps"
    seed: int = 0
    size_px: int = 1025
    gsd_m: float | None = None
    tile: tuple[int, int] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        find_recipe(self.recipe)
        if not 16 <= self.size_px <= MOST_SIDE_PX:
            raise UsageError(f"--size must be 16 to {MOST_SIDE_PX} pixels, got {self.size_px}")
        if self.gsd_m is not None and not 0 < self.gsd_m < 10_000:
            raise UsageError(f"--gsd must be above 0 and below 10,000 metres, got {self.gsd_m}")


@dataclass(frozen=True)
class Companions:
    """What is written beside the heights; None: nothing.

    Parameters
    ----------
    masks
        Folder of slope, flow, deposit, wetness, rock and snow.
    colour
        A picture, GeoTIFF.
    glb
        A model of triangles, with the picture on it where there is one, else coloured by height.
    sun
        Of the picture: azimuth clockwise from north and elevation, degrees.
    climate
        Of the picture; None: the recipe's own, see `CLIMATE_OF`.
    season
        Of the picture; None: summer.

    Raises
    ------
    UsageError
        A sun, a climate or a season that `ColourOptions` refuses.
    """

    masks: str | os.PathLike[str] | None = None
    colour: str | os.PathLike[str] | None = None
    glb: str | os.PathLike[str] | None = None
    sun: tuple[float, float] = DEFAULT_SUN
    climate: str | None = None
    season: str | None = None

    def __post_init__(self) -> None:
        ColourOptions(sun=self.sun, climate=self.climate, season=self.season)


def generate_terrain(options: TerrainOptions, progress: Callable[[int, int], None] | None = None) -> Raster:
    """A landscape, or a tile of an endless world, as a raster with one band "height" in metres.

    Parameters
    ----------
    options
        What to make.
    progress
        Called with (steps done, steps in all).

    Raises
    ------
    MissingDependencyError
        Numba is not installed and the landscape is large.
    """
    return _generate(options, progress)[0]


def _generate(
    options: TerrainOptions, progress: Callable[[int, int], None] | None
) -> tuple[Raster, NDArray[np.float32]]:
    """The raster, and the heights before loose material moved."""
    gsd_m = find_recipe(options.recipe).gsd_m if options.gsd_m is None else options.gsd_m
    n = options.size_px
    if options.tile is None:
        lattice = Lattice((n, n), gsd_m)
        shaped = shape_terrain(options.recipe, lattice, options.seed, progress)
    else:
        col, row = options.tile
        lattice = Lattice((n, n), gsd_m, row * n, col * n)
        shaped = shape_tile(options.recipe, lattice, options.seed)
    local = Grid.local((n, n), gsd_m)
    grid = replace(local, transform=Affine(gsd_m, 0, lattice.col0 * gsd_m, 0, -gsd_m, -lattice.row0 * gsd_m))
    dem, start = shaped.dem, shaped.start
    rivers = find_recipe(options.recipe).rivers
    if rivers is not None and rivers.sea_m is not None:
        # As in models of the Earth's surface: the water, not its bed.
        dem, start = (np.maximum(z, np.float32(rivers.sea_m)) for z in (dem, start))
    return Raster(dem[None], grid, ("height",), "m", None), start


def write_terrain(
    output: str | os.PathLike[str],
    options: TerrainOptions,
    companions: Companions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Make a landscape and write it, with ``OUTPUT.json`` beside it and what else was asked for.

    Returns
    -------
    What was made, as plain values: what the JSON file holds.

    Raises
    ------
    OutputExistsError
        A file is there and `options.overwrite` is False.
    OutputError
        A folder is missing or not writable.
    MissingDependencyError
        Numba is not installed, and a picture or a large landscape is wanted.
    """
    beside = companions or Companions()
    target = check_target(output, options.overwrite)
    side_car = check_target(target.with_name(target.name + ".json"), options.overwrite)
    for path in (beside.colour, beside.glb):
        if path is not None:
            check_target(path, options.overwrite)
    raster, start = _generate(options, progress)
    dem = raster.band("height")
    tags = {
        "TIFFTAG_SOFTWARE": f"im2dem {__version__}",
        "IM2DEM_RECIPE": options.recipe,
        "IM2DEM_SEED": str(options.seed),
        "IM2DEM_HEIGHT_KIND": "artificial terrain",
    }
    cog = CogOptions(tags=tags, overwrite=options.overwrite)
    write_raster(target, raster, options=cog)
    made = {
        "output": str(target),
        "im2dem": __version__,
        **asdict(options),
        "gsd_m": raster.grid.gsd_m,
        "height_m": {"lowest": float(dem.min()), "mean": float(dem.mean()), "highest": float(dem.max())},
        "colour": None,
        "glb": None,
        "masks": {} if beside.masks is None else _write_masks(Path(beside.masks), raster, start, cog),
    }
    made.pop("overwrite")
    if beside.colour is not None:
        climate = beside.climate or CLIMATE_OF.get(options.recipe)
        # Names under which `predict`, like other programs, looks for the sun of a picture.
        lit = {"SUN_AZIMUTH": f"{beside.sun[0]:g}", "SUN_ELEVATION": f"{beside.sun[1]:g}"}
        picture = photograph(raster, beside.sun, climate, beside.season)
        write_raster(beside.colour, picture, options=picture_options({**tags, **lit}, options.overwrite))
        made |= {
            "colour": str(beside.colour),
            "climate": climate or "temperate",
            "season": beside.season,
            "sun_deg": list(beside.sun),
        }
    if beside.glb is not None:
        export_file(target, beside.glb, ExportOptions("glb", image=beside.colour, overwrite=options.overwrite))
        made["glb"] = str(beside.glb)
    write_text(side_car, json.dumps(made, indent=1) + "\n", overwrite=True)
    return made


def _write_masks(folder: Path, raster: Raster, start: NDArray[np.float32], cog: CogOptions) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, values in masks(raster.band("height"), raster.grid.gsd_m or 1.0, start).items():
        unit = {"slope": "deg", "flow": "km2"}.get(name, "1")
        written[name] = str(
            write_raster(folder / f"{name}.tif", Raster(values[None], raster.grid, (name,), unit), options=cog)
        )
    return written


def photograph(
    dem: Raster, sun: tuple[float, float] = DEFAULT_SUN, climate: str | None = None, season: str | None = None
) -> Raster:
    """A picture of a landscape by the physical engine: bands red, green, blue, digital numbers 0 to 255.

    Parameters
    ----------
    dem
        A raster with the band "height", metres.
    sun
        Azimuth clockwise from north and elevation, degrees.
    climate, season
        Of those of `im2dem colour`; None: temperate, summer.

    Raises
    ------
    UsageError
        More pixels than the engine takes at once, or a climate that is not known.
    MissingDependencyError
        Numba is not installed.
    """
    return colour_dem(dem, ColourOptions(engine="physical", sun=sun, climate=climate, season=season))


def perlin_frames(count: int, size_px: int, octaves: int, seed: int) -> NDArray[np.int16]:
    """Perlin heights of one lattice cell a frame, each stretched to 0..255, int16 (count, size_px, size_px).

    The layout is that of the `Perlin.npz` of ImageToDEM (Panagiotou et al. 2020): the values are ours, since the
    original draws them without a seed.

    Raises
    ------
    UsageError
        A count below 1 or a side below 2.
    """
    if count < 1 or size_px < 2:
        raise UsageError(f"at least 1 frame of 2 pixels a side is wanted, got {count} of {size_px}")
    frames = np.empty((count, size_px, size_px), dtype=np.int16)
    for k in range(count):
        # Each frame is a cell of its own, two cells apart: no frame continues another.
        lattice = Lattice((size_px, size_px), 1.0 / size_px, 0, 2 * k * size_px, shift=0.0)
        field = noise(lattice, seed, NoiseOptions(1.0, octaves), np.float64)
        frames[k] = (255.0 * (field - field.min()) / np.ptp(field)).astype(np.int16)
    return frames


def write_perlin(output: str | os.PathLike[str], frames: NDArray[np.int16], overwrite: bool = False) -> Path:
    """Write frames as a compressed .npz with the one array "arr_0", as ``numpy.savez_compressed(file, frames)`` does.

    Raises
    ------
    OutputExistsError
        The file is there and `overwrite` is False.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, frames)
    return write_bytes(output, buffer.getvalue(), overwrite=overwrite)
