"""ReliefNet: a small U-Net conditioned on sun, pixel size and latitude; relief shape, amplitude and sigma.

The output is in *slope units*: height above the tile's mean over 32 pixel sizes, so that the same number means the
same steepness at 10, 30 and 90 m. The net predicts a shape of zero mean and one log-amplitude for the tile;
their product is the relief. The shape is not normalised inside the net: a larger tile holds longer waves, and the
scale of the short ones must not depend on the size of the tile.

All convolutions are dense 3 x 3: on a CPU with matrix instructions they train about six times as many chips a second
as depthwise ones of the same depth (docs/decisions/0003-dense-convolutions.md).

Sources
-------
Ronneberger et al. (2015), U-Net, arXiv:1505.04597. Perez et al. (2018), FiLM, arXiv:1709.07871.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from im2dem.core.errors import UsageError

from .integral import Integral
from .lite0 import LiteEncoder

CONDITION_SIZE = 8
IMAGE_MEAN = 0.4
IMAGE_STD = 0.25
LOG_AMPLITUDE_START = -1.5
LOG_B_RANGE = (-4.0, 2.0)
STRIDE = 32
GUIDE_CHANNELS = 4
# Relief of a tile is of the order of a quarter of a slope unit: its channels are brought to the size of the others.
GUIDE_GAIN = (4.0, 1.0, 4.0, 1.0)
# Sides of the squares against whose mean a pixel is a ridge or a valley, see `losses.ridge_lines`.
RIDGE_SPANS_PX = (9, 33)
RIDGES = ("ridges.weight", "ridges.bias")
INTEGRAL = ("integral.slopes.weight", "integral.slopes.bias")
# Zeros beyond the edge tell a net where it is in the crop, and it learns blobs at edges instead of relief.
PADDING: Final = "replicate"


@dataclass(frozen=True)
class ReliefNetConfig:
    """Sizes of the net.

    Parameters
    ----------
    encoder
        "plain": convolutions trained from scratch; "lite0": EfficientNet-Lite0 with its ImageNet weights; "joint":
        both side by side, the first for light and shade, the second for what the land is covered with.
    widths
        Channels of the "plain" encoder at strides 2, 4, 8 ..., and of the decoder at all of these but the last; five of
        them for "lite0", four for "joint".
    embedding
        Size of the embedded condition.
    guide
        Whether the net also takes heights that are known: a coarse height model, or points (see `guide.py`).
    frozen
        So many of the seven stages of EfficientNet-Lite keep their ImageNet weights, see `LiteEncoder`.
    lite
        Which EfficientNet-Lite "lite0" and "joint" take: 0 (the shipped one) or 2 (larger).
    ridges
        Whether the net must also tell ridges from valleys while it is trained; what it exports is the same without.
    pyramid
        Whether the net first looks at the picture at half its size, and is given what it saw there as a channel.
    integral
        Whether the net also sees slopes and sums them up to long waves, see `integral.py`.
    """

    encoder: str = "plain"
    widths: tuple[int, ...] = (24, 48, 96, 160)
    embedding: int = 64
    guide: bool = False
    frozen: int = 0
    lite: int = 0
    ridges: bool = False
    pyramid: bool = False
    integral: bool = False


class ReliefParts(NamedTuple):
    """What the net predicts, before it is put together.

    Attributes
    ----------
    shape
        (n, 1, h, w), mean 0.
    log_amplitude
        (n, 1), of the shape.
    log_b
        (n, 1, h, w), log of the Laplace scale over the amplitude.
    ridges
        (n, 2, h, w), as `losses.ridge_lines`; (n, 0, h, w) for a net that is not asked for them.
    """

    shape: Tensor
    log_amplitude: Tensor
    log_b: Tensor
    ridges: Tensor


# Where the morning satellites see the sun when nobody says: south-east, north-east south of the equator.
USUAL_SUN = (0.5, 0.866)


def slope_cue(image: Tensor, condition: Tensor) -> Tensor:
    """Brightness times the direction of the sun, (n, 2, h, w): the first guess of the height's gradient.

    Ground that faces the sun is bright, so brightness above the mean times the unit vector from the sun points
    uphill, as long as the albedo is even. Given as channels, the sign of shading is a linear matter for the net and
    the same for every direction of the sun.
    """
    light = image.mean(dim=1, keepdim=True)
    light = (light - light.mean(dim=(2, 3), keepdim=True)) / IMAGE_STD
    usual_cos = torch.where(condition[:, 6:7] < 0, USUAL_SUN[1], -USUAL_SUN[1])
    usual = torch.cat([torch.full_like(usual_cos, USUAL_SUN[0]), usual_cos], dim=1)
    towards_sun = torch.where(condition[:, 3:4] > 0.5, condition[:, 0:2], usual)
    return light * towards_sun[:, :, None, None]


class FiLM(nn.Module):
    """Scale and shift channels by the condition; starts as the identity."""

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, dim=1)
        modulated: Tensor = x * (1 + scale) + shift
        return modulated


class Block(nn.Module):
    """Two 3 x 3 convolutions, the first modulated by the condition, the second added to it."""

    def __init__(self, c_in: int, c_out: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False, padding_mode=PADDING)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.film = FiLM(embedding, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False, padding_mode=PADDING)
        self.bn2 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.relu(self.film(self.bn1(self.conv1(x)), condition))
        return x + F.relu(self.bn2(self.conv2(x)))


class PlainEncoder(nn.Module):
    """Features at strides 2, 4, 8 ... from scratch."""

    def __init__(self, widths: tuple[int, ...], embedding: int, cues: int) -> None:
        super().__init__()
        self.channels = widths
        self.stem = nn.Conv2d(3 + cues, widths[0], 5, 2, 2, padding_mode=PADDING)
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.ModuleList(Block(c_in, c_out, embedding) for c_in, c_out in pairs)

    def forward(self, image: Tensor, cue: Tensor, condition: Tensor) -> list[Tensor]:
        x = self.stem(torch.cat([image, cue], dim=1))
        skips = []
        for i, block in enumerate(self.blocks):
            x = block(x if i == 0 else F.max_pool2d(x, 2), condition)
            skips.append(x)
        return skips


class JointEncoder(PlainEncoder):
    """The plain encoder, and beside its features those of EfficientNet-Lite0 at the same strides.

    Weights of a net with the plain encoder fit: `ReliefNet.load_weights` lets the decoder begin without the new ones.
    """

    def __init__(self, config: ReliefNetConfig, cues: int) -> None:
        super().__init__(config.widths, config.embedding, cues)
        self.imagenet = LiteEncoder(padding=PADDING, frozen=config.frozen, size=config.lite)
        *shallow, last, coarsest = self.imagenet.channels
        if len(config.widths) != len(shallow) + 1:
            raise UsageError(
                f"network.widths of the joint encoder are {len(shallow) + 1}, one for each stride up to 16"
            )
        added = (*shallow, last + coarsest)
        self.channels = tuple(own + more for own, more in zip(config.widths, added, strict=True))

    def forward(self, image: Tensor, cue: Tensor, condition: Tensor) -> list[Tensor]:
        *shallow, last, coarsest = self.imagenet(image)
        last = torch.cat([last, F.interpolate(coarsest, size=last.shape[-2:], mode="nearest")], dim=1)
        own = super().forward(image, cue, condition)
        return [torch.cat(pair, dim=1) for pair in zip(own, [*shallow, last], strict=True)]


class ReliefNet(nn.Module):
    """Relief from a picture.

    Input: `image` (n, 3, h, w) in [0, 1], h and w multiples of 32; `condition` (n or 1, 8), laid out as
    `im2dem.runtime.session.Condition` says; for a net with a guide `guide` (n, 4, h, w) as `guide.py` says. Output:
    (n, 2, h, w): relief, and log of its Laplace scale, in slope units. A guided net adds its own part to the coarse
    heights of the guide's first channel.
    """

    def __init__(self, config: ReliefNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or ReliefNetConfig()
        embedding, widths = self.config.embedding, self.config.widths
        self.embed = nn.Sequential(nn.Linear(CONDITION_SIZE, embedding), nn.ReLU(), nn.Linear(embedding, embedding))
        self.has_cues = self.config.encoder != "lite0"
        if (self.config.guide or self.config.pyramid) and not self.has_cues:
            raise UsageError(
                "the lite0 encoder takes no guide and no pyramid; set network.encoder = 'plain' or 'joint'"
            )
        if self.config.guide and self.config.pyramid:
            raise UsageError("network.guide and network.pyramid do not go together; choose one")
        added = GUIDE_CHANNELS if self.config.guide else int(self.config.pyramid)
        self.encoder = self._make_encoder(2 + added)
        skips = self.encoder.channels
        self.context = nn.Linear(skips[-1], widths[-1])
        self.top = Block(skips[-1], widths[-1], embedding)
        levels = range(len(widths) - 2, -1, -1)
        self.ups = nn.ModuleList(Block(widths[i + 1] + skips[i], widths[i], embedding) for i in levels)
        self.head = nn.Conv2d(widths[0], 2, 3, 1, 1, padding_mode=PADDING)
        self.ridges = (
            nn.Conv2d(widths[0], len(RIDGE_SPANS_PX), 3, 1, 1, padding_mode=PADDING) if self.config.ridges else None
        )
        self.integral = Integral(widths[0]) if self.config.integral else None
        self.amplitude = nn.Sequential(nn.Linear(skips[-1] + embedding, 64), nn.ReLU(), nn.Linear(64, 1))

    def _make_encoder(self, cues: int) -> PlainEncoder | LiteEncoder:
        config = self.config
        if config.encoder == "plain":
            return PlainEncoder(config.widths, config.embedding, cues)
        if config.encoder == "joint":
            return JointEncoder(config, cues)
        if config.encoder == "lite0":
            return LiteEncoder(frozen=config.frozen, size=config.lite)
        raise UsageError(f"network.encoder is {config.encoder!r}; it is 'plain', 'lite0' or 'joint'")

    def parts(self, image: Tensor, condition: Tensor, guide: Tensor | None = None) -> ReliefParts:
        """What `forward` puts together."""
        known = None
        if guide is not None:
            known = guide * guide.new_tensor(GUIDE_GAIN)[:, None, None]
        elif self.config.pyramid:
            known = self._half_size(image, condition)
        return self._look(image, condition, known)

    def _half_size(self, image: Tensor, condition: Tensor) -> Tensor:
        """What the net makes of the picture at half its size, (n, 1, h, w), in slope units of the whole size."""
        half = F.avg_pool2d(image, 2)
        told = torch.cat([condition[:, :4], condition[:, 4:5] + condition[:, 5:6], condition[:, 5:]], dim=1)
        coarse = self._look(half, told, torch.zeros_like(half[:, :1]))
        relief = 2 * coarse.shape * coarse.log_amplitude.exp()[:, :, None, None]
        return GUIDE_GAIN[0] * F.interpolate(relief, scale_factor=2.0, mode="bilinear", align_corners=False)

    def _look(self, image: Tensor, condition: Tensor, known: Tensor | None) -> ReliefParts:
        """One pass; `known` are channels of heights beside the slope cue."""
        c = self.embed(condition).expand(image.shape[0], -1)
        normed = (image - IMAGE_MEAN) / IMAGE_STD
        cues = slope_cue(image, condition)
        if known is not None:
            cues = torch.cat([cues, known], dim=1)
        skips = self.encoder(normed, cues, c) if self.has_cues else self.encoder(normed)
        pooled = skips[-1].mean(dim=(2, 3))
        x = self.top(skips[-1], c) + self.context(pooled)[:, :, None, None]
        for up, skip in zip(self.ups, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, skip], dim=1), c)
        out = F.interpolate(self.head(x).float(), size=image.shape[-2:], mode="bilinear", align_corners=False)
        shape, log_b = out[:, :1], out[:, 1:]
        if self.integral is not None:
            shape = shape + self.integral(x, image.shape[-2:])
        lines = out[:, :0]
        if self.ridges is not None:
            lines = F.interpolate(self.ridges(x).float(), size=image.shape[-2:], mode="bilinear", align_corners=False)
        shape = shape - shape.mean(dim=(2, 3), keepdim=True)
        log_amplitude = self.amplitude(torch.cat([pooled, c], dim=1)).float() + LOG_AMPLITUDE_START
        return ReliefParts(shape, log_amplitude, log_b.clamp(*LOG_B_RANGE), lines)

    def forward(self, image: Tensor, condition: Tensor, guide: Tensor | None = None) -> Tensor:
        shape, log_amplitude, log_b, _ = self.parts(image, condition, guide)
        log_amplitude = log_amplitude[:, :, None, None]
        relief = shape * log_amplitude.exp()
        if guide is not None:
            relief = relief + guide[:, :1]
        return torch.cat([relief, log_b + log_amplitude], dim=1)

    def without_guide(self) -> ReliefNet:
        """The same net for pictures alone: what it makes of an empty guide."""
        if not self.config.guide:
            return self
        net = ReliefNet(replace(self.config, guide=False))
        stem = "encoder.stem.weight"
        weights = self.state_dict()
        net.load_state_dict({**weights, stem: weights[stem][:, :-GUIDE_CHANNELS]})
        return net.eval()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take up weights of a net of the same sizes, or of one with less: what is new is without effect at first.

        So a net without a guide gives a guided one that ignores it, one without a pyramid gives one with, and one with
        the plain encoder a joint one that does not look at the ImageNet features.

        Raises
        ------
        UsageError
            The sizes differ.
        """
        own = self.state_dict()
        # lines that the other net was not asked for begin by chance; those that this one is not asked for are left out
        weights = {name: value for name, value in weights.items() if self.ridges is not None or name not in RIDGES}
        weights |= {name: own[name] for name in (*RIDGES, *INTEGRAL) if name in own and name not in weights}
        wider = {}
        if self.config.guide or self.config.pyramid:
            wider["encoder.stem.weight"] = 0
        if self.config.encoder == "joint" and "encoder.imagenet.stem.weight" not in weights:
            wider |= dict.fromkeys(("top.conv1.weight", "context.weight"), 0)
            wider |= {f"ups.{i}.conv1.weight": 0 for i in range(len(self.ups))}
            wider["amplitude.0.weight"] = self.config.embedding
            weights = weights | {name: value for name, value in own.items() if name.startswith("encoder.imagenet.")}
        fitted = {name: _widened(weights[name], own[name], last) for name, last in wider.items() if name in weights}
        try:
            self.load_state_dict(weights | fitted)
        except RuntimeError as error:
            raise UsageError(f"these weights are of a net of other sizes: {error}") from error


def _widened(weight: Tensor, like: Tensor, last: int) -> Tensor:
    """A weight with zeros for inputs that it does not know, put before its `last` inputs; as it is when it has all."""
    missing = like.shape[1] - weight.shape[1]
    if missing <= 0:
        return weight
    known = weight.shape[1] - last
    zeros = torch.zeros_like(like[:, :missing])
    return torch.cat([weight[:, :known], zeros, weight[:, known:]], dim=1)
