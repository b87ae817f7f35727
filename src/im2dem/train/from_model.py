"""Weights of an exported model for a net that goes on learning, for whoever has the model and not its run.

The exporter multiplies every normalisation into the convolution before it. Here the normalisations are set so that the
net gives what the model gave, both while it is used and while it learns: their statistics are measured on training
pictures, their scale and shift undo them. Kernels are made as large as those of a new net, for some are a hundred times
smaller in the file, and the first steps, which are of one size for all, would wipe them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from im2dem.core.errors import UsageError
from im2dem.runtime.card import find_model, load_card, verified_onnx

from .batches import Batch
from .reliefnet import ReliefNet

# Which normalisation stands behind a convolution.
_BEHIND = {"conv1": "bn1", "conv2": "bn2", "expand": "bn0", "depthwise.1": "bn1", "project": "bn2", "stem": "bn"}
_CONVOLUTION = re.compile(rf"(?P<room>.*\.)(?P<name>{'|'.join(map(re.escape, _BEHIND))})\.weight_bias")


def sources_of_model(name_or_path: Path) -> tuple[str, ...]:
    """What the model learned from, one line for each source with its licence: who starts from it inherits them."""
    return load_card(find_model(name_or_path)).training_data


def start_from_model(net: ReliefNet, name_or_path: Path, batches: Iterable[Batch]) -> None:
    """Give a net the weights of a model.

    Parameters
    ----------
    net
        Of the sizes that the model was trained with, see its recipe.
    name_or_path
        A model that ships, or the folder of one.
    batches
        Training pictures on which the normalisations are measured; a few dozen pictures are enough.

    Raises
    ------
    ModelError
        The folder holds no sound model.
    UsageError
        The model was not exported from a net of these sizes.
    """
    card_path = find_model(name_or_path)
    stored = _initializers(verified_onnx(load_card(card_path), card_path))
    own = net.state_dict()
    weights = {name: stored[name] for name in own if name in stored}
    weights |= {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    for name, bias in stored.items():
        found = _CONVOLUTION.fullmatch(name)
        norm = found["room"] + _BEHIND[found["name"]] if found else ""
        kernels = name.removesuffix("_bias")
        if f"{norm}.bias" in own and kernels in weights and len(weights[kernels]) == len(own[kernels]):
            enlarged = _norm(own[kernels]) / _norm(weights[kernels])
            weights[kernels] = weights[kernels] * enlarged[:, None, None, None]
            level = 1 - cast(nn.BatchNorm2d, net.get_submodule(norm)).eps
            weights |= {
                f"{norm}.weight": 1 / enlarged,
                f"{norm}.bias": bias,
                f"{norm}.running_mean": torch.zeros_like(bias),
                f"{norm}.running_var": torch.full_like(bias, level),
            }
    try:
        net.load_weights(weights)
    except UsageError as error:
        raise UsageError(
            f"{name_or_path} does not fit the net of this recipe; start with the network of the model's own recipe "
            f"({error})"
        ) from error
    _measure(net, batches)


@torch.no_grad()
def _measure(net: ReliefNet, batches: Iterable[Batch]) -> None:
    """Let every normalisation that learns have the statistics of what comes in, and undo them."""
    net.train()  # what is frozen stays in evaluation, and needs no statistics of its own
    learning = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d) and part.training]
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {part: [] for part in learning}

    def note(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float()
        seen[part].append((x.mean((0, 2, 3)), x.square().mean((0, 2, 3))))

    hooks = [part.register_forward_pre_hook(note) for part in learning]
    net.eval()
    for batch in batches:
        net.parts(batch.image, batch.condition, batch.guide_or_none)
    for hook in hooks:
        hook.remove()
    for part in learning:
        mean, square = (torch.stack(values).mean(0) for values in zip(*seen[part], strict=True))
        part.running_mean, part.running_var = mean, (square - mean**2).clamp_min(0)
        part.bias.add_(part.weight * mean)
        part.weight.mul_((part.running_var + part.eps).sqrt())


def _norm(kernels: Tensor) -> Tensor:
    """The size of each kernel, shape (n,); those that are all zero count as small."""
    size: Tensor = torch.linalg.vector_norm(kernels.flatten(1), dim=1)
    return size.clamp_min(1e-6)


def _initializers(path: Path) -> dict[str, Tensor]:
    """The weights of an ONNX file by their names in the net, those of 16 bits widened."""
    model = onnx.load(str(path))
    return {
        weight.name.removesuffix(".half"): torch.from_numpy(onnx.numpy_helper.to_array(weight).copy()).float()
        for weight in model.graph.initializer
    }
