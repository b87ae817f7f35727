import json
from dataclasses import replace

import pytest

from fakes import toy_card
from im2dem.core.errors import ModelError, ModelNotFoundError, OutputError
from im2dem.runtime.card import (
    ModelCard,
    file_sha256,
    find_model,
    list_models,
    load_card,
    save_card,
    verified_onnx,
)

CARD = toy_card(
    tile_px=256,
    overlap_px=32,
    training_data=("drawn in a test",),
    metrics={"validation": {"skill": 0.3}},
    limits=("knows nothing",),
    deepness={"model_type": "Regressor"},
)


@pytest.fixture
def folder(tmp_path):
    """A models folder with one model, "toy", whose ONNX file is three bytes."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "model.onnx").write_bytes(b"abc")
    digest = file_sha256(tmp_path / "toy" / "model.onnx")
    save_card(replace(CARD, sha256=digest), tmp_path / "toy" / "card.json")
    return tmp_path


def test_a_card_survives_its_file(tmp_path):
    save_card(CARD, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == CARD
    assert CARD.percentiles == (1.0, 99.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("direction", "up"),
        ("bands", []),
        ("bands", "rgb"),
        ("tile_px", 0),
        ("tile_px", "256"),
        ("tile_px", True),
        ("overlap_px", 256),
        ("min_px", 512),
        ("onnx", "../model.onnx"),
        ("sha256", "ABC"),
        ("gsd_range_m", [90, 10]),
        ("gsd_range_m", [0, 10]),
        ("scaling", {}),
        ("scaling", {"percentiles": [1]}),
        ("sigma_scale", 0),
        ("limits", "many"),
        ("metrics", []),
        ("varieties", {"arid": [[0.0] * 8]}),
        ("varieties", {"arid": [[0.0] * 8, [1.0] * 7]}),
        ("told_gsd_m", [0, 240]),
        ("told_gsd_m", [240, 8]),
        ("sun_sector_deg", [90]),
        ("sun_sector_deg", [90, 120]),
        ("sun_sector_deg", [300, 400]),
    ],
)
def test_wrong_values_are_named(tmp_path, key, value):
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**CARD.to_dict(), key: value}))
    with pytest.raises(ModelError, match=key) as caught:
        load_card(path)
    assert str(path) in str(caught.value)


def test_a_card_may_say_where_the_sun_stood(tmp_path):
    card = replace(CARD, sun_sector_deg=(90.0, 180.0))
    save_card(card, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == card
    old = {key: value for key, value in CARD.to_dict().items() if key != "sun_sector_deg"}
    assert ModelCard.from_dict(old).sun_sector_deg is None


def test_unknown_and_missing_keys_are_named():
    values = CARD.to_dict()
    with pytest.raises(ModelError, match="colour"):
        ModelCard.from_dict({**values, "colour": 1})
    del values["licence"]
    with pytest.raises(ModelError, match="licence"):
        ModelCard.from_dict(values)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_file_that_is_no_card(tmp_path, text):
    path = tmp_path / "card.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError):
        load_card(path)
    with pytest.raises(ModelError, match="cannot be read"):
        load_card(tmp_path / "nothing.json")


def test_a_card_in_no_folder_cannot_be_written(tmp_path):
    with pytest.raises(OutputError):
        save_card(CARD, tmp_path / "no" / "card.json")


def test_the_hash_pins_the_file(folder):
    path = folder / "toy" / "card.json"
    onnx = folder / "toy" / "model.onnx"
    assert verified_onnx(load_card(path), path) == onnx
    onnx.write_bytes(b"abd")
    with pytest.raises(ModelError, match="SHA-256"):
        verified_onnx(load_card(path), path)
    onnx.unlink()
    with pytest.raises(ModelError, match="no file"):
        verified_onnx(load_card(path), path)


def test_models_are_found_by_name_and_by_path(folder):
    card = folder / "toy" / "card.json"
    assert list_models(folder) == ("toy",)
    for given in ("toy", folder / "toy", card, str(folder / "toy" / "model.onnx")):
        assert find_model(given, folder) == card


def test_an_unknown_model_lists_those_known(folder):
    with pytest.raises(ModelNotFoundError, match="toy") as caught:
        find_model("no-such-model", folder)
    assert isinstance(caught.value, LookupError)
    (folder / "empty").mkdir()
    with pytest.raises(ModelNotFoundError, match=r"no card\.json"):
        find_model(folder / "empty", folder)
    with pytest.raises(ModelNotFoundError, match="none"):
        find_model("x", folder / "empty")


def test_models_that_ship_have_cards_and_their_own_files():
    for name in list_models():
        path = find_model(name)
        verified_onnx(load_card(path), path)
