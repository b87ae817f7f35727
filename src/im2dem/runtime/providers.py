"""Open an ONNX file with ONNX Runtime or OpenVINO, behind one small protocol.

OpenVINO is asked directly: the build of ONNX Runtime that carries it is another package with the same module, and
two packages cannot own one module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from im2dem.core.errors import MissingDependencyError, ModelError, UsageError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "the package openvino",
}
# Each call holds the layers of its own tiles in memory, some 170 MB for one of 512 px.
MOST_CALLS = 4


class Net(Protocol):
    """A model file that is open; safe to call from several threads at once."""

    @property
    def required(self) -> frozenset[str]:
        """Inputs that must be given."""
        ...

    @property
    def optional(self) -> frozenset[str]:
        """Inputs that have a value of their own."""
        ...

    @property
    def outputs(self) -> frozenset[str]:
        """Names of what it gives."""
        ...

    def run(self, output: str, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """One output; raises what the runtime raises, which has no common base."""
        ...


def available_providers() -> tuple[str, ...]:
    """The providers that this installation can use, "cpu" first."""
    known = set(ort.get_available_providers())
    return tuple(name for name, full in PROVIDERS.items() if (_has_openvino() if name == "openvino" else full in known))


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_calls(provider: str, threads: int | None, calls: int) -> int:
    """How many calls of a net at once are fastest.

    ONNX Runtime on two cores is about a quarter faster with a tile on each than with both on one tile. OpenVINO
    is not, and other devices work through one call at a time.

    Parameters
    ----------
    provider, threads
        See `open_net`.
    calls
        How many there will be in all.
    """
    if provider != "cpu":
        return 1
    return max(1, min(threads or available_cores(), calls, MOST_CALLS))


def open_net(path: Path, threads: int | None = None, provider: str = "cpu", calls: int = 1) -> Net:
    """A model file, ready to run.

    Parameters
    ----------
    path
        The ONNX file.
    threads
        Threads for all calls together; None: as many as there are cores.
    provider
        One of `PROVIDERS`.
    calls
        How many calls there will be at once, see `best_calls`.

    Raises
    ------
    UsageError
        Unknown provider, or fewer than one thread.
    MissingDependencyError
        This installation cannot use the provider.
    ModelError
        The file cannot be loaded.
    """
    if provider not in PROVIDERS:
        raise UsageError(f"there is no provider {provider!r}; known are: {', '.join(PROVIDERS)}")
    if threads is not None and threads < 1:
        raise UsageError(f"a model needs at least 1 thread, got {threads}")
    if provider not in available_providers():
        raise MissingDependencyError(_what_to_install(provider))
    try:
        if provider == "openvino":
            return _OpenVinoNet(path, threads)
        return _OrtNet(path, _pool_threads(threads, calls), PROVIDERS[provider])
    except Exception as error:  # neither runtime has a common base for its errors
        raise ModelError(f"the model file {path} cannot be loaded: {error}") from error


def _what_to_install(provider: str) -> str:
    if provider == "openvino":
        return "the provider 'openvino' needs a package that is not installed; run: pip install 'im2dem[openvino]'"
    return (
        f"the installed ONNX Runtime cannot use {provider!r}; install the build of onnxruntime for it "
        "(e.g. onnxruntime-gpu for cuda), or use the provider cpu"
    )


def _has_openvino() -> bool:
    return find_spec("openvino") is not None


def _pool_threads(threads: int | None, calls: int) -> int:
    """The size that a session is told: one thread is the caller's own, the others serve all calls; 0: its default."""
    return (threads or 0) if calls == 1 else max(1, (threads or available_cores()) - calls + 1)


class _OrtNet:
    """ONNX Runtime."""

    def __init__(self, path: Path, threads: int, provider: str) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait in a loop make a network that is alone about 5 % faster; beside reading, levelling and
        # writing they gain nothing and cost processor time, which hurts where the machine has other work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: its warnings are about its own optimiser
        self._session = ort.InferenceSession(str(path), options, providers=[provider])
        self.required = frozenset(node.name for node in self._session.get_inputs())
        self.optional = frozenset(node.name for node in self._session.get_overridable_initializers())
        self.outputs = frozenset(node.name for node in self._session.get_outputs())

    def run(self, output: str, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """See `Net`."""
        (found,) = self._session.run([output], dict(inputs))
        return np.asarray(found)


class _OpenVinoNet:
    """OpenVINO on the processor, in float32."""

    def __init__(self, path: Path, threads: int | None) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(str(path))
        self.required = frozenset(port.any_name for port in model.inputs)
        self._defaults = _open_initialisers(ov, model, path)
        self.optional = frozenset(self._defaults)
        self.outputs = frozenset(port.any_name for port in model.outputs)
        # Without the precision hint processors with bfloat16 units round to three digits.
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._compiled = core.compile_model(model, "CPU", settings)

    def run(self, output: str, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """See `Net`."""
        # A request of its own for each call: one that is shared refuses a second thread.
        request = self._compiled.create_infer_request()
        request.infer({**self._defaults, **inputs}, share_inputs=True)
        return np.array(request.get_tensor(output).data, np.float32)


def _open_initialisers(ov: Any, model: Any, path: Path) -> dict[str, NDArray[np.float32]]:
    """Make inputs again of initialisers that callers may replace, which OpenVINO folds away; their values by name."""
    session = ort.SessionOptions()
    session.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session.log_severity_level = 3
    told = ort.InferenceSession(str(path), session, providers=["CPUExecutionProvider"])
    shapes = {node.name: node.shape for node in told.get_overridable_initializers()}
    values: dict[str, NDArray[np.float32]] = {}
    for constant in list(model.get_ops()):
        name = constant.get_friendly_name()
        if constant.get_type_name() != "Constant" or name not in shapes:
            continue
        sides = [side if isinstance(side, int) else -1 for side in shapes[name]]
        port = ov.op.Parameter(ov.Type.f32, ov.PartialShape(sides))
        port.set_friendly_name(name)
        port.output(0).set_names({name})
        for taker in constant.output(0).get_target_inputs():
            taker.replace_source_output(port.output(0))
        model.add_parameters([port])
        values[name] = np.array(constant.data, np.float32)
    model.validate_nodes_and_infer_types()
    return values
