"""From a run's generator to a model folder that `im2dem colour` takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from im2dem._version import __version__
from im2dem.core.errors import InputError, ModelError
from im2dem.runtime.card import ModelCard
from im2dem.runtime.colouring_condition import CLIMATES, SEASONS, VARIETY_SIZE, ColourCondition
from im2dem.runtime.colouring_noise import world_noise
from im2dem.train.model_folder import ONNX_NAME, demand_parity, open_onnx, write_model
from im2dem.train.onnx_file import write_onnx

from .loop import GENERATOR
from .nets import REACH_PX, ColourNet
from .recipe import STRIDE
from .run import load_generator

# Of the full range of colours, a fifth of a step of 8 bits, through some thirty layers of float32.
PARITY_TOLERANCE = 1e-3
TILE_PX = 1024
LIMITS = (
    "Pictures are invented: right in light and plausible in cover, not a record of any place.",
    "Heights count from the mean of the scene: a snow line or a coast stands at no absolute height.",
    "Water is drawn only where relief hints at it; rivers have no names, roads and fields follow no map.",
    "Photographs in training were mostly of Japan in autumn and winter; other climates come from rendered pictures.",
)


class ColourExport(nn.Module):
    """The generator as the runtime wants it: one tile, colours from 0 to 1."""

    def __init__(self, net: ColourNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, dem: Tensor, condition: Tensor, variety: Tensor, noise: Tensor) -> Tensor:
        image: Tensor = self.net(dem, condition, variety, noise)
        return image.clamp(0.0, 1.0)


def export_colour(
    run_folder: Path, output: Path, *, name: str, licence: str = "Apache-2.0", overwrite: bool = False
) -> ModelCard:
    """Make a model folder of a run, or of a folder with its generator.pt alone.

    Parameters
    ----------
    run_folder, output
        Folder of the run; folder of the model, made when it is not there.
    name, licence
        For the card.
    overwrite
        Whether a model that is there may be replaced.

    Raises
    ------
    InputError
        The folder holds no generator of such a run.
    ModelError
        ONNX and torch differ; nothing is written.
    OutputExistsError
        The model is there already.
    """
    path = run_folder / GENERATOR
    if not path.is_file():
        raise InputError(f"{run_folder} holds no {GENERATOR}; give the folder of a run of kind 'colour'")
    net, state = load_generator(path)
    wrapped = ColourExport(net).eval()

    def write(path: Path) -> float:
        to_onnx(wrapped, path)
        return check_parity(wrapped, path)

    def card(sha256: str, difference: float) -> ModelCard:
        return _card(state, name, licence, sha256, difference)

    return write_model(output, write, card, overwrite)


def to_onnx(net: ColourExport, path: Path) -> None:
    """Write the net; height and width stay open, multiples of 16."""
    h, w = (torch.export.Dim(key, min=4, max=1024) for key in "hw")
    sides = {2: STRIDE * h, 3: STRIDE * w}
    dem, noise = torch.rand(1, 1, 6 * STRIDE, 5 * STRIDE), torch.rand(1, 4, 6 * STRIDE, 5 * STRIDE)
    condition = torch.from_numpy(ColourCondition(30.0, 150.0, 40.0).vector())[None]
    inputs = {
        "dem": (dem, sides),
        "condition": (condition, None),
        "variety": (torch.zeros(1, VARIETY_SIZE), None),
        "noise": (noise, sides),
    }
    write_onnx(net, path, inputs, "image")


def check_parity(net: ColourExport, path: Path, seed: int = 0) -> float:
    """The largest difference between torch and ONNX over heights of several sizes and conditions, 0 to 1.

    Raises
    ------
    ModelError
        They differ by more than `PARITY_TOLERANCE`.
    """
    rng = np.random.default_rng(seed)
    session, worst = open_onnx(path), 0.0
    for i, (h, w) in enumerate(((4, 4), (7, 5), (12, 9))):
        shape = (h * STRIDE, w * STRIDE)
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        dem = 120 * np.sin(x / 17 + i) + 90 * np.cos(y / 23) + rng.normal(0, 1, shape)
        azimuth, elevation = (None, None) if i == 0 else (float(rng.uniform(0, 360)), float(rng.uniform(15, 70)))
        told = ColourCondition(float(rng.uniform(10, 90)), azimuth, elevation, CLIMATES[i], SEASONS[i], float(i - 1))
        given: dict[str, Any] = {
            "dem": dem[None, None].astype(np.float32),
            "condition": told.vector()[None],
            "variety": rng.normal(size=(1, VARIETY_SIZE)).astype(np.float32),
            "noise": world_noise(-5, 1000, shape, i)[None],
        }
        with torch.no_grad():
            wanted = net(*map(torch.from_numpy, given.values())).numpy()
        (got,) = session.run(None, given)
        if got.shape != wanted.shape:
            raise ModelError(f"ONNX gives {got.shape} where torch gives {wanted.shape}; the model is not written")
        worst = max(worst, float(np.abs(got - wanted).max()))
    return demand_parity(worst, PARITY_TOLERANCE, "of the full range")


def _card(state: dict[str, Any], name: str, licence: str, sha256: str, difference: float) -> ModelCard:
    return ModelCard(
        name=name,
        version=__version__,
        created=datetime.now(UTC).date().isoformat(),
        direction="dem-to-image",
        bands=("height",),
        tile_px=TILE_PX,
        overlap_px=2 * REACH_PX,
        onnx=ONNX_NAME,
        sha256=sha256,
        licence=licence,
        height_kind="metres above the mean of the scene",
        dem_kind="mixed DTM and DSM",
        gsd_range_m=(8.0, 90.0),
        scaling={"percentiles": [0.0, 100.0]},
        min_px=4 * STRIDE,
        training_data=tuple(state["sources"]),
        limits=LIMITS,
        varieties=state.get("varieties", {}),
        metrics={
            "steps": state["step"],
            "minutes": state["minutes"],
            "recipe": state["recipe"]["name"],
            "climates": list(CLIMATES),
            "seasons": list(SEASONS),
            "parity_share_of_range": difference,
        },
    )
