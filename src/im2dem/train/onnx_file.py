"""Write a net as ONNX: named inputs with open sizes, some of them optional, and no word of this machine."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from .placing import placed

OPSET = 18
# Biases and normalisations weigh nothing; kernels do.
_LEAST_HALVED = 1024


def write_onnx(
    net: nn.Module,
    path: Path,
    inputs: Mapping[str, tuple[Tensor, Any]],
    output: str,
    *,
    optional: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, str] | None = None,
    half: bool = False,
) -> None:
    """Export a net that computes in float32.

    Parameters
    ----------
    net
        In the state that is wanted; put into evaluation.
    path
        File to write.
    inputs
        By name, in the order of the net's arguments: an example, and its dynamic dimensions as `torch.export` takes
        them (None: fixed).
    output
        Name of what the net gives.
    optional
        Inputs that may be left out, with the value that they have then.
    metadata
        Texts to keep in the file.
    half
        Store the large weights in 16 bits: half the file; a runtime widens them when it loads it.
    """
    net = placed(net.eval(), "cpu", torch.contiguous_format).float()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            net,
            tuple(example for example, _ in inputs.values()),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes={name: sizes for name, (_, sizes) in inputs.items()},
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    model = cast("torch.onnx.ONNXProgram", program).model_proto  # None is for the exporter without dynamo
    for name, value in (optional or {}).items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
    for key, text in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    _forget_paths(model.graph)
    if half:
        _halve(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _halve(graph: Any) -> None:
    """Every large float32 weight becomes a float16 one and a cast back, which runtimes fold away."""
    casts, halves = [], []
    for weight in list(graph.initializer):
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= _LEAST_HALVED:
            graph.initializer.remove(weight)
            stored = f"{weight.name}.half"
            halves.append(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
            casts.append(onnx.helper.make_node("Cast", [stored], [weight.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(halves)


def _forget_paths(graph: Any) -> None:
    """The exporter's record of source lines would carry paths of this machine."""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
