"""Files that are there whole or not at all: written beside the target as `*.part`, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from im2dem.core.errors import Im2DemError, OutputError, OutputExistsError


def check_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path of an output, after checking that it can be written.

    Parameters
    ----------
    path
        Where the output goes.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputExistsError
        The file is there and `overwrite` is False.
    OutputError
        Its folder is missing or not writable, or the path is a folder.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise OutputError(f"{target}: this is a folder; give the name of a file in it")
    if not folder.exists():
        raise OutputError(f"{target}: the folder {folder} does not exist; make it first (mkdir -p {folder})")
    if not folder.is_dir():
        raise OutputError(f"{target}: {folder} is a file, not a folder; choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: no permission to write into {folder}; choose another place")
    if os.path.lexists(target) and not overwrite:
        raise OutputExistsError(f"{target} exists already; choose another name or pass --overwrite")
    return target


@contextmanager
def new_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to write into that gets its name when the block ends without an error, and vanishes when it does not.

    Parameters
    ----------
    path
        Where it goes.
    overwrite
        Whether a file that is there may be replaced.

    Raises
    ------
    OutputExistsError
        The file is there and `overwrite` is False.
    OutputError
        Folder missing or not writable, disk full.
    """
    target = check_target(path, overwrite)
    part = target.with_name(target.name + ".part")
    try:
        with open(part, "wb") as file:
            yield file
        publish(part, target)
    except OSError as error:
        if isinstance(error, Im2DemError):  # of what the block reads; not of the disk
            raise
        raise output_error(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes, *, overwrite: bool = False) -> Path:
    """Write a file whole or not at all.

    Parameters
    ----------
    path
        Where it goes.
    content
        All of it.
    overwrite
        Whether a file that is there may be replaced.

    Returns
    -------
    The path.

    Raises
    ------
    OutputExistsError
        The file is there and `overwrite` is False.
    OutputError
        Folder missing or not writable, disk full.
    """
    with new_file(path, overwrite=overwrite) as file:
        file.write(content)
    return Path(path)


def write_text(path: str | os.PathLike[str], text: str, *, overwrite: bool = False) -> Path:
    """Write a text file (UTF-8, line ends as given) whole or not at all; see `write_bytes`."""
    return write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def publish(part: Path, target: Path) -> None:
    """Give a finished file its name: contents to the disk first, then one rename that replaces what is there.

    Parameters
    ----------
    part
        The finished file, in the folder of `target`.
    target
        Its name.

    Raises
    ------
    OSError
        The disk is full or the name cannot be taken.
    """
    with open(part, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    if os.name == "posix":  # the rename itself must reach the disk too; Windows cannot open a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def require_space(target: Path, needed_bytes: int) -> None:
    """Raise when the disk of an output has less free space than surely needed.

    Parameters
    ----------
    target
        The output.
    needed_bytes
        Least number of bytes that will be written.

    Raises
    ------
    OutputError
        Less is free.
    """
    free = shutil.disk_usage(target.parent).free
    if free < needed_bytes:
        raise OutputError(
            f"{target}: needs at least {needed_bytes / 1e6:,.0f} MB of disk, {free / 1e6:,.0f} MB are free; "
            f"free some space or choose another place"
        )


def output_error(target: Path, cause: BaseException) -> OutputError:
    """The error for an output that could not be written.

    Parameters
    ----------
    target
        The output.
    cause
        What the operating system or GDAL raised.
    """
    if isinstance(cause, OutputError):
        return cause
    root = cause
    while root.__cause__ is not None:
        root = root.__cause__
    number = getattr(root, "errno", None)
    words = " ".join(str(root).split()) or type(root).__name__
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in words:
        return OutputError(f"{target}: the disk is full; free some space or choose another place")
    if isinstance(root, OSError) and root.strerror:
        words = root.strerror
    return OutputError(f"{target}: cannot be written ({words[:160]}); check the disk's space and permissions")
