"""Forms that noise and rivers do not make: dunes, cones, terraces of hard rock, glacial troughs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .hydrology import drainage, flow_accumulation
from .noise import Lattice, NoiseOptions, noise, noise_at

F64 = NDArray[np.float64]


def dune_field(lattice: Lattice, seed: int) -> F64:
    """Crescent ridges across a west wind, metres: a long windward side, a slip face, crests that end and fork."""
    x, y = lattice.points()
    total = np.zeros(lattice.shape)
    for k, (length_m, height_m) in enumerate(((420.0, 46.0), (120.0, 6.0))):
        bend = NoiseOptions(length_m * 1.7, 3, gain=0.4)
        # Crests bend slowly along the wind and more quickly across it.
        phase = x / length_m + 1.5 * noise_at(x * 0.6, y, seed + 11 * k, bend, np.float64)
        u = phase - np.floor(phase)
        windward = u / 0.84
        lee = (1.0 - u) / 0.16
        # A rounded foot and a sharp crest.
        profile = np.minimum(windward, lee)
        profile = profile * profile * (1.6 - 0.6 * profile)
        sand = np.clip(
            0.62 + 1.1 * noise(lattice, seed + 5 + 11 * k, NoiseOptions(length_m * 2.6, 3), np.float64), 0.05, 1.3
        )
        total += height_m * sand * profile
    return np.asarray(total)


def volcano_cone(lattice: Lattice, seed: int) -> F64:
    """A cone with a crater at the middle of the lattice, metres; its flanks steepen upwards."""
    x, y = lattice.points()
    reach = min(lattice.shape) * lattice.step_m * 0.42
    wander = noise(lattice, seed + 3, NoiseOptions(reach * 0.5, 6), np.float64)
    # The rim and the flanks are not round: distance is bent by noise.
    distance = np.hypot(x - x.mean(), y - y.mean()) * (1.0 + 0.16 * wander) / reach
    top_m = 0.30 * reach
    flank = top_m * np.maximum(1.0 - distance, 0.0) ** 1.7
    rim = 0.075
    crater = np.clip((rim - distance) / rim, 0.0, 1.0)
    rough = noise(lattice, seed + 4, NoiseOptions(reach * 0.12, 6), np.float64) * 0.03 * top_m
    return np.asarray(flank - crater * 0.16 * top_m + rough * np.clip(1.2 - distance, 0.0, 1.0))


def canyon_cut(lattice: Lattice, seed: int) -> F64:
    """Depth of a winding gorge with side valleys below a tableland, metres."""
    x, y = lattice.points()
    wave = 6000.0
    bends = noise_at(x, y * 0.0 + 0.37, seed + 21, NoiseOptions(wave * 0.4, 4), np.float64)
    rough = noise(lattice, seed + 22, NoiseOptions(wave * 0.2, 7), np.float64)
    off = np.abs(y - float(y.mean()) - 0.32 * wave * bends) / wave + 0.14 * rough
    gorge = 560.0 * np.clip(1.0 - off / 0.24, 0.0, 1.0) ** 0.7
    side = noise(lattice, seed + 23, NoiseOptions(wave * 0.24, 6, shape="ridged"), np.float64)
    return np.asarray(gorge + 240.0 * np.clip(side - 0.1, 0.0, 1.0) * np.clip(1.2 - 2.2 * off, 0.0, 1.0))


def terraces(dem: F64, lattice: Lattice, seed: int, bed_m: float = 90.0) -> F64:
    """Hard beds as cliffs and soft ones as benches, metres; the sum of a hard and a soft bed stays."""
    # Beds lie almost level and differ in thickness: two sets of steps that do not repeat together.
    dip = 14.0 * noise(lattice, seed + 24, NoiseOptions(6000.0, 3), np.float64)
    out = dem + dip
    for bed, hard in ((bed_m, 0.6), (bed_m * 0.381, 0.35)):
        whole = np.floor(out / bed)
        t = out / bed - whole
        cliff = np.clip((t - 0.68) / 0.32, 0.0, 1.0)
        out = (whole + (1.0 - hard) * t + hard * cliff * cliff * (3.0 - 2.0 * cliff)) * bed
    return np.asarray(out - dip)


def widen_valleys(dem: F64, gsd_m: float, least_area_km2: float = 2.5) -> F64:
    """Troughs where glaciers would flow: flat floors, steep sides, wider downstream; metres.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres.
    gsd_m
        Pixel size, metres.
    least_area_km2
        Where a glacier begins.
    """
    way = drainage(dem)
    area_km2 = flow_accumulation(way) * gsd_m**2 / 1e6
    trunk = area_km2 >= least_area_km2
    if not trunk.any():
        return dem
    distance, (row, col) = ndimage.distance_transform_edt(~trunk, sampling=gsd_m, return_indices=True)
    # Nearest-channel values jump where two channels are equally near; a blur as wide as a small trough hides it.
    blur = max(120.0 / gsd_m, 0.5)
    floor = ndimage.gaussian_filter(dem[row, col], blur)
    half_m = ndimage.gaussian_filter(np.minimum(170.0 * np.sqrt(np.sqrt(area_km2[row, col])), 900.0), blur)
    across = distance / half_m
    trough = floor + 0.55 * half_m * across * across * across * across
    return np.asarray(np.minimum(dem, trough))
