"""The main job on the scene that ships with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from im2dem.core.errors import InputError

SCENE_NAME = "tsukuba.tif"
ATTRIBUTION = "Landsat 8 image courtesy of the U.S. Geological Survey; heights predicted by im2dem"


def demo_scene() -> Path:
    """Path of the picture: Landsat 8, 28 December 2021, hills north of Tokyo, 31 m a pixel, public domain (USGS).

    Raises
    ------
    InputError
        The installation lacks it.
    """
    path = Path(str(files("im2dem.pipeline") / "demo_scene" / SCENE_NAME))
    if not path.exists():
        raise InputError(f"the demo scene is missing from this installation ({path}); install im2dem again")
    return path
