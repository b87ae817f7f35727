"""Moving pictures of a height model, and of a training run, on a machine without display or browser."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from im2dem.core.errors import InputError, NoDataError, UsageError
from im2dem.core.grid import Grid
from im2dem.core.ground import ground_basis, land_heights
from im2dem.export.animation import KINDS, require_video, write_animation
from im2dem.export.contact_sheet import Snapshot, draw_sheet
from im2dem.export.picture import tinted_relief
from im2dem.export.renderer import Camera, lit_block, render
from im2dem.io.atomic import check_target, new_file
from im2dem.io.npz import read_npz

from .export_source import open_heights, picture_over, whole_heights

_PLEASANT_RELIEF = 0.075
_GAMMA = 0.85
_STEPS = (1, 1.5, 2, 3, 5, 8, 10, 15, 20)
_EPOCH_SECONDS = 0.5
_SHOWN = 6
_HIGHEST_M = 1_000_000  # of a net gone astray; the squares of slopes beyond would overflow float32
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AnimateOptions:
    """How an animation is made.

    Parameters
    ----------
    frames
        Pictures in one turn, at least 2.
    size_px
        Longer side, pixels.
    pitch_deg
        How far down the camera looks, degrees, 5 to 75.
    exaggeration
        Heights are multiplied by this; None: chosen by the relief, never below 1 where heights are in metres.
    seconds
        Length of one turn (or of the whole run), seconds; None: 6 (half a second a snapshot).
    start_deg
        Where the camera stands first, degrees clockwise from north.
    gsd_m
        Metres per pixel, for a file without reference system.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    UsageError
        A value out of range.
    """

    frames: int = 48
    size_px: int = 720
    pitch_deg: float = 35.0
    exaggeration: float | None = None
    seconds: float | None = None
    start_deg: float = 180.0
    gsd_m: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise UsageError(f"--frames must be at least 2, got {self.frames}")
        for name in ("exaggeration", "seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"--{name} must be above 0, got {value}")


@dataclass(frozen=True)
class Animated:
    """What was made: path, frames in the file, how long they last in seconds, and figures that JSON can hold."""

    path: Path
    frames: int
    seconds: float
    figures: dict[str, Any]


def animate_file(
    dem: str | os.PathLike[str],
    output: str | os.PathLike[str],
    image: str | os.PathLike[str] | None = None,
    options: AnimateOptions | None = None,
    progress: Progress | None = None,
) -> Animated:
    """A turntable of a height model as GIF, WebP or MP4 (by the name's ending).

    Parameters
    ----------
    dem
        Path of a height raster.
    output
        Where it goes.
    image
        Picture to drape; None: colours by height.
    options
        Length, size, view.
    progress
        Called as progress("drawing", done, total).

    Raises
    ------
    NotAnImageError, UnsupportedTypeError
        A raster that cannot be read.
    NoDataError
        No pixel has a height.
    UsageError
        An ending or a value that is not known.
    GridMismatchError
        The picture cannot be laid over the heights.
    MissingDependencyError
        MP4 without the extra.
    OutputExistsError, OutputError
        The output is there already, or cannot be written.
    """
    options = options or AnimateOptions()
    target, kind = _target(output, options)
    with open_heights(dem, options.gsd_m) as model:
        heights, grid, _ = whole_heights(model, options.size_px, tell=False)
        if not np.isfinite(heights).any():
            raise NoDataError(f"{dem}: not one pixel has a height; check its nodata value and unit, or give another")
        said = model.heights
    east, south = (math.hypot(*axis) for axis in ground_basis(grid)[:2])
    exaggeration = options.exaggeration or _pleasant(heights, (east, south))
    if image is not None:
        rgb = _stretched(picture_over(image, _extent_of_centres(grid), 2 * options.size_px))
    else:
        rgb = tinted_relief(heights, (east, south), exaggeration)
    block = lit_block(heights, rgb, (east, south), exaggeration)
    camera = Camera(block, options.pitch_deg, options.size_px)

    def frames() -> Iterator[NDArray[np.uint8]]:
        for k in range(options.frames):
            yield render(block, camera, options.start_deg - 360.0 * k / options.frames)
            if progress is not None:
                progress("drawing", k + 1, options.frames)

    seconds = (options.seconds or 6.0) / options.frames
    with new_file(target, options.overwrite) as sink:
        written = write_animation(sink, frames(), kind, seconds)
    figures = {"size_px": [camera.shape[1], camera.shape[0]], "exaggeration": exaggeration, "heights": said}
    return Animated(target, written.frames, written.seconds, figures)


def animate_run(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: AnimateOptions | None = None,
    progress: Progress | None = None,
) -> Animated:
    """How the predictions of a training run came about: picture, truth and prediction side by side, step by step.

    Parameters
    ----------
    run
        Folder of `im2dem train`, with `snapshots/step-*.npz`: `step`, `names` (n), `truth` and `relief` (n, h, w) in
        metres with NaN = no data, `image` (n, 3, h, w) uint8.
    output, options, progress
        As in `animate_file`; of the options `size_px`, `seconds` and `overwrite` count.

    Raises
    ------
    InputError
        The folder holds no snapshots, or one that cannot be read.
    UsageError, MissingDependencyError, OutputExistsError, OutputError
        As in `animate_file`.
    """
    options = options or AnimateOptions()
    target, kind = _target(output, options)
    files = sorted((Path(run) / "snapshots").glob("step-*.npz"))
    if not files:
        raise InputError(
            f"{run}: holds no snapshots/step-*.npz; give the folder of a training run that validated at least once, or "
            "a DEM file"
        )
    snapshots = [_read_snapshot(file) for file in files]
    snapshots.sort(key=lambda snapshot: snapshot.step)

    def frames() -> Iterator[NDArray[np.uint8]]:
        for k, snapshot in enumerate(snapshots):
            yield draw_sheet(snapshot, options.size_px)
            if progress is not None:
                progress("drawing", k + 1, len(snapshots))
        for _ in range(3):  # time to look at the result before it begins again
            yield draw_sheet(snapshots[-1], options.size_px)

    seconds = options.seconds / (len(snapshots) + 3) if options.seconds else _EPOCH_SECONDS
    with new_file(target, options.overwrite) as sink:
        written = write_animation(sink, frames(), kind, seconds)
    return Animated(target, written.frames, written.seconds, {"steps": [snapshot.step for snapshot in snapshots]})


def _target(output: str | os.PathLike[str], options: AnimateOptions) -> tuple[Path, str]:
    kind = Path(output).suffix.lower().lstrip(".")
    if kind not in KINDS:
        raise UsageError(f"{output}: an animation is written as {', '.join('.' + k for k in KINDS)}; choose one")
    if kind == "mp4":
        require_video()
    return check_target(output, options.overwrite), kind


def _read_snapshot(file: Path) -> Snapshot:
    advice = "not a snapshot of a training run; remove it or train again"
    data = read_npz(file)
    missing = [key for key in ("step", "names", "image", "truth", "relief") if key not in data]
    if missing:
        raise InputError(f"{file}: without {', '.join(missing)}: {advice}")
    shape = data["truth"].shape
    kinds = {key: data[key].dtype.kind for key in ("step", "names", "truth", "relief")}
    shapes = (data["step"].shape, data["names"].shape, data["relief"].shape, data["image"].shape)
    if len(shape) != 3 or 0 in shape or shapes != ((), shape[:1], shape, (shape[0], 3, *shape[1:])):
        raise InputError(f"{file}: arrays of shapes {shape} and {shapes} do not belong together: {advice}")
    if kinds["step"] not in "iu" or data["image"].dtype != np.uint8 or {kinds["truth"], kinds["relief"]} - set("iuf"):
        raise InputError(f"{file}: arrays of other types than it has: {advice}")
    with np.errstate(over="ignore"):
        truth, relief = (data[key][:_SHOWN].astype(np.float32) for key in ("truth", "relief"))
    if any(np.nanmax(np.abs(heights), initial=0) > _HIGHEST_M for heights in (truth, relief)):
        raise InputError(f"{file}: heights beyond {_HIGHEST_M:,} m: {advice}")
    names = tuple(str(name) for name in data["names"][:_SHOWN])
    return Snapshot(int(data["step"]), names, data["image"][:_SHOWN], truth, relief)


def _pleasant(heights: NDArray[np.float32], pixel_m: tuple[float, float]) -> float:
    low, high = np.nanpercentile(land_heights(heights), [1, 99])
    if not high > low:
        return 1.0
    extent = max(heights.shape[1] * pixel_m[0], heights.shape[0] * pixel_m[1])
    wanted = max(_PLEASANT_RELIEF * extent / float(high - low), 1.0)
    return float(max(step for step in _STEPS if step <= wanted))


def _extent_of_centres(grid: Grid) -> Grid:
    """The same pixels without the outer half of the outer ones: a surface ends at pixel centres."""
    rows, cols = grid.shape
    inner = Affine.translation(0.5, 0.5) @ Affine.scale((cols - 1) / cols, (rows - 1) / rows)
    return Grid(grid.shape, grid.transform @ inner, grid.crs) if min(grid.shape) > 1 else grid


def _stretched(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with its darkest and brightest 1 % at the ends: pale pictures look paler still when shaded."""
    lit = rgb[rgb.any(axis=2)]
    if lit.size == 0:
        return rgb
    low, high = np.percentile(lit, [1, 99])
    if not high > low:
        return rgb
    bright = np.clip((rgb.astype(np.float32) - low) / (high - low), 0, 1) ** _GAMMA
    return np.asarray(np.rint(255 * bright), dtype=np.uint8)
