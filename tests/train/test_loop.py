"""The loop learns, resumes exactly, and fails before work is lost."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import OutputError, UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.train.batches import MIRROR_NS, Sampler, Turn  # noqa: E402
from im2dem.train.loop import NotFiniteError, Run, load_run, train  # noqa: E402
from im2dem.train.recipe import load_recipe  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")


def weights(run: Run) -> bytes:
    return b"".join(v.numpy().tobytes() for v in run.ema.state_dict().values())


def test_forty_steps_on_one_batch_lower_the_loss(chips: Chips, recipe: Callable) -> None:
    r = recipe(learning_rate=3e-3)
    batch = Sampler([], [chips], r).batch(0)
    run = Run(r, CPU)
    losses = [run.train_step(batch)[0] for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_four_steps_equal_two_and_two(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    whole = train(recipe(), ([], [chips], []), tmp_path / "whole")
    train(recipe(), ([], [chips], []), tmp_path / "parts", stop_at=2)
    parts = train(recipe(), ([], [chips], []), tmp_path / "parts")
    assert parts.step == 4
    assert weights(parts) == weights(whole)


def test_validation_keeps_the_best(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    import dataclasses

    scene = dataclasses.replace(
        chips,
        rgb=np.tile(chips.rgb[:1], (1, 1, 3, 3)),
        dem=np.tile(chips.dem[:1], (1, 3, 3)),
        **{
            k: getattr(chips, k)[:1] for k in ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "latitude_deg", "names")
        },
    )
    run = train(recipe(), ([], [chips], [scene]), tmp_path / "run")
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert len(rows) == 3
    assert load_run(tmp_path / "run" / "best.pt", CPU).best["score"] == run.best["score"]
    assert run.best["sigma_scale"] > 0


def test_a_folder_of_another_recipe_is_not_overwritten(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    train(recipe(), ([], [chips], []), tmp_path / "run", stop_at=1)
    with pytest.raises(OutputError, match="another recipe"):
        train(recipe(seed=9), ([], [chips], []), tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_told_before_training(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        train(recipe(), ([], [chips], []), tmp_path / "file" / "run")


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError):
        train(recipe(learning_rate=1e30, clip=1e30, steps=50), ([], [chips], []), tmp_path / "run")
    assert (tmp_path / "run" / "bad-batch.pt").exists()


def test_batches_depend_on_the_step_alone(chips: Chips, recipe: Callable) -> None:
    one, two = Sampler([], [chips], recipe()), Sampler([], [chips], recipe())
    one.batch(0)
    for a, b in zip(one.batch(3).__dict__.values(), two.batch(3).__dict__.values(), strict=True):
        assert torch.equal(a, b)


def test_relief_is_in_slope_units_with_zero_mean(chips: Chips, recipe: Callable) -> None:
    r = recipe(augment={"zoom": [1.5, 1.5]})  # crops of 96 px, the whole chip, so that heights can be compared
    batch = Sampler([], [chips], r).batch(0)
    assert abs(float(batch.relief.mean())) < 1e-4
    spans = {round(float(np.ptp(chips.heights_m(i))), 0): chips.gsd_m[i] for i in range(len(chips))}
    for i in range(4):
        span_m = float(np.ptp(batch.relief[i].numpy())) * 32 * float(batch.gsd_m[i])
        # antialiased resampling to two thirds shaves the extremes a little
        assert min(abs(span_m - s) / s for s in spans) < 0.12


@pytest.mark.parametrize("turn", [Turn(q, m) for q in range(4) for m in (False, True)])
def test_the_sun_turns_with_the_picture(turn: Turn) -> None:
    # a blob towards the sun from the middle must still lie towards the turned sun
    azimuth = 67.0
    picture = np.zeros((101, 101), dtype=np.float32)
    picture[round(50 - 40 * np.cos(np.radians(azimuth))), round(50 + 40 * np.sin(np.radians(azimuth)))] = 1
    row, col = np.argwhere(turn.apply(picture))[0]
    found = np.degrees(np.arctan2(col - 50, 50 - row)) % 360
    # one pixel at 40 pixels is 1.4 degrees
    assert abs((found - turn.azimuth(azimuth) + 180) % 360 - 180) < 1.5


def test_mirror_north_south_is_what_it_says() -> None:
    picture = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(MIRROR_NS.apply(picture), picture[::-1])
    assert MIRROR_NS.azimuth(150.0) == 30.0


def test_recipes_refuse_unknown_keys_and_wrong_kinds(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("steps = 7\n[loss]\nnormal = 1\n")
    assert load_recipe(path, {"loss.slope": "0.5"}).loss.slope == 0.5
    assert load_recipe(path).loss.normal == 1.0
    with pytest.raises(UsageError, match=r"unknown key loss\.nrmal"):
        load_recipe(path, {"loss.nrmal": "1"})
    with pytest.raises(UsageError, match="a int is wanted"):
        load_recipe(path, {"batch": "'many'"})


def test_every_recipe_of_the_repository_loads() -> None:
    found = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert found
    for path in found:
        assert load_recipe(path).name == path.stem
