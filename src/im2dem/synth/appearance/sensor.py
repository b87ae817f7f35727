"""Kernels and steps from radiance to 8 bit: point spread, stretch, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .gate import kernel

Float = NDArray[np.float32]
# Mean logarithm of the white of red, green and blue in scenes that people stretched, from the real chips' means.
BALANCE = (0.03, -0.07, -0.2)


@kernel
def spread(radiance: Float, near: np.float32, far: np.float32) -> None:
    """Blur each band in place, with weights 1, near, far, far, near of a Gaussian, edges repeated."""
    bands, h, w = radiance.shape
    middle = np.empty((h, w), np.float32)
    centre = np.float32(1) - np.float32(2) * (near + far)
    for i in range(bands):
        x = radiance[i]
        for r in range(h):
            a, b, d, e = max(r - 1, 0), min(r + 1, h - 1), max(r - 2, 0), min(r + 2, h - 1)
            for c in range(w):
                middle[r, c] = centre * x[r, c] + near * (x[a, c] + x[b, c]) + far * (x[d, c] + x[e, c])
        for r in range(h):
            for c in range(2, w - 2):
                x[r, c] = (
                    centre * middle[r, c]
                    + near * (middle[r, c - 1] + middle[r, c + 1])
                    + far * (middle[r, c - 2] + middle[r, c + 2])
                )
            for c in (0, 1, w - 2, w - 1):
                x[r, c] = (
                    centre * middle[r, c]
                    + near * (middle[r, max(c - 1, 0)] + middle[r, min(c + 1, w - 1)])
                    + far * (middle[r, max(c - 2, 0)] + middle[r, min(c + 2, w - 1)])
                )


@kernel
def digitise(
    radiance: Float,
    curve: tuple[np.float32, np.float32, np.float32],
    grains: tuple[Float, int, int],
    strength: np.float32,
    out: NDArray[np.uint8],
) -> None:
    """Digital numbers of a band: stretch (black, one over the range), tone curve, noise (a tile, and where in it).

    The tone curve x / (b (1 - x) + 1) is that of Schlick (1994), Graphics Gems IV, p. 401, eq. 1: close to a power,
    equal to x ** gamma at x = 1/2 for b = 2 ** gamma - 2, and far cheaper.
    """
    low, per, bend = curve
    tile, row, col = grains
    zero, one = np.float32(0), np.float32(1)
    width = out.shape[1]
    for r in range(out.shape[0]):
        # one-dimensional pieces, which the compiler knows to lie together; by way of int32, which vectors can
        source, grain, to = radiance[r], tile[row + r][col : col + width], out[r]
        for c in range(width):
            x = min(max((source[c] - low) * per, zero), one)
            x = np.float32(255) * x / (bend * (one - x) + one) + strength * grain[c] + np.float32(0.5)
            to[c] = np.uint8(np.int32(min(max(x, zero), np.float32(255))))


def stretch_ends(radiance: Float, gain: float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Radiance of black and white in each band: by the picture's percentiles (gain 0), or that of a whole scene."""
    joint = rng.random() < 0.85
    if gain > 0:
        # a scene's stretch: black a little below its darkest ground, white drawn, bands not quite in balance
        sample = np.sort(radiance[:, ::8, ::8].reshape(3, -1), axis=1)
        # nobody chooses a stretch that burns out most of the land
        white = max(1 / gain, float(sample[:, int(0.8 * sample.shape[1])].mean()) * rng.uniform(1.1, 2.4))
        low = np.minimum(sample[:, sample.shape[1] // 128], rng.uniform(0.0, 0.05)) * rng.uniform(0, 1) * np.ones(3)
        # what is shown is mostly balanced towards grey: the land itself is redder and less blue
        high = low + np.exp(rng.normal(BALANCE, 0.06 if joint else 0.12)) * white
    else:
        sample = np.sort(radiance[:, ::5, ::5].reshape(1 if joint else 3, -1), axis=1)
        n = sample.shape[1]
        cut = rng.uniform(0.001, 0.02)
        low, high = (sample[:, int(at * (n - 1))] * np.ones(3) for at in (cut, 1 - cut))
    per = 1.0 / (high - low + 1e-4)
    return np.ascontiguousarray(low, dtype=np.float32), np.ascontiguousarray(per, dtype=np.float32)


def compress(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture, shape (3, row, col), after JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).save(file, "JPEG", quality=quality)
    file.seek(0)
    with Image.open(file) as image:
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
