"""Heights and pictures as text that fits into a page: 16-bit quantised, predicted, deflated, base64.

The format is version `PAYLOAD_VERSION` of docs/page-payload.md; `viewer/src/payload.js` is the other reader.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import InputError, NoDataError, UsageError

PAYLOAD_FORMAT = "im2dem-page"
PAYLOAD_VERSION = 1

# Residuals are near to noise: level 9 takes three times as long and saves less than one byte in a hundred.
_LEVEL = 6

Predictor = Literal["left", "plane"]


class Field(TypedDict):
    """One encoded band: the members of a field object in docs/page-payload.md."""

    width: int
    height: int
    bits: int
    scale: float
    offset: float
    predictor: Predictor
    data: str
    mask: str | None


def encode_heights(heights: NDArray[np.float32], bits: int = 16, step: float = 0.0) -> Field:
    """One band as JSON members: quantised, predicted from its neighbours, deflated, base64.

    Parameters
    ----------
    heights
        Shape (row, col), any unit, NaN = no data.
    bits
        16, or 8 for a band that is only looked at.
    step
        Least step of quantisation, in the unit of `heights`: finer than this is not worth its bytes.

    Returns
    -------
    Members of a field object; `scale` is the step of quantisation, no value moves by more than half of it.

    Raises
    ------
    UsageError
        `bits` is neither 8 nor 16, or `heights` is not two-dimensional.
    InputError
        An infinite value.
    NoDataError
        Not one value.
    """
    if bits not in (8, 16):
        raise UsageError(f"a field has 8 or 16 bits, got {bits}")
    if heights.ndim != 2:
        raise UsageError(f"a field is an array of rows and columns, got shape {heights.shape}")
    values = heights.astype(np.float64)
    valid = ~np.isnan(values)
    if not valid.any():
        raise NoDataError(
            "there is not one height to show: every pixel is nodata, or lies where nothing on Earth does; check the "
            "nodata value and the unit"
        )
    if np.isinf(values).any():
        raise InputError("the raster holds infinite values; declare them as nodata or replace them first")
    low, high = float(values[valid].min()), float(values[valid].max())
    # A flat field still needs a step to divide by; every value is then exactly the offset.
    scale = max((high - low) / (2**bits - 1), step) if high > low else 1.0
    dtype = np.uint16 if bits == 16 else np.uint8
    quantised: NDArray[Any] = np.rint((_filled(values, valid) - low) / scale).astype(dtype)
    predictor, residual = _best_residual(quantised)
    return Field(
        width=heights.shape[1],
        height=heights.shape[0],
        bits=bits,
        scale=scale,
        offset=low,
        predictor=predictor,
        data=_pack(_planes(residual)),
        mask=None if valid.all() else _pack(np.packbits(valid.ravel()).tobytes()),
    )


def decode_heights(field: Field) -> NDArray[np.float32]:
    """The band of a field object, shape (row, col), NaN = no data: the inverse of `encode_heights`.

    Raises
    ------
    InputError
        The data are damaged or not as long as width and height say.
    """
    shape = field["height"], field["width"]
    count = shape[0] * shape[1]
    try:
        raw = np.frombuffer(zlib.decompress(base64.b64decode(field["data"])), dtype=np.uint8)
        packed = field["mask"] and zlib.decompress(base64.b64decode(field["mask"]))
    except (ValueError, zlib.error) as error:
        raise InputError(f"the field is damaged and cannot be unpacked: {error}") from error
    if raw.size != count * field["bits"] // 8:
        raise InputError(f"the field holds {raw.size} bytes, {count * field['bits'] // 8} were expected")
    dtype = np.uint16 if field["bits"] == 16 else np.uint8
    residual: NDArray[Any] = raw[:count].astype(dtype)
    if field["bits"] == 16:
        residual |= raw[count:].astype(np.uint16) << 8
    # Zigzag and the sums wrap around at 2**bits, exactly as the typed arrays of the page do.
    delta = ((residual >> 1) ^ (np.zeros_like(residual) - (residual & 1))).reshape(shape)
    quantised: NDArray[Any] = np.cumsum(delta, axis=1, dtype=dtype)
    if field["predictor"] == "plane":
        quantised = np.cumsum(quantised, axis=0, dtype=dtype)
    heights: NDArray[np.float32] = (quantised * field["scale"] + field["offset"]).astype(np.float32)
    if packed:
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=count)
        heights[bits.reshape(shape) == 0] = np.nan
    return heights


def _filled(values: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values with each gap holding the last value before it, so that a gap costs next to nothing."""
    flat = values.ravel()
    last = np.maximum.accumulate(np.where(valid.ravel(), np.arange(flat.size), 0))
    first = flat[int(np.argmax(valid))]
    return np.nan_to_num(flat[last], nan=float(first)).reshape(values.shape)


def _best_residual(
    quantised: NDArray[np.uint16] | NDArray[np.uint8],
) -> tuple[Predictor, NDArray[np.uint16] | NDArray[np.uint8]]:
    """The predictor with fewer bits left over, and what it leaves, zigzagged to small unsigned numbers."""
    wide = quantised.astype(np.int64)
    left = np.diff(wide, axis=1, prepend=0)
    plane = np.diff(left, axis=0, prepend=0)
    signed = np.int16 if quantised.dtype == np.uint16 else np.int8
    bits = 8 * quantised.dtype.itemsize

    def zigzag(delta: NDArray[np.int64]) -> NDArray[np.uint16] | NDArray[np.uint8]:
        wrapped: NDArray[Any] = delta.astype(quantised.dtype).view(signed)
        folded: NDArray[np.uint16] | NDArray[np.uint8] = ((wrapped << 1) ^ (wrapped >> (bits - 1))).view(
            quantised.dtype
        )
        return folded

    def cost(residual: NDArray[np.uint16] | NDArray[np.uint8]) -> float:
        return float(np.log2(residual.astype(np.float32) + 1).sum())

    by_left, by_plane = zigzag(left), zigzag(plane)
    return ("left", by_left) if cost(by_left) <= cost(by_plane) else ("plane", by_plane)


def _planes(residual: NDArray[np.uint16] | NDArray[np.uint8]) -> bytes:
    """All low bytes, then all high bytes: the high ones are almost all zero and deflate to nothing."""
    low = (residual & 0xFF).astype(np.uint8).tobytes()
    return low if residual.dtype == np.uint8 else low + (residual >> 8).astype(np.uint8).tobytes()


def _pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, _LEVEL)).decode("ascii")
