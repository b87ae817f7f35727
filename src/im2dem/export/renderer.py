"""A block of terrain in perspective, drawn by NumPy alone: no display, no browser, no graphics card.

The picture plane stands upright, as that of an architect's camera, so that every column of pixels looks along one
vertical plane. In it the ground is walked once from front to back; a pixel shows the first sample that rises above the
line of sight through it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from im2dem.core.errors import UsageError
from im2dem.core.terrain import hillshade

Floats = NDArray[np.floating]

_SUPERSAMPLING = 2
_DISTANCE = 3.2  # of the camera, in radii of the block: nearer is more dramatic, farther more like a map
_MARGIN = 0.04
_SUN_AZIMUTH_DEG, _SUN_ALTITUDE_DEG = 315.0, 42.0
_PAPER = np.array([0.955, 0.958, 0.950])
_HAZE = np.array([0.86, 0.89, 0.92])
_HAZE_SHARE = 0.30
_EARTH_TOP, _EARTH_LOW = np.array([0.50, 0.43, 0.36]), np.array([0.30, 0.26, 0.23])
_SHADOW, _SHADOW_REACH = 0.38, 0.10


@dataclass(frozen=True, eq=False)
class Block:
    """Terrain ready to be drawn.

    Parameters
    ----------
    height
        Shape (row, col), metres times exaggeration, no NaN.
    colour
        Shape (r, c, 3), 0..1, lit; covers the same extent in any number of pixels.
    size_m
        (width, depth) on the ground, metres.
    base
        Height of the bottom, below all others.
    """

    height: NDArray[np.float32]
    colour: NDArray[np.float32]
    size_m: tuple[float, float]
    base: float

    @property
    def radius(self) -> float:
        """Half the diagonal of the ground plan, metres."""
        return math.hypot(*self.size_m) / 2


def lit_block(
    height: NDArray[np.float32], rgb: NDArray[np.uint8], pixel_size_m: tuple[float, float], exaggeration: float
) -> Block:
    """A block from heights and a picture: lit from the north-west, hollows a little darker.

    Parameters
    ----------
    height
        Shape (row, col), metres; NaN = no data, drawn low and bare.
    rgb
        Shape (r, c, 3), over the same extent.
    pixel_size_m
        Of the heights along columns and rows, metres.
    exaggeration
        Heights are multiplied by this.

    Raises
    ------
    UsageError
        Fewer than 2 x 2 pixels, or no height at all.
    """
    valid = np.isfinite(height)
    if min(height.shape) < 2 or not valid.any():
        raise UsageError("an animation needs at least 2 x 2 pixels with heights")
    low = float(height[valid].min())
    filled = np.where(valid, height, low).astype(np.float32) * np.float32(exaggeration)
    shade = hillshade(filled, pixel_size_m, _SUN_AZIMUTH_DEG, _SUN_ALTITUDE_DEG)
    blur = ndimage.gaussian_filter(filled, 6)
    spread = float((filled - blur).std()) or 1.0
    light = (0.42 + 0.86 * shade) * (1 + 0.16 * np.tanh((filled - blur) / (1.5 * spread)))
    light = np.where(valid, light, 1.0).astype(np.float32)
    # One pixel wider: the cliff down to a void is earth too, not a smear of the picture.
    bare = ndimage.binary_dilation(~valid).astype(np.float32)
    rows, cols = rgb.shape[:2]
    factors = (rows / height.shape[0], cols / height.shape[1])
    fine = ndimage.zoom(light, factors, order=1, mode="nearest", grid_mode=True)[:rows, :cols, None]
    void = ndimage.zoom(bare, factors, order=0, mode="nearest", grid_mode=True)[:rows, :cols, None]
    colour = np.clip(rgb / np.float32(255) * fine, 0, 1)
    colour = np.where(void > 0.5, _EARTH_TOP, colour).astype(np.float32)
    size = (pixel_size_m[0] * (height.shape[1] - 1), pixel_size_m[1] * (height.shape[0] - 1))
    relief = float(filled.max() - filled.min())
    base = float(filled.min()) - max(0.25 * relief, 0.05 * math.hypot(*size))
    return Block(filled, colour, size, base)


class Camera:
    """Looks at the middle of a block from a direction; the framing is the same for all directions.

    Parameters
    ----------
    block
        What is looked at.
    pitch_deg
        How far down the camera looks, degrees, 5 to 75.
    longest_px
        Longer side of the picture, pixels.

    Raises
    ------
    UsageError
        A pitch or a size out of range.
    """

    def __init__(self, block: Block, pitch_deg: float, longest_px: int) -> None:
        if not 5 <= pitch_deg <= 75:
            raise UsageError(f"--pitch must be 5 to 75 degrees below the horizon, got {pitch_deg:g}")
        if not 32 <= longest_px <= 4096:
            raise UsageError(f"--size must be 32 to 4096 pixels, got {longest_px}")
        self.distance = _DISTANCE * block.radius
        top = float(block.height.max())
        middle = (block.base + top) / 2
        self.altitude = middle + self.distance * math.tan(math.radians(pitch_deg))
        # All directions at once: the circle through the corners, at the bottom and at the top of the block.
        turn = np.linspace(0, 2 * np.pi, 73)
        forward = self.distance + block.radius * np.cos(turn)
        aside = block.radius * np.sin(turn) / forward
        ups = [(z - self.altitude) / forward for z in (block.base, top)]
        low, high = min(up.min() for up in ups), max(up.max() for up in ups)
        width, tall = float(np.ptp(aside)), float(high - low)
        pad = 1 + 2 * _MARGIN
        self.scale = longest_px / (pad * max(width, tall))
        self.shape = (_even(tall * pad * self.scale), _even(width * pad * self.scale))
        self.centre = (low + high) / 2

    def rays(self, samples: int) -> tuple[Floats, Floats]:
        """Slopes of the lines of sight: aside per metre ahead of each column, up per metre ahead of each row."""
        rows, cols = self.shape
        col = (np.arange(cols * samples) + 0.5) / samples - cols / 2
        row = (np.arange(rows * samples) + 0.5) / samples - rows / 2
        return col / self.scale, self.centre - row / self.scale


def _even(length: float) -> int:
    """Video codecs want even sides."""
    return max(2, 2 * round(length / 2))


def render(block: Block, camera: Camera, azimuth_deg: float) -> NDArray[np.uint8]:
    """One picture.

    Parameters
    ----------
    block, camera
        What is looked at, and how.
    azimuth_deg
        Where the camera stands, degrees clockwise from north.

    Returns
    -------
    uint8, shape (row, col, 3).

    Source
    ------
    The walk from front to back follows the idea of "voxel space" (Comanche: Maximum Overkill, NovaLogic 1992; described
    by S. Macke, github.com/s-macke/VoxelSpace), here with exact entry and exit and with interpolation between samples.
    """
    aside, up = camera.rays(_SUPERSAMPLING)
    angle = math.radians(azimuth_deg)
    eye = np.array([math.sin(angle), math.cos(angle)]) * camera.distance
    ahead, right = -eye / camera.distance, np.array([-math.cos(angle), math.sin(angle)])
    step = ahead[:, None] + right[:, None] * aside  # metres east and north per metre ahead, (2, columns)
    enter, leave, face = _inside(eye, step, block.size_m)
    image = np.empty((len(up), len(aside), 3))
    image[:] = _ground(block, camera, eye, step, up)
    hit = np.flatnonzero(leave > enter)
    if len(hit):
        _draw(image, hit, (enter[hit], leave[hit], face[hit]), (block, camera, eye, step[:, hit], up))
    rows, cols = camera.shape
    small = image.reshape(rows, _SUPERSAMPLING, cols, _SUPERSAMPLING, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(np.clip(small, 0, 1) * 255), dtype=np.uint8)


def _inside(eye: Floats, step: Floats, size_m: tuple[float, float]) -> tuple[Floats, Floats, NDArray[np.intp]]:
    """Metres ahead at which each column's plane enters and leaves the block, and through which pair of sides (0, 1)."""
    half = np.array(size_m)[:, None] / 2
    with np.errstate(divide="ignore"):
        one, two = (-half - eye[:, None]) / step, (half - eye[:, None]) / step
    near, far = np.minimum(one, two), np.maximum(one, two)
    return near.max(axis=0), far.min(axis=0), near.argmax(axis=0)


