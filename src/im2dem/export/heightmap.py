"""Heights as 16-bit numbers for game engines, as 32-bit floats for film tools, and as text."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from im2dem.core.errors import UsageError

from .obj import write_lines

STEPS = 65_535
ENGINE_SIDES: dict[str, tuple[int, ...]] = {
    # Unreal: components of 63 or 127 quads; these sides use whole ones (Landscape Technical Guide).
    "unreal": (127, 253, 505, 1009, 2017, 4033, 8129),
    "unity": (33, 65, 129, 257, 513, 1025, 2049, 4097),
}
_UNREAL_MIDDLE, _UNREAL_UNITS_PER_STEP = 32_768, 1 / 128
_CM = 100.0


@dataclass(frozen=True)
class HeightScale:
    """How metres become numbers of 16 bits: ``metres = low_m + step_m * number``.

    Parameters
    ----------
    low_m
        Height of number 0, metres.
    step_m
        Metres from one number to the next, above 0.
    """

    low_m: float
    step_m: float

    @classmethod
    def spanning(cls, low_m: float, high_m: float) -> HeightScale:
        """The finest steps that reach from `low_m` to `high_m`; level ground gets steps of a millimetre."""
        return cls(low_m, (high_m - low_m) / STEPS if high_m > low_m else 0.001)

    def encode(self, heights: NDArray[np.floating]) -> NDArray[np.uint16]:
        """Numbers of heights, same shape, within half a step; heights outside are cut off, no data becomes 0."""
        number = np.rint((np.nan_to_num(heights.astype(np.float64), nan=self.low_m) - self.low_m) / self.step_m)
        return np.clip(number, 0, STEPS).astype(np.uint16)

    def decode(self, numbers: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Heights of numbers, same shape, metres."""
        return np.asarray(self.low_m + self.step_m * numbers.astype(np.float64))


def engine_side(engine: str, shape: tuple[int, int]) -> int:
    """The side an engine wants that is nearest (as a ratio) to a raster's longer side.

    Raises
    ------
    UsageError
        The engine is not known.

    >>> engine_side("unreal", (1400, 1200)), engine_side("unity", (600, 500))
    (1009, 513)
    """
    if engine not in ENGINE_SIDES:
        raise UsageError(f"--engine must be one of {', '.join(ENGINE_SIDES)}, got {engine!r}")
    longer = max(shape)
    return min(ENGINE_SIDES[engine], key=lambda side: abs(np.log(side / longer)))


def engine_settings(engine: str, scale: HeightScale, spacing_m: tuple[float, float], side: int) -> dict[str, Any]:
    """What to type into the engine so that metres come back.

    Parameters
    ----------
    engine
        "unreal" or "unity".
    scale
        Of the numbers.
    spacing_m
        Ground from one number to the next along columns and rows, metres.
    side
        Numbers a side.

    Source
    ------
    Unreal: Epic, Landscape Technical Guide: a number is worth (number - 32768) / 128 x scale z, in centimetres. Unity:
    TerrainData.size: number 65535 stands at size.y, in metres.
    """
    if engine == "unreal":
        return {
            "scale_x": spacing_m[0] * _CM,
            "scale_y": spacing_m[1] * _CM,
            "scale_z": scale.step_m * _CM / _UNREAL_UNITS_PER_STEP,
            "location_z_cm": (scale.low_m + _UNREAL_MIDDLE * scale.step_m) * _CM,
        }
    return {
        "terrain_width_m": spacing_m[0] * (side - 1),
        "terrain_length_m": spacing_m[1] * (side - 1),
        "terrain_height_m": scale.step_m * STEPS,
        "position_y_m": scale.low_m,
        "heightmap_resolution": side,
    }


def side_car(scale: HeightScale, shape: tuple[int, int], spacing_m: tuple[float, float]) -> dict[str, Any]:
    """The members of the JSON side-car that do not depend on an engine."""
    return {
        "formula": "metres = low_m + step_m * number",
        **asdict(scale),
        "high_m": scale.low_m + STEPS * scale.step_m,
        "width": shape[1],
        "height": shape[0],
        "spacing_m": list(spacing_m),
    }


def write_r16(sink: BinaryIO, strips: Iterable[NDArray[np.uint16]], byte_order: str = "little") -> None:
    """Write numbers without a header.

    Parameters
    ----------
    sink
        Where they go.
    strips
        uint16, shape (rows, width), in the order in which they are to stand.
    byte_order
        "little" (Unreal, Unity "Windows") or "big" (Unity "Mac").

    Raises
    ------
    UsageError
        Another byte order.
    """
    if byte_order not in ("little", "big"):
        raise UsageError(f"the byte order must be little or big, got {byte_order!r}")
    for strip in strips:
        sink.write(strip.astype("<u2" if byte_order == "little" else ">u2").tobytes())


def write_exr(sink: BinaryIO, shape: tuple[int, int], strips: Iterable[NDArray[np.float32]], comment: str = "") -> None:
    """Write heights as OpenEXR: one channel "Y" of 32-bit floats, not compressed.

    Parameters
    ----------
    sink
        Where it goes.
    shape
        (height, width), pixels.
    strips
        float32, shape (rows, width), from top to bottom, metres; NaN stays NaN.
    comment
        Attribute "comments" of the header.

    Raises
    ------
    UsageError
        The strips do not fill the picture.

    Source
    ------
    "The OpenEXR File Layout", openexr.com: magic number, header attributes, offset table, scan line blocks.
    """
    height, width = shape
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channel = b"Y\0" + struct.pack("<i4B2i", 2, 0, 0, 0, 0, 1, 1) + b"\0"
    attributes = [
        ("channels", "chlist", channel),
        ("comments", "string", comment.encode("utf-8")),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", box),
        ("displayWindow", "box2i", box),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    ]
    header = struct.pack("<2i", 20000630, 2)
    for name, kind, value in attributes:
        header += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    header += b"\0"
    line = 8 + 4 * width
    sink.write(header)
    sink.write((len(header) + 8 * height + line * np.arange(height, dtype=np.int64)).astype("<u8").tobytes())
    done = 0
    block = np.dtype([("y", "<i4"), ("size", "<i4"), ("values", "<f4", (width,))])
    for strip in strips:
        if strip.shape[1:] != (width,):
            raise UsageError(f"EXR rows of {width} pixels are wanted, got {strip.shape}")
        lines = np.zeros(len(strip), block)
        lines["y"] = done + np.arange(len(strip))
        lines["size"] = 4 * width
        lines["values"] = strip
        sink.write(lines.tobytes())
        done += len(strip)
    if done != height:
        raise UsageError(f"an EXR of {height} rows got {done}")


def write_xyz(sink: BinaryIO, points: Iterable[NDArray[np.float64]], decimals: tuple[int, int]) -> None:
    """Write points as lines of "x y z".

    Parameters
    ----------
    sink
        Where they go.
    points
        Portions of shape (n, 3): x, y in units of the reference system, height in metres.
    decimals
        Digits after the point of x and y, and of z.
    """
    flat, high = decimals
    pattern = f"%.{flat}f %.{flat}f %.{high}f\n"
    for part in points:
        write_lines(sink, pattern, part)
