"""`im2dem serve` on a command line of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import typer

from im2dem.cli import serve as command
from im2dem.core.errors import MissingDependencyError, UsageError
from im2dem.web.serve import app as application
from serve_kit import PATIENCE_S, Client, needs_serve

needs_serve()

PROGRAM = "import typer; from im2dem.cli import serve; app = typer.Typer(); serve.add_to(app); app()"


def call(*words):
    """Run the command in this process; it must refuse."""
    app = typer.Typer()
    command.add_to(app)
    typer.main.get_command(app).main(list(words), standalone_mode=False)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_it_says_where_it_serves_and_ends_well(tmp_path):
    words = [sys.executable, "-c", PROGRAM, "--port", "0", "--data", str(tmp_path / "jobs here"), "--keep", "2"]
    surroundings = {**os.environ, "IM2DEM_SERVE_TOKEN": "x" * 20}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            said = [process.stdout.readline() for _ in range(3)]
            client = Client(int(said[0].split()[1].rstrip("/").rpartition(":")[2]))
            assert client.get("/api/jobs").status == 401
            info = client.get("/api/info", Authorization="Bearer " + "x" * 20).json
            assert info["limits"]["keep_s"] == 7200
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    assert "jobs here" in said[1]
    assert "x" * 20 not in "".join(said)  # a token does not belong on a screen
    assert (tmp_path / "jobs here" / "jobs.sqlite").exists()


def test_others_are_let_in_only_on_purpose(tmp_path, monkeypatch):
    monkeypatch.delenv("IM2DEM_SERVE_TOKEN", raising=False)
    with pytest.raises(UsageError, match="--no-token"):
        call("--host", "0.0.0.0", "--data", str(tmp_path))
    with pytest.raises(UsageError, match="could be guessed"):
        call("--token", "short", "--data", str(tmp_path))


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(application, "_NEEDS", ("fastapi", "no_such_package"))
    with pytest.raises(MissingDependencyError, match=r"no_such_package.*im2dem\[serve\]"):
        call("--data", str(tmp_path))
