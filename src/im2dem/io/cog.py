"""Cloud-optimised GeoTIFF out: rows stream into a temporary file, a clean exit makes the final one of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from im2dem.core.errors import Im2DemError, OutputError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.raster import Raster
from im2dem.core.scaling import strips

from .atomic import check_target, output_error, publish, require_space
from .cog_parts import BLOCK_PX, CogParts
from .environment import gdal_env, quiet_georeference
from .georeference import file_crs

# Level 1 of ZSTD takes a third of the default's time for 5 % more bytes on heights; of DEFLATE two thirds for 1 %.
_LEVEL = 1
_SIDE_CARS = (".aux.xml", ".ovr", ".msk")


@dataclass(frozen=True)
class CogOptions:
    """How a raster is written.

    Parameters
    ----------
    unit
        Unit of the values: "m", "px" ...
    vertical_datum
        Written as the tag VERTICAL_DATUM; None: relative heights, no tag.
    tags
        Further tags of the file; values are written as text.
    compress
        "zstd" (smaller and faster) or "deflate" (read by everything); "auto": ZSTD when this GDAL has it.
    overwrite
        Whether a file that is there may be replaced.
    dtype
        "float32", no data is -9999; or "uint8" for pictures: digital numbers from 1 to 255, rounded, no data is 0.
    """

    unit: str = "m"
    vertical_datum: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    compress: Literal["auto", "zstd", "deflate"] = "auto"
    overwrite: bool = False
    dtype: Literal["float32", "uint8"] = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "uint8"):
            raise UsageError(f"dtype must be float32 or uint8, got {self.dtype!r}")
        if self.compress not in ("auto", "zstd", "deflate"):
            raise UsageError(f"compress must be auto, zstd or deflate, got {self.compress!r}")


class CogWriter:
    """A raster that takes finished windows; a context manager. Made by `create_cog`.

    Windows go to `<name>.part.tif` beside the target, and to its overviews. A clean exit turns them into a
    cloud-optimised GeoTIFF and renames it; an exception or Ctrl-C removes them and leaves the target as it was.
    """

    def __init__(self, target: Path, grid: Grid, bands: tuple[str, ...], options: CogOptions) -> None:
        self._target = target
        self._grid = grid
        self._bands = bands
        self._options = options
        self._parts = CogParts(target, grid, file_crs(grid.crs), len(bands), options.dtype)
        self._cog = target.with_name(f"{target.stem}.part.cog.tif")

    @property
    def path(self) -> Path:
        """Where the raster will be."""
        return self._target

    @property
    def grid(self) -> Grid:
        """Georeference of the raster."""
        return self._grid

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Store a window.

        Parameters
        ----------
        window
            Inside the grid. Full rows from top to bottom are fastest.
        data
            float32 (band, row, col), in the unit of the options, NaN = no data.

        Raises
        ------
        UsageError
            Outside its with block, a window that leaves the grid, or data of another shape.
        OutputError
            The disk is full or the file cannot be written.
        """
        if not self._parts.is_open:
            raise UsageError(f"{self._target}: this writer is not open; write inside its with block")
        if window.intersection(self._grid.window) != window:
            raise UsageError(f"{self._target}: {window} is not inside the grid of {self._grid.shape}")
        if data.shape != (len(self._bands), *window.shape):
            raise UsageError(
                f"{self._target}: data of shape {data.shape} given for {len(self._bands)} band(s) of {window.shape}"
            )
        try:
            with gdal_env():
                self._parts.write(window, data)
        except (RasterioError, OSError) as error:
            raise output_error(self._target, error) from error

    def __enter__(self) -> Self:
        require_space(self._target, self._parts.n_bytes)
        try:
            self._discard()
            with gdal_env(), quiet_georeference():
                self._parts.open(self._tags(), self._bands, self._options.unit)
        except BaseException as error:
            self._parts.close_quietly()
            self._discard()
            if isinstance(error, RasterioError | OSError):
                raise output_error(self._target, error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            else:
                self._parts.close_quietly()
        finally:
            self._discard()

    def _tags(self) -> dict[str, str]:
        options = self._options
        tags = {str(key): str(value) for key, value in options.tags.items()}
        if options.vertical_datum is not None:
            tags["VERTICAL_DATUM"] = options.vertical_datum
        return tags

    def _finish(self) -> None:
        """Close the temporary files, make the final one from them, give it its name."""
        target = self._target
        compress = self._options.compress
        if compress == "auto":
            compress = "zstd" if has_zstd() else "deflate"
        try:
            # A server's jobs look for no files beside their pictures; here they are our own overviews.
            with gdal_env(), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), quiet_georeference():
                if not self._parts.close():
                    raise OutputError(f"{target}: the disk is full; free some space or choose another place")
                rasterio.shutil.copy(
                    str(self._parts.source()),
                    str(self._cog),
                    driver="COG",
                    COMPRESS=compress.upper(),
                    LEVEL=_LEVEL,
                    PREDICTOR="FLOATING_POINT" if self._options.dtype == "float32" else "STANDARD",
                    BLOCKSIZE=BLOCK_PX,
                    OVERVIEW_RESAMPLING="AVERAGE",
                    BIGTIFF="IF_SAFER",
                    NUM_THREADS="ALL_CPUS",
                )
            check_target(target, self._options.overwrite)  # somebody else may have written it meanwhile
            publish(self._cog, target)
            for ending in _SIDE_CARS:  # statistics, overviews and masks of the file that was there before
                target.with_name(target.name + ending).unlink(missing_ok=True)
        except Im2DemError:
            raise
        except Exception as error:  # rasterio.shutil.copy raises GDAL's errors by private classes
            raise output_error(target, error) from error

    def _discard(self) -> None:
        self._parts.discard()
        for ending in ("", ".ovr.tmp", ".msk.ovr.tmp", ".aux.xml"):
            self._cog.with_name(self._cog.name + ending).unlink(missing_ok=True)


