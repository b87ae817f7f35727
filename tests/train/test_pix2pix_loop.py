"""The prototype's training: reads both kinds of file, resumes to the bit, keeps the best, fails before work is lost."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import InputError, OutputError, UsageError  # noqa: E402
from im2dem.dataset.chips import Chips, quantise_heights, save_chips  # noqa: E402
from im2dem.dataset.seed_npz import SeedTiles, write_seed_npz  # noqa: E402
from im2dem.train.loop import NotFiniteError  # noqa: E402
from im2dem.train.pix2pix.data import epoch_order, load_tiles, make_batch  # noqa: E402
from im2dem.train.pix2pix.loop import Pix2PixRun, load_generator, train_pix2pix  # noqa: E402
from im2dem.train.pix2pix.recipe import Pix2PixRecipe, pix2pix_recipe  # noqa: E402
from im2dem.train.pix2pix.validate import score  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")


def recipe(**changes: object) -> Pix2PixRecipe:
    """A net so small that a step takes some hundredths of a second."""
    return pix2pix_recipe({"kind": "pix2pix", "base": 2, "epochs": 2} | changes)


def hills(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 256, 256, 3), as bright as they are high, and heights 0..255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256] / 40.0
    dem = np.stack([sum(np.sin(a * x + b * y + c) for a, b, c in rng.normal(0, 2, (5, 3))) for _ in range(n)])
    dem = np.rint(255 * (dem - dem.min()) / np.ptp(dem)).astype(np.int16)
    rgb = np.clip(dem[..., None] * 0.6 + 40 + rng.normal(0, 5, (*dem.shape, 3)), 0, 255)
    return rgb.astype(np.uint8), dem


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two tiles to train on and one held out, as the prototype stored them."""
    folder = tmp_path_factory.mktemp("seed")
    return [write_seed_npz(folder / f"{name}.npz", SeedTiles(*hills(n, n))) for name, n in (("a", 2), ("val-b", 1))]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A pack of one chip of 256 x 512 px, some of it void."""
    folder = tmp_path_factory.mktemp("packs")

    def make(name: str, top_m: float) -> Path:
        rgb, dem = hills(2, 5)
        heights = np.hstack(list(dem)).astype(np.float32) / 255 * top_m
        heights[:20, :20] = np.nan
        unknown = np.array([np.nan])
        picture = np.moveaxis(np.hstack(list(rgb)), -1, 0)[None]
        provenance = {"kind": "real", "sources": [{"name": name, "licence": "CC0"}]}
        chips = Chips(picture, quantise_heights(heights)[None], np.array([20.0]), *[unknown] * 3, (name,), provenance)
        save_chips(folder / f"{name}.npz", chips)
        return folder / f"{name}.npz"

    return make


def bits(run: Pix2PixRun) -> bytes:
    """Every number that the next step depends on."""
    nets = [run.generator.state_dict(), run.discriminator.state_dict()]
    moments = [o.state_dict()["state"][i] for o in run.optimisers for i in o.state_dict()["state"]]
    return b"".join(v.numpy().tobytes() for part in (*nets, *moments) for v in part.values())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("changes", [{}, {"jitter": True, "direction": "dem2rgb", "channels_last": False}])
def test_four_steps_equal_two_and_two(files: list[Path], tmp_path: Path, changes: dict[str, object]) -> None:
    whole = train_pix2pix(recipe(**changes), files, tmp_path / "whole")
    assert whole.step == 4
    train_pix2pix(recipe(**changes), files, tmp_path / "parts", stop_at=1)  # in the middle of an epoch
    parts = train_pix2pix(recipe(**changes), files, tmp_path / "parts")
    assert bits(parts) == bits(whole)
    for name in ("log.csv", "validation.csv"):
        without_clock = [
            [{k: v for k, v in row.items() if k != "chips_per_s"} for row in rows(tmp_path / run / name)]
            for run in ("whole", "parts")
        ]
        assert without_clock[0] == without_clock[1]
        assert len(without_clock[0]) == 2


def test_logs_hold_the_losses_and_the_best_is_kept(files: list[Path], tmp_path: Path) -> None:
    run = train_pix2pix(recipe(learning_rate=2e-3, epochs=3), files, tmp_path)
    for row in rows(tmp_path / "log.csv"):
        generator, gan, l1 = (float(row[k]) for k in ("generator", "gan", "l1"))
        assert generator == pytest.approx(gan + 100 * l1, rel=1e-4)
        assert float(row["discriminator"]) > 0
    validation = rows(tmp_path / "validation.csv")
    assert [int(row["epoch"]) for row in validation] == [1, 2, 3]
    assert float(run.best["l1"]) == pytest.approx(min(float(row["l1"]) for row in validation), rel=1e-4)
    generator, state = load_generator(tmp_path / "best.pt")
    assert state["best"] == run.best
    data = load_tiles(files)
    given, wanted = make_batch(data.held_out, [0], data.scale, "rgb2dem")
    with torch.no_grad():
        made = generator(given)
    assert float((made - wanted).abs().mean()) == pytest.approx(run.best["l1"], rel=1e-5)
    snapshots = sorted((tmp_path / "snapshots").glob("*.npz"))
    assert len(snapshots) == 3
    with np.load(snapshots[0]) as data_at_epoch:
        assert data_at_epoch["relief"].shape == data_at_epoch["truth"].shape == (1, 256, 256)


def test_forty_steps_learn_that_bright_is_high(files: list[Path]) -> None:
    data = load_tiles(files)
    run = Pix2PixRun(recipe(base=4, learning_rate=2e-3), data.scale, (30.0, 30.0), CPU)
    first = score(run.generator, data, run.recipe, CPU)
    for step in range(40):
        run.train_step(*make_batch(data.train, [step % 2], data.scale, "rgb2dem"))
    last = score(run.generator, data, run.recipe, CPU)
    assert last["l1"] < 0.6 * first["l1"]
    assert last["r"] > 0.8


def test_bf16_trains_too(files: list[Path], tmp_path: Path) -> None:
    run = train_pix2pix(recipe(bf16=True), files, tmp_path)
    assert all(torch.isfinite(p).all() for p in run.generator.parameters())
    assert {p.dtype for p in run.generator.parameters()} == {torch.float32}


def test_packs_are_scaled_by_the_training_tiles_alone(pack: Callable[..., Path], tmp_path: Path) -> None:
    data = load_tiles([pack("train-a", 400.0), pack("val-b", 4000.0)])
    assert (len(data.train), len(data.held_out)) == (2, 2)
    assert data.scale.unit == "m"
    assert data.scale.high - data.scale.low == pytest.approx(400, abs=1)
    _, wanted = make_batch(data.train, [0, 1], data.scale, "rgb2dem")
    assert (float(wanted.min()), float(wanted.max())) == (-1.0, 1.0)
    assert data.sources == ("real: train-a (CC0)",)
    assert not data.train.valid[0, :20, :20].any()
    assert np.isfinite(data.train.heights).all()
    # the held-out mountains are ten times as high: beyond the range everything is its end
    _, clipped = make_batch(data.held_out, [0, 1], data.scale, "rgb2dem")
    assert float((clipped.abs() == 1).float().mean()) > 0.5


def test_both_directions_take_and_give_their_channels(files: list[Path]) -> None:
    data = load_tiles(files)
    given, wanted = make_batch(data.train, [1], data.scale, "rgb2dem")
    assert (given.shape, wanted.shape) == ((1, 3, 256, 256), (1, 1, 256, 256))
    np.testing.assert_allclose(given[0].permute(1, 2, 0), data.train.rgb[1] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(wanted[0, 0], data.train.heights[1] / 127.5 - 1, atol=1e-6)
    back, forth = make_batch(data.train, [1], data.scale, "dem2rgb")
    assert torch.equal(back, wanted)
    assert torch.equal(forth, given)


def test_jitter_moves_picture_and_heights_together(files: list[Path]) -> None:
    data = load_tiles(files)
    draws = [make_batch(data.train, [0], data.scale, "rgb2dem", np.random.default_rng(i)) for i in range(6)]
    plain, _ = make_batch(data.train, [0], data.scale, "rgb2dem")
    for given, wanted in draws:
        assert given.shape == (1, 3, 256, 256)
        assert not torch.equal(given, plain)
        # the picture of the drawn hills is their height with noise; cut at another place it would not be
        assert np.corrcoef(given[0, 0].ravel(), wanted.ravel())[0, 1] > 0.95


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    assert sorted(epoch_order(50, 1, 2)) == list(range(50))
    assert list(epoch_order(50, 1, 2)) == list(epoch_order(50, 1, 2))
    assert list(epoch_order(50, 1, 2)) != list(epoch_order(50, 1, 3))


def test_data_that_cannot_be_used_are_told_before_training(
    files: list[Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    for paths, match in (
        ([], "no tile to train on"),
        ([files[1]], "val-"),
        ([files[0], pack("train-a", 400.0)], "cannot be mixed"),
        ([pack("train-flat", 0.0)], "nothing to learn"),
        ([tmp_path / "missing.npz"], "not a pack"),
    ):
        with pytest.raises(InputError, match=match):
            train_pix2pix(recipe(), paths, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_another_recipe_or_other_heights(
    files: list[Path], pack: Callable[..., Path], tmp_path: Path
) -> None:
    train_pix2pix(recipe(), files, tmp_path, stop_at=1)
    with pytest.raises(OutputError, match="another recipe"):
        train_pix2pix(recipe(seed=4), files, tmp_path)
    with pytest.raises(UsageError, match="give the same files"):
        train_pix2pix(recipe(), [pack("train-a", 400.0)], tmp_path)


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError):
        train_pix2pix(recipe(learning_rate=1e38, epochs=20), files, tmp_path)
    saved = torch.load(tmp_path / "bad-batch.pt", weights_only=True)
    assert saved["given"].shape == (1, 3, 256, 256)


def test_patience_ends_a_run_that_gets_no_better(files: list[Path], tmp_path: Path) -> None:
    run = train_pix2pix(recipe(learning_rate=1e-30, epochs=9, patience=2), files, tmp_path)
    assert len(rows(tmp_path / "validation.csv")) == int(run.best["epoch"]) + 2 < 9


def test_recipes_are_checked() -> None:
    defaults = pix2pix_recipe({})
    assert (defaults.epochs, defaults.batch, defaults.base, defaults.jitter) == (300, 1, 64, False)
    assert (defaults.learning_rate, defaults.beta1, defaults.l1_weight) == (2e-4, 0.5, 100.0)
    for table, match in (
        ({"direction": "dem2dem"}, "rgb2dem or dem2rgb"),
        ({"kind": "relief"}, "not one for pix2pix"),
        ({"epochs": 0}, "at least 1"),
        ({"beta1": 1.0}, "below 1"),
        ({"lambda": 100}, "unknown key lambda"),
    ):
        with pytest.raises(UsageError, match=match):
            pix2pix_recipe(table)
