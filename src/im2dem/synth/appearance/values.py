"""What the kernels are told: fields of the land and numbers, each a tuple that Numba knows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Number = np.float32

# Rows of the palette.
FOREST, OPEN, GROUND, ROCK, ALPINE, SNOW, WATER, SEA, TOWN, RIVER, RIPARIAN, ROAD = range(12)
FIELDS = 12
PALETTE_ROWS = FIELDS + 16


class Ground(NamedTuple):
    """Fields of the land, each float32 of the picture's shape."""

    dem: Float  # m
    slope: Float  # rise over run
    south: Float  # rise over run towards south
    east: Float
    hollow: Float  # mean height around minus height, in standard deviations
    stream: Float  # log2 of upstream pixels
    patch: Float  # noise
    other: Float
    grain: Float


class Weights(NamedTuple):
    """How the scores of covers follow the relief; float32."""

    middle_m: Number
    per_m: Number
    pole: Number  # +1 north of the equator
    by_hollow: Number
    by_pole: Number
    by_height: Number
    by_stream: Number
    by_noise: Number
    per_slope: Number
    freedom: Number


class Cover(NamedTuple):
    """Where covers begin, each as lower end and one over the width of a ramp; float32."""

    forest: Number
    per_forest: Number
    valley: Number
    per_valley: Number
    snow: Number
    per_snow: Number
    lake: Number
    per_lake: Number
    steep: Number
    treeline_m: Number
    snowline_m: Number
    stream: Number
    river: Number
    riparian: Number
    town: Number
    texture: Number
    strata: Number
    strata_per_m: Number
    pole: Number


class Parcels(NamedTuple):
    """Fields of the farmland: sizes in pixels, directions of two regions, a width of roads; float32."""

    per_long_px: Number
    per_short_px: Number
    cos_one: Number
    sin_one: Number
    cos_two: Number
    sin_two: Number
    road: Number
    bend_px: Number


class Sun(NamedTuple):
    """Light: direction on the ground times cosine of elevation, sine of elevation, shares; float32."""

    south: Number
    east: Number
    up: Number
    diffuse: Number
    shading: Number
