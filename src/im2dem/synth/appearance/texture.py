"""Noise from a bank: periodic fields of given spectra, made once a process, read at any offset, turn and scale."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .gate import kernel
from .workspace import spare

Float = NDArray[np.float32]

BANK_PX = 512
BANK_SEED = 20260101
# Amplitude falls as frequency ** -slope; 0 is white noise.
SLOPES = {"smooth": 1.9, "patch": 1.45, "grain": 0.8}
MEMBERS = 4


@cache
def bank(name: str) -> Float:
    """Noise of zero mean and unit variance, shape (member, row, col), periodic.

    Parameters
    ----------
    name
        "white" or a key of `SLOPES`.
    """
    rng = np.random.default_rng([BANK_SEED, sorted([*SLOPES, "white"]).index(name)])
    white = rng.standard_normal((MEMBERS, BANK_PX, BANK_PX), dtype=np.float32)
    if name == "white":
        return white
    fy, fx = np.fft.fftfreq(BANK_PX)[:, None], np.fft.rfftfreq(BANK_PX)[None, :]
    frequency = np.maximum(np.hypot(fy, fx), 1.0 / BANK_PX)
    # nothing longer than a sixteenth of the bank: a picture then holds many waves, from memory that lies together
    gain = frequency ** -SLOPES[name] / (1 + (16 / BANK_PX / frequency) ** 4)
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=(BANK_PX, BANK_PX))
    field = (field - field.mean(axis=(1, 2), keepdims=True)) / field.std(axis=(1, 2), keepdims=True)
    return np.ascontiguousarray(field, dtype=np.float32)


@kernel
def read_bank(bank_tile: Float, at: NDArray[np.float64], out: Float) -> None:
    """Bilinear reading of a periodic tile: `at` holds row0, col0 and the steps per output row and column.

    Coordinates are counted in 65,536ths of a pixel, whose overflow is a multiple of the tile's side.
    """
    mask, part = np.uint32(bank_tile.shape[0] - 1), np.float32(1 / 65536)
    dy, dx = np.int64(at[3] * 65536), np.int64(at[5] * 65536)
    width = bank_tile.shape[1]
    flat = bank_tile.ravel()
    for r in range(out.shape[0]):
        y0 = np.int64((at[0] + r * at[2]) * 65536)
        x0 = np.int64((at[1] + r * at[4]) * 65536)
        for c in range(out.shape[1]):
            y, x = y0 + dy * c, x0 + dx * c
            fy, fx = np.float32(y & 65535) * part, np.float32(x & 65535) * part
            a, i = (y >> 16) & mask, (x >> 16) & mask
            top, bottom = a * width, ((a + 1) & mask) * width
            j = (i + 1) & mask
            p, q = flat[top + i], flat[bottom + i]
            p += fx * (flat[top + j] - p)
            q += fx * (flat[bottom + j] - q)
            out[r, c] = p + fy * (q - p)


def noise(
    name: str, shape: tuple[int, int], scale: float, rng: np.random.Generator, *, stretch: float = 1.0, step: int = 2
) -> Float:
    """A random piece of a bank, coarser than the picture: shape (rows // step, cols // step).

    Valid until the thread's next call with this name.

    Parameters
    ----------
    name
        Of the bank.
    shape
        Rows and columns of the picture.
    scale
        Pixels of the picture per pixel of the bank.
    stretch
        How much longer the features are along one (random) direction.
    step
        Pixels of the picture per pixel of the piece.
    """
    u = rng.random(4).tolist()
    angle, along = 2 * np.pi * u[0], step / scale
    c, s = math.cos(angle) * along, math.sin(angle) * along
    at = np.array([BANK_PX * u[1], BANK_PX * u[2], c / stretch, s / stretch, -s, c])
    out = spare(name, shape[0] // step, shape[1] // step)
    read_bank(bank(name)[int(u[3] * MEMBERS)], at, out)
    return out


def place(name: str, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Float, int, int]:
    """A member of a bank, and a row and column where a piece of `shape` may begin; repeated if it is too small."""
    member, down, right = rng.random(3).tolist()
    tile = bank(name)[int(member * MEMBERS)]
    if max(shape) > BANK_PX:
        tile = np.tile(tile, [-(-n // BANK_PX) for n in shape])
    return tile, int(down * (tile.shape[0] - shape[0] + 1)), int(right * (tile.shape[1] - shape[1] + 1))
