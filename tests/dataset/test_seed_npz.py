"""The prototype's files: read, written, refused; and what packs become in them."""

from pathlib import Path

import numpy as np
import pytest

from im2dem.core.errors import InputError, OutputExistsError, UsageError
from im2dem.dataset.chips import Chips, quantise_heights
from im2dem.dataset.seed_npz import (
    SeedTiles,
    is_seed_npz,
    read_seed_npz,
    tiles_of_chips,
    to_levels,
    write_seed_npz,
)

SIDE = 256


def arrays(n: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and heights as the prototype saved them: float32 and int16 with a last axis of one."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.float32)
    return rgb, rng.integers(0, 256, (n, SIDE, SIDE, 1)).astype(np.int16)


def chips(rgb: np.ndarray, dem: np.ndarray) -> Chips:
    n = len(rgb)
    unknown = np.full(n, np.nan)
    return Chips(
        rgb,
        np.stack([quantise_heights(d) for d in dem]),
        np.full(n, 30.0),
        unknown,
        unknown,
        unknown,
        tuple(f"chip-{i}" for i in range(n)),
        {"kind": "real", "sources": []},
    )


@pytest.mark.parametrize("has_last_axis", [True, False])
def test_files_of_the_prototype_are_read(tmp_path: Path, has_last_axis: bool) -> None:
    rgb, dem = arrays()
    path = tmp_path / "Dataset.npz"
    np.savez_compressed(path, rgb, dem if has_last_axis else dem[..., 0])  # as the prototype wrote them
    assert is_seed_npz(path)
    tiles = read_seed_npz(path)
    np.testing.assert_array_equal(tiles.rgb, rgb)
    np.testing.assert_array_equal(tiles.dem, dem[..., 0])


def test_what_is_written_is_what_the_prototype_loads(tmp_path: Path) -> None:
    rgb, dem = arrays()
    path = write_seed_npz(tmp_path / "a.npz", SeedTiles(rgb.astype(np.uint8), dem[..., 0]))
    with np.load(path) as data:  # the prototype's own three lines
        pictures, heights = data["arr_0"], data["arr_1"]
    assert (pictures.dtype, heights.dtype) == (np.float32, np.int16)
    np.testing.assert_array_equal(pictures, rgb)
    np.testing.assert_array_equal(heights, dem)
    with pytest.raises(OutputExistsError):
        write_seed_npz(path, SeedTiles(rgb.astype(np.uint8), dem[..., 0]))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_other_files_are_refused_with_what_is_wanted(tmp_path: Path) -> None:
    rgb, dem = arrays(1)
    path = tmp_path / "bad.npz"

    def refused(match: str, **content: np.ndarray) -> None:
        np.savez(path, **content)
        with pytest.raises(InputError, match=match):
            read_seed_npz(path)

    refused("holds the arrays rgb", rgb=rgb)
    refused(r"arr_0 has the shape \(1, 128, 256, 3\)", arr_0=rgb[:, :128], arr_1=dem)
    refused(r"arr_0 has the shape \(0, ", arr_0=rgb[:0], arr_1=dem[:0])
    refused(r"arr_1 has the shape \(1, 256, 256, 3\)", arr_0=rgb, arr_1=rgb)
    refused("arr_1 runs from 0 to 2550", arr_0=rgb, arr_1=np.where(dem == dem.max(), 2550, dem * 0))
    refused("arr_0 runs from nan", arr_0=rgb * np.nan, arr_1=dem)
    refused("wanted are numbers", arr_0=rgb.astype(str), arr_1=dem)
    with pytest.raises(InputError, match="cannot be read"):
        read_seed_npz(tmp_path / "missing.npz")
    with path.open("wb") as file:
        np.save(file, dem)  # one array, not an archive
    assert not is_seed_npz(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    assert not is_seed_npz(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_seed_npz(path)


def test_wrong_values_are_not_written(tmp_path: Path) -> None:
    rgb, dem = arrays(1)
    with pytest.raises(UsageError, match="to_levels"):
        write_seed_npz(tmp_path / "a.npz", SeedTiles(rgb.astype(np.uint8), dem[..., 0] + 1000))
    with pytest.raises(UsageError, match="tiles_of_chips"):
        write_seed_npz(tmp_path / "a.npz", SeedTiles(rgb[:, :100].astype(np.uint8), dem[..., 0]))
    assert not list(tmp_path.iterdir())


def test_levels_are_those_of_one_minimum_and_one_maximum() -> None:
    heights = np.array([-100.0, 0.0, 155.0, 156.0, 9999.0], dtype=np.float32)
    np.testing.assert_array_equal(to_levels(heights, (-100.0, 155.0)), [0, 100, 255, 255, 255])
    with pytest.raises(UsageError, match="empty"):
        to_levels(heights, (5.0, 5.0))


def test_packs_are_cut_side_by_side_with_their_heights() -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(20, 120, (1, 3, 300, 600)).astype(np.uint8)
    dem = rng.normal(800, 50, (1, 300, 600)).astype(np.float32)
    dem[0, :256, 256:282] = np.nan  # 10.2 % of the second tile
    pack = chips(rgb, dem)
    pictures, heights, numbers = tiles_of_chips(pack, least_valid=0.9)
    assert (pictures.shape, heights.shape, list(numbers)) == ((1, SIDE, SIDE, 3), (1, SIDE, SIDE), [0])
    # heights above the chip's own mean, rounded to 0.25 m
    np.testing.assert_allclose(heights[0], dem[0, :256, :256] - np.nanmean(dem), atol=0.126)
    # an even ramp of grey values becomes nearly the whole of 0..255
    assert np.percentile(pictures[0], 0.5) == 0
    assert np.percentile(pictures[0], 99.5) == 255
    assert np.corrcoef(pictures[0, ..., 1].ravel(), rgb[0, 1, :256, :256].ravel())[0, 1] > 0.99
    two, with_hole, _ = tiles_of_chips(pack, least_valid=0.8)
    assert len(two) == 2
    assert np.isnan(with_hole[1]).mean() == pytest.approx(26 / 256)


def test_chips_below_a_tile_give_none_and_an_empty_picture_is_left_as_it_is() -> None:
    small = chips(np.full((1, 3, 64, 64), 90, np.uint8), np.random.default_rng(0).normal(0, 9, (1, 64, 64)))
    assert len(tiles_of_chips(small)[0]) == 0
    black = chips(np.zeros((1, 3, 256, 256), np.uint8), np.random.default_rng(0).normal(0, 9, (1, 256, 256)))
    pictures, _, _ = tiles_of_chips(black)
    assert not pictures.any()
