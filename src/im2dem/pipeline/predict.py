"""From a picture to heights: the reader, the model and the writer joined."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem._version import __version__
from im2dem.core.errors import ModelError, OutputError, UsageError
from im2dem.core.grid import Grid, Window
from im2dem.core.protocols import RasterReader, RasterWriter
from im2dem.core.raster import Raster
from im2dem.core.scaling import ScaledReader, Stretch, sample_reader
from im2dem.core.sun import solar_position
from im2dem.io.atomic import check_target, write_text
from im2dem.io.cog import CogOptions, create_cog
from im2dem.io.geotiff import open_reader
from im2dem.io.reader import FileReader
from im2dem.runtime.card import ModelCard, find_model, load_card
from im2dem.runtime.engine import ApplyOptions, ApplyReport, apply_model
from im2dem.runtime.session import Condition, OnnxModel

log = logging.getLogger("im2dem")

DEFAULT_MODEL = "relief-free"
BANDS_OUT = ("height", "sigma")
LEAST_SUN_ELEVATION_DEG = 5.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PredictOptions:
    """What the user may choose.

    Parameters
    ----------
    model
        Name of a model that ships, or path of a model folder, card or ONNX file.
    bands
        Bands of the picture that are red, green, blue, counted from 1; default: found out from the file.
    gsd_m
        Metres per pixel of a picture without georeference; None: heights in pixel sizes.
    sun
        (azimuth, elevation) in degrees, clockwise from north and above the horizon; default: from the picture's tags.
    date
        When the picture was taken (UTC); gives the sun where the place is known.
    tile_px, overlap_px
        Default: what the model's card says.
    level
        Solve offset and gain of every tile from the overlaps before blending.
    threads, batch
        Of the network; default: all cores, one tile a run.
    resume
        Go on with an interrupted run of the same input, model and options.
    overwrite
        Replace an existing output.
    compress
        "auto", "zstd" or "deflate".
    """

    model: str = DEFAULT_MODEL
    bands: tuple[int, ...] | None = None
    gsd_m: float | None = None
    sun: tuple[float, float] | None = None
    date: datetime | None = None
    tile_px: int | None = None
    overlap_px: int | None = None
    level: bool = True
    threads: int | None = None
    batch: int = 1
    resume: bool = False
    overwrite: bool = False
    compress: str = "auto"

    def __post_init__(self) -> None:
        if self.sun is not None and not (-360 <= self.sun[0] <= 360 and 0 < self.sun[1] <= 90):
            raise UsageError(
                f"the sun stands at azimuth {self.sun[0]} and elevation {self.sun[1]} degrees; wanted: azimuth "
                "clockwise from north (-360 to 360) and elevation above the horizon (above 0 to 90), e.g. --sun 150,35"
            )


@dataclass(frozen=True)
class Prediction:
    """What came out, for the summary and the configuration beside the raster.

    Parameters
    ----------
    output
        Path of the raster, None when it stayed in memory.
    grid, unit
        Of the heights: "m", or "px" when no scale is known.
    heights_are
        One sentence for people: what kind of heights these are.
    configuration
        Everything that was resolved: input, model, options, sun, stretch.
    report
        Tiles and seconds by stage.
    """

    output: Path | None
    grid: Grid
    unit: str
    heights_are: str
    configuration: dict[str, Any]
    report: ApplyReport


def predict_dem(
    source: str | os.PathLike[str] | RasterReader,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Raster:
    """Heights of a picture, in memory.

    Parameters
    ----------
    source
        Path of a picture, or a reader or `Raster` of red, green, blue (any numbers, NaN = no data).
    options
        See `PredictOptions`; single options may be given by name instead: ``predict_dem("scene.tif", sun=(150, 35))``.
    progress
        Called with (stage, done, total).

    Returns
    -------
    Raster with bands "height" and "sigma", in metres, or in pixel sizes ("px") when the pixel size is unknown;
    relative: the mean over valid pixels is 0. NaN where the picture has no data.

    Raises
    ------
    InputError
        The picture or the model cannot be used.
    UsageError
        Options that make no sense.
    """
    options = replace(options or PredictOptions(), **choices)
    with _reader(source, options) as reader:
        writer = _MemoryWriter(reader.grid)
        prepared = _prepare(reader, options)
        _run(prepared, writer, options, None, progress)
        return Raster(writer.data, reader.grid, BANDS_OUT, prepared.unit, None)


def predict_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Heights of a picture, written as a cloud-optimised GeoTIFF; memory does not grow with the height of the picture.

    Beside the raster stands ``<output>.json`` with the resolved configuration. While it works, tiles are kept in
    ``<output>.part``; it stays after an interruption so that `PredictOptions.resume` can go on, and goes with success.

    Raises
    ------
    InputError
        The picture or the model cannot be used.
    OutputExistsError
        The output is there and overwriting was not asked for.
    OutputError
        The output cannot be written.
    """
    options = options or PredictOptions()
    target = check_target(output, options.overwrite)
    side_car = target.with_name(target.name + ".json")
    check_target(side_car, options.overwrite)
    scratch = target.with_name(target.name + ".part")
    with _reader(source, options) as reader:
        prepared = _prepare(reader, options)
        cog = CogOptions(
            unit=prepared.unit,
            tags=_tags(prepared),
            compress=options.compress,  # type: ignore[arg-type]
            overwrite=options.overwrite,
        )
        keep = False
        try:
            with create_cog(target, reader.grid, BANDS_OUT, options=cog) as writer:
                report = _run(prepared, writer, options, scratch, progress)
                began = time.perf_counter()
            report = replace(report, seconds=report.seconds | {"finish": time.perf_counter() - began})
        except (KeyboardInterrupt, OutputError):
            keep = True
            raise
        finally:
            if not keep:
                shutil.rmtree(scratch, ignore_errors=True)
    prediction = Prediction(target, reader.grid, prepared.unit, prepared.heights_are, prepared.configuration, report)
    write_text(side_car, json.dumps(summary(prediction), indent=1, default=str) + "\n", overwrite=True)
    return prediction


