"""Batches drawn on the device: the same pictures, heights and suns as those that the host draws."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import InputError  # noqa: E402
from im2dem.core.scaling import SLOPE_UNIT  # noqa: E402
from im2dem.dataset.chips import DEM_STEP_M, VOID, Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.train.batches import Turn  # noqa: E402
from im2dem.train.loop import train  # noqa: E402
from im2dem.train.resident import ResidentSampler, Sample  # noqa: E402
from im2dem.train.windows import cut_windows  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")
PLAIN = {
    "zoom": [1.0, 1.0],
    "gain": 0.0,
    "gamma": 0.0,
    "noise": 0.0,
    "haze": 0.0,
    "grey": 0.0,
    "blur": 0.0,
    "crop_stretch": 0.0,
}


def sample_of(sampler: ResidentSampler, turn: Turn) -> Sample:
    """The middle of the first window, laid as `turn` says."""
    drawn = sampler._draw("rendered", np.random.default_rng(0))
    half = sampler.recipe.crop_px / sampler.size_px
    return replace(drawn, window=0, middle=(0.0, 0.0), half=half, turn=turn)


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirror_ew", [False, True])
def test_a_turned_crop_has_the_very_pixels_of_the_chip(
    chips: Chips, recipe: Callable, quarters: int, mirror_ew: bool
) -> None:
    sampler = ResidentSampler([], [chips], recipe(augment=PLAIN), CPU)
    turn = Turn(quarters, mirror_ew)
    rgb, relief, valid, _ = sampler._crop([sample_of(sampler, turn)])
    assert sampler.size_px == 96
    middle = (slice(16, 80), slice(16, 80))
    # weights of 1 and 0, up to the rounding of the grid
    np.testing.assert_allclose(rgb[0], turn.apply(chips.rgb[0][(slice(None), *middle)].astype(np.float32)), atol=0.02)
    wanted = turn.apply(chips.heights_m(0))[middle] - chips.heights_m(0).mean()
    np.testing.assert_allclose(relief[0, 0], wanted, atol=0.05)
    assert valid.min() == 1


def test_the_sun_turns_with_the_picture(chips: Chips, recipe: Callable) -> None:
    augment = {**PLAIN, "hide_sun_rendered": 0.0, "sun_sector_deg": [0.0, 360.0]}
    lit = replace(chips, sun_azimuth_deg=np.full(6, 140.0), sun_elevation_deg=np.full(6, 30.0))
    sampler = ResidentSampler([], [lit], recipe(batch=16, augment=augment), CPU)
    rng = np.random.default_rng(5)
    drawn = [sampler._draw("rendered", rng) for _ in range(32)]
    assert len({(s.turn.quarters, s.turn.mirror_ew) for s in drawn}) == 8
    for s in drawn:
        azimuth = np.radians(s.turn.azimuth(140.0))
        np.testing.assert_allclose(s.condition[:2], [np.sin(azimuth), np.cos(azimuth)], atol=1e-6)


def test_zooming_out_changes_the_pixel_size_and_keeps_the_metres(chips: Chips, recipe: Callable) -> None:
    r = recipe(augment={**PLAIN, "zoom": [1.5, 1.5]})
    sampler = ResidentSampler([], [chips], r, CPU)
    batch = sampler.batch(0)
    picked = [sampler._draw("rendered", np.random.default_rng([0, 0]))]
    np.testing.assert_allclose(
        [s.gsd_m for s in picked], chips.gsd_m[sampler.windows["rendered"].origin[picked[0].window][1]] * 1.5
    )
    spread_m = float((batch.relief * SLOPE_UNIT * batch.gsd_m.view(-1, 1, 1, 1)).std())
    assert 0.3 < spread_m / np.mean([chips.heights_m(i).std() for i in range(6)]) < 2


def test_the_same_step_gives_the_same_batch_and_another_step_another(chips: Chips, recipe: Callable) -> None:
    sampler = ResidentSampler([], [chips], recipe(), CPU)
    first, again, other = sampler.batch(3), sampler.batch(3), sampler.batch(4)
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.relief, again.relief)
    assert not torch.equal(first.image, other.image)


def test_windows_cover_a_scene_and_voids_are_left_out(chips: Chips) -> None:
    dem = chips.dem.copy()
    dem[0] = VOID
    dem[1, :, :48] = VOID
    windows = cut_windows([replace(chips, dem=dem)], 64, CPU)
    assert windows is not None
    # 96 px at half overlap: two windows a side
    assert len(windows) == 6 * 4
    assert windows.share[windows.origin[:, 1] == 0].sum() == 0
    assert windows.share.sum() == pytest.approx(1)
    # the left window of chip 1: 48 of its 64 columns are void
    left = int(np.flatnonzero(windows.origin[:, 1] == 1)[0])
    assert windows.known_share(left, 0.0, 0.0, 1.0) == pytest.approx(0.25)
    assert windows.known_share(left, 0.0, 0.75, 0.25) == 1


def test_a_pack_of_voids_is_refused(chips: Chips) -> None:
    with pytest.raises(InputError, match="most of its pixels"):
        cut_windows([replace(chips, dem=np.full_like(chips.dem, VOID))], 64, CPU)


def test_a_small_scene_is_one_window_with_void_beyond_its_edge(chips: Chips) -> None:
    windows = cut_windows([chips], 128, CPU)
    assert windows is not None
    assert len(windows) == 6
    assert (windows.dem[:, 96:] == VOID).all()
    np.testing.assert_array_equal(windows.dem[:, :96, :96], chips.dem)


def test_two_steps_and_two_more_are_the_four_steps_bit_for_bit(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    r = recipe(resident=True, network={"widths": [4, 6, 8], "embedding": 8, "guide": True})
    data = TrainingData(rendered=[chips])
    whole = train(r, data, tmp_path / "whole")
    train(r, data, tmp_path / "parts", stop_at=2)
    parts = train(r, data, tmp_path / "parts")
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, parts.net.state_dict()[name]), name


def test_heights_and_pictures_agree_with_those_of_the_host(chips: Chips, recipe: Callable) -> None:
    from im2dem.train.batches import Sampler

    r = recipe(batch=48, augment=PLAIN)
    here, there = ResidentSampler([], [chips], r, CPU).batch(0), Sampler([], [chips], r).batch(0)
    # other crops of the same chips: the same brightness and steepness in the mean
    assert float(here.image.mean()) == pytest.approx(float(there.image.mean()), abs=0.03)
    assert float(here.relief.std()) == pytest.approx(float(there.relief.std()), rel=0.25)
    assert DEM_STEP_M == 0.25
