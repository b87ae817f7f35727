"""Numba where it is installed, plain Python where it is not: the same arithmetic, so the same bytes.

`fastmath` is never used: it lets the compiler regroup sums, and then two machines differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from im2dem.core.errors import MissingDependencyError

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    import numba

    HAS_NUMBA = True
    prange: Any = numba.prange
except ImportError:  # the extra [synth] is not installed
    HAS_NUMBA = False
    prange = range

# Plain Python takes some microseconds a pixel and pass: half a minute for this many.
MOST_PLAIN_WORK = 20_000_000


def compiled(parallel: bool = False) -> Callable[[Kernel], Kernel]:
    """A decorator: compile a kernel with Numba when it is there.

    Parameters
    ----------
    parallel
        Whether `prange` loops are shared by the cores. Only for loops whose rows do not depend on each other.
    """

    def decorate(kernel: Kernel) -> Kernel:
        if not HAS_NUMBA:
            return kernel
        # The cache spares the compilation (seconds a kernel) on the next run.
        jit: Any = numba.njit(parallel=parallel, cache=True, error_model="numpy")
        result: Kernel = jit(kernel)
        return result

    return decorate


def require_speed(work: int, what: str) -> None:
    """Raise when there is no Numba and the work would take plain Python minutes or more.

    Parameters
    ----------
    work
        Pixels times passes.
    what
        For the message, e.g. "erosion of 4097 x 4097".

    Raises
    ------
    MissingDependencyError
        Numba is not installed and the work is more than `MOST_PLAIN_WORK`.
    """
    if not HAS_NUMBA and work > MOST_PLAIN_WORK:
        raise MissingDependencyError(
            f"{what} would take plain Python very long; run: pip install 'im2dem[synth]', or ask for fewer pixels"
        )
