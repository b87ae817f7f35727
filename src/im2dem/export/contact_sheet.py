"""One sheet of a training run: picture, true and predicted relief of a few places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from im2dem.core.errors import InputError
from im2dem.core.terrain import multidirectional_hillshade

_TITLES = ("picture", "true relief", "predicted relief")
_PAPER, _INK, _FAINT = (244, 244, 241), (40, 42, 46), (120, 124, 130)
_GAP = 8
_SLOPE = 0.55


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Predictions after a step of training.

    Parameters
    ----------
    step
        Number of the step.
    names
        One a place.
    image
        uint8, shape (n, 3, h, w).
    truth, relief
        True and predicted heights, float32, shape (n, h, w), metres, NaN = no data.

    Raises
    ------
    InputError
        The arrays do not fit each other, or there is none.
    """

    step: int
    names: tuple[str, ...]
    image: NDArray[np.uint8]
    truth: NDArray[np.float32]
    relief: NDArray[np.float32]

    def __post_init__(self) -> None:
        count, (height, width) = len(self.names), self.truth.shape[-2:]
        wanted = ((count, 3, height, width), (count, height, width), (count, height, width))
        given = (self.image.shape, self.truth.shape, self.relief.shape)
        if count == 0 or given != wanted or min(height, width) < 2:
            raise InputError(
                f"a snapshot of {count} place(s) wants image, truth and relief of shapes {wanted}, got {given}; "
                "write it again with this version of im2dem train"
            )


def draw_sheet(snapshot: Snapshot, longest_px: int) -> NDArray[np.uint8]:
    """The sheet, uint8, shape (row, col, 3), both sides even and at most `longest_px`.

    Each row is one place; both reliefs are lit alike and scaled by the true heights alone, so that a prediction that is
    too flat looks too flat.
    """
    count, height, width = snapshot.truth.shape
    text_px = max(11, longest_px // 45)
    head, label = 3 * text_px, text_px + 6
    cell = min(
        (longest_px - 4 * _GAP) / (3 * width),
        (longest_px - head - count * (label + _GAP)) / (count * height),
    )
    cell_w, cell_h = max(8, int(width * cell)), max(8, int(height * cell))
    size = (3 * cell_w + 4 * _GAP, head + count * (cell_h + label + _GAP))
    sheet = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(text_px)
    small = ImageFont.load_default(max(10, round(0.85 * text_px)))
    draw.text((_GAP, text_px // 3), f"step {snapshot.step:,}", _INK, font)
    for k, title in enumerate(_TITLES):
        draw.text((_GAP + k * (cell_w + _GAP), head - text_px - 4), title, _FAINT, small)
    for row in range(count):
        top = head + row * (cell_h + label + _GAP)
        scale = _pixel_for(snapshot.truth[row])
        pictures = (
            np.moveaxis(snapshot.image[row], 0, -1),
            _shaded(snapshot.truth[row], scale),
            _shaded(snapshot.relief[row], scale),
        )
        for k, picture in enumerate(pictures):
            shown = Image.fromarray(picture).resize((cell_w, cell_h), Image.Resampling.LANCZOS)
            sheet.paste(shown, (_GAP + k * (cell_w + _GAP), top))
        draw.text((_GAP, top + cell_h + 2), snapshot.names[row], _FAINT, small)
    return np.asarray(sheet)


def _pixel_for(truth: NDArray[np.float32]) -> float:
    """The pixel size, metres, at which the steeper slopes of the truth are well lit: the true one is not known here."""
    steps = np.concatenate([np.abs(np.diff(truth, axis=axis)).reshape(-1) for axis in (0, 1)])
    steps = steps[np.isfinite(steps)]
    steep = float(np.percentile(steps, 90)) if steps.size else 0.0
    return max(steep, 1e-3) / _SLOPE


def _shaded(heights: NDArray[np.float32], pixel_m: float) -> NDArray[np.uint8]:
    light = multidirectional_hillshade(heights, (pixel_m, pixel_m))
    grey = np.where(np.isfinite(light), np.clip(light * 1.05, 0, 1) * 255, 128).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
