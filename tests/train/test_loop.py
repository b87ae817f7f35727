"""The loop learns, resumes exactly, and fails before work is lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import OutputError, UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.train.batches import MIRROR_NS, Sampler, Turn, _resampling  # noqa: E402
from im2dem.train.journal import save_checkpoint  # noqa: E402
from im2dem.train.loop import NotFiniteError, Run, load_run, train  # noqa: E402
from im2dem.train.recipe import complete, load_recipe, read_table  # noqa: E402

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
    whole = train(recipe(), TrainingData(rendered=[chips]), tmp_path / "whole")
    train(recipe(), TrainingData(rendered=[chips]), tmp_path / "parts", stop_at=2)
    parts = train(recipe(), TrainingData(rendered=[chips]), tmp_path / "parts")
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
    run = train(recipe(), TrainingData(rendered=[chips], held_out=[scene]), tmp_path / "run")
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert len(rows) == 3
    assert load_run(tmp_path / "run" / "best.pt", CPU).best["score"] == run.best["score"]
    assert run.best["sigma_scale"] > 0
    snapshots = sorted((tmp_path / "run" / "snapshots").iterdir())
    assert [p.name for p in snapshots] == ["step-0000002.npz", "step-0000004.npz"]
    with np.load(snapshots[1]) as data:
        assert data["image"].dtype == np.uint8
        assert data["relief"].shape == data["truth"].shape == (len(data["names"]), 256, 256)


def test_with_an_opponent_four_steps_equal_two_and_two_and_the_judge_learns(
    chips: Chips, recipe: Callable, tmp_path: Path
) -> None:
    r = recipe(loss={"adversarial": 0.2})
    data = TrainingData(rendered=[chips])
    whole = train(r, data, tmp_path / "whole")
    train(r, data, tmp_path / "parts", stop_at=2)
    parts = train(r, data, tmp_path / "parts")
    assert weights(parts) == weights(whole)
    assert weights(train(recipe(), data, tmp_path / "alone")) != weights(whole)
    batch = Sampler([], [chips], r).batch(0)
    judged = [float(whole.train_step(batch)[1]["judge"]) for _ in range(25)]
    assert np.mean(judged[-5:]) < np.mean(judged[:5])


class Stopper:
    """Sends this process the signal of Ctrl-C after some steps."""

    def __init__(self, after: int) -> None:
        self.after, self.told = after, []

    def row(self, row: dict) -> None:
        self.told.append(row)

    def step(self, done: int, total: int) -> None:
        if done == self.after:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_the_step_saves_and_the_run_goes_on_exactly(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    data = TrainingData(rendered=[chips])
    whole = train(recipe(validate_every=100), data, tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(validate_every=100), data, tmp_path / "parts", Stopper(3))
    assert signal.getsignal(signal.SIGINT) is before
    assert load_run(tmp_path / "parts" / "checkpoint.pt", CPU).step == 3
    assert weights(train(recipe(validate_every=100), data, tmp_path / "parts")) == weights(whole)


def test_rows_of_steps_that_a_kill_threw_away_are_dropped(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    data = TrainingData(rendered=[chips])
    train(recipe(), data, tmp_path / "run", stop_at=2)
    log = tmp_path / "run" / "log.csv"
    log.write_text("step,loss\n1,0.5\n2,0.4\n3,0.3\n")
    train(recipe(), data, tmp_path / "run")
    assert [line.split(",")[0] for line in log.read_text().splitlines()] == ["step", "1", "2"]


def test_patience_ends_a_run_that_no_longer_learns(
    chips: Chips, recipe: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from im2dem.train import loop

    class Falling:
        def __init__(self, scenes: object) -> None:
            self.scores = iter(np.linspace(1, 0, 50))

        def score(self, net: object, device: object) -> dict[str, float]:
            return {"score": float(next(self.scores))}

        def snapshot(self, net: object, device: object) -> dict[str, object]:
            return {}

    monkeypatch.setattr(loop, "Validator", Falling)
    data = TrainingData(rendered=[chips], held_out=[chips])
    run = train(recipe(steps=40, validate_every=1, patience=3), data, tmp_path / "run")
    assert (run.step, run.best["step"]) == (4, 1)


def test_a_full_disk_keeps_the_checkpoint_before(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})

    class Unsaved:
        def __reduce__(self) -> object:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="make room and resume"):
        save_checkpoint(path, {"step": Unsaved()})
    assert torch.load(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_logs_say_what_the_loader_costs_and_go_to_tensorboard(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    r = recipe(steps=50, batch=1, crop_px=32, validate_every=100)
    teller = Stopper(-1)
    train(r, TrainingData(rendered=[chips]), tmp_path / "run", teller)
    (row,) = teller.told
    assert 0 <= row["loader_share"] <= 1
    assert row["chips_per_s"] > 0
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard")
    board = events.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert board.Scalars("log/loss")[0].value == pytest.approx(row["loss"])


def test_the_precision_may_change_between_runs_of_one_process(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    for i, bf16 in enumerate((True, False, True)):
        run = train(recipe(bf16=bf16, steps=1), TrainingData(rendered=[chips]), tmp_path / str(i))
        assert run.accelerator.mixed_precision == ("bf16" if bf16 else "no")


def test_two_processes_share_the_batches_and_end_with_the_same_weights(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (np.load(tmp_path / f"rank-{rank}.npz") for rank in (0, 1))
    for key in one.files:
        if key.startswith("chip"):
            assert not np.array_equal(one[key], two[key])
        else:
            np.testing.assert_array_equal(one[key], two[key])


TWO_PROCESSES = """
import sys
from pathlib import Path
import numpy as np, torch
from im2dem.dataset.synth import DemSource, SynthOptions, make_chips
from im2dem.dataset.training_data import TrainingData
from im2dem.train import loop
from im2dem.train.recipe import recipe_from_dict

