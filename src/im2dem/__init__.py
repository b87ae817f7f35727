"""A digital elevation model from one RGB satellite image.

>>> import im2dem
>>> dem = im2dem.predict_dem("scene.tif")            # doctest: +SKIP
>>> im2dem.view(dem, image="scene.tif").save("scene.html")   # doctest: +SKIP
"""

from im2dem._version import __version__
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
