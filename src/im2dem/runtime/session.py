"""Run an ONNX model on batches of tiles.

The contract of the file, in slope units (see `core.scaling.SLOPE_UNIT`):

=============  ====================  ====================================================================
input/output   float32 shape         meaning
=============  ====================  ====================================================================
`image`        (n, band, h, w)       the picture, each band stretched to [0, 1]
`condition`    (1, 8), optional      see `Condition.vector`; an initialiser of zeros makes it optional
`guide`        (n, 4, h, w), option. heights that are known, see below; an initialiser of zeros makes it optional
`relief`       (n, 2, h, w)          (z - mean z) / (32 gsd), and log of its Laplace scale b
=============  ====================  ====================================================================

The guide of a tile: 0 heights of a prior above their mean over the tile (0 everywhere without a prior), 1 whether
they are known, 2 heights of points above the same mean (that of the points without a prior), 0 elsewhere, 3 whether
there is a point. The relief then includes channel 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError, ModelError, UsageError
from im2dem.core.scaling import SLOPE_UNIT
from im2dem.core.sun import turn_sun, turns_into

from .card import load_card, verified_onnx
from .providers import Net, open_net

CONDITION_SIZE = 8
GUIDE_BANDS = ("prior", "prior_known", "points", "points_known")
_REFERENCE_GSD_M = 30.0
_LOG_B_LIMIT = 20.0  # exp of more overflows nothing, and no height is known to e^-20 slope units


@dataclass(frozen=True)
class Condition:
    """What is known about a picture besides its pixels; everything may be missing.

    Parameters
    ----------
    sun_azimuth_deg, sun_elevation_deg
        Direction to the sun, degrees clockwise from "up" in the picture, and degrees above the horizon. Both
        or none.
    gsd_m
        Ground sampling distance, metres.
    latitude_deg
        Degrees north.

    Raises
    ------
    UsageError
        Only one of the two sun angles, or a value that is not finite or out of range.
    """

    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    gsd_m: float | None = None
    latitude_deg: float | None = None

    def __post_init__(self) -> None:
        if (self.sun_azimuth_deg is None) != (self.sun_elevation_deg is None):
            raise UsageError(
                "the sun needs both its azimuth and its elevation, got "
                f"{self.sun_azimuth_deg} and {self.sun_elevation_deg}; give both or none"
            )
        for name, low, high in (
            ("sun_azimuth_deg", -360.0, 360.0),
            ("sun_elevation_deg", -90.0, 90.0),
            ("latitude_deg", -90.0, 90.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must be from {low:g} to {high:g}, got {value}")
        if self.gsd_m is not None and not (math.isfinite(self.gsd_m) and self.gsd_m > 0):
            raise UsageError(f"gsd_m must be a positive number of metres, got {self.gsd_m}")

    def vector(self) -> NDArray[np.float32]:
        """The input of the model, float32 (1, 8).

        [sin az, cos az, sin sun elevation, has sun, log2(gsd / 30 m), has gsd, sin latitude, has latitude];
        what is not known is 0, and so is its `has`.
        """
        out = np.zeros((1, CONDITION_SIZE), np.float32)
        if self.sun_azimuth_deg is not None and self.sun_elevation_deg is not None:
            azimuth = math.radians(self.sun_azimuth_deg)
            out[0, :4] = (
                math.sin(azimuth),
                math.cos(azimuth),
                math.sin(math.radians(self.sun_elevation_deg)),
                1,
            )
        if self.gsd_m is not None:
            out[0, 4:6] = math.log2(self.gsd_m / _REFERENCE_GSD_M), 1
        if self.latitude_deg is not None:
            out[0, 6:8] = math.sin(math.radians(self.latitude_deg)), 1
        return out


class OnnxModel:
    """A model file as a `TileModel`: batches of stretched pictures to heights and their standard deviation.

    Safe to call from several threads at once.

    Parameters
    ----------
    card_path
        The model's card, see `card.find_model`.
    condition
        What is known about the picture; also sets the unit of the heights.
    threads
        Threads for all calls together; default: as many as there are cores.
    provider
        "cpu", "cuda", "coreml", "directml" or "openvino".
    calls_at_once
        How many calls the threads are shared among; the caller keeps so many under way, see `providers.best_calls`.

    Raises
    ------
    ModelError
        Card or file cannot be used, or the file does not keep the contract above.
    MissingDependencyError
        This installation cannot use the provider.
    UsageError
        Unknown provider, or fewer than one thread.
    """

    def __init__(
        self,
        card_path: Path,
        *,
        condition: Condition,
        threads: int | None = None,
        provider: str = "cpu",
        calls_at_once: int = 1,
    ) -> None:
        self.card = load_card(card_path)
        self.condition = condition
        self.calls_at_once = calls_at_once
        path = verified_onnx(self.card, card_path)
        self._net = open_net(path, threads, provider, calls_at_once)
        takes = _check_contract(self._net, path)
        self._has_condition, self._guide = "condition" in takes, takes.get("guide")
        if ("guide" in self.card.inputs) != ("guide" in takes):
            raise ModelError(
                f"the card of {self.card.name} says inputs {', '.join(self.card.inputs)}, the file takes "
                f"{', '.join(sorted(takes))}; they do not belong together"
            )
        self._turn, self._told = _turned(_within(condition, self.card.told_gsd_m), self.card.sun_sector_deg)
        # Heights leave in metres, or in pixel sizes where nobody knows how large a pixel is.
        self._scale = np.float32(SLOPE_UNIT * (condition.gsd_m or 1.0))

    @property
    def takes_guide(self) -> bool:
        """Whether the net takes a prior and points as input."""
        return self._guide is not None

    @property
    def tile_px(self) -> int:
        """Preferred side of a tile, pixels."""
        return self.card.tile_px

    @property
    def overlap_px(self) -> int:
        """Least overlap between neighbouring tiles, pixels."""
        return self.card.overlap_px

    @property
    def min_px(self) -> int:
        """Least side of a tile, pixels."""
        return self.card.min_px

    @property
    def bands_out(self) -> int:
        """Height and its standard deviation."""
        return 2

    @property
    def unit(self) -> str:
        """Unit of the heights: "m", or "px" (pixel sizes) when the ground sampling distance is not known."""
        return "px" if self.condition.gsd_m is None else "m"

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Heights relative to each tile's mean, and their standard deviation.

        Parameters
        ----------
        batch
            float32 (n, band, t, t), each band stretched to [0, 1], no NaN. A model that takes a guide also takes
            its four bands behind those of the picture, heights in `unit` (see `GUIDE_BANDS`).

        Returns
        -------
        float32 (n, 2, t, t), in `unit`. Heights of tiles with a prior are those of its datum.

        Raises
        ------
        InputError
            The number of bands is not that of the card.
        ModelError
            The runtime fails, or the answer has another shape than promised.
        """
        own = len(self.card.bands)
        wanted = (own, own + len(GUIDE_BANDS)) if self.takes_guide else (own,)
        if batch.ndim != 4 or batch.shape[1] not in wanted:
            raise InputError(
                f"the model {self.card.name} wants batches (n, {own}, t, t) of the bands "
                f"{', '.join(self.card.bands)}, got the shape {batch.shape}"
            )
        batch = self._turn.apply(batch)
        inputs = {"image": np.ascontiguousarray(batch[:, :own], np.float32)}
        if self._has_condition:
            inputs["condition"] = self._told.vector()
        level = np.zeros((len(batch), 1, 1), np.float32)
        has_prior = np.zeros(len(batch), np.bool_)
        if batch.shape[1] > own:
            inputs["guide"], level, has_prior = _guide_of(batch[:, own:], float(self._scale))
        elif self._guide == "required":
            inputs["guide"] = np.zeros((len(batch), len(GUIDE_BANDS), *batch.shape[2:]), np.float32)
        try:
            relief = self._net.run("relief", inputs)
        except Exception as error:  # the runtimes have no common base for their errors
            raise ModelError(f"the model {self.card.name} failed on a batch of {batch.shape}: {error}") from error
        if relief.shape != (batch.shape[0], 2, *batch.shape[2:]):
            raise ModelError(f"the model {self.card.name} made {relief.shape} of a batch of {batch.shape}")
        out = np.empty(relief.shape, np.float32)
        # A prior has the right amplitude; only what is guessed needs to be put right.
        amplitude = np.where(has_prior, 1.0, self.card.amplitude_scale).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(relief[:, 0], self._scale * amplitude[:, None, None], out=out[:, 0])
            out[:, 0] += level
            # The standard deviation of a Laplace distribution is sqrt(2) times its scale.
            np.exp(np.clip(relief[:, 1], -_LOG_B_LIMIT, _LOG_B_LIMIT), out=out[:, 1])
            out[:, 1] *= np.float32(math.sqrt(2.0) * self.card.sigma_scale) * self._scale
        if not np.isfinite(out).all():
            raise ModelError(f"the model {self.card.name} made numbers that are no heights; its file is damaged")
        return self._turn.undo(out)


