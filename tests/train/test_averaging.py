"""The mean of runs is a run: exported, started from, and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.cli.app import run as command  # noqa: E402
from im2dem.core.errors import InputError, OutputExistsError, UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.runtime.card import load_card  # noqa: E402
from im2dem.train.averaging import average_runs  # noqa: E402
from im2dem.train.export import export_run  # noqa: E402
from im2dem.train.loop import load_run, train  # noqa: E402
from im2dem.train.model_folder import training_sources  # noqa: E402
from im2dem.train.recipe import Recipe, recipe_from_dict  # noqa: E402

pytestmark = pytest.mark.train
CPU = torch.device("cpu")


def recipe(**changes: object) -> Recipe:
    network = {"widths": [4, 6, 8], "embedding": 8}
    small = {"steps": 2, "batch": 2, "crop_px": 64, "bf16": False, "network": network}
    return recipe_from_dict({**small, **changes})


@pytest.fixture(scope="module")
def runs(chips: Chips, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that began at the weights of a third."""
    folder = tmp_path_factory.mktemp("runs")
    train(recipe(), TrainingData(rendered=[chips]), folder / "start")
    for seed in (1, 2):
        train(
            recipe(seed=seed, name=f"seed-{seed}", learning_rate=1e-2),
            TrainingData(rendered=[chips]),
            folder / f"run-{seed}",
            start=folder / "start" / "checkpoint.pt",
        )
    return [folder / "run-1", folder / "run-2"]


def test_the_mean_is_that_of_the_weights(runs: list[Path], tmp_path: Path) -> None:
    made = average_runs(runs, [3.0, 1.0], tmp_path / "mean")
    assert [one["share"] for one in made["of"]] == [0.75, 0.25]
    assert [one["recipe"] for one in made["of"]] == ["seed-1", "seed-2"]
    one, two, mean = (
        load_run(path, CPU).ema.state_dict()
        for path in (*(run / "checkpoint.pt" for run in runs), tmp_path / "mean" / "best.pt")
    )
    moved = [name for name, value in one.items() if not torch.equal(value, two[name])]
    assert moved
    for name in moved:
        # a sum of two float32 in double precision, rounded once
        torch.testing.assert_close(mean[name], 0.75 * one[name] + 0.25 * two[name], rtol=1e-5, atol=1e-7)


def test_a_run_averaged_with_itself_is_itself(runs: list[Path], tmp_path: Path) -> None:
    average_runs([runs[0], runs[0] / "checkpoint.pt"], [0.3, 0.7], tmp_path / "mean")
    net, same = (load_run(p, CPU).ema for p in (runs[0] / "checkpoint.pt", tmp_path / "mean" / "best.pt"))
    image = torch.rand(1, 3, 64, 64)
    condition = torch.zeros(1, 8)
    with torch.no_grad():
        np.testing.assert_allclose(net(image, condition).numpy(), same(image, condition).numpy(), atol=1e-6)


@pytest.mark.slow
def test_the_command_makes_a_run_that_exports(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mean"
    assert command(["models", "average", *map(str, runs), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "50%  run-1  (seed-1, step 2)" in said.out + said.err
    card = export_run(out, tmp_path / "model", name="mean")
    assert card == load_card(tmp_path / "model" / "card.json")
    assert [one["run"] for one in card.metrics["averaged"]] == ["run-1", "run-2"]
    assert card.metrics["held_out_while_training"] == {}  # nobody scored the mean yet
    assert any("drawn (public domain)" in line for line in card.training_data)


def test_what_cannot_be_averaged_is_said(runs: list[Path], chips: Chips, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two runs"):
        average_runs(runs[:1], [1.0], tmp_path / "mean")
    with pytest.raises(UsageError, match="two runs"):
        average_runs(runs, [1.0], tmp_path / "mean")
    with pytest.raises(UsageError, match="positive"):
        average_runs(runs, [1.0, -1.0], tmp_path / "mean")
    with pytest.raises(InputError, match="no weights"):
        average_runs([runs[0], tmp_path], [1.0, 1.0], tmp_path / "mean")
    train(recipe(network={"widths": [4, 6, 10], "embedding": 8}), TrainingData(rendered=[chips]), tmp_path / "wider")
    with pytest.raises(InputError, match="other sizes"):
        average_runs([runs[0], tmp_path / "wider"], [1.0, 1.0], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_only_a_mean_is_replaced(runs: list[Path], tmp_path: Path) -> None:
    average_runs(runs, [1.0, 1.0], tmp_path / "mean")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        average_runs(runs, [1.0, 2.0], tmp_path / "mean")
    average_runs(runs, [1.0, 3.0], tmp_path / "mean", overwrite=True)
    assert json.loads((tmp_path / "mean" / "averaged.json").read_text())["of"][1]["share"] == 0.75
    with pytest.raises(OutputExistsError):
        average_runs(runs, [1.0, 1.0], runs[0], overwrite=True)
    assert (runs[0] / "checkpoint.pt").is_file()


def test_artificial_land_is_one_source(tmp_path: Path) -> None:
    assert training_sources(tmp_path) == ()
    lines = [
        "real: kanto (public domain)",
        "rendered: alps-0 (none needed: artificial terrain)",
        "rendered: alps-10 (none needed: artificial terrain)",
        "rendered: colorado-10m (public domain (USGS))",
        "rendered: badlands-13 (none needed: artificial terrain)",
    ]
    (tmp_path / "data.txt").write_text("\n".join(lines))
    assert training_sources(tmp_path) == (
        lines[0],
        lines[3],
        "rendered: artificial terrain: alps, badlands (none needed)",
    )
