"""Arrays of an .npz archive, or one clear sentence about what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError


def read_npz(path: Path, names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """Arrays of an archive by name; nothing in it is run (no pickles).

    Parameters
    ----------
    path
        File that `numpy.savez` or `numpy.savez_compressed` made.
    names
        Only these, where they are there; None: all.

    Raises
    ------
    InputError
        The file is missing or damaged, or holds something else, or more than fits into memory.
    """
    found: dict[str, NDArray[Any]] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            for name in data.files:
                if names is None or name in names:
                    array = data[name]
                    if not isinstance(array, np.ndarray):
                        raise ValueError(f"{name} is no array")
                    if array.dtype.kind == "U":
                        array.tolist()  # fails here, not later, for what is no text
                    found[name] = array
    except MemoryError as error:
        raise InputError(f"{path}: its arrays do not fit into memory ({error}); is the file damaged?") from error
    except Exception as error:  # zipfile, zlib and NumPy's parsers of headers raise what theirs raise
        raise InputError(f"{path}: cannot be read as .npz ({' '.join(str(error).split())[:160]})") from error
    return found
