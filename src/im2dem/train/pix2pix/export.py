"""From a run of the prototype's conditional GAN to a model folder that the runtime takes as any other.

The ONNX file computes as the generator does in evaluation: no dropout, so that one picture always gives one answer, and
batch norm by each image's own statistics, as at batch 1 in training.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from im2dem._version import __version__
from im2dem.core.errors import ModelError
from im2dem.core.scaling import SLOPE_UNIT
from im2dem.runtime.card import ModelCard
from im2dem.train.model_folder import (
    ONNX_NAME,
    demand_parity,
    find_checkpoint,
    open_onnx,
    training_sources,
    write_model,
)
from im2dem.train.onnx_file import write_onnx

from .generator import STRIDE, Generator
from .loop import load_generator

CONDITION_SIZE = 8
REFERENCE_GSD_M = 30.0
# Of the full range of heights or colours, -1 to 1, through 16 layers of float32 whose order of sums differs.
PARITY_TOLERANCE = 1e-3

LIMITS = (
    "The baseline: the research prototype ImageToDEM (2020) trained again, not a model to rely on.",
    "Knows nothing of sun, pixel size or latitude; learned one scale of heights for all places.",
    "Tiles of 256 px: at other sizes the innermost layer works on values that training never let it see.",
)


class ReliefExport(nn.Module):
    """The generator as the runtime wants a model of heights.

    Takes `image` (n, 3, h, w) in [0, 1] and `condition` (n or 1, 8), see `im2dem.runtime.session.Condition`, of which
    only the pixel size is used, to turn metres into slope units; gives (n, 2, h, w): relief in slope units with a mean
    of 0 for each image, and the log of its Laplace scale, one constant. Where the pixel size is not known, 30 m is
    taken.

    Parameters
    ----------
    generator
        From 3 channels to 1.
    half_range
        What a difference of 1 in the generator's output is, metres.
    error
        Mean absolute error in the generator's output, its held-out one; the constant sigma follows from it.
    """

    def __init__(self, generator: Generator, half_range: float, error: float) -> None:
        super().__init__()
        self.generator, self.half_range, self.error = generator, half_range, error

    def forward(self, image: Tensor, condition: Tensor) -> Tensor:
        height = self.generator(image * 2 - 1)
        log_gsd = torch.where(condition[:, 5:6] > 0.5, condition[:, 4:5], torch.zeros_like(condition[:, 4:5]))
        unit = self.half_range / (SLOPE_UNIT * REFERENCE_GSD_M) * torch.exp2(-log_gsd)[:, :, None, None]
        relief = (height - height.mean(dim=(2, 3), keepdim=True)) * unit
        return torch.cat([relief, torch.zeros_like(relief) + torch.log(self.error * unit)], dim=1)


class ColourExport(nn.Module):
    """The generator as a model of colours.

    Takes `dem` (n, 1, h, w), metres above the scene's mean, or levels 0..255 where it learned from the prototype's
    files; gives `image` (n, 3, h, w) in [0, 1].

    Parameters
    ----------
    generator
        From 1 channel to 3.
    low, high
        The heights that become -1 and 1; those beyond become the nearer.
    """

    def __init__(self, generator: Generator, low: float, high: float) -> None:
        super().__init__()
        self.generator, self.low, self.high = generator, low, high

    def forward(self, dem: Tensor) -> Tensor:
        scaled = ((dem - self.low) * (2 / (self.high - self.low)) - 1).clamp(-1, 1)
        colours: Tensor = (self.generator(scaled) + 1) / 2
        return colours


def wrap_for_export(generator: Generator, heights_range_m: tuple[float, float], error: float = 0.1) -> ReliefExport:
    """The generator as the runtime wants a model of heights.

    Parameters
    ----------
    generator
        Of the direction "rgb2dem".
    heights_range_m
        The heights that its -1 and 1 mean, metres.
    error
        Its mean absolute error on held-out tiles, in [-1, 1].
    """
    low, high = heights_range_m
    return ReliefExport(generator.eval(), (high - low) / 2, max(error, 1e-6))


def export_pix2pix(
    run_folder: Path,
    output: Path,
    *,
    name: str,
    licence: str = "Apache-2.0",
    weights: str = "best",
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
        "best" (least validation L1) or "last".
    overwrite
        Whether a model that is there may be replaced.

    Raises
    ------
    InputError
        The folder holds no such checkpoint of such a run.
    ModelError
        ONNX and torch differ; nothing is written.
    OutputExistsError
        The model is there already.
    """
    generator, state = load_generator(find_checkpoint(run_folder, weights))
    scale, best = state["scale"], state["best"]
    net: nn.Module
    if state["recipe"]["direction"] == "rgb2dem":
        net = wrap_for_export(generator, (scale["low"], scale["high"]), float(best.get("l1", 0.1)))
    else:
        net = ColourExport(generator, scale["low"], scale["high"]).eval()

    def write(path: Path) -> float:
        to_onnx(net, path)
        return check_parity(net, path)

    def card(sha256: str, difference: float) -> ModelCard:
        return _card(state, name, licence, sha256, training_sources(run_folder), difference)

    return write_model(output, write, card, overwrite)


