"""Google Earth Engine: images listed, and their pixels computed in tiles that one request may have."""

from __future__ import annotations

import importlib
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import MissingDependencyError, RemoteError, UsageError
from im2dem.core.grid import Grid, Window

from .retry import MissingError, Patience, ask

# Earth Engine, REST reference, projects.image.computePixels: limits of one request.
MOST_BYTES, MOST_SIDE_PX = 50_331_648, 32_768
_REGISTER = "https://code.earthengine.google.com/register"
_LOCK = threading.Lock()
_CONNECTED: list[tuple[str | None, str]] = []
# Words of answers that stay the same however often one asks.
_REFUSED = ("permission", "not registered", "has not been used in project", "caller does not have")


@dataclass(frozen=True)
class EarthEngine:
    """A way to Earth Engine.

    Parameters
    ----------
    url
        Of its REST interface.
    project
        Google Cloud project that is registered for Earth Engine, or None: the one that the credentials name.
    patience
        How often a request is repeated.
    most_bytes
        Uncompressed size of the largest tile that is asked for.
    """

    url: str
    project: str | None
    patience: Patience
    most_bytes: int = MOST_BYTES

    def images(
        self, collection: str, box: tuple[float, float, float, float], days: tuple[date, date] | None
    ) -> list[dict[str, Any]]:
        """Images of a collection that touch a box, as Earth Engine describes them.

        Parameters
        ----------
        collection
            Its id.
        box
            west, south, east, north in degrees; east may be beyond 180.
        days
            First and last day, or None: any.

        Raises
        ------
        UsageError
            No credentials, no project, or no permission.
        RemoteError
            No answer.
        """
        west, south, east, north = box
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        question: dict[str, Any] = {"parent": collection, "region": {"type": "Polygon", "coordinates": [ring]}}
        if days is not None:
            question["startTime"] = f"{days[0].isoformat()}T00:00:00Z"
            question["endTime"] = f"{(days[1] + timedelta(days=1)).isoformat()}T00:00:00Z"
        found = self._ask(collection, lambda ee: ee.data.listImages(dict(question)), None)
        return list(found["images"] or [])

    def pixels(
        self,
        what: str,
        image: Callable[[Any], Any],
        dtype: np.dtype[Any],
        grid: Grid,
        on_failure: Callable[[int, Exception], None] | None = None,
    ) -> NDArray[Any]:
        """Bands of an image on a grid, tile by tile.

        Parameters
        ----------
        what
            For messages.
        image
            Makes the image, with nothing masked, from the module `ee`.
        dtype
            Of a pixel: a structured type with a field a band, named as the image's bands are.
        grid
            Wanted.
        on_failure
            Called after each failed attempt.

        Returns
        -------
        Shape (band, row, col), of the first field's type.

        Raises
        ------
        UsageError
            No credentials, no project, or no permission.
        MissingError
            Earth Engine has no such image.
        RemoteError
            No answer.
        """
        names = dtype.names or ()
        out = np.empty((len(names), *grid.shape), dtype=dtype[0])
        for window in tiles_within(grid.shape, dtype.itemsize, self.most_bytes):
            request = {"fileFormat": "NUMPY_NDARRAY", "grid": pixel_grid(grid.crop(window)), "bandIds": list(names)}

            def compute(ee: Any, request: dict[str, Any] = request, window: Window = window) -> NDArray[Any]:
                got: NDArray[Any] = ee.data.computePixels({**request, "expression": image(ee)})
                if got.shape != window.shape or set(got.dtype.names or ()) != set(names):
                    raise RemoteError(f"{got.shape} pixels of {got.dtype.names} came, {window.shape} of {names} asked")
                return got

            tile = self._ask(what, compute, on_failure)
            for i, name in enumerate(names):
                out[(i, *window.slices())] = tile[name]
        return out

    def _ask(
        self, what: str, question: Callable[[Any], Any], on_failure: Callable[[int, Exception], None] | None
    ) -> Any:
        def attempt(_: int) -> Any:
            ee = _connected(self.url, self.project, self.patience)
            try:
                return question(ee)
            except Exception as error:  # the client lets errors of five libraries through
                raise _translated(what, error) from error

        return ask(attempt, what, self.patience, on_failure)


