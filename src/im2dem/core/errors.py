"""The error tree of im2dem.

::

    Im2DemError
    ├── UsageError (ValueError)                  exit 2   the call itself is wrong
    │   └── OutputExistsError (FileExistsError)           the output is there and --overwrite was not given
    ├── InputError (ValueError)                  exit 3   the input cannot be used
    │   ├── NotAnImageError                               not a raster, or a truncated one
    │   ├── UnsupportedTypeError (TypeError)              a data type or band layout nobody can read as a picture
    │   ├── NoDataError                                   not one valid pixel
    │   ├── GridMismatchError                             two rasters that should share a grid do not
    │   └── ModelError                                    a model file or card that cannot be used
    │       └── ModelNotFoundError (LookupError)
    ├── MissingDependencyError (ImportError)     exit 4   an extra is not installed
    ├── RemoteError (ConnectionError)            exit 5   somebody else's server failed
    └── OutputError (OSError)                    exit 1   the output cannot be written

Every message says what was given, what was wanted and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class Im2DemError(Exception):
    """Base of every error that im2dem raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(Im2DemError, ValueError):
    """The call itself is wrong: an argument out of range, two that exclude each other."""

    exit_code = 2


class OutputExistsError(UsageError, FileExistsError):
    """The output file is there already and overwriting was not asked for."""


class InputError(Im2DemError, ValueError):
    """The input cannot be used."""

    exit_code = 3


class NotAnImageError(InputError):
    """The file is not a raster that can be read, or it is damaged."""


class UnsupportedTypeError(InputError, TypeError):
    """The data type or the band layout cannot be read as a picture."""


class NoDataError(InputError):
    """There is not one valid pixel."""


class GridMismatchError(InputError):
    """Two rasters that should share a grid do not."""


class ModelError(InputError):
    """A model file or its card cannot be used."""


class ModelNotFoundError(ModelError, LookupError):
    """No model of that name ships with the package and no such file exists."""


class MissingDependencyError(Im2DemError, ImportError):
    """An optional dependency is not installed; the message names the extra."""

    exit_code = 4


class RemoteError(Im2DemError, ConnectionError):
    """Somebody else's server failed."""

    exit_code = 5


class OutputError(Im2DemError, OSError):
    """The output cannot be written (folder missing, disk full, no permission)."""
