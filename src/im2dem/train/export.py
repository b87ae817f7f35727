"""From a training run to a model folder: model.onnx and card.json, after proof that ONNX and torch agree."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from im2dem._version import __version__
from im2dem.runtime.card import ModelCard

from .averaging import MADE_OF
from .journal import RECIPE
from .loop import Run, load_run
from .model_folder import ONNX_NAME, demand_parity, find_checkpoint, open_onnx, training_sources, write_model
from .onnx_file import write_onnx
from .pix2pix.export import export_pix2pix
from .reliefnet import CONDITION_SIZE, GUIDE_CHANNELS, STRIDE, ReliefNet

# Rounding differs between the two runtimes; slope units are of order 0.01 to 1, so this is a few millimetres at 30 m.
PARITY_TOLERANCE = 1e-4
# The same for weights of 16 bits, rounded by up to 1 in 2,000 each, in the root mean square: of the relief as a
# share of its standard deviation, of log sigma as it is.
HALF_TOLERANCE = 1e-2

# Pixel sizes of the training pairs, rendered ones included.
GSD_RANGE_M = (8.0, 240.0)
IMAGENET = "first weights of the encoder: EfficientNet-Lite{size} on ImageNet (Apache-2.0)"

LIMITS = (
    "One picture fixes the shape of relief, hardly its height: heights are relative, their amplitude is a guess.",
    "Learned from 8 to 240 m a pixel, mostly Landsat pictures of Japan under a low sun, and rendered pictures.",
    "Without the sun's direction relief may come out inverted, above all under a sun from the north or in flat light.",
    "Clouds, snow fields and false colour mislead it; on water and plains it may invent low relief.",
    "Bare rock and desert: details may be right while the large forms are not (Zion, Utah).",
)


def to_onnx(net: ReliefNet, path: Path, half: bool = False) -> None:
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
    write_onnx(net, path, inputs, "relief", optional=unknown, metadata=deepness(), half=half)


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


def check_parity(net: ReliefNet, path: Path, seed: int = 0, half: bool = False) -> float:
    """The largest difference between torch and ONNX over pictures of several sizes, slope units.

    Raises
    ------
    ModelError
        They differ by more than `PARITY_TOLERANCE`; for weights of 16 bits, by more than `HALF_TOLERANCE` in any of
        the pictures.
    """
    rng = np.random.default_rng(seed)
    session, worst, worst_share = open_onnx(path), 0.0, 0.0
    for n, h, w in ((1, 64, 64), (2, 128, 96), (1, 256, 512)):
        image = rng.random((n, 3, h, w), dtype=np.float32)
        condition = rng.normal(size=(1, CONDITION_SIZE)).astype(np.float32)
        feeds = {"image": image, "condition": condition}
        if net.config.guide:
            feeds["guide"] = rng.normal(0, 0.3, (n, GUIDE_CHANNELS, h, w)).astype(np.float32)
        with torch.no_grad():
            wanted = net(*(torch.from_numpy(value) for value in feeds.values())).numpy()
        (got,) = session.run(["relief"], feeds)
        difference = got - wanted
        worst = max(worst, float(np.abs(difference).max()))
        relief, log_sigma = np.sqrt(np.square(difference).mean(axis=(0, 2, 3)))
        worst_share = max(worst_share, float(relief / wanted[:, 0].std()), float(log_sigma))
    if half:
        demand_parity(worst_share, HALF_TOLERANCE, "of the relief's spread or of log sigma")
        return worst
    return demand_parity(worst, PARITY_TOLERANCE, "slope units")


def export_run(
    run_folder: Path,
    output: Path,
    *,
    name: str,
    licence: str = "Apache-2.0",
    weights: str = "best",
    guide: bool = True,
    half: bool = False,
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
    half
        Store the weights of a relief net in 16 bits: half the file.
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
    kind = _kind_of(run_folder)
    if kind == "colour":
        from .colour.export import export_colour

        return export_colour(run_folder, output, name=name, licence=licence, overwrite=overwrite)
    if kind == "pix2pix":
        return export_pix2pix(run_folder, output, name=name, licence=licence, weights=weights, overwrite=overwrite)
    run = load_run(find_checkpoint(run_folder, weights), torch.device("cpu"))
    net = run.ema if guide else run.ema.without_guide()
    averaged = run_folder / MADE_OF

    def write(path: Path) -> float:
        to_onnx(net, path, half)
        return check_parity(net, path, half=half)

    def card(sha256: str, difference: float) -> ModelCard:
        made = _card(run, net.config.guide, name, licence, (sha256, training_sources(run_folder), difference))
        if averaged.is_file():
            made = replace(made, metrics={**made.metrics, "averaged": json.loads(averaged.read_text())["of"]})
        return made

    return write_model(output, write, card, overwrite)


def _card(run: Run, is_guided: bool, name: str, licence: str, made: tuple[str, tuple[str, ...], float]) -> ModelCard:
    sha256, sources, difference = made
    recipe, best = run.recipe, run.best
    if recipe.network.encoder != "plain":
        first = IMAGENET.format(size=run.recipe.network.lite)
        sources = (*(line for line in sources if line != first), first)
    return ModelCard(
        name=name,
        version=__version__,
        created=datetime.now(UTC).date().isoformat(),
        direction="image-to-dem",
        bands=("red", "green", "blue"),
        inputs=("image", "condition", "guide") if is_guided else ("image", "condition"),
        tile_px=512,
        overlap_px=128,
        onnx=ONNX_NAME,
        sha256=sha256,
        licence=licence,
        height_kind="relative shape with amplitude guess",
        dem_kind="mixed DTM and DSM",
        gsd_range_m=GSD_RANGE_M,
        told_gsd_m=GSD_RANGE_M,
        scaling={"percentiles": [1.0, 99.0]},
        min_px=64,
        sun_sector_deg=None if recipe.augment.sun_sector_deg == (0.0, 360.0) else recipe.augment.sun_sector_deg,
        sigma_scale=float(best.get("sigma_scale", 1.0)),
        amplitude_scale=float(best.get("amplitude_scale", 1.0)),
        training_data=sources,
        limits=LIMITS,
        metrics={
            "held_out_while_training": dict(best),
            "steps": recipe.steps,
            "recipe": recipe.name,
            "parity_slope_units": difference,
        },
        deepness=deepness(),
    )


def _kind_of(run_folder: Path) -> str:
    path = run_folder / RECIPE
    if (run_folder / "generator.pt").is_file():  # a run of colours, or the one file that is left of it
        return "colour"
    return str(json.loads(path.read_text()).get("kind", "relief")) if path.is_file() else "relief"
