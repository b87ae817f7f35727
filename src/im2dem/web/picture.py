"""The picture that is draped over the heights: eight bits, JPEG, base64."""

from __future__ import annotations

import base64
import io
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Steps down in quality, then in size, until the picture fits its share of the page.
_ATTEMPTS = ((1.0, 88), (1.0, 80), (1.0, 70), (1.0, 58), (0.71, 70), (0.5, 70), (0.35, 65), (0.25, 60))
_NO_DATA_GREY = 128


class Texture(TypedDict):
    """One encoded picture: the members of `image` in docs/page-payload.md."""

    mime: str
    width: int
    height: int
    data: str


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
        return np.full((*data.shape[1:], 3), _NO_DATA_GREY, dtype=np.uint8)
    low, high = float(sample.min()), float(sample.max())
    if low < 0 or high > 255 or high <= 2:
        # A million values fix a percentile well enough; sorting a hundred million does not fix it better.
        low, high = (float(v) for v in np.percentile(sample[:: max(1, sample.size // 1_000_000)], [1, 99]))
        span = high - low if high > low else 1.0
        bands = (bands - low) * np.float32(255 / span)
    grey = np.where(finite, bands, _NO_DATA_GREY)
    return np.moveaxis(np.clip(np.rint(grey), 0, 255).astype(np.uint8), 0, -1)


def encode_picture(rgb: NDArray[np.uint8], max_px: int, max_bytes: int) -> Texture:
    """A picture as JPEG in base64.

    Parameters
    ----------
    rgb
        Shape (row, col, 3), 0..255.
    max_px
        Longest side in the page, pixels; larger pictures are reduced.
    max_bytes
        Room for the base64 text. Quality falls first, then size; the last try counts whatever it weighs.
    """
    full = Image.fromarray(rgb)
    full.thumbnail((max_px, max_px), Image.Resampling.LANCZOS)
    for share, quality in _ATTEMPTS:
        size = max(1, round(full.width * share)), max(1, round(full.height * share))
        picture = full if share == 1.0 else full.resize(size, Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        text = base64.b64encode(buffer.getvalue()).decode("ascii")
        if len(text) <= max_bytes:
            break
    return Texture(mime="image/jpeg", width=picture.width, height=picture.height, data=text)