torch.set_num_threads(1)
out = Path(sys.argv[1])
y, x = np.mgrid[:200, :200] / 20.0
dem = (200 * np.sin(x) * np.cos(y)).astype(np.float32)
chips = make_chips([DemSource("drawn", "public domain", dem, 30.0, 40.0)], SynthOptions(count=4, size_px=64, seed=1))
small = {"steps": 3, "batch": 2, "crop_px": 32, "bf16": False, "network": {"widths": [4, 6], "embedding": 8}}
seen = []
step = loop.Run.train_step
loop.Run.train_step = lambda run, batch: (seen.append(batch.image.numpy().copy()), step(run, batch))[1]
run = loop.train(recipe_from_dict(small), TrainingData(rendered=[chips]), out / "run")
rank = run.accelerator.process_index
assert run.accelerator.num_processes == 2
# statistics of batch norm are each process's own; what is learned is shared
learned = {f"w{i}": p.detach().numpy() for i, p in enumerate(run.net.parameters())}
np.savez(out / f"rank-{rank}.npz", **learned, **{f"chip{i}": v for i, v in enumerate(seen)})
"""


def test_a_folder_of_another_recipe_is_not_overwritten(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    train(recipe(), TrainingData(rendered=[chips]), tmp_path / "run", stop_at=1)
    with pytest.raises(OutputError, match="another recipe"):
        train(recipe(seed=9), TrainingData(rendered=[chips]), tmp_path / "run")


def test_a_run_goes_on_after_a_setting_was_added_to_recipes(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    train(recipe(), TrainingData(rendered=[chips]), tmp_path / "run", stop_at=1)
    path = tmp_path / "run/recipe.json"
    begun = json.loads(path.read_text())
    del begun["network"]["frozen"]
    path.write_text(json.dumps(begun))
    assert train(recipe(), TrainingData(rendered=[chips]), tmp_path / "run", stop_at=2).step == 2


def test_a_folder_that_cannot_be_made_is_told_before_training(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        train(recipe(), TrainingData(rendered=[chips]), tmp_path / "file" / "run")


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(chips: Chips, recipe: Callable, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError):
        train(recipe(learning_rate=1e30, clip=1e30, steps=50), TrainingData(rendered=[chips]), tmp_path / "run")
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


def test_a_told_sun_stands_in_the_sector_and_a_hidden_one_where_it_was(chips: Chips, recipe: Callable) -> None:
    told = recipe(batch=24, augment={"hide_sun_rendered": 0.0})
    condition = Sampler([], [chips], told).batch(0).condition.numpy()
    azimuth = np.degrees(np.arctan2(condition[:, 0], condition[:, 1])) % 360
    assert float(condition[:, 3].min()) == 1
    assert 89.9 <= azimuth.min() < azimuth.max() <= 180.1
    assert len(np.unique(azimuth.round())) > 6  # each of the six chips in two turns
    hidden = Sampler([], [chips], recipe(batch=24, augment={"hide_sun_rendered": 1.0})).batch(0).condition
    assert float(hidden[:, :4].abs().max()) == 0


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
        assert complete(read_table(path))["name"] == path.stem


@pytest.mark.parametrize(("span", "size"), [(96, 128), (200, 128), (128, 64), (65, 64)])
def test_crops_are_resampled_as_pytorch_resamples_with_antialiasing(span, size):
    values = torch.from_numpy(np.random.default_rng(span).standard_normal((1, 2, span, span)).astype(np.float32))
    expected = torch.nn.functional.interpolate(values, size=(size, size), mode="bilinear", antialias=True)
    weights = _resampling(size, span)
    torch.testing.assert_close(weights @ values @ weights.T, expected, atol=1e-5, rtol=1e-5)