def tiles_within(shape: tuple[int, int], pixel_bytes: int, most_bytes: int) -> Iterator[Window]:
    """Windows that cover a raster, none larger than a request may be.

    Parameters
    ----------
    shape
        (height, width) of the raster.
    pixel_bytes
        Bytes of all bands of a pixel.
    most_bytes
        Bytes of a tile.
    """
    height, width = shape
    side = min(max(1, math.isqrt(most_bytes // pixel_bytes)), MOST_SIDE_PX)
    # Whole rows where they fit: fewer requests than squares.
    columns = min(width, MOST_SIDE_PX) if width * pixel_bytes <= most_bytes else side
    rows = min(max(1, most_bytes // (pixel_bytes * columns)), MOST_SIDE_PX)
    for row in range(0, height, rows):
        for col in range(0, width, columns):
            yield Window(row, col, min(rows, height - row), min(columns, width - col))


def pixel_grid(grid: Grid) -> dict[str, Any]:
    """A grid as Earth Engine words it.

    Source
    ------
    Earth Engine, REST reference, PixelGrid.
    """
    t = grid.transform
    keys = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    return {
        "dimensions": {"width": grid.width, "height": grid.height},
        "affineTransform": dict(zip(keys, (t.a, t.b, t.c, t.d, t.e, t.f), strict=True)),
        "crsCode": grid.crs,
    }


def mosaic(ee: Any, ids: Sequence[str], band: str) -> Any:
    """One image of several tiles of a height model: interpolation then goes across their seams."""
    tiles = [ee.Image(name).select(band) for name in ids]
    return ee.ImageCollection.fromImages(tiles).mosaic().setDefaultProjection(tiles[0].projection())


def resampled(ee: Any, image: Any, method: str) -> Any:
    """An image that is read with interpolation, or as the mean or most frequent value of the pixels below a wanted one.

    Parameters
    ----------
    ee
        The module.
    image
        With the projection of its own pixels.
    method
        "nearest", "bilinear", "average" or "mode".
    """
    if method == "nearest":
        return image
    if method == "bilinear":
        return image.resample("bilinear")
    reducer = ee.Reducer.mean() if method == "average" else ee.Reducer.mode()
    return image.reduceResolution(reducer, True, 1024)


def _connected(url: str, project: str | None, patience: Patience) -> Any:
    """The module `ee`, connected: its state is one for the whole process."""
    try:
        ee = importlib.import_module("ee")
    except ImportError as error:
        raise MissingDependencyError(
            f"Earth Engine needs a package that is not installed ({error.name}); run: pip install 'im2dem[gee]'"
        ) from error
    with _LOCK:
        if (project, url) in _CONNECTED:
            return ee
        logging.getLogger("googleapiclient").setLevel(logging.CRITICAL)  # it logs each failure that is survived here
        try:
            ee.data.setMaxRetries(0)
            ee.Initialize(project=project, url=url)
            ee.data.setDeadline(patience.timeout_s * 1000)
        except Exception as error:
            raise _translated("Earth Engine", error) from error
        _CONNECTED[:] = [(project, url)]
    return ee


def _translated(what: str, error: Exception) -> Exception:
    """The error of ours for one of the client's."""
    if isinstance(error, (RemoteError, UsageError)):
        return error
    words = " ".join(str(error).split())[:300]
    low = words.lower()
    if "earthengine authenticate" in low:
        return UsageError(
            "Earth Engine wants an account: run `earthengine authenticate` once, or take --source stac, without one"
        )
    if "no project found" in low or "project=" in low:
        return UsageError(
            f"Earth Engine wants a Google Cloud project that is registered for it (--project NAME); see {_REGISTER}"
        )
    if any(part in low for part in _REFUSED):
        return UsageError(f"Earth Engine refuses ({words}); is the project of --project registered at {_REGISTER}?")
    kind = MissingError if "not found" in low else RemoteError
    return kind(f"{what}: {words or type(error).__name__}")
