"""The door to Numba: kernels are compiled for one core, float32, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from im2dem.core.errors import MissingDependencyError

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    from numba import njit

    HAS_NUMBA = True
except ImportError:  # the extra [synth] is not installed
    HAS_NUMBA = False


def kernel(function: Kernel) -> Kernel:
    """A decorator: compile on the first call and keep the machine code; without Numba the call raises.

    `fastmath` lets sums be regrouped: a picture has the same bytes again on the same machine, not on every machine.
    """
    if HAS_NUMBA:
        jit: Any = njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
        compiled: Kernel = jit(function)
        return compiled

    def absent(*_: object, **__: object) -> Any:
        raise MissingDependencyError("rendering needs numba, which is not installed; run: pip install 'im2dem[synth]'")

    return absent  # type: ignore[return-value]
