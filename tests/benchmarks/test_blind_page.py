"""The page of real and made pictures: its pairs, its order, its key."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from im2dem.core.errors import UsageError
from im2dem.pipeline.colour import ColourOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

pytest.importorskip("numba", reason="the extra [synth] is not installed; a picture needs it")

import blind_page
from harness import Scene

PHYSICAL = ColourOptions(engine="physical")


def scene(relief_m: float) -> Scene:
    """A slope with waves and a picture that is bright where it is high."""
    row, col = np.mgrid[:64, :64].astype(np.float32)
    truth = relief_m * (row / 64 + 0.3 * np.sin(col / 5))
    return Scene(np.stack([truth + k for k in range(3)]), truth, {"gsd_m": 30.0})


def test_pairs_have_a_hidden_key_in_random_order() -> None:
    page = blind_page.make_page([(f"land {k}", scene(200)) for k in range(12)], 10, 1, PHYSICAL)
    pairs = json.loads(re.search(r"const pairs=(\[.*?\]\]),key", page).group(1))  # type: ignore[union-attr]
    key = json.loads(base64.b64decode(re.search(r'atob\("(.*?)"\)', page).group(1)))  # type: ignore[union-attr]
    assert len(pairs) == len(key) == 10
    assert {entry["real"] for entry in key} == {0, 1}
    assert "land 3" not in page
    assert "http" not in page
    for address in (address for pair in pairs for address in pair):
        with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1], validate=True))) as picture:
            picture.load()
            assert picture.size == (64, 64)
    # All real pictures are of one scene, so they are the same bytes; what was made differs from them.
    real = {pair[entry["real"]] for pair, entry in zip(pairs, key, strict=True)}
    assert len(real) == 1
    assert all(pair[0] != pair[1] for pair in pairs)


def test_flat_land_makes_no_pair() -> None:
    with pytest.raises(UsageError, match="relief"):
        blind_page.make_page([("plain", scene(1))], 3, 1, PHYSICAL)


def test_a_mark_inside_a_picture_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blind_page, "_encoded", lambda image: "data:image/jpeg;base64,KEYDATAKEY")
    page = blind_page.make_page([("land", scene(200))], 1, 1, PHYSICAL)
    assert page.count("base64,KEYDATAKEY") == 2
