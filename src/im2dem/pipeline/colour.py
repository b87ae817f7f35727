"""From heights to a picture: a network, or the physical engine, which needs no weights."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from im2dem._version import __version__
from im2dem.core.errors import ModelNotFoundError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader, RasterWriter
from im2dem.core.raster import Raster
from im2dem.io.atomic import check_target, write_text
from im2dem.io.cog import CogOptions, create_cog
from im2dem.io.geotiff import ensure_has_data, open_dem
from im2dem.runtime.card import find_model
from im2dem.runtime.colouring import ColourModel, apply_colours
from im2dem.runtime.colouring_condition import CLIMATES, SEASONS, ColourCondition

from .colour_physical import is_snowy, render_land

log = logging.getLogger("im2dem")

DEFAULT_MODEL = "colour"
DEFAULT_SUN = (150.0, 40.0)
BANDS_OUT = ("red", "green", "blue")
LOOKS = {"photo": 1.0, "rendered": -1.0, "any": 0.0}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ColourOptions:
    """How heights are coloured.

    Parameters
    ----------
    engine
        "network", "physical", or "auto": the network where its weights are at hand, else the physical engine.
    model
        Name or path of a model that goes dem-to-image.
    sun
        Azimuth clockwise from north and elevation, degrees.
    climate, season
        One of `CLIMATES`, of `SEASONS`, or None: not said.
    variety
        Seed of what the relief leaves open; None: the plainest.
    look
        "photo", "rendered" or "any": which of its two kinds of training pictures the network follows.
    gsd_m
        Metres per pixel, for heights without georeference.
    threads
        Of the network; default: all cores.
    overwrite
        Whether an output that is there may be replaced.

    Raises
    ------
    UsageError
        An engine, climate, season or look that is not known, or a sun below the horizon.
    """

    engine: Literal["auto", "network", "physical"] = "auto"
    model: str = DEFAULT_MODEL
    sun: tuple[float, float] = DEFAULT_SUN
    climate: str | None = None
    season: str | None = None
    variety: int | None = None
    look: str = "photo"
    gsd_m: float | None = None
    threads: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for value, known, name in (
            (self.engine, ("auto", "network", "physical"), "engine"),
            (self.climate, (None, *CLIMATES), "climate"),
            (self.season, (None, *SEASONS), "season"),
            (self.look, tuple(LOOKS), "look"),
        ):
            if value not in known:
                words = ", ".join(str(k) for k in known if k is not None)
                raise UsageError(f"--{name} {value!r} is not known; wanted is one of {words}")
        azimuth, elevation = self.sun
        if not (-360 <= azimuth <= 360 and 0 < elevation <= 90):
            raise UsageError(
                f"--sun {azimuth:g},{elevation:g}: wanted is an azimuth from 0 to 360 and an elevation above 0 to 90"
            )
        if self.variety is not None and self.variety < 0:
            raise UsageError(f"--variety {self.variety}: a seed is a whole number from 0")


def colour_dem(
    source: str | os.PathLike[str] | RasterReader,
    options: ColourOptions | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Raster:
    """A picture of heights, in memory.

    Parameters
    ----------
    source
        Path of a height model, or a reader or `Raster` of one band "height" in metres, NaN = no data.
    options
        See `ColourOptions`; single options may be given by name: ``colour_dem("dem.tif", climate="arid")``.
    progress
        Called with (stage, done, total).

    Returns
    -------
    Raster with bands red, green, blue, digital numbers 0 to 255 on the grid of the heights; NaN without height.

    Raises
    ------
    InputError
        The heights or the model cannot be used.
    UsageError
        Options that make no sense, or a pixel size that is not known.
    MissingDependencyError
        Numba is not installed, for the physical engine.
    """
    options = replace(options or ColourOptions(), **choices)
    with _reader(source, options) as reader:
        writer = _MemoryWriter(reader.grid)
        _colour(reader, writer, options, progress)
        return Raster(writer.data, reader.grid, BANDS_OUT, "DN")


def colour_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: ColourOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """A picture of heights, written as a cloud-optimised GeoTIFF, with ``OUTPUT.json`` beside it.

    Returns
    -------
    What was made, as plain values: what the JSON file holds.

    Raises
    ------
    InputError
        The heights or the model cannot be used.
    UsageError
        A pixel size that is not known, or more pixels than the physical engine takes.
    OutputExistsError
        The output is there and overwriting was not asked for.
    OutputError
        The output cannot be written.
    MissingDependencyError
        Numba is not installed, for the physical engine.
    """
    options = options or ColourOptions()
    target = check_target(output, options.overwrite)
    side_car = check_target(target.with_name(target.name + ".json"), options.overwrite)
    with _reader(source, options) as reader:
        tags = {
            "TIFFTAG_SOFTWARE": f"im2dem {__version__}",
            "IM2DEM_INPUT": Path(str(getattr(reader, "name", "in memory"))).name,
            "IM2DEM_PICTURE": "invented from heights",
            "IM2DEM_SUN": "{:g},{:g}".format(*options.sun),
            # as Landsat's metadata call them: im2dem predict finds the sun there
            "SUN_AZIMUTH": f"{options.sun[0]:g}",
            "SUN_ELEVATION": f"{options.sun[1]:g}",
        }
        cog = picture_options(tags, options.overwrite)
        with create_cog(target, reader.grid, BANDS_OUT, options=cog) as writer:
            used = _colour(reader, writer, options, progress)
        made = {
            "output": str(target),
            "im2dem": __version__,
            "input": str(getattr(reader, "name", "in memory")),
            "size_px": list(reader.grid.shape),
            "sun_azimuth_deg": options.sun[0],
            "sun_elevation_deg": options.sun[1],
            "climate": options.climate,
            "season": options.season,
            "variety": options.variety,
            **used,
        }
    write_text(side_car, json.dumps(made, indent=1) + "\n", overwrite=True)
    return made


def picture_options(tags: dict[str, str], overwrite: bool) -> CogOptions:
    """How a picture is written: 8 bit and in a way that other programs than ours show."""
    return CogOptions(unit="DN", tags=tags, overwrite=overwrite, compress="deflate", dtype="uint8")


class _MemoryWriter:
    """Collects the result of `colour_dem`."""

    def __init__(self, grid: Grid) -> None:
        self.data = np.full((len(BANDS_OUT), *grid.shape), np.nan, dtype=np.float32)

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Keep a window."""
        self.data[(slice(None), *window.slices())] = data


