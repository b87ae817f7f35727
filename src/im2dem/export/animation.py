"""Moving pictures: GIF and WebP by Pillow, MP4 by ffmpeg where it is installed."""

from __future__ import annotations

import importlib
import io
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from im2dem.core.errors import MissingDependencyError, UsageError

KINDS = ("gif", "webp", "mp4")
Frames = Iterable[NDArray[np.uint8]]
_COLOURS_FROM_PX = 30_000  # a frame
# GIF counts in hundredths of a second, WebP in thousandths.
_TICK_MS = {"gif": 10, "webp": 1}
_FASTEST_S = 0.02  # players slow down what is faster


@dataclass(frozen=True)
class Written:
    """What a film holds: frames that are stored, and how long they last together, seconds."""

    frames: int
    seconds: float


def write_animation(sink: BinaryIO, frames: Frames, kind: str, seconds_a_frame: float) -> Written:
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
        How long each is shown; GIF and WebP have none shorter than 0.02 s.

    Returns
    -------
    Frames and seconds as they are in the file. GIF and WebP store equal frames that follow one another once, for the
    time of all of them.

    Raises
    ------
    UsageError
        Another kind, or no frame.
    MissingDependencyError
        MP4 without imageio-ffmpeg.
    """
    if kind not in KINDS:
        raise UsageError(f"an animation is one of {', '.join(KINDS)} by the name's ending, got {kind!r}")
    if kind == "mp4":
        count = _write_mp4(sink, frames, seconds_a_frame)
        return Written(count, round(count * seconds_a_frame, 3))
    timed = _Timed(frames, max(seconds_a_frame, _FASTEST_S), _TICK_MS[kind])
    rest: Iterator[Image.Image] = _in_common_colours(timed) if kind == "gif" else map(Image.fromarray, timed)
    first = next(rest, None)
    if first is None:
        raise UsageError("an animation needs at least one frame")
    how: dict[str, Any] = {"format": "GIF"} if kind == "gif" else {"format": "WEBP", "quality": 82, "method": 4}
    film = io.BytesIO()
    # The list grows with the frames that are drawn; Pillow asks for a frame's duration after the frame.
    first.save(film, save_all=True, append_images=rest, duration=timed.durations_ms, loop=0, **how)
    sink.write(film.getbuffer())
    film.seek(0)
    with Image.open(film) as made:
        stored: int = getattr(made, "n_frames", 1)
    return Written(stored, sum(timed.durations_ms) / 1000)


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


class _Timed:
    """Passes frames on and keeps how long each is shown, in whole ticks that never drift from the time asked for."""

    def __init__(self, frames: Frames, seconds_a_frame: float, tick_ms: int) -> None:
        self.frames, self.ticks_a_frame, self.tick_ms = frames, 1000 * seconds_a_frame / tick_ms, tick_ms
        self.durations_ms: list[int] = []

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for k, frame in enumerate(self.frames):
            ticks = round((k + 1) * self.ticks_a_frame) - round(k * self.ticks_a_frame)
            self.durations_ms.append(ticks * self.tick_ms)
            yield frame


def _in_common_colours(frames: Frames) -> Iterator[Image.Image]:
    """Frames with one palette for all: a frame's own would make colours flicker, the first one's would miss others.

    They are drawn once and wait in a file until all colours are known.
    """
    shapes, samples = [], []
    with tempfile.TemporaryFile(prefix="im2dem-") as waiting:
        for frame in frames:
            waiting.write(frame.tobytes())
            step = math.ceil(math.sqrt(frame.shape[0] * frame.shape[1] / _COLOURS_FROM_PX))
            shapes.append(frame.shape)
            samples.append(frame[::step, ::step].reshape(-1, 3))
        if not samples:
            return
        # Rare colours count as well (a lake that is seen in one frame of ten), then each moves to the mean of its own.
        colours = Image.fromarray(np.concatenate(samples)[None])
        palette = colours.quantize(255, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
        waiting.seek(0)
        for shape in shapes:
            frame = np.frombuffer(waiting.read(math.prod(shape)), dtype=np.uint8).reshape(shape)
            yield Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def _write_mp4(sink: BinaryIO, frames: Frames, seconds_a_frame: float) -> int:
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
        count = 0
        for frame in chain([first], iterator):
            writer.send(np.ascontiguousarray(frame))
            count += 1
        writer.close()
        with open(film, "rb") as content:
            shutil.copyfileobj(content, sink)
    return count
