"""The command as a module, which is how launchers of several processes start it."""

import subprocess
import sys

from im2dem._version import __version__


def test_python_m_im2dem_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "im2dem", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"im2dem {__version__}"
    bad = subprocess.run([sys.executable, "-m", "im2dem", "predct"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2


def test_a_command_loads_only_what_it_needs() -> None:
    heavy = ("numba", "torch", "onnx", "odc", "pystac_client", "requests", "distributed", "contourpy")
    code = f"import sys, im2dem.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_kinds_of_terrain_in_the_help_are_those_there_are() -> None:
    from im2dem.cli.terrain import KINDS
    from im2dem.synth.recipes import RECIPES

    assert ", ".join(RECIPES) == KINDS
