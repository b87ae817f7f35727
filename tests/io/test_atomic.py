"""Files that are there whole or not at all."""

from __future__ import annotations

import os

import pytest

from im2dem.core.errors import OutputError, OutputExistsError, RemoteError
from im2dem.io import atomic


def test_text_and_bytes(tmp_path):
    path = atomic.write_text(tmp_path / "page.html", "Höhe\n")
    assert path.read_bytes() == "Höhe\n".encode()
    atomic.write_bytes(path, b"\0", overwrite=True)
    assert path.read_bytes() == b"\0"
    assert os.listdir(tmp_path) == ["page.html"]


def test_existing_file(tmp_path):
    path = atomic.write_text(tmp_path / "page.html", "old")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("error", "expected"), [(OSError(28, "full"), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, step, error, expected):
    path = atomic.write_text(tmp_path / "page.html", "old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(atomic.os, step, fail)
    with pytest.raises(expected):
        atomic.write_text(path, "new", overwrite=True)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["page.html"]


def test_the_message_names_the_cause(tmp_path):
    assert "disk is full" in str(atomic.output_error(tmp_path, OSError(28, "No space left on device")))
    assert "Read-only" in str(atomic.output_error(tmp_path, OSError(30, "Read-only file system")))
    with pytest.raises(OutputError, match="mkdir"):
        atomic.write_text(tmp_path / "a" / "b.json", "{}")


def test_a_file_written_in_pieces_is_whole_or_gone(tmp_path):
    path = tmp_path / "pack.npz"

    def write(error: Exception | None) -> None:
        with atomic.new_file(path) as file:
            file.write(b"half")
            if error:
                raise error

    # What the block reads may fail too: that is not the disk's fault, and keeps its own words.
    for error, expected in ((RemoteError("no answer"), RemoteError), (OSError(28, "full"), OutputError)):
        with pytest.raises(expected):
            write(error)
        assert os.listdir(tmp_path) == []
    write(None)
    assert path.read_bytes() == b"half"
    with pytest.raises(OutputExistsError):
        write(None)