def _ground(block: Block, camera: Camera, eye: Floats, step: Floats, up: Floats) -> Floats:
    """The paper on which the block stands, with its soft shadow, shape (row, col, 3)."""
    with np.errstate(divide="ignore"):
        ahead = np.where(up < 0, (block.base - camera.altitude) / up, np.inf)
    ahead = np.minimum(ahead, 1e3 * camera.distance)[:, None]
    out = [
        np.maximum(np.abs(eye[k] + step[k] * ahead + shift * block.radius) - block.size_m[k] / 2, 0)
        for k, shift in ((0, -0.025), (1, 0.025))  # away from the light
    ]
    gap = np.hypot(*out) / (_SHADOW_REACH * block.radius)
    return np.asarray(_PAPER * (1 - _SHADOW * np.exp(-gap * (1 + gap)))[..., None])


def _draw(
    image: Floats,
    columns: NDArray[np.intp],
    crossing: tuple[Floats, Floats, NDArray[np.intp]],
    view: tuple[Block, Camera, Floats, Floats, Floats],
) -> None:
    block, camera, eye, step, up = view
    enter, leave, face = crossing
    rows, cols = block.height.shape
    count = max(64, math.ceil(1.1 * math.hypot(rows, cols)))
    ahead = enter[:, None] + (leave - enter)[:, None] * np.linspace(0, 1, count)  # (columns, samples)
    z = _sampled(block.height, block.size_m, eye, step[:, :, None], ahead)
    rise = (z - camera.altitude) / ahead
    seen = np.maximum.accumulate(rise, axis=1)
    # All columns in one sorted list: each is lifted above the one before.
    lift = (float(seen.max()) - min(float(seen.min()), float(up.min())) + 1.0) * np.arange(len(columns))[:, None]
    query = up[None, :] + lift
    first = np.searchsorted((seen + lift).reshape(-1), query.reshape(-1)).reshape(query.shape)
    first -= count * np.arange(len(columns))[:, None]
    line = np.broadcast_to(np.arange(len(columns))[:, None], first.shape)
    slope = np.broadcast_to(up[None, :], first.shape)
    wall = (first == 0) & (slope >= ((block.base - camera.altitude) / enter)[:, None])
    ground = (first > 0) & (first < count)
    canvas = image.transpose(1, 0, 2)
    target = np.zeros(canvas.shape[:2], dtype=np.bool_)
    if wall.any():
        height = camera.altitude + slope[wall] * enter[line[wall]]
        share = (height - block.base) / (float(block.height.max()) - block.base)
        tone = _EARTH_LOW + (_EARTH_TOP - _EARTH_LOW) * share[:, None]
        target[columns] = wall
        canvas[target] = tone * np.where(face[line[wall]] == 0, 0.86, 1.0)[:, None]
    k, at = first[ground], line[ground]
    before, after = rise[at, k - 1], rise[at, k]
    share = (slope[ground] - before) / np.maximum(after - before, 1e-12)
    far = ahead[at, k - 1] + (ahead[at, k] - ahead[at, k - 1]) * share
    place = step[:, at]
    bands = [_sampled(block.colour[..., band], block.size_m, eye, place, far) for band in range(3)]
    depth = (far - (camera.distance - block.radius)) / (2 * block.radius)
    haze = (_HAZE_SHARE * np.clip(depth, 0, 1) ** 1.6)[:, None]
    target[:] = False
    target[columns] = ground
    canvas[target] = np.stack(bands, axis=-1) * (1 - haze) + _HAZE * haze


def _sampled(field: Floats, size_m: tuple[float, float], eye: Floats, step: Floats, ahead: Floats) -> Floats:
    """Values of a field over the block at points on the lines of sight, bilinear."""
    rows, cols = field.shape
    col = ((eye[0] + step[0] * ahead) / size_m[0] + 0.5) * (cols - 1)
    row = (0.5 - (eye[1] + step[1] * ahead) / size_m[1]) * (rows - 1)
    return np.asarray(ndimage.map_coordinates(field, [row, col], order=1, mode="nearest", prefilter=False))
