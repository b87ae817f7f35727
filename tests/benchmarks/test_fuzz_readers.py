"""The fuzz of readers counts what comes of its inputs, and outlives what kills or stops a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fuzz_readers
from fuzz_readers import Tally

CHILD = """
import faulthandler, json, os, signal, sys, time
first, count = int(sys.argv[4]), int(sys.argv[5])
for number in range(first, first + count):
    print(json.dumps({"at": number}), flush=True)
    if number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 4:
        faulthandler.dump_traceback_later(0.05, exit=True)
        time.sleep(30)
    word = "fault" if number in (5, 6) else "read"
    print(json.dumps({"word": word, "where": f"io/a.py:3 ValueError: {number}"}), flush=True)
print(json.dumps({"growth_mb": 1.5, "creep_kb": 0.5}), flush=True)
"""


def test_processes_that_die_are_counted_and_followed_by_others(tmp_path, monkeypatch, capfd):
    (tmp_path / "child.py").write_text(CHILD)
    monkeypatch.setattr(fuzz_readers, "__file__", str(tmp_path / "child.py"))
    tally, first = Tally(), 0
    while first < 8:
        first = fuzz_readers._one_process("pictures", first, 8, tmp_path, tally)
    assert tally.counts == {"read": 4, "fault": 4}
    assert tally.faults == {
        "crash (status -11)": (2, 1),
        "more than 180 s by the clock": (4, 1),
        "io/a.py:3 ValueError": (5, 2),
    }
    assert (tally.growth_mb, tally.creep_kb) == (1.5, 0.5)
    assert "input 2: status -11" in capfd.readouterr().err


def test_a_process_that_does_not_begin_is_no_result(tmp_path, monkeypatch):
    (tmp_path / "child.py").write_text("raise SystemExit('no such door')")
    monkeypatch.setattr(fuzz_readers, "__file__", str(tmp_path / "child.py"))
    with pytest.raises(RuntimeError, match="no such door"):
        fuzz_readers._one_process("pictures", 0, 8, tmp_path, Tally())


def test_one_fault_misses_the_bar():
    good, bad = Tally(Counter(read=60_000, InputError=39_999)), Tally(Counter(read=1))
    assert all(bar.met for bar in fuzz_readers.describe({"a": good, "b": bad}, ()).bars)
    bad.add_fault(7, "io/a.py:3 ValueError: x")
    outcome = fuzz_readers.describe({"a": good, "b": bad}, ("c (onnx not installed)",))
    assert [bar.met for bar in outcome.bars] == [True, False, True]
    told = json.dumps([getattr(block, "rows", block) for block in outcome.blocks])
    assert '"b", "io/a.py:3 ValueError", "7", "1"' in told
    assert "onnx not installed" in told
    bad.creep_kb = 2.1
    assert not fuzz_readers.describe({"a": good, "b": bad}, ()).bars[2].met


def test_a_real_child_sends_its_inputs(tmp_path):
    words = [sys.executable, fuzz_readers.__file__, "--child", "areas", "1", "3", "5"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert [m["at"] for m in messages if "at" in m] == [3, 4, 5, 6, 7]
    assert sum("word" in m for m in messages) == 5


def test_a_leak_is_told_from_a_piece_that_is_kept_once():
    samples = np.full(350, 10**8)
    once = samples.copy()
    once[140:] += 48 * 10**6
    # 4 kB for each of 20 inputs between two samples
    leak = samples + 80_000 * np.arange(350)
    assert fuzz_readers.growth_of(once, 20) == {"growth_mb": 48.0, "creep_kb": 0.0}
    told = fuzz_readers.growth_of(leak, 20)
    assert told["creep_kb"] == pytest.approx(4.0)
    assert told["growth_mb"] == pytest.approx(0.08 * 210)
