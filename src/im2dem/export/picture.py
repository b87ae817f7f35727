"""What is draped over a model where there is no picture, and the JPEG that a model carries."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.terrain import hypsometric_tint, multidirectional_hillshade

_QUALITY = 88
_DARKEST = 0.35


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
