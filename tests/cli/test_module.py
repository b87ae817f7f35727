"""The command as a module, which is how launchers of several processes start it."""

import subprocess
import sys

from im2dem._version import __version__


def test_python_m_im2dem_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "im2dem", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"im2dem {__version__}"
    bad = subprocess.run([sys.executable, "-m", "im2dem", "predct"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