def create_cog(
    path: str | os.PathLike[str], grid: Grid, bands: tuple[str, ...], *, options: CogOptions | None = None
) -> CogWriter:
    """A writer of a cloud-optimised GeoTIFF: tiles of 512, averaged overviews, float32 unless the options say uint8.

    Parameters
    ----------
    path
        Where it goes.
    grid
        Georeference.
    bands
        One name a band, at least one.
    options
        Unit, tags, compression, overwriting; default `CogOptions()`.

    Returns
    -------
    To be used in a with block.

    Raises
    ------
    UsageError
        No band, or a reference system that cannot be written.
    OutputExistsError
        The file is there and `options.overwrite` is False. Raised here, before any work.
    OutputError
        The folder is missing or not writable.
    """
    options = options or CogOptions()
    if not bands:
        raise UsageError("a raster needs at least one band name")
    return CogWriter(check_target(path, options.overwrite), grid, tuple(bands), options)


def write_raster(path: str | os.PathLike[str], raster: Raster, *, options: CogOptions | None = None) -> Path:
    """Write a raster in memory as a cloud-optimised GeoTIFF; `geotiff.read_raster` undoes it.

    Parameters
    ----------
    path
        Where it goes.
    raster
        Its unit and vertical datum take the place of those in `options`.
    options
        Tags, compression, overwriting.

    Returns
    -------
    The path.

    Raises
    ------
    OutputExistsError
        The file is there and `options.overwrite` is False.
    OutputError
        Folder missing or not writable, disk full.
    """
    options = replace(options or CogOptions(), unit=raster.unit, vertical_datum=raster.vertical_datum)
    with create_cog(path, raster.grid, raster.bands, options=options) as writer:
        for strip in strips(raster.grid, BLOCK_PX):
            writer.write(strip, raster.read(strip))
    return writer.path


@cache
def has_zstd() -> bool:
    """Whether this build of GDAL can write ZSTD."""
    try:
        with gdal_env(), quiet_georeference(), MemoryFile() as memory:
            memory.open(driver="GTiff", width=1, height=1, count=1, dtype="uint8", compress="zstd").close()
    except RasterioError:
        return False
    return True
