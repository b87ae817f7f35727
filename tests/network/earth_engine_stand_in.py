"""What the Earth Engine client asks of its REST interface, answered from the drawn world.

The description of the interface and the list of its functions are those that the client brings for its own tests;
images are computed from the expression graphs that it sends, function by function: a wrong graph gives a wrong picture.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from network import stac_world
from network.faulty_server import FaultyServer

ee = pytest.importorskip("ee", reason="the extra [gee] is not installed")

CLIENT = Path(ee.__file__).parent / "tests"
S2, SCORE, DEM = "COPERNICUS/S2_SR_HARMONIZED", "GOOGLE/CLOUD_SCORE_PLUS/V1/S2_HARMONIZED", "COPERNICUS/DEM/GLO30"
FILES = {"B4": "B04", "B3": "B03", "B2": "B02", "SCL": "SCL"}
PROJECT, CAP = "my-project", 50_331_648
Layers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Node:
    """An image that can be sampled on a grid; NaN = masked. `parts`: columns of the height model's file."""

    read: Callable[[dict[str, Any], str], Layers]
    method: str = "nearest"
    parts: tuple[slice, ...] = ()

    def sample(self, grid: dict[str, Any]) -> Layers:
        return self.read(grid, self.method)

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Node:
        return Node(lambda grid, _: {name: change(values) for name, values in self.sample(grid).items()})


def warped(path: Path, grid: dict[str, Any], method: str, parts: tuple[slice, ...] = ()) -> np.ndarray:
    with rasterio.open(path) as file:
        data = file.read(1).astype(np.float64)
        if file.nodata is not None:
            data[data == file.nodata] = np.nan
        if parts:
            keep = np.zeros(data.shape[1], bool)
            for columns in parts:
                keep[columns] = True
            data[:, ~keep] = np.nan
        out = np.full((grid["dimensions"]["height"], grid["dimensions"]["width"]), np.nan)
        t = grid["affineTransform"]
        transform = Affine(t["scaleX"], t["shearX"], t["translateX"], t["shearY"], t["scaleY"], t["translateY"])
        reproject(
            data, out, src_transform=file.transform, src_crs=file.crs, dst_transform=transform,
            dst_crs=grid["crsCode"], src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling[method],
        )  # fmt: skip
    return out


