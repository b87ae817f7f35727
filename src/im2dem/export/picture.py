"""Pictures for the eye: eight bits, and the JPEG that a textured model carries."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.terrain import hypsometric_tint, multidirectional_hillshade

_NO_DATA_GREY = 128
_QUALITY = 88
_DARKEST = 0.35


def to_rgb8(data: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture for the eye.

    Parameters
    ----------
    data
        Shape (band, row, col), NaN = no data; the first three bands are red, green and blue, a lone one is grey. Values
        within 0..255 of which one passes 2 are kept; all others are stretched between their 1st and 99th percentile,
        all bands alike, so that hues stay.

    Returns
    -------
    Shape (row, col, 3), no data grey.
    """
    bands = data[:3] if len(data) >= 3 else np.repeat(data[:1], 3, axis=0)
    finite = np.isfinite(bands)
    sample = bands[finite]
    if sample.size == 0:
        return np.full((*data.shape[1:], 3), _NO_DATA_GREY, dtype=np.uint8)
    low, high = float(sample.min()), float(sample.max())
    if low < 0 or high > 255 or high <= 2:
        low, high = (float(v) for v in np.percentile(sample[:: max(1, sample.size // 1_000_000)], [1, 99]))
        bands = (bands - low) * np.float32(255 / (high - low if high > low else 1.0))
    grey = np.where(finite, bands, _NO_DATA_GREY)
    return np.moveaxis(np.clip(np.rint(grey), 0, 255).astype(np.uint8), 0, -1)


def tinted_relief(
    dem: NDArray[np.floating], pixel_size_m: tuple[float, float], z_factor: float = 1.0
) -> NDArray[np.uint8]:
    """Colours by height under a soft light from all sides: what is draped where there is no picture.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.
    pixel_size_m
        Ground size of a pixel along columns and rows, metres.
    z_factor
        Heights are multiplied by this before they are lit.

    Returns
    -------
    Shape (row, col, 3), black where there is no data.

    Raises
    ------
    NoDataError
        No finite height.
    """
    # Single pits and peaks would take the ends of the ramp for themselves.
    low, high = (float(v) for v in np.nanpercentile(dem, [0.5, 99.5])) if np.isfinite(dem).any() else (0.0, 1.0)
    colour = np.moveaxis(hypsometric_tint(dem, low, high), 0, -1)
    light = np.nan_to_num(multidirectional_hillshade(dem, pixel_size_m, z_factor=z_factor), nan=0.0)
    lit = colour * (_DARKEST + (1 - _DARKEST) * np.clip(light * 1.25, 0, 1))[..., None]
    return np.asarray(lit, dtype=np.uint8)


def jpeg(rgb: NDArray[np.uint8], quality: int = _QUALITY) -> bytes:
    """A picture of shape (row, col, 3) as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
