"""What a model costs: parameters, multiplications, bytes; and its time as a ratio to another's."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

from im2dem.core.errors import ModelError

_COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Of an ONNX file: the members that lead to the weights, by their numbers in onnx.proto.
_GRAPH, _INITIALISER, _INPUT, _DIMS, _TYPE, _NAME = 7, 5, 11, 1, 2, 8
_FLOAT, _UINT8, _INT8, _HALF, _DOUBLE, _BFLOAT = 1, 2, 3, 10, 11, 16


@dataclass(frozen=True)
class ModelCost:
    """The size of a model.

    Parameters
    ----------
    parameters
        Numbers in the weights.
    gmac
        Multiplications with addition of Conv, ConvTranspose, Gemm and MatMul for one tile of `side_px`, billions.
    onnx_mb
        Size of the file, megabytes (10^6).
    side_px
        Side of the tile that `gmac` is for.
    """

    parameters: int
    gmac: float
    onnx_mb: float
    side_px: int = 256


def model_cost(onnx: Path, side_px: int = 256) -> ModelCost:
    """Parameters, multiplications and size of an ONNX model with the input `image`.

    Parameters
    ----------
    onnx
        The file.
    side_px
        Side of the tile, pixels.

    Returns
    -------
    Counted from the file's own operators, without any that a runtime would merge or leave out.

    Raises
    ------
    ModelError
        The file cannot be read, or does not run on such a tile.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # prepacked weights are missing from the profile, and their layers with them
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
            session.run(None, _example(session, side_px))
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise ModelError(f"{onnx}: does not run on a tile of {side_px} px: {error}") from error
    macs = sum(_macs(event["args"]) for event in events if event.get("args", {}).get("op_name") in _COUNTED)
    return ModelCost(_parameters(onnx), macs / 1e9, onnx.stat().st_size / 1e6, side_px)


def time_ratio(one: Path, other: Path, side_px: int = 256, rounds: int = 7) -> float:
    """Time of one ONNX model on a tile over that of another: median over rounds in turn, one thread.

    Parameters
    ----------
    one, other
        Files.
    side_px
        Side of the tile, pixels.
    rounds
        Runs of each.

    Returns
    -------
    Above 1 when the first is slower.

    Raises
    ------
    ModelError
        One cannot be read.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        sessions = [ort.InferenceSession(str(p), options, providers=["CPUExecutionProvider"]) for p in (one, other)]
    except Exception as error:  # as above
        raise ModelError(f"{one} or {other} cannot be loaded: {error}") from error
    ratios = []
    for number in range(rounds + 1):
        seconds = []
        for session in sessions:
            example = _example(session, side_px)
            began = time.perf_counter()
            session.run(None, example)
            seconds.append(time.perf_counter() - began)
        if number:  # the first round warms up
            ratios.append(seconds[0] / seconds[1])
    return median(ratios)


def _example(session: ort.InferenceSession, side_px: int) -> dict[str, Any]:
    """Noise for `image`, zeros for what else the model cannot do without."""
    feed = {}
    for node in session.get_inputs():
        free = [1, 3, side_px, side_px] if len(node.shape) == 4 else [1] * len(node.shape)
        shape = [n if isinstance(n, int) else f for n, f in zip(node.shape, free, strict=True)]
        is_image = node.name == "image"
        feed[node.name] = np.random.default_rng(0).random(shape, np.float32) if is_image else np.zeros(shape, "f4")
    return feed


def _macs(node: dict[str, Any]) -> int:
    """Multiplications of one operator, from the shapes that the runtime saw."""
    shapes: list[list[list[int]]] = [
        [next(iter(shape.values())) for shape in node[key]] for key in ("input_type_shape", "output_type_shape")
    ]
    inputs, outputs = shapes
    kind, made = node["op_name"], math.prod(outputs[0])
    if kind == "Conv":
        return made * math.prod(inputs[1][1:])
    if kind == "ConvTranspose":
        return math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if kind == "Gemm":
        return made * (math.prod(inputs[0]) // max(outputs[0][0], 1))
    return made * inputs[0][-1]


def _parameters(onnx: Path) -> int:
    """Numbers in the initialisers that are weights: not shapes (integers), not defaults of inputs."""
    content = memoryview(onnx.read_bytes())
    graph = next((value for number, value in _members(content) if number == _GRAPH), None)
    if not isinstance(graph, memoryview):
        raise ModelError(f"{onnx}: no graph in it; it is damaged or no ONNX file")
    weights: dict[bytes, int] = {}
    inputs: set[bytes] = set()
    for number, value in _members(graph):
        if number == _INITIALISER and isinstance(value, memoryview):
            name, size = _tensor(value)
            weights[name] = size
        elif number == _INPUT and isinstance(value, memoryview):
            inputs |= {bytes(v) for n, v in _members(value) if n == 1 and isinstance(v, memoryview)}
    return sum(size for name, size in weights.items() if name not in inputs)


def _tensor(content: memoryview) -> tuple[bytes, int]:
    name, kind, dims = b"", 0, []
    for number, value in _members(content):
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value)
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _DIMS:
            dims += [value] if isinstance(value, int) else list(_varints(value))
    return name, math.prod(dims) if kind in (_FLOAT, _UINT8, _INT8, _HALF, _DOUBLE, _BFLOAT) else 0


def _members(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Members of a protobuf message: number, and an integer or the bytes (developers.google.com, "Encoding")."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(content, at)
        else:
            size = {1: 8, 5: 4}[kind]
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varints(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value
