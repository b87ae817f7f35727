"""Damaged files through every door: a success or an `Im2demError`, whatever comes. The same inputs every time.

`benchmarks/results.py --only fuzz` sends a thousand times as many, under limits of time and memory.
"""

from __future__ import annotations

import importlib.util

import pytest

from fuzz_kit.door import Door
from fuzz_kit.doors import DOORS, damaged_input, draw_inputs, send, whole_inputs_are_read
from im2dem.io.geotiff import open_reader

INPUTS = 60
# Nets are built, sets of many files written and checked: tenths of a second each.
FEWER = {"runs gone on with": 6, "training sets": 15, "data of the prototype": 20, "folders of pairs": 30}

# rasterio fails to decode what GDAL says of a file whose own text is damaged, inside a callback: nobody can catch that.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("name", DOORS)
def test_damaged_files_are_read_or_refused_in_a_sentence(name, tmp_path):
    door = DOORS[name]
    for package in door.needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    inputs = draw_inputs(door, tmp_path / "drawn")
    assert [o for o in whole_inputs_are_read(door, inputs, tmp_path / "input") if o.word != "read"] == []
    words = set()
    for number in range(FEWER.get(name, INPUTS)):
        outcome = send(door, damaged_input(name, number, 1, inputs), tmp_path / "input")
        assert outcome.word != "fault", f"input {number} of seed 1: {outcome.where}"
        words.add(outcome.word)
    # Damage that no reader notices would test nothing; notes of runs are thrown away in silence.
    assert words != {"read"} or "gone on with" in name or name == "interrupted predictions"


def test_a_fault_is_told_with_its_place(tmp_path):
    def read(folder):
        open_reader(folder / "a", bands="abc")

    door = DOORS["pictures"]
    picture = next(files["plain.tif"] for files in draw_inputs(door, tmp_path / "drawn") if "plain.tif" in files)
    outcome = send(Door(door.seeds, read), {"a": picture}, tmp_path / "input")
    assert outcome.word == "fault"
    assert outcome.where.startswith("io/bands.py:")
    assert not (tmp_path / "input").exists()