@dataclass(frozen=True)
class _Turn:
    """How tiles are laid for the net: quarter turns counter-clockwise, then mirrored east-west."""

    quarters: int = 0
    mirror_ew: bool = False

    def apply(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        turned = np.rot90(tiles, self.quarters, axes=(-2, -1)) if self.quarters else tiles
        return turned[..., ::-1] if self.mirror_ew else turned

    def undo(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        turned = tiles[..., ::-1] if self.mirror_ew else tiles
        return np.ascontiguousarray(np.rot90(turned, -self.quarters, axes=(-2, -1)) if self.quarters else turned)


def _within(condition: Condition, told_gsd_m: tuple[float, float] | None) -> Condition:
    """What a net may be told: a pixel size far from those that it learned with puts it out more than a wrong one."""
    if condition.gsd_m is None or told_gsd_m is None:
        return condition
    low, high = told_gsd_m
    return replace(condition, gsd_m=min(max(condition.gsd_m, low), high))


def _turned(condition: Condition, sector_deg: tuple[float, float] | None) -> tuple[_Turn, Condition]:
    """The first turn that brings the sun where the net knows it, and what the net is told of the turned picture."""
    azimuth = condition.sun_azimuth_deg
    if sector_deg is None or azimuth is None:
        return _Turn(), condition
    turn = _Turn(*turns_into(sector_deg, azimuth % 360.0)[0])
    # A latitude goes with a sun in the south or north: east and west have none, and half a turn changes its sign.
    latitude = None if condition.latitude_deg is None or turn.quarters % 2 else condition.latitude_deg
    if latitude is not None and turn.quarters == 2:
        latitude = -latitude
    told = replace(condition, sun_azimuth_deg=turn_sun(azimuth, turn.quarters, turn.mirror_ew), latitude_deg=latitude)
    return turn, told


def _guide_of(
    bands: NDArray[np.float32], scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """The net's guide of tiles, the heights it counts from where there is a prior (n, 1, 1), and where there is one."""
    prior, known, points, painted = (bands[:, k].astype(np.float64) for k in range(4))
    has_prior: NDArray[np.bool_] = np.asarray(known.any(axis=(1, 2)))
    mean_prior = prior.mean(axis=(1, 2))
    mean_points = (points * painted).sum(axis=(1, 2)) / np.maximum(painted.sum(axis=(1, 2)), 1)
    reference = np.where(has_prior, mean_prior, mean_points)[:, None, None]
    guide = np.empty(bands.shape, np.float32)
    guide[:, 0] = np.where(has_prior[:, None, None], (prior - reference) / scale, 0.0)
    guide[:, 1], guide[:, 3] = known, painted
    guide[:, 2] = (points - reference) / scale * painted
    return guide, np.asarray(np.where(has_prior, mean_prior, 0.0), np.float32)[:, None, None], has_prior


def _check_contract(net: Net, path: Path) -> dict[str, str]:
    """What the model takes, each "required" or "optional"."""
    required, optional, outputs = net.required, net.optional, net.outputs
    if "image" not in required or not required <= {"image", "condition", "guide"} or "relief" not in outputs:
        raise ModelError(
            f"the model file {path} must take 'image' (and may take 'condition' and 'guide') and give 'relief'; "
            f"it takes {sorted(required)} and gives {sorted(outputs)}"
        )
    both = {"image", "condition", "guide"} & (required | optional)
    return {name: "required" if name in required else "optional" for name in both}
