"""Moving pictures: GIF and WebP by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.errors import MissingDependencyError, UsageError

KINDS = ("gif", "webp", "mp4")
Frames = Iterable[NDArray[np.uint8]]
_COLOURS_FROM = 3


def write_animation(sink: BinaryIO, frames: Frames, kind: str, seconds_a_frame: float) -> int:
    """Write frames that repeat for ever (GIF, WebP) or play once (MP4).

    Parameters
    ----------
    sink
        Where they go.
    frames
        uint8, shape (row, col, 3), all of one even size.
    kind
        "gif", "webp" or "mp4".
    seconds_a_frame
        How long each is shown.

    Returns
    -------
    Number of frames.

    Raises
    ------
    UsageError
        Another kind, or no frame.
    MissingDependencyError
        MP4 without imageio-ffmpeg.
    """
    if kind not in KINDS:
        raise UsageError(f"an animation is one of {', '.join(KINDS)} by the name's ending, got {kind!r}")
    counted = _Counted(frames)
    if kind == "mp4":
        _write_mp4(sink, counted, seconds_a_frame)
    else:
        pictures = map(Image.fromarray, counted)
        # A palette for all frames: one of each frame's own would make colours flicker.
        head = list(islice(pictures, _COLOURS_FROM)) if kind == "gif" else list(islice(pictures, 1))
        if not head:
            raise UsageError("an animation needs at least one frame")
        rest: Iterator[Image.Image] = chain(head, pictures)
        if kind == "gif":
            palette = _common_palette(head)
            rest = (picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in rest)
            first = next(rest)
            first.save(sink, "GIF", save_all=True, append_images=rest, duration=_ms(seconds_a_frame), loop=0)
        else:
            first = next(rest)
            first.save(
                sink,
                "WEBP",
                save_all=True,
                append_images=rest,
                duration=_ms(seconds_a_frame),
                loop=0,
                quality=82,
                method=4,
            )
    return counted.count


def require_video() -> Any:
    """The package that writes MP4.

    Raises
    ------
    MissingDependencyError
        imageio-ffmpeg is not installed.
    """
    try:
        return importlib.import_module("imageio_ffmpeg")
    except ImportError as error:
        raise MissingDependencyError(
            "MP4 needs imageio-ffmpeg, which is not installed; run: pip install 'im2dem[video]', or write .gif or .webp"
        ) from error


class _Counted:
    """Passes frames on and knows how many there were."""

    def __init__(self, frames: Frames) -> None:
        self.frames, self.count = frames, 0

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for frame in self.frames:
            self.count += 1
            yield frame


def _ms(seconds: float) -> int:
    """GIF counts in hundredths of a second, and players slow down what is faster than two of them."""
    return max(20, 10 * round(100 * seconds))


def _common_palette(pictures: list[Image.Image]) -> Image.Image:
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * len(pictures), height))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k * width, 0))
    return sheet.quantize(255, method=Image.Quantize.MEDIANCUT)


def _write_mp4(sink: BinaryIO, frames: _Counted, seconds_a_frame: float) -> None:
    ffmpeg = require_video()

    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise UsageError("an animation needs at least one frame")
    with tempfile.TemporaryDirectory(prefix="im2dem-") as folder:
        film = Path(folder) / "film.mp4"  # the index at the front of an MP4 is written last, so it cannot be streamed
        writer = ffmpeg.write_frames(
            str(film),
            (first.shape[1], first.shape[0]),
            fps=1 / seconds_a_frame,
            codec="libx264",
            quality=None,
            macro_block_size=2,
            pix_fmt_out="yuv420p",
            output_params=["-crf", "20", "-movflags", "+faststart"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in chain([first], iterator):
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        with open(film, "rb") as content:
            shutil.copyfileobj(content, sink)
