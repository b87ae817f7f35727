"""Arrays that every picture needs again: fresh memory costs more than the arithmetic that fills it."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

_OWN = threading.local()


def spare(name: str, *shape: int) -> NDArray[np.float32]:
    """A float32 array of this thread, with whatever is in it; the same again for the same name and shape.

    Parameters
    ----------
    name
        What it is for: one name, one use at a time.
    shape
        Any.
    """
    shelf: dict[str, NDArray[np.float32]] = _OWN.__dict__.setdefault("shelf", {})
    array = shelf.get(name)
    if array is None or array.shape != shape:
        array = shelf[name] = np.empty(shape, np.float32)
    return array