def to_onnx(net: ReliefExport | ColourExport, path: Path) -> None:
    """Write a `ReliefExport` or `ColourExport`; batch, height and width stay open, sides are multiples of 256."""
    # an example of one image of one stride would fix both for ever
    n, h, w = (torch.export.Dim(key, min=2, max=64) for key in "nhw")
    sides = {0: n, 2: STRIDE * h, 3: STRIDE * w}
    example = torch.rand(2, len(_bands(net)), 2 * STRIDE, 3 * STRIDE)
    if isinstance(net, ReliefExport):
        unknown = torch.zeros(1, CONDITION_SIZE)
        inputs = {"image": (example, sides), "condition": (unknown, None)}
        write_onnx(net, path, inputs, "relief", optional={"condition": unknown})
    else:
        write_onnx(net, path, {"dem": (example, sides)}, "image")


def check_parity(net: ReliefExport | ColourExport, path: Path, seed: int = 0) -> float:
    """The largest difference between torch and ONNX over images of several sizes, as a share of the full range.

    Raises
    ------
    ModelError
        They differ by more than `PARITY_TOLERANCE`.
    """
    rng = np.random.default_rng(seed)
    session, worst = open_onnx(path), 0.0
    for n, h, w in ((1, 1, 1), (2, 1, 1), (1, 2, 1)):
        given: dict[str, np.ndarray[Any, Any]]
        image = rng.random((n, len(_bands(net)), h * STRIDE, w * STRIDE), dtype=np.float32)
        if isinstance(net, ReliefExport):
            condition = np.zeros((1, CONDITION_SIZE), np.float32)
            condition[0, 4:6] = rng.uniform(-3, 3), 1
            given = {"image": image, "condition": condition}
            unit = net.half_range / (SLOPE_UNIT * REFERENCE_GSD_M) * math.exp2(-condition[0, 4]) * 2
        else:
            given, unit = {"dem": net.low + (net.high - net.low) * image}, 1.0
        with torch.no_grad():
            wanted = net(*map(torch.from_numpy, given.values())).numpy()
        (got,) = session.run(None, given)
        if got.shape != wanted.shape:
            raise ModelError(f"ONNX gives {got.shape} where torch gives {wanted.shape}; the model is not written")
        error = np.abs(got - wanted)
        if isinstance(net, ReliefExport):
            error[:, 0] /= unit
        worst = max(worst, float(error.max()))
    return demand_parity(worst, PARITY_TOLERANCE, "of the full range")


def _bands(net: nn.Module) -> tuple[str, ...]:
    return ("red", "green", "blue") if isinstance(net, ReliefExport) else ("height",)


def _card(
    state: dict[str, Any], name: str, licence: str, sha256: str, sources: tuple[str, ...], difference: float
) -> ModelCard:
    is_heights = state["recipe"]["direction"] == "rgb2dem"
    scale = state["scale"]
    low, high = state["gsd_range_m"]
    limits: tuple[str, ...] = LIMITS
    if scale["unit"] == "level":
        limits += ("Learned levels 0..255 of unknown height: its metres mean nothing, only its shapes do.",)
    return ModelCard(
        name=name,
        version=__version__,
        created=datetime.now(UTC).date().isoformat(),
        direction="image-to-dem" if is_heights else "dem-to-image",
        bands=("red", "green", "blue") if is_heights else ("height",),
        tile_px=STRIDE,
        overlap_px=STRIDE // 4,
        onnx=ONNX_NAME,
        sha256=sha256,
        licence=licence,
        height_kind="relative shape with amplitude guess",
        dem_kind="DSM" if scale["unit"] == "level" else "mixed DTM and DSM",
        gsd_range_m=(float(low), float(high)),
        scaling={"percentiles": [1.0, 99.0]},
        min_px=STRIDE,
        training_data=sources,
        limits=limits,
        metrics={
            "held_out_while_training": dict(state["best"]),
            "steps": state["step"],
            "recipe": state["recipe"]["name"],
            "heights": dict(scale),
            "parity_share_of_range": difference,
        },
    )
