"""Rows and columns of a Parquet file on a server, without the rest of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from im2dem.core.errors import MissingDependencyError, RemoteError

from .ranges import RangeFile
from .retry import Patience

Row = dict[str, Any]
_BATCH = 65_536


@dataclass(frozen=True)
class Wanted:
    """Which rows of a table are wanted.

    Parameters
    ----------
    key, values
        Column of text, and what it says in wanted rows.
    column, low, high
        A column of numbers and its range in wanted rows: groups of rows that say they hold nothing in it are not
        downloaded. A table without that column is read whole.
    """

    key: str
    values: frozenset[str]
    column: str
    low: float
    high: float


def rows_where(url: str, columns: Sequence[str], wanted: Wanted, patience: Patience) -> Iterator[Row]:
    """Rows of a table whose key is among those wanted; only what may hold them is downloaded.

    Parameters
    ----------
    url
        Of the file.
    columns
        To read beside the key; those that the table does not have are left out.
    wanted
        Which rows.
    patience
        With the server.

    Raises
    ------
    RemoteError
        The server does not answer, the file is no Parquet, or has no column for the key.
    MissingDependencyError
        The extra is not installed.
    """
    with _table(url, patience) as file:
        names = set(file.schema_arrow.names)
        if wanted.key not in names:
            raise RemoteError(f"{url}: no column {wanted.key!r}; it has {', '.join(sorted(names))[:200]}")
        groups = [g for g in range(file.num_row_groups) if _may_hold(file.metadata.row_group(g), wanted)]
        read = [name for name in dict.fromkeys((wanted.key, *columns)) if name in names]
        if not groups:
            return
        for batch in file.iter_batches(_BATCH, row_groups=groups, columns=read):
            yield from (row for row in _rows_of(batch, wanted))


def row_at(url: str, row_group: int, columns: Sequence[str], patience: Patience) -> Row:
    """The one row of a group of rows.

    Parameters
    ----------
    url
        Of the file.
    row_group
        Its number, from 0.
    columns
        To read.
    patience
        With the server.

    Raises
    ------
    RemoteError
        The server does not answer, the file is no Parquet, or the group or a column is not there.
    MissingDependencyError
        The extra is not installed.
    """
    with _table(url, patience) as file:
        missing = set(columns) - set(file.schema_arrow.names)
        if missing or not 0 <= row_group < file.num_row_groups or file.metadata.row_group(row_group).num_rows != 1:
            raise RemoteError(f"{url}: group {row_group} is not one row with {', '.join(columns)}")
        return dict(file.read_row_group(row_group, columns=list(columns)).to_pylist()[0])


def _rows_of(batch: Any, wanted: Wanted) -> list[Row]:
    """Wanted rows of a batch; the key alone is turned into Python objects for the others."""
    keys = batch.column(wanted.key).to_pylist()
    chosen = [i for i, value in enumerate(keys) if value in wanted.values]
    return list(batch.take(arrow_module("pyarrow").array(chosen, "int64")).to_pylist()) if chosen else []


def _may_hold(group: Any, wanted: Wanted) -> bool:
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema == wanted.column:
            told = column.statistics
            if told is None or not told.has_min_max:
                return True
            return bool(told.min <= wanted.high and told.max >= wanted.low)
    return True


@contextmanager
def _table(url: str, patience: Patience) -> Iterator[Any]:
    parquet, arrow = arrow_module("pyarrow.parquet"), arrow_module("pyarrow")
    try:
        footer, size = _footer(url, patience)
        with RangeFile(url, patience, size) as raw:
            yield parquet.ParquetFile(raw, metadata=footer, pre_buffer=True)
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, RemoteError):
            raise
        raise RemoteError(f"{url}: no Parquet file that can be read ({' '.join(str(error).split())[:200]})") from error


@lru_cache(maxsize=64)
def _footer(url: str, patience: Patience) -> tuple[Any, int]:
    """A file's table of contents: some megabytes where rows are large and many, so once a process."""
    with RangeFile(url, patience) as raw:
        return arrow_module("pyarrow.parquet").read_metadata(raw), raw.size


def arrow_module(name: str) -> Any:
    """A module of Arrow, e.g. "pyarrow.parquet".

    Raises
    ------
    MissingDependencyError
        The extra is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"Parquet files need a package that is not installed ({error.name}); run: pip install 'im2dem[data]'"
        ) from error