@dataclass
class EarthEngineStandIn(FaultyServer):
    """Serves `folder`, which `stac_world.draw_world` has drawn."""

    missing: set[str] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    registered: bool = True

    def content(self, handler: Any, path: str, query: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            if path == "/$discovery/rest":
                return answer(description())
            if not self.registered:
                return error(403, f"Project {PROJECT} is not registered to use Earth Engine.")
            if path.endswith("/algorithms"):
                return 200, {"Content-Type": "application/json"}, (CLIENT / "algorithms.json").read_bytes()
            if path.endswith(":listAssets"):
                return answer(self.list(unquote(path), parse_qs(query)))
            if path == f"/v1/projects/{PROJECT}/image:computePixels":
                return self.pixels(json.loads(body))
        except LookupError as what:
            return error(404, f"Image.load: Image asset '{what.args[0]}' not found.")
        return error(404, f"no such method: {path}")

    # ---- assets

    def list(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        collection = path.removeprefix("/v1/projects/earthengine-public/assets/").removesuffix(":listAssets")
        told = query.get("filter", [""])[0]
        ring = json.loads(re.search(r'intersects\("(.*?)"\)', told)[1].replace("'", '"'))["coordinates"][0]  # type: ignore[index]
        first, last = (re.search(rf'{key} [><]=? "(.*?)"', told) for key in ("startTime", "endTime"))
        found = []
        for asset in self.assets(collection):
            west, south, east, north = asset.pop("box")
            lons, lats = [p[0] for p in ring], [p[1] for p in ring]
            if max(lons) < west or min(lons) > east or max(lats) < south or min(lats) > north:
                continue
            if (first and asset["startTime"] < first[1]) or (last and asset["startTime"] >= last[1]):
                continue
            found.append(asset)
        start = int(query.get("pageToken", ["0"])[0])
        page: dict[str, Any] = {"assets": found[start : start + 2]}  # short pages: the client must turn them
        return page | ({"nextPageToken": str(start + 2)} if len(found) > start + 2 else {})

    def assets(self, collection: str) -> list[dict[str, Any]]:
        if collection == DEM:
            west, south, east, north = stac_world.scene_box(margin=0.01)
            middle = seam()
            boxes = {"west": (west, south, middle, north), "east": (middle, south, east, north)}
            return [described(f"{DEM}/{k}", "2011-01-01T00:00:00Z", box, {}) for k, box in boxes.items()]
        out = []
        for date, (azimuth, elevation, cloud) in stac_world.DATES.items():
            said = {
                "CLOUDY_PIXEL_PERCENTAGE": cloud, "MEAN_SOLAR_AZIMUTH_ANGLE": azimuth,
                "MEAN_SOLAR_ZENITH_ANGLE": 90 - elevation, "MGRS_TILE": "32TMR",
                "PROCESSING_BASELINE": "05.09", "SPACECRAFT_NAME": "Sentinel-2A",
            }  # fmt: skip
            when = f"{date[:4]}-{date[4:6]}-{date[6:]}T10:16:21.024Z"
            out.append(described(f"{S2}/{date}T101621_32TMR", when, stac_world.scene_box(), said))
        return out

    # ---- pixels

    def pixels(self, question: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        grid, names = question["grid"], question["bandIds"]
        assert question["fileFormat"] == "NPY"
        layers = self.node(question["expression"]).sample(grid)
        dtypes = [(name, layers[name].dtype) for name in names]
        size = grid["dimensions"]["width"] * grid["dimensions"]["height"] * np.dtype(dtypes).itemsize
        self.asked.append(size)
        if size > CAP:
            return error(400, f"Total request size ({size} bytes) must be less than or equal to {CAP} bytes.")
        out = np.zeros((grid["dimensions"]["height"], grid["dimensions"]["width"]), dtypes)
        for name in names:
            assert not np.isnan(layers[name]).any(), "masked pixels have no value of their own"
            out[name] = layers[name]
        stream = io.BytesIO()
        np.save(stream, out)
        return 200, {"Content-Type": "application/octet-stream"}, stream.getvalue()

    def node(self, expression: dict[str, Any]) -> Any:
        values = expression["values"]

        def value(what: dict[str, Any]) -> Any:
            if "valueReference" in what:
                return value(values[what["valueReference"]])
            if "constantValue" in what:
                return what["constantValue"]
            if "arrayValue" in what:
                return [value(item) for item in what["arrayValue"]["values"]]
            call = what["functionInvocationValue"]
            return self.call(call["functionName"], {k: value(v) for k, v in call["arguments"].items()})

        return value(values[expression["result"]])

    def call(self, name: str, given: dict[str, Any]) -> Any:
        image = given.get("image", given.get("input", given.get("value")))
        if name == "Image.load":
            return self.load(given["id"])
        if name == "Image.select":
            wanted = given["bandSelectors"]
            return replace(image, read=lambda grid, how: {band: image.read(grid, how)[band] for band in wanted})
        if name == "Image.resample":
            return replace(image, method=given["mode"])
        if name == "Image.reduceResolution":
            return replace(image, method=given["reducer"])
        plain = {
            "Reducer.mean": "average",
            "Reducer.mode": "mode",
            "Image.projection": image,
            "ImageCollection.fromImages": given.get("images"),
        }
        if name in plain:
            return plain[name]
        if name == "ImageCollection.mosaic":
            tiles = given["collection"]
            parts = tuple(part for tile in tiles for part in tile.parts)
            return Node(lambda grid, how: merged([tile.read(grid, how) for tile in tiles]), parts=parts)
        if name == "Image.setDefaultProjection":
            # Tiles of one projection are from here on one raster, and interpolated across their seam.
            return self.heights(image.parts) if image.parts else image
        if name == "Image.round":
            return image.each(np.round)
        if name == "Image.toFloat":
            return image.each(lambda values: values.astype(np.float32))
        if name == "Image.toUint16":
            # Masked values stay masked; the type is taken when they are unmasked.
            return image.each(lambda values: values.astype(np.float64))
        if name == "Image.unmask":
            assert given["sameFootprint"] is False, "outside of the image, too"
            fill = given["value"]
            fill = fill.sample({})["constant"] if isinstance(fill, Node) else fill
            return image.each(lambda values: typed(np.where(np.isnan(values), fill, values), values.dtype))
        if name == "Image.constant":
            return Node(lambda grid, how: {"constant": given["value"]})
        if name == "Image.addBands":
            first, second = given["dstImg"], given["srcImg"]
            return Node(lambda grid, _: first.sample(grid) | second.sample(grid))
        raise NotImplementedError(name)

    def heights(self, parts: tuple[slice, ...]) -> Node:
        file = self.folder / "dem/tile.tif"
        return Node(lambda grid, how: {"DEM": warped(file, grid, how, parts)}, parts=parts)

    def load(self, asset: str) -> Node:
        if asset in self.missing:
            raise LookupError(asset)
        collection, _, index = asset.rpartition("/")
        if collection == DEM:
            columns = {"west": slice(0, half(self.folder)), "east": slice(half(self.folder), None)}[index]
            return self.heights((columns,))
        date = index[:8]
        if date not in stac_world.DATES:
            raise LookupError(asset)
        scene = self.folder / f"s2/{date}"
        if collection == SCORE:

            def score(grid: dict[str, Any], how: str) -> Layers:
                classes = warped(scene / "SCL.tif", grid, "nearest")
                return {"cs_cdf": np.where(np.isnan(classes), np.nan, np.where(classes == 9, 0.2, 0.9))}

            return Node(score)

        def bands(grid: dict[str, Any], how: str) -> Layers:
            # Harmonized: without the offset that the files have.
            return Lazy(lambda band: warped(scene / f"{FILES[band]}.tif", grid, how) - (0 if band == "SCL" else 1000))

        return Node(bands)


def description() -> dict[str, Any]:
    """The client's own, which is of v1alpha, with what v1 has beyond it: filters of assets, see its REST reference."""
    text = (CLIENT / "cloud_api_discovery_document.json").read_text().replace("v1alpha", "v1")
    content: dict[str, Any] = json.loads(text)
    listing = content["resources"]["projects"]["resources"]["assets"]["methods"]["listAssets"]
    for name in ("filter", "view"):
        listing["parameters"].setdefault(name, {"type": "string", "location": "query"})
    return content


def seam() -> float:
    """The height model's two tiles meet within the area that is asked for."""
    west, _, east, _ = stac_world.inner_box()
    return (west + east) / 2


def half(folder: Path) -> int:
    """The column where its second tile begins."""
    with rasterio.open(folder / "dem/tile.tif") as file:
        return round((seam() - file.transform.c) / file.transform.a)


class Lazy(dict[str, np.ndarray]):
    """Bands that are read when they are asked for."""

    def __init__(self, read: Callable[[str], np.ndarray]) -> None:
        super().__init__()
        self.read = read

    def __missing__(self, band: str) -> np.ndarray:
        return self.read(band)


def merged(layers: list[Layers]) -> Layers:
    out = dict(layers[0])
    for more in layers[1:]:
        out = {name: np.where(np.isnan(more[name]), values, more[name]) for name, values in out.items()}
    return out


def typed(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    return values.astype(np.float32 if dtype == np.float32 else np.uint16)


def described(asset: str, when: str, box: tuple[float, ...], said: dict[str, Any]) -> dict[str, Any]:
    name = f"projects/earthengine-public/assets/{asset}"
    return {"type": "IMAGE", "name": name, "id": asset, "startTime": when, "properties": said, "box": box}


def answer(content: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def error(code: int, message: str) -> tuple[int, dict[str, str], bytes]:
    return (
        code,
        {"Content-Type": "application/json"},
        json.dumps({"error": {"code": code, "message": message}}).encode(),
    )
