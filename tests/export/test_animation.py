"""Frames drawn without a display, and the files made of them."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from im2dem.core.errors import InputError, MissingDependencyError, UsageError
from im2dem.export.animation import Written, write_animation
from im2dem.export.contact_sheet import Snapshot, draw_sheet
from im2dem.export.renderer import Camera, lit_block, render


def flat_block(height=None, colours=None, void=False):
    z = np.zeros((40, 40), np.float32) if height is None else height
    if void:
        z = z.copy()
        z[5:15, 5:15] = np.nan
    rgb = np.full((40, 40, 3), 90, np.uint8) if colours is None else colours
    return lit_block(z, rgb, (10, 10), 1.0)


def quarters():
    """Red in the north-west, green north-east, blue south-west, white south-east."""
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:20, :20, 0] = rgb[:20, 20:, 1] = rgb[20:, :20, 2] = 255
    rgb[20:, 20:] = 255
    return rgb


def is_red(pixel):
    return pixel[0] > 1.5 * max(pixel[1], pixel[2])


def hue(picture, row, col):
    rows, cols = picture.shape[:2]
    red, green, blue = picture[int(row * rows), int(col * cols)].astype(int)
    if min(red, green, blue) > 0.75 * max(red, green, blue):
        return "white"
    return ("red", "green", "blue")[int(np.argmax((red, green, blue)))]


@pytest.mark.parametrize(
    ("azimuth", "left_far", "right_far", "left_near", "right_near"),
    [
        (180, "red", "green", "blue", "white"),  # from the south: as on a map
        (0, "white", "blue", "green", "red"),
        (90, "blue", "red", "white", "green"),  # from the east: west is far, south is on the left
        (270, "green", "white", "red", "blue"),
    ],
)
def test_what_lies_where(azimuth, left_far, right_far, left_near, right_near):
    block = flat_block(colours=quarters())
    picture = render(block, Camera(block, 50, 200), azimuth)
    assert hue(picture, 0.30, 0.40) == left_far
    assert hue(picture, 0.30, 0.60) == right_far
    assert hue(picture, 0.60, 0.35) == left_near
    assert hue(picture, 0.60, 0.65) == right_near


def test_a_wall_hides_what_is_behind_it():
    z = np.zeros((60, 60), np.float32)
    z[45:48] = 250.0  # a wall near the southern rim
    rgb = np.full((60, 60, 3), 120, np.uint8)
    rgb[30:45] = (255, 0, 0)  # red ground behind it
    block = lit_block(z, rgb, (10, 10), 1.0)
    seen = [
        sum(is_red(pixel) for pixel in render(block, Camera(block, 20, 160), azimuth).reshape(-1, 3).astype(int))
        for azimuth in (180, 0)
    ]
    assert seen[1] > 200
    assert seen[0] < 0.1 * seen[1]


def test_the_whole_block_is_in_the_frame_in_every_direction():
    rng = np.random.default_rng(0)
    block = flat_block(rng.uniform(0, 60, (40, 40)).astype(np.float32))
    camera = Camera(block, 35, 160)
    assert max(camera.shape) <= 162
    assert all(side % 2 == 0 for side in camera.shape)
    for azimuth in range(0, 360, 30):
        picture = render(block, camera, azimuth).astype(int)
        rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        # Only paper, at most with the end of the shadow on it.
        assert rim.min() > 130
        assert np.ptp(rim, axis=1).max() < 12
        assert (np.ptp(picture, axis=2) >= 0).all()


def test_a_slope_towards_the_light_is_brighter():
    east = np.arange(40, dtype=np.float32)
    rising, falling = (np.tile(20 * ramp, (40, 1)).astype(np.float32) for ramp in (east, east[::-1]))
    bright = [lit_block(z, np.full((40, 40, 3), 100, np.uint8), (10, 10), 1.0).colour.mean() for z in (rising, falling)]
    assert bright[0] > bright[1] + 0.1  # light comes from the north-west; ground that rises eastward faces west


def test_voids_are_bare_earth():
    picture = flat_block(void=True).colour
    assert picture[10, 10, 0] > picture[10, 10, 2]
    assert picture[30, 30, 0] == picture[30, 30, 2]


def test_the_same_call_gives_the_same_picture():
    block = flat_block(colours=quarters())
    camera = Camera(block, 35, 96)
    np.testing.assert_array_equal(render(block, camera, 77), render(block, camera, 77))


def test_what_cannot_be_drawn_says_why():
    with pytest.raises(UsageError, match="2 x 2"):
        lit_block(np.full((4, 4), np.nan, np.float32), np.zeros((4, 4, 3), np.uint8), (1, 1), 1)
    with pytest.raises(UsageError, match="--pitch"):
        Camera(flat_block(), 90, 100)
    with pytest.raises(UsageError, match="--size"):
        Camera(flat_block(), 30, 10)


def frames(count=4, shape=(48, 64)):
    for k in range(count):
        frame = np.full((*shape, 3), 230, np.uint8)
        frame[10:30, 10 + 8 * k : 20 + 8 * k] = (200, 40 * k, 20)
        yield frame


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_gif_and_webp_repeat_with_all_their_frames(kind):
    sink = io.BytesIO()
    assert write_animation(sink, frames(), kind, 0.125) == Written(4, 0.5)
    picture = Image.open(io.BytesIO(sink.getvalue()))
    assert (picture.n_frames, picture.size, picture.info.get("loop")) == (4, (64, 48), 0)
    for k, frame in enumerate(frames()):
        picture.seek(k)
        read = np.asarray(picture.convert("RGB")).astype(int)
        # 255 colours chosen from all frames (GIF), lossy coding (WebP): close on average.
        assert np.abs(read - frame).mean() < 6
        assert picture.info["duration"] in {"gif": (120, 130), "webp": (125,)}[kind]


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize(
    ("seconds", "held", "total"), [(0.5, 3, 3.5), (0.125, 0, 0.5), (0.034, 2, 0.2), (0.001, 1, 0.1)]
)
def test_what_is_told_is_what_the_file_holds_when_frames_are_held(kind, seconds, held, total):
    sink = io.BytesIO()
    shown = list(frames())
    told = write_animation(sink, shown + held * shown[-1:], kind, seconds)
    with Image.open(io.BytesIO(sink.getvalue())) as film:
        durations = []
        for k in range(film.n_frames):
            film.seek(k)
            film.load()
            durations.append(film.info["duration"])
    assert told.frames == len(durations)
    assert told.seconds * 1000 == pytest.approx(sum(durations))
    # A GIF counts in hundredths, and the end of a film is rounded once, not each frame.
    assert told.seconds == pytest.approx(total, abs=0.0051)
    if kind == "gif":
        assert len(durations) == 4
        assert durations[-1] >= 1000 * seconds * (1 + held) - 10


def test_a_colour_that_only_a_late_frame_has_is_kept_in_a_gif():
    shown = [np.full((40, 40, 3), 120, np.uint8) for _ in range(8)]
    row, col = np.mgrid[0:40, 0:40]
    for k, frame in enumerate(shown):
        # More greys and greens than a palette holds, so that every colour in it is fought for.
        frame[..., 0], frame[..., 1], frame[..., 2] = 3 * row + k, 3 * col + 2 * k, 60 + row
    shown[6][18:22, 18:22] = (20, 20, 200)
    sink = io.BytesIO()
    write_animation(sink, shown, "gif", 0.1)
    with Image.open(io.BytesIO(sink.getvalue())) as film:
        film.seek(6)
        lake = np.asarray(film.convert("RGB"))[19:21, 19:21].astype(int)
    # Neighbours' colours are mixed in by the dithering.
    assert np.abs(lake - (20, 20, 200)).max() < 25


def test_mp4_is_read_back_by_ffmpeg(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg (extra video) writes MP4")
    sink = io.BytesIO()
    assert write_animation(sink, frames(), "mp4", 0.25) == Written(4, 1.0)
    path = tmp_path / "film.mp4"
    path.write_bytes(sink.getvalue())
    count, seconds = ffmpeg.count_frames_and_secs(str(path))
    assert count == 4
    assert seconds == pytest.approx(1.0, abs=0.1)
    words = [ffmpeg.get_ffmpeg_exe(), "-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    read = subprocess.run(words, capture_output=True, check=True).stdout
    first = np.frombuffer(read, np.uint8).reshape(48, 64, 3).astype(int)
    assert np.abs(first - next(frames())).mean() < 8  # colour at half resolution, lossy


def test_mp4_without_the_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match=r"im2dem\[video\]"):
        write_animation(io.BytesIO(), frames(), "mp4", 0.1)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_no_frames_and_unknown_kinds(kind):
    with pytest.raises(UsageError, match="at least one frame"):
        write_animation(io.BytesIO(), [], kind, 0.1)
    with pytest.raises(UsageError, match="gif, webp, mp4"):
        write_animation(io.BytesIO(), frames(), "avi", 0.1)


def snapshot(relief_scale=1.0, count=2, size=24):
    row, col = np.mgrid[0:size, 0:size]
    truth = np.stack([100 * np.sin(row / 3 + k) + 50 * np.cos(col / 4) for k in range(count)]).astype(np.float32)
    image = np.stack([np.stack([truth[k] % 255] * 3) for k in range(count)]).astype(np.uint8)
    return Snapshot(500, tuple(f"place-{k}" for k in range(count)), image, truth, truth * np.float32(relief_scale))


def test_a_sheet_shows_truth_and_prediction_alike_when_they_are_equal():
    sheet = draw_sheet(snapshot(), 400)
    assert max(sheet.shape[:2]) <= 402
    assert all(side % 2 == 0 for side in sheet.shape[:2])
    flat = draw_sheet(snapshot(0.1), 400)
    third = sheet.shape[1] // 3
    truth, made = (slice(third + 20, 2 * third - 20), slice(2 * third + 20, 3 * third - 20))
    rows = slice(60, sheet.shape[0] // 2)
    assert sheet[rows, made].std() == pytest.approx(sheet[rows, truth].std(), rel=0.2)
    assert flat[rows, made].std() < 0.5 * flat[rows, truth].std()


def test_a_snapshot_that_does_not_fit_says_so():
    one = snapshot()
    with pytest.raises(InputError, match="shapes"):
        Snapshot(1, one.names, one.image, one.truth, one.relief[:1])