def summary(prediction: Prediction) -> dict[str, Any]:
    """The prediction as plain values, for ``--json`` and the file beside the raster."""
    return {
        "output": str(prediction.output) if prediction.output else None,
        "heights": prediction.heights_are,
        "unit": prediction.unit,
        "shape": list(prediction.grid.shape),
        "gsd_m": prediction.grid.gsd_m,
        **prediction.configuration,
        "report": _strict(asdict(prediction.report)),
    }


def _strict(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def predictor(
    options: PredictOptions | None = None, use_sun: bool = True
) -> Callable[[NDArray[np.float32], dict[str, Any]], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A function from a whole picture and what is known about it to (height, sigma), for `evaluate_model`.

    Parameters
    ----------
    options
        Model and tiles.
    use_sun
        Whether the model is told the sun that the record of a pair knows.
    """
    chosen = options or PredictOptions()

    def predict(image: NDArray[np.float32], known: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        grid: Grid = known["grid"]
        if grid.gsd_m is None:
            grid = Grid.local(grid.shape, known.get("gsd_m"))
        azimuth, elevation = known.get("sun_azimuth_deg"), known.get("sun_elevation_deg")
        sun = (float(azimuth), float(elevation)) if use_sun and azimuth is not None and elevation is not None else None
        dem = predict_dem(Raster(image, grid, ("red", "green", "blue"), "DN"), replace(chosen, sun=sun))
        return dem.band("height"), dem.band("sigma")

    return predict


@dataclass(frozen=True)
class _Prepared:
    """A picture with everything that was found out about it, ready to run."""

    scaled: ScaledReader
    model: OnnxModel
    unit: str
    heights_are: str
    configuration: dict[str, Any]


class _MemoryWriter:
    """Collects the result of `predict_dem`."""

    def __init__(self, grid: Grid) -> None:
        self.data = np.full((len(BANDS_OUT), *grid.shape), np.nan, dtype=np.float32)

    def write(self, window: Window, data: NDArray[np.float32]) -> None:
        """Keep a window."""
        self.data[(slice(None), *window.slices())] = data


@contextmanager
def _reader(source: str | os.PathLike[str] | RasterReader, options: PredictOptions) -> Iterator[RasterReader]:
    if isinstance(source, str | os.PathLike):
        with open_reader(source, bands=options.bands, gsd_m=options.gsd_m) as reader:
            yield reader
        return
    if options.bands is not None or options.gsd_m is not None:
        raise UsageError("bands and gsd_m are for files; a raster in memory has its bands and its grid already")
    if len(source.bands) != 3:
        raise UsageError(
            f"a picture has three bands (red, green, blue); this one has {len(source.bands)}: {source.bands}"
        )
    yield source


def _prepare(reader: RasterReader, options: PredictOptions) -> _Prepared:
    card_path = find_model(options.model)
    card = load_card(card_path)
    if card.direction != "image-to-dem":
        raise ModelError(f"the model {card.name} goes {card.direction}; heights from a picture need image-to-dem")
    stretch = Stretch.from_samples(sample_reader(reader), card.percentiles)
    condition, sun_from = _condition(reader, options)
    model = OnnxModel(card_path, condition=condition, threads=options.threads)
    gsd_m = reader.grid.gsd_m
    if gsd_m is not None and not card.gsd_range_m[0] <= gsd_m <= card.gsd_range_m[1]:
        log.warning(
            "a pixel of this picture is %.3g m; the model %s learned from %g to %g m: expect less of it, or resample",
            gsd_m,
            card.name,
            *card.gsd_range_m,
        )
    unit = "m" if gsd_m is not None else "px"
    configuration = {
        "im2dem": __version__,
        "input": getattr(reader, "name", "in memory"),
        "model": {"name": card.name, "sha256": card.sha256, "licence": card.licence, "dem_kind": card.dem_kind},
        "condition": {**asdict(condition), "sun_from": sun_from},
        "stretch": asdict(stretch),
        "tile_px": options.tile_px or card.tile_px,
        "overlap_px": options.overlap_px if options.overlap_px is not None else card.overlap_px,
        "level": options.level,
        "batch": options.batch,
        "vertical_datum": None,
    }
    return _Prepared(ScaledReader(reader, stretch), model, unit, _heights_are(card, unit), configuration)


def _heights_are(card: ModelCard, unit: str) -> str:
    if unit == "px":
        return "relative, in pixel sizes (no scale is known; give --gsd for metres); mean 0"
    return (
        f"relative ({card.dem_kind} shape), in metres by the model's guess of the amplitude; mean 0, no vertical datum"
    )


def _condition(reader: RasterReader, options: PredictOptions) -> tuple[Condition, str]:
    """What the net is told, and where the sun came from. Directions are turned into the picture's frame."""
    grid = reader.grid
    place = grid.lonlat(grid.height / 2, grid.width / 2)
    info = reader.info if isinstance(reader, FileReader) else None
    sun, source = options.sun, "given"
    if sun is None and options.date is not None:
        if place is None:
            raise UsageError(
                "a date gives the sun only where the place is known; this picture has no georeference: give --sun"
            )
        sun, source = solar_position(options.date, *place), "date given"
    if sun is None and info is not None and info.sun_azimuth_deg is not None and info.sun_elevation_deg is not None:
        sun, source = (info.sun_azimuth_deg, info.sun_elevation_deg), "tags"
    if sun is not None and sun[1] < LEAST_SUN_ELEVATION_DEG:
        log.warning("the sun would stand %.1f degrees high (%s): it is not used", sun[1], source)
        sun = None
    return Condition(
        sun_azimuth_deg=grid.azimuth_in_picture(sun[0]) if sun else None,
        sun_elevation_deg=sun[1] if sun else None,
        gsd_m=grid.gsd_m,
        latitude_deg=place[1] if place else None,
    ), source if sun else "unknown"


def _tags(prepared: _Prepared) -> dict[str, str]:
    c = prepared.configuration
    return {
        "TIFFTAG_SOFTWARE": f"im2dem {__version__}",
        "IM2DEM_VERSION": __version__,
        "IM2DEM_INPUT": Path(str(c["input"])).name,
        "IM2DEM_MODEL": c["model"]["name"],
        "IM2DEM_MODEL_SHA256": c["model"]["sha256"],
        "IM2DEM_HEIGHT_KIND": prepared.heights_are,
        "IM2DEM_VERTICAL_DATUM": "none (relative heights)",
        "IM2DEM_GSD_M": str(prepared.scaled.grid.gsd_m),
        "IM2DEM_TILE_PX": str(c["tile_px"]),
        "IM2DEM_OVERLAP_PX": str(c["overlap_px"]),
        "IM2DEM_SUN": json.dumps(c["condition"], default=str),
    }


def _run(
    prepared: _Prepared, writer: RasterWriter, options: PredictOptions, scratch: Path | None, progress: Progress | None
) -> ApplyReport:
    c = prepared.configuration
    reader = prepared.scaled.reader
    fingerprint = json.dumps([getattr(reader, "fingerprint", ""), c], sort_keys=True, default=str)
    apply_options = ApplyOptions(
        tile_px=options.tile_px,
        overlap_px=options.overlap_px,
        batch=options.batch,
        level=options.level,
        scratch=scratch,
        resume=options.resume,
        fingerprint=fingerprint,
    )
    return apply_model(prepared.scaled, prepared.model, writer, apply_options, progress)
