"""What may be chosen for a prediction, and what comes out of one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from im2dem.core.errors import UsageError
from im2dem.core.grid import Grid
from im2dem.runtime.engine import ApplyReport

from .anchoring import AnchorOptions, AnchorReport
from .defaults import DEFAULT_MODEL


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
    provider
        What runs the network: "cpu" (ONNX Runtime), "openvino", "cuda" ..., or "auto": what `speed.choose_provider`
        finds fastest here. They differ by roundings.
    resume
        Go on with an interrupted run of the same input, model and options.
    overwrite
        Replace an existing output.
    compress
        "auto", "zstd" or "deflate".
    anchor
        A coarse height model or known points that make the heights absolute; default: none, heights stay relative.
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
    provider: str = "cpu"
    resume: bool = False
    overwrite: bool = False
    compress: str = "auto"
    anchor: AnchorOptions = field(default_factory=AnchorOptions)

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
    anchor
        What made the heights absolute; None: they are relative.
    """

    output: Path | None
    grid: Grid
    unit: str
    heights_are: str
    configuration: dict[str, Any]
    report: ApplyReport
    anchor: AnchorReport | None = None


def summary(prediction: Prediction) -> dict[str, Any]:
    """The prediction as plain values, for ``--json`` and the file beside the raster."""
    return {
        "output": str(prediction.output) if prediction.output else None,
        "heights": prediction.heights_are,
        "unit": prediction.unit,
        "shape": list(prediction.grid.shape),
        "gsd_m": prediction.grid.gsd_m,
        **_strict(prediction.configuration),
        "report": _strict(asdict(prediction.report)),
    }


def _strict(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
