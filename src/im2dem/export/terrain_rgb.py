"""Heights as colours of map tiles: Terrarium and Mapbox Terrain-RGB."""

from __future__ import annotations

import io
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.errors import UsageError

Encoding = Literal["terrarium", "mapbox"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)
# Height of the colour black, and steps in a metre.
_RULES: dict[str, tuple[float, float]] = {"terrarium": (-32_768.0, 256.0), "mapbox": (-10_000.0, 10.0)}
_MOST = 2**24 - 1


def encode_heights(heights: NDArray[np.floating], encoding: str, nodata_m: float = 0.0) -> NDArray[np.uint8]:
    """Colours of heights.

    Parameters
    ----------
    heights
        Any shape, metres; NaN = no data.
    encoding
        "terrarium": 256 R + G + B / 256 - 32768, steps of 1/256 m; "mapbox": -10000 + 0.1 (65536 R + 256 G + B), steps
        of 0.1 m.
    nodata_m
        Height written where there is none: neither encoding has a value for "no data".

    Returns
    -------
    uint8, shape (*heights.shape, 3), within half a step; heights out of range are cut off.

    Raises
    ------
    UsageError
        An encoding that is not known.

    Source
    ------
    Mapzen, "Terrain tiles: formats"; Mapbox, "Mapbox Terrain-RGB v1".
    """
    base, steps = _rule(encoding)
    filled = np.where(np.isfinite(heights), heights, nodata_m).astype(np.float64)
    # Rounded before it is cut into bytes: cutting would lower every height by half a step.
    number = np.clip(np.rint((filled - base) * steps), 0, _MOST).astype(np.uint32)
    return np.stack([number >> 16, number >> 8 & 255, number & 255], axis=-1).astype(np.uint8)


def decode_heights(rgb: NDArray[np.uint8], encoding: str) -> NDArray[np.float64]:
    """Heights of colours, shape (..., 3) to (...), metres.

    Raises
    ------
    UsageError
        An encoding that is not known.
    """
    base, steps = _rule(encoding)
    return np.asarray(base + rgb.astype(np.float64) @ (65_536 / steps, 256 / steps, 1 / steps))


def tile_png(heights: NDArray[np.floating], encoding: str, nodata_m: float = 0.0) -> bytes:
    """One map tile, shape (row, col) in metres, as PNG; see `encode_heights`."""
    buffer = io.BytesIO()
    Image.fromarray(encode_heights(heights, encoding, nodata_m)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _rule(encoding: str) -> tuple[float, float]:
    if encoding not in _RULES:
        raise UsageError(f"the encoding of map tiles must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
    return _RULES[encoding]
