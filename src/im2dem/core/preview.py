"""Pictures for the eye: eight bits of anything, and a raster as a small PNG for a notebook. No image library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from .reduction import block_mean, reduction_factor
from .terrain import hillshade, hypsometric_tint

NO_DATA_GREY = 128
_SIDE_PX = 480
_DARKEST = 0.45
_PARTS = 10.0


def to_rgb8(data: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture for the eye.

    Parameters
    ----------
    data
        Shape (band, row, col), NaN = no data. The first three bands are red, green and blue; with one or two,
        the first is grey. Values that already lie in 0..255 and pass 2 are kept; all others (reflectance,
        16 bits) are stretched between their 1st and 99th percentile, all bands alike, so that hues stay.

    Returns
    -------
    Shape (row, col, 3), no-data grey.
    """
    bands = data[:3] if data.shape[0] >= 3 else np.repeat(data[:1], 3, axis=0)
    finite = np.isfinite(bands)
    sample = bands[finite]
    if sample.size == 0:
        return np.full((*data.shape[1:], 3), NO_DATA_GREY, dtype=np.uint8)
    low, high = float(sample.min()), float(sample.max())
    if low < 0 or high > 255 or high <= 2:
        # A million values fix a percentile well enough; sorting a hundred million does not fix it better.
        low, high = (float(v) for v in np.percentile(sample[:: max(1, sample.size // 1_000_000)], [1, 99]))
        span = high - low if high > low else 1.0
        bands = (bands - low) * np.float32(255 / span)
    grey = np.where(finite, bands, NO_DATA_GREY)
    return np.moveaxis(np.clip(np.rint(grey), 0, 255).astype(np.uint8), 0, -1)


def preview_png(data: NDArray[np.float32], pixel_size_m: tuple[float, float] | None = None) -> bytes:
    """A PNG of at most 480 pixels a side.

    Parameters
    ----------
    data
        Shape (band, row, col), any unit, NaN = no data. Three bands or more are a picture, see `to_rgb8`; of fewer the
        first is taken for heights, tinted by height and lit from the north-west.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres; None: as if the relief were a tenth of the extent.

    Returns
    -------
    The file's bytes, RGBA; no data is transparent.

    Source
    ------
    PNG: ISO/IEC 15948, colour type 6, filter 0.
    """
    factor = reduction_factor(data.shape[1:], _SIDE_PX)
    picture = len(data) >= 3
    part = block_mean(data[: 3 if picture else 1], factor)
    valid = np.isfinite(part).all(axis=0)
    if not valid.any():
        rgb = np.zeros((*valid.shape, 3), np.uint8)
    elif picture:
        rgb = to_rgb8(part)
    else:
        rgb = _relief(np.where(valid, part[0], np.nan), factor, pixel_size_m)
    return _png(np.dstack([rgb, np.where(valid, 255, 0).astype(np.uint8)]))


def _relief(heights: NDArray[np.floating], factor: int, pixel_size_m: tuple[float, float] | None) -> NDArray[np.uint8]:
    low, high = (float(v) for v in np.nanpercentile(heights, [0.5, 99.5]))
    tint = np.moveaxis(hypsometric_tint(heights, low, high), 0, -1)
    light = np.ones(heights.shape)
    if min(heights.shape) > 1:
        if pixel_size_m is None:
            size = (_PARTS * ((high - low) or 1.0) / max(heights.shape),) * 2
        else:
            size = (pixel_size_m[0] * factor, pixel_size_m[1] * factor)
        light = np.nan_to_num(hillshade(heights, size))
    # Level ground, lit from 45 degrees, gets about the full tint.
    lit = tint * (_DARKEST + (1 - _DARKEST) * np.sqrt(2.0) * light[..., None])
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)


def _png(rgba: NDArray[np.uint8]) -> bytes:
    height, width = rgba.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), rgba.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
