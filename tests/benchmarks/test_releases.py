"""The comparison with the first release: what it makes of times, and that the history holds what it takes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import releases


def test_the_median_of_the_ratios_meets_or_misses_the_bar() -> None:
    first = (10.0, 20.0, 0.5)
    rounds = [[first, (12.0, 22.0, 0.6)], [first, (14.0, 26.0, 0.6)], [first, (30.0, 60.0, 0.6)]]
    outcome = releases.describe(rounds)
    table = outcome.blocks[0]
    assert [row[1:] for row in table.rows] == [
        ("1.40", "1.20 to 3.00"),
        ("1.30", "1.10 to 3.00"),
        ("1.20", "1.20 to 1.20"),
    ]
    assert outcome.bars[0].met
    slow = releases.describe([[first, (16.0, 22.0, 0.6)]] * 3)
    assert not slow.bars[0].met


def test_the_first_release_can_be_taken_out_and_imported(tmp_path) -> None:
    try:
        source = releases.take_out(releases.FIRST_RELEASE, tmp_path)
    except RuntimeError as error:
        pytest.skip(str(error))  # a download without history, or a shallow clone
    code = "import im2dem, sys; print(im2dem.__file__)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(source)}, cwd=tmp_path
    )
    assert done.stdout.startswith(str(source))
    assert (source / "im2dem/weights/relief-free/model.onnx").stat().st_size > 10**6


def test_a_revision_that_is_not_there_is_told(tmp_path) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be taken out|does not run"):
        releases.take_out("0" * 40, tmp_path)
