"""From a picture to heights: the reader, the model and the writer joined."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
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
from im2dem.core.tiles import TilePlan
from im2dem.io.atomic import check_target, write_text
from im2dem.io.cog import CogOptions, create_cog
from im2dem.io.geotiff import open_reader
from im2dem.runtime.card import ModelCard, find_model, load_card
from im2dem.runtime.engine import ApplyOptions, ApplyReport, apply_model
from im2dem.runtime.providers import best_calls
from im2dem.runtime.session import OnnxModel
from im2dem.runtime.shelf import Shelf

from .anchored import Anchored
from .anchoring import Anchor, AnchorReport, open_anchor, what_anchors
from .condition import condition_of
from .defaults import DEFAULT_MODEL
from .expected_error import SigmaMeter
from .guide import guided, once_coarser
from .prediction import Prediction, PredictOptions, summary
from .speed import resolve_provider

__all__ = ["DEFAULT_MODEL", "PredictOptions", "Prediction", "predict_dem", "predict_file", "predictor", "summary"]

log = logging.getLogger("im2dem")

BANDS_OUT = ("height", "sigma")

Progress = Callable[[str, int, int], None]


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
        if prepared.anchor is None:
            _run(prepared, writer, options, None, progress)
            return Raster(writer.data, reader.grid, BANDS_OUT, prepared.unit, None)
        with tempfile.TemporaryDirectory(prefix="im2dem-") as folder, ExitStack() as stack:
            anchored, _ = _anchored(prepared, options, Path(folder), (stack, None), progress)
            anchored.write(writer, progress or _no_progress)
        return Raster(writer.data, reader.grid, BANDS_OUT, "m", anchored.report.vertical_datum)


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
    with _reader(source, options) as reader, ExitStack() as stack:
        prepared = _prepare(reader, options)
        keep = False
        try:
            anchored: Anchored | None = None
            if prepared.anchor is not None:
                anchored, report = _anchored(prepared, options, scratch, (stack, scratch), progress)
                prepared = _with_anchor(prepared, anchored.report)
            with create_cog(target, reader.grid, BANDS_OUT, options=_cog(prepared, options)) as writer:
                if anchored is not None:
                    anchored.write(writer, progress or _no_progress)
                else:
                    meter = SigmaMeter(writer)
                    report = _run(prepared, meter, options, scratch, progress)
                    prepared = replace(prepared, heights_are=meter.in_words(prepared.heights_are, prepared.unit))
                began = time.perf_counter()
            report = replace(report, seconds=report.seconds | {"finish": time.perf_counter() - began})
        except (KeyboardInterrupt, OutputError):
            keep = True
            raise
        finally:
            if not keep:
                shutil.rmtree(scratch, ignore_errors=True)
    prediction = Prediction(
        target,
        reader.grid,
        prepared.unit,
        prepared.heights_are,
        prepared.configuration,
        report,
        anchored.report if anchored is not None else None,
    )
    write_text(side_car, json.dumps(summary(prediction), indent=1, default=str) + "\n", overwrite=True)
    return prediction


def _no_progress(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _anchored(
    prepared: _Prepared,
    options: PredictOptions,
    folder: Path,
    keep: tuple[ExitStack, Path | None],
    progress: Progress | None,
) -> tuple[Anchored, ApplyReport]:
    """Relative heights onto a shelf in a folder, and what the anchor makes of them."""
    if prepared.anchor is None:
        raise UsageError("there is nothing to anchor to")
    stack, scratch = keep
    shelf = stack.enter_context(closing(Shelf(folder / "relative.f32", len(BANDS_OUT), prepared.scaled.grid.shape)))
    report = _run(prepared, shelf, options, scratch, progress)
    if not prepared.model.takes_guide or prepared.anchor.prior is None:
        return Anchored(prepared.anchor, shelf), report
    # A second look with half of the prior hidden: only what the net adds to that shows whether it knows anything.
    test = stack.enter_context(closing(Shelf(folder / "test.f32", len(BANDS_OUT), prepared.scaled.grid.shape)))
    hidden = replace(prepared, anchor=once_coarser(prepared.anchor))
    _run(hidden, test, replace(options, resume=False), None, progress)
    return Anchored(prepared.anchor, shelf, test), report


def _with_anchor(prepared: _Prepared, report: AnchorReport) -> _Prepared:
    configuration = prepared.configuration | {"vertical_datum": report.vertical_datum, "anchor": asdict(report)}
    return replace(prepared, unit="m", heights_are=report.in_words(), configuration=configuration)


def _cog(prepared: _Prepared, options: PredictOptions) -> CogOptions:
    return CogOptions(
        unit=prepared.unit,
        vertical_datum=prepared.configuration["vertical_datum"],
        tags=_tags(prepared),
        compress=options.compress,  # type: ignore[arg-type]
        overwrite=options.overwrite,
    )


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
    anchor: Anchor | None
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
    anchor = open_anchor(options.anchor, reader.grid) if options.anchor.is_given else None
    card_path = find_model(options.model)
    card = load_card(card_path)
    if card.direction != "image-to-dem":
        raise ModelError(f"the model {card.name} goes {card.direction}; heights from a picture need image-to-dem")
    condition, sun_from = condition_of(reader, options.sun, options.date)
    provider = resolve_provider(options.provider, options.model, options.threads)
    tile_px = options.tile_px or card.tile_px
    overlap_px = options.overlap_px if options.overlap_px is not None else card.overlap_px
    batches = -(-len(TilePlan(reader.grid.shape, tile_px, overlap_px)) // max(options.batch, 1))
    # Both take long on small pictures, and neither waits for the other: the network opens on a thread beside.
    with ThreadPoolExecutor(1, "im2dem-open") as pool:
        opening = pool.submit(
            OnnxModel,
            card_path,
            condition=condition,
            threads=options.threads,
            provider=provider,
            calls_at_once=best_calls(provider, options.threads, batches),
        )
        stretch = Stretch.from_samples(sample_reader(reader), card.percentiles)
        model = opening.result()
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
        "tile_px": tile_px,
        "overlap_px": overlap_px,
        "level": options.level,
        "batch": options.batch,
        "provider": provider,
        "vertical_datum": anchor.vertical_datum if anchor else None,
        **({"anchor": what_anchors(options.anchor)} if anchor else {}),
    }
    return _Prepared(ScaledReader(reader, stretch), anchor, model, unit, _heights_are(card, unit), configuration)


def _heights_are(card: ModelCard, unit: str) -> str:
    if unit == "px":
        return "relative, in pixel sizes (no scale is known; give --gsd for metres); mean 0"
    return (
        f"relative ({card.dem_kind} shape), in metres by the model's guess of the amplitude; mean 0, no vertical datum"
    )


def _tags(prepared: _Prepared) -> dict[str, str]:
    c = prepared.configuration
    return {
        "TIFFTAG_SOFTWARE": f"im2dem {__version__}",
        "IM2DEM_VERSION": __version__,
        "IM2DEM_INPUT": Path(str(c["input"])).name,
        "IM2DEM_MODEL": c["model"]["name"],
        "IM2DEM_MODEL_SHA256": c["model"]["sha256"],
        "IM2DEM_HEIGHT_KIND": prepared.heights_are,
        "IM2DEM_VERTICAL_DATUM": _datum_in_words(c),
        "IM2DEM_GSD_M": str(prepared.scaled.grid.gsd_m),
        "IM2DEM_TILE_PX": str(c["tile_px"]),
        "IM2DEM_OVERLAP_PX": str(c["overlap_px"]),
        **({"IM2DEM_EXPECTED_ERROR_M": f"{c['anchor']['expected_error_m']:.3g}"} if "anchor" in c else {}),
        "IM2DEM_SUN": json.dumps(c["condition"], default=str),
    }


def _datum_in_words(configuration: dict[str, Any]) -> str:
    if "anchor" not in configuration:
        return "none (relative heights)"
    return configuration["vertical_datum"] or "that of the anchor, which does not say"


def _run(
    prepared: _Prepared, writer: RasterWriter, options: PredictOptions, scratch: Path | None, progress: Progress | None
) -> ApplyReport:
    c = prepared.configuration
    reader = prepared.scaled.reader
    fingerprint = json.dumps([getattr(reader, "fingerprint", ""), c], sort_keys=True, default=str)
    source, absolute = guided(prepared.scaled, prepared.model, prepared.anchor)
    apply_options = ApplyOptions(
        tile_px=options.tile_px,
        overlap_px=options.overlap_px,
        batch=options.batch,
        level=options.level and not absolute,
        centre=not absolute,
        scratch=scratch,
        resume=options.resume,
        fingerprint=fingerprint,
    )
    return apply_model(source, prepared.model, writer, apply_options, progress)