@contextmanager
def _reader(source: str | os.PathLike[str] | RasterReader, options: ColourOptions) -> Iterator[RasterReader]:
    if isinstance(source, str | os.PathLike):
        with open_dem(source, gsd_m=options.gsd_m) as reader:
            ensure_has_data(reader)
            if reader.info.unit == "px":
                log.warning("heights in pixel sizes, of no known scale, are taken for metres")
            yield reader
        return
    if options.gsd_m is not None:
        raise UsageError("gsd_m is for files; a raster in memory has its grid already")
    if "height" not in source.bands:
        raise UsageError(f"a height model has a band called height; this raster has {', '.join(source.bands)}")
    yield _Heights(source)


class _Heights:
    """The band of heights of a raster that may have more."""

    def __init__(self, reader: RasterReader) -> None:
        self._reader, self._band = reader, reader.bands.index("height")
        self.grid, self.bands = reader.grid, ("height",)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Heights of a window, float32 (1, row, col)."""
        return self._reader.read(window)[self._band : self._band + 1]


def _colour(
    reader: RasterReader, writer: RasterWriter, options: ColourOptions, progress: Progress | None
) -> dict[str, Any]:
    """Write the picture; says which engine made it."""
    gsd_m = reader.grid.gsd_m
    if gsd_m is None:
        raise UsageError("how large is a pixel? The heights have no georeference; give metres per pixel with --gsd")
    azimuth = reader.grid.azimuth_in_picture(options.sun[0])
    card_path = _card_path(options)
    if card_path is None:
        render_land(reader, writer, (gsd_m, azimuth), options)
        return {"engine": "physical", "gsd_m": gsd_m}
    condition = ColourCondition(gsd_m, azimuth, options.sun[1], options.climate, options.season, LOOKS[options.look])
    model = ColourModel(card_path, condition, options.variety, options.threads)
    low, high = model.card.gsd_range_m
    if not low <= gsd_m <= high:
        log.warning(
            "a pixel is %.3g m; the model %s learned from %g to %g m: expect less of it, or resample",
            gsd_m,
            model.card.name,
            low,
            high,
        )
    if is_snowy(options):
        log.warning("the network has hardly seen snow; for white winters take --engine physical")
    tiles = apply_colours(reader, model, writer, progress)
    named = {"name": model.card.name, "sha256": model.card.sha256, "licence": model.card.licence}
    return {"engine": "network", "gsd_m": gsd_m, "model": named, "look": options.look, "tiles": tiles}


def _card_path(options: ColourOptions) -> Path | None:
    """The card of the network; None where the physical engine is to do it."""
    if options.engine == "physical":
        return None
    try:
        return find_model(options.model)
    except ModelNotFoundError:
        if options.engine == "network" or options.model != DEFAULT_MODEL:
            raise
        log.info("no weights of a colour network are installed: the physical engine makes the picture")
        return None
