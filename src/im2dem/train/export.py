"""From a training run to a model folder: model.onnx and card.json, after proof that ONNX and torch agree."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from im2dem._version import __version__
from im2dem.core.errors import InputError, ModelError
from im2dem.io.atomic import check_target, write_bytes
from im2dem.runtime.card import CARD_NAME, ModelCard, file_sha256, save_card

from .journal import BEST, CHECKPOINT, RECIPE
from .loop import load_run
from .onnx_file import write_onnx
from .pix2pix.export import export_pix2pix
from .recipe import Recipe
from .reliefnet import CONDITION_SIZE, GUIDE_CHANNELS, STRIDE, ReliefNet

ONNX_NAME = "model.onnx"
# Rounding differs between the two runtimes; slope units are of order 0.01 to 1, so this is a few millimetres at 30 m.
PARITY_TOLERANCE = 1e-4

LIMITS = (
    "One picture fixes the shape of relief, hardly its height: heights are relative, their amplitude is a guess.",
    "Learned from 8 to 240 m a pixel, mostly Landsat pictures of Japan under a low sun, and rendered pictures.",
    "Without the sun's direction relief may come out inverted, above all under a sun from the north or in flat light.",
    "Clouds, snow fields and false colour mislead it; on water and plains it may invent low relief.",
)


def to_onnx(net: ReliefNet, path: Path) -> None:
    """Write the net with dynamic batch, height and width; the condition becomes an optional input, default unknown."""
    n, h, w = (torch.export.Dim(name, min=low, max=256) for name, low in (("n", 1), ("h", 2), ("w", 2)))
    size = (3 * STRIDE, 4 * STRIDE)
    spatial = {0: n, 2: STRIDE * h, 3: STRIDE * w}
    inputs: dict[str, tuple[torch.Tensor, Any]] = {
        "image": (torch.rand(2, 3, *size), spatial),
        "condition": (torch.zeros(1, CONDITION_SIZE), None),
    }
    if net.config.guide:
        inputs["guide"] = (torch.rand(2, GUIDE_CHANNELS, *size), spatial)
    unknown = {"condition": torch.zeros(1, CONDITION_SIZE)}
    write_onnx(net, path, inputs, "relief", optional=unknown, metadata=deepness())


def deepness() -> dict[str, str]:
    """Metadata that the QGIS plugin Deepness reads; values are JSON, as it expects."""
    return {
        "model_type": '"Regressor"',
        "resolution": "3000",
        "tiles_size": "512",
        "tiles_overlap": "25",
        "standardization_mean": "[0.0, 0.0, 0.0]",
        "standardization_std": "[1.0, 1.0, 1.0]",
        "reg_output_scaling": "1.0",
    }


def check_parity(net: ReliefNet, path: Path, seed: int = 0) -> float:
    """The largest difference between torch and ONNX over pictures of several sizes, slope units.

    Raises
    ------
    ModelError
        They differ by more than `PARITY_TOLERANCE`.
    """
    rng = np.random.default_rng(seed)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for n, h, w in ((1, 64, 64), (2, 128, 96), (1, 256, 512)):
        image = rng.random((n, 3, h, w), dtype=np.float32)
        condition = rng.normal(size=(1, CONDITION_SIZE)).astype(np.float32)
        feeds = {"image": image, "condition": condition}
        if net.config.guide:
            feeds["guide"] = rng.normal(0, 0.3, (n, GUIDE_CHANNELS, h, w)).astype(np.float32)
        with torch.no_grad():
            wanted = net(*(torch.from_numpy(value) for value in feeds.values())).numpy()
        (got,) = session.run(["relief"], feeds)
        worst = max(worst, float(np.abs(got - wanted).max()))
    if not worst <= PARITY_TOLERANCE:
        raise ModelError(
            f"ONNX and torch differ by {worst:.2g} slope units, more than {PARITY_TOLERANCE:g}; "
            "the model is not written"
        )
    return worst


def export_run(
    run_folder: Path,
    output: Path,
    *,
    name: str,
    licence: str = "Apache-2.0",
    weights: str = "best",
    guide: bool = True,
    overwrite: bool = False,
) -> ModelCard:
    """Make a model folder of a run.

    Parameters
    ----------
    run_folder, output
        Folder of the run; folder of the model, made when it is not there.
    name, licence
        For the card.
    weights
        "best" by validation, or "last".
    guide
        False: a net that was trained with a guide becomes one that takes the picture alone; its heights are those of
        an empty guide.
    overwrite
        Whether a model that is there may be replaced.

    Raises
    ------
    InputError
        The folder holds no such checkpoint.
    ModelError
        ONNX and torch differ.
    OutputExistsError
        The model is there already.
    """
    if _kind_of(run_folder) == "pix2pix":
        return export_pix2pix(run_folder, output, name=name, licence=licence, weights=weights, overwrite=overwrite)
    checkpoint = run_folder / {"best": BEST, "last": CHECKPOINT}.get(weights, weights)
    if not checkpoint.is_file():
        raise InputError(
            f"{run_folder} holds no {checkpoint.name}; "
            "give the folder of a run of `im2dem train`, and --weights best or last"
        )
    output.mkdir(parents=True, exist_ok=True)
    target = check_target(output / ONNX_NAME, overwrite)
    run = load_run(checkpoint, torch.device("cpu"))
    net = run.ema if guide else run.ema.without_guide()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / ONNX_NAME
        to_onnx(net, path)
        difference = check_parity(net, path)
        write_bytes(target, path.read_bytes(), overwrite=overwrite)
    card = _card(run.recipe, run.best, name, licence)
    card = replace(
        card,
        inputs=("image", "condition", "guide") if net.config.guide else ("image", "condition"),
        sha256=file_sha256(target),
        training_data=tuple(_training_data(run_folder)),
        metrics={**card.metrics, "parity_slope_units": difference},
    )
    save_card(card, output / CARD_NAME)
    return card


def _card(recipe: Recipe, best: dict[str, Any], name: str, licence: str) -> ModelCard:
    return ModelCard(
        name=name,
        version=__version__,
        created=datetime.now(UTC).date().isoformat(),
        direction="image-to-dem",
        bands=("red", "green", "blue"),
        tile_px=512,
        overlap_px=128,
        onnx=ONNX_NAME,
        sha256="0" * 64,
        licence=licence,
        height_kind="relative shape with amplitude guess",
        dem_kind="mixed DTM and DSM",
        gsd_range_m=(8.0, 240.0),
        scaling={"percentiles": [1.0, 99.0]},
        min_px=64,
        sun_sector_deg=None if recipe.augment.sun_sector_deg == (0.0, 360.0) else recipe.augment.sun_sector_deg,
        sigma_scale=float(best.get("sigma_scale", 1.0)),
        amplitude_scale=float(best.get("amplitude_scale", 1.0)),
        limits=LIMITS,
        metrics={"held_out_while_training": dict(best), "steps": recipe.steps, "recipe": recipe.name},
        deepness=deepness(),
    )


def _kind_of(run_folder: Path) -> str:
    path = run_folder / RECIPE
    return str(json.loads(path.read_text()).get("kind", "relief")) if path.is_file() else "relief"


def _training_data(run_folder: Path) -> list[str]:
    path = run_folder / "data.txt"
    return path.read_text().splitlines() if path.exists() else []
