"""What is exported is what was trained, in a file that the engine takes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

import onnxruntime as ort  # noqa: E402

from im2dem.core.errors import InputError, ModelError, OutputExistsError  # noqa: E402
from im2dem.core.grid import Grid  # noqa: E402
from im2dem.core.raster import Raster  # noqa: E402
from im2dem.dataset.seed_npz import SeedTiles, write_seed_npz  # noqa: E402
from im2dem.pipeline.predict import predict_dem  # noqa: E402
from im2dem.runtime.card import load_card  # noqa: E402
from im2dem.runtime.session import Condition, OnnxModel  # noqa: E402
from im2dem.train.pix2pix.export import check_parity, export_pix2pix, wrap_for_export  # noqa: E402
from im2dem.train.pix2pix.loop import load_generator, train_pix2pix  # noqa: E402
from im2dem.train.pix2pix.recipe import pix2pix_recipe  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs of one step in either direction."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (1, 256, 256, 3)).astype(np.uint8)
    data = write_seed_npz(folder / "data.npz", SeedTiles(rgb, rgb[..., 0].astype(np.int16)))

    def make(direction: str) -> Path:
        if not (folder / direction).exists():
            small = pix2pix_recipe({"base": 2, "epochs": 1, "direction": direction})
            train_pix2pix(small, [data], folder / direction)
        return folder / direction

    return make


@pytest.fixture(scope="module")
def model_folder(run_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported once: the exporter takes many seconds."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_pix2pix(run_folder("rgb2dem"), folder, name="tiny", weights="last")
    return folder


def test_the_runtime_gives_the_heights_of_torch(run_folder: Callable[[str], Path], model_folder: Path) -> None:
    card = load_card(model_folder / "card.json")
    assert (card.direction, card.tile_px, card.min_px) == ("image-to-dem", 256, 256)
    assert card.metrics["parity_share_of_range"] <= 1e-3
    assert card.training_data == ("ImageToDEM file: data.npz (licence not stated in the file)",)
    generator, _ = load_generator(run_folder("rgb2dem") / "checkpoint.pt")
    image = np.random.default_rng(1).random((2, 3, 256, 256), dtype=np.float32)
    with torch.no_grad():
        wanted = generator(torch.from_numpy(image) * 2 - 1)[:, 0].numpy() * 127.5  # levels 0..255 are what it learned
    wanted -= wanted.mean(axis=(1, 2), keepdims=True)
    # whatever the pixel size, the heights are those that were learned
    for gsd_m in (10.0, 90.0):
        got = OnnxModel(model_folder / "card.json", condition=Condition(gsd_m=gsd_m))(image)
        # float32 through two runtimes: a ten-thousandth of the range
        np.testing.assert_allclose(got[:, 0], wanted, atol=0.03)
        # the error is not known without val-* files: a tenth of half the range, as a Laplace distribution has it
        np.testing.assert_allclose(got[:, 1], np.sqrt(2) * 12.75, rtol=1e-3)


def test_the_engine_runs_it_over_a_picture_of_any_size(model_folder: Path) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 200, (3, 300, 420)).astype(np.float32)
    source = Raster(picture, Grid.local((300, 420), 30.0), ("red", "green", "blue"), "DN")
    dem = predict_dem(source, model=str(model_folder))
    assert dem.data.shape == (2, 300, 420)
    assert np.isfinite(dem.data).all()
    assert dem.data[0].std() > 0


def test_other_weights_are_noticed(run_folder: Callable[[str], Path], model_folder: Path) -> None:
    generator, _ = load_generator(run_folder("rgb2dem") / "checkpoint.pt")
    net = wrap_for_export(generator, (0.0, 255.0))
    assert check_parity(net, model_folder / "model.onnx") <= 1e-3
    with torch.no_grad():
        generator.last.weight[0] *= 1.5
    with pytest.raises(ModelError, match="differ"):
        check_parity(net, model_folder / "model.onnx")


def test_the_file_holds_no_path_of_the_machine_that_made_it(model_folder: Path) -> None:
    data = (model_folder / "model.onnx").read_bytes()
    assert b"generator.py" not in data
    assert b"site-packages" not in data


def test_a_model_is_not_overwritten_and_a_missing_run_is_told(
    run_folder: Callable[[str], Path], model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputExistsError):
        export_pix2pix(run_folder("rgb2dem"), model_folder, name="tiny", weights="last")
    with pytest.raises(InputError, match=r"holds no best\.pt"):
        export_pix2pix(run_folder("rgb2dem"), tmp_path / "n", name="tiny")
    torch.save({"net": 1}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="another kind"):
        export_pix2pix(tmp_path, tmp_path / "n", name="tiny", weights="last")


def test_the_other_direction_makes_pictures(run_folder: Callable[[str], Path], tmp_path: Path) -> None:
    card = export_pix2pix(run_folder("dem2rgb"), tmp_path / "colour", name="colour", weights="last")
    assert (card.direction, card.bands) == ("dem-to-image", ("height",))
    session = ort.InferenceSession(str(tmp_path / "colour" / "model.onnx"), providers=["CPUExecutionProvider"])
    dem = np.random.default_rng(0).uniform(-100, 400, (1, 1, 256, 256)).astype(np.float32)
    (image,) = session.run(["image"], {"dem": dem})
    assert image.shape == (1, 3, 256, 256)
    assert 0 <= image.min() < image.max() <= 1
    # heights beyond 0..255 are the ends of the range
    (clipped,) = session.run(["image"], {"dem": np.clip(dem, 0, 255)})
    np.testing.assert_array_equal(image, clipped)
