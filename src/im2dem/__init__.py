"""A digital elevation model from one RGB satellite image.

>>> import im2dem
>>> dem = im2dem.predict_dem("scene.tif")            # doctest: +SKIP
>>> im2dem.view(dem, image="scene.tif").save("scene.html")   # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from os import environ as _environ
from typing import TYPE_CHECKING, Any

from im2dem._version import __version__

# ONNX Runtime from 1.32 on sends its maker word of every use, unless this is set before it is imported: pictures are
# nobody else's business, and nothing here needs a network. Whoever sets it to 0 beforehand is obeyed.
_environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from im2dem.core.errors import (
        GridMismatchError,
        Im2DemError,
        InputError,
        MissingDependencyError,
        ModelError,
        OutputError,
        OutputExistsError,
        UsageError,
    )
    from im2dem.core.grid import Grid, Window
    from im2dem.core.raster import Raster
    from im2dem.io.cog import write_raster
    from im2dem.io.geotiff import read_raster
    from im2dem.pipeline.predict import Prediction, PredictOptions, predict_dem, predict_file
    from im2dem.web.page import PageOptions
    from im2dem.web.view import View, view

__all__ = [
    "Grid",
    "GridMismatchError",
    "Im2DemError",
    "InputError",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "OutputExistsError",
    "PageOptions",
    "PredictOptions",
    "Prediction",
    "Raster",
    "UsageError",
    "View",
    "Window",
    "__version__",
    "predict_dem",
    "predict_file",
    "read_raster",
    "view",
    "write_raster",
]

# Where each name is defined. Its module is imported when somebody asks for it (PEP 562): rasterio, SciPy and ONNX
# Runtime take more than a second, and neither an error class nor `im2dem --help` needs them.
_HOMES = {
    **dict.fromkeys(
        (
            "GridMismatchError",
            "Im2DemError",
            "InputError",
            "MissingDependencyError",
            "ModelError",
            "OutputError",
            "OutputExistsError",
            "UsageError",
        ),
        "core.errors",
    ),
    **dict.fromkeys(("Grid", "Window"), "core.grid"),
    "Raster": "core.raster",
    "write_raster": "io.cog",
    "read_raster": "io.geotiff",
    **dict.fromkeys(("Prediction", "PredictOptions", "predict_dem", "predict_file"), "pipeline.predict"),
    "PageOptions": "web.page",
    **dict.fromkeys(("View", "view"), "web.view"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # the next time Python finds it without asking
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
