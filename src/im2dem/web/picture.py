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


class Texture(TypedDict):
    """One encoded picture: the members of `image` in docs/page-payload.md."""

    mime: str
    width: int
    height: int
    data: str


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
