"""Rooms that need an extra: imported when asked for, with a word on how to install it."""

from __future__ import annotations

import importlib
from types import ModuleType

from im2dem.core.errors import MissingDependencyError


def train_room(module: str) -> ModuleType:
    """A module of `im2dem.train`.

    Raises
    ------
    MissingDependencyError
        torch or another package of the extra is not installed.
    """
    try:
        return importlib.import_module(f"im2dem.train.{module}")
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs packages that are not installed ({error.name}); run: pip install 'im2dem[train]'"
        ) from error
