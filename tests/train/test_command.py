"""`im2dem train` from the command line: packs or pairs, interrupted and resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

torch = pytest.importorskip("torch", reason="torch is not installed; make test-all installs it")

from im2dem.cli.app import run  # noqa: E402
from im2dem.core.errors import InputError  # noqa: E402
from im2dem.core.grid import Grid  # noqa: E402
from im2dem.core.raster import Raster  # noqa: E402
from im2dem.dataset.chips import Chips, load_chips, save_chips  # noqa: E402
from im2dem.dataset.training_data import find_training_data  # noqa: E402
from im2dem.io.cog import write_raster  # noqa: E402

pytestmark = pytest.mark.train

RECIPE = """
name = "tiny"
steps = 4
batch = 2
crop_px = 64
warmup_steps = 1
validate_every = 2
bf16 = false
[network]
widths = [4, 6]
embedding = 8
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def write_pair(folder: Path, split: str, licence: str = "CC0-1.0") -> None:
    folder.mkdir(parents=True)
    y, x = np.mgrid[:260, :260] / 25.0
    dem = (200 * np.sin(x) * np.cos(y) + len(folder.name)).astype(np.float32)
    light = np.gradient(dem, axis=1)
    rgb = np.clip(120 + 3 * light, 1, 255).astype(np.float32)
    grid = Grid((260, 260), Affine(30.0, 0.0, 500000.0, 0.0, -30.0, 4000000.0), "EPSG:32654")
    write_raster(folder / "dem.tif", Raster(dem[None], grid, ("height",), "m"))
    from PIL import Image

    Image.fromarray(np.dstack([rgb] * 3).astype(np.uint8)).save(folder / "rgb.png")
    meta = {"split": split, "gsd_m": 30, "licence": licence, "sun_azimuth_deg": 90, "sun_elevation_deg": 40}
    (folder / "meta.json").write_text(json.dumps(meta))


def test_a_folder_of_pairs_trains_validates_and_resumes(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs"
    write_pair(pairs / "one", "train")
    write_pair(pairs / "other", "val")
    write_pair(pairs / "third", "test")
    out = tmp_path / "run"
    assert run(["train", str(recipe_file), "--data", str(pairs), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "step 4, best" in said.out
    assert "r_sun_told" in said.err
    assert (out / "data.txt").read_text() == "real: one (CC0-1.0)\n"
    # a finished run goes on to nothing, with the recipe and the data that it remembers
    before = (out / "checkpoint.pt").read_bytes()
    assert run(["train", "--resume", str(out)]) == 0
    assert (out / "checkpoint.pt").read_bytes() == before


def test_only_free_train_pairs_are_learned_from(tmp_path: Path) -> None:
    write_pair(tmp_path / "free", "train")
    write_pair(tmp_path / "bound", "train", licence="CC BY-NC-SA 4.0")
    write_pair(tmp_path / "chooser", "val", licence="CC BY-NC-SA 4.0")
    data = find_training_data([tmp_path])
    assert [c.names for c in data.real] == [("free",)]
    assert [c.names for c in data.held_out] == [("chooser",)]


def test_packs_are_told_apart_by_name_and_kind(chips: Chips, tmp_path: Path) -> None:
    import dataclasses

    real = dataclasses.replace(chips, provenance={**chips.provenance, "kind": "real"})
    save_chips(tmp_path / "a.npz", chips)
    save_chips(tmp_path / "b.npz", real)
    save_chips(tmp_path / "val-c.npz", real)
    data = find_training_data([tmp_path])
    assert [len(data.real), len(data.rendered), len(data.held_out)] == [1, 1, 1]


def test_a_mapped_pack_holds_the_same_chips_and_stays_on_disk(chips: Chips, tmp_path: Path) -> None:
    save_chips(tmp_path / "a.npz", chips)
    mapped = load_chips(tmp_path / "a.npz", mapped=True)
    assert isinstance(mapped.rgb, np.memmap)
    np.testing.assert_array_equal(mapped.rgb, chips.rgb)
    np.testing.assert_array_equal(mapped.dem, chips.dem)
    np.savez_compressed(tmp_path / "small.npz", **{k: getattr(chips, k) for k in ("rgb", "dem", "gsd_m")})
    with pytest.raises(InputError, match="not a pack"):
        load_chips(tmp_path / "small.npz", mapped=True)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "give a recipe"),
        (["RECIPE"], "--data"),
        (["RECIPE", "--data", "EMPTY"], "neither packs nor pairs"),
        (["--resume", "EMPTY"], "no run"),
        (["RECIPE", "--data", "EMPTY", "--set", "kind='gan'"], "relief or pix2pix"),
    ],
)
def test_what_is_missing_is_said(
    args: list[str], words: str, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    known = {"RECIPE": str(recipe_file), "EMPTY": str(tmp_path / "empty")}
    assert run(["train", *(known.get(a, a) for a in args)]) in (2, 3)
    assert words in capsys.readouterr().err
