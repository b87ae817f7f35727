"""Jobs as values, and the one table that remembers them when the server stops."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from im2dem.core.errors import OutputError, UsageError

_VERSION = 1
_TABLE = """
create table if not exists jobs (
    id text primary key, state text not null, created real not null, finished real, body text not null
);
create index if not exists jobs_by_state on jobs (state, created);
"""


class State(StrEnum):
    """Where a job stands; it moves down this list and never up, but for a restart."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job, but that it expires."""
        return self in (State.DONE, State.FAILED)


@dataclass(frozen=True)
class Failure:
    """Why a job has no result.

    Parameters
    ----------
    code
        One word for programs: "input", "usage", "pixels", "time", "memory", "crashed", "interrupted", "output",
        "internal".
    message
        One sentence for people: what was given, what was wanted, what to do.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """One picture on its way to heights.

    Parameters
    ----------
    id
        20 hexadecimal digits that nobody can guess.
    name
        Of the picture, for people, see `names.shown_name`.
    ending
        Of the picture's file, as its first bytes say.
    size_bytes
        Of that file.
    created, started, finished
        Seconds since 1970, or None.
    wishes
        What the client told about the picture, see `wishes.Wishes`.
    attempts
        How often it was started.
    picture
        What its header says, once somebody has looked.
    result
        What came out, for the side of the picture.
    failure
        Why nothing did.
    notes
        Warnings of the library, in order.
    """

    id: str
    name: str
    ending: str
    size_bytes: int
    created: float
    wishes: Mapping[str, Any] = field(default_factory=dict)
    state: State = State.QUEUED
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    picture: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    notes: tuple[str, ...] = ()

    @property
    def picture_name(self) -> str:
        """Name of the picture's file in the job's folder."""
        return f"picture.{self.ending}"

    def ended(self, now: float, failure: Failure | None = None) -> Job:
        """The job done, or failed."""
        return replace(self, state=State.FAILED if failure else State.DONE, finished=now, failure=failure)


def new_id() -> str:
    """80 random bits in hexadecimal digits: safe as a file name, and nobody guesses another's."""
    return secrets.token_hex(10)


class JobStore:
    """The table of jobs in an SQLite file, held by one server alone.

    Every change is on the disk when its method returns.

    Raises
    ------
    UsageError
        Another server has the folder, or a newer im2dem wrote it.
    OutputError
        The file cannot be made or is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
            self._prepare(path)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UsageError(f"{path.parent}: another im2dem serve has this folder; give one of its own") from error
            raise OutputError(f"{path}: cannot be opened ({error}); give another folder with --data") from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise OutputError(f"{path}: damaged ({error}); move it away, then start again") from error

    def _prepare(self, path: Path) -> None:
        # An exclusive lock is taken with the first write and kept until the end: two servers would run jobs twice.
        self._db.execute("pragma locking_mode = exclusive")
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version > _VERSION:
            raise UsageError(f"{path}: written by a newer im2dem (version {version}); update, or give another --data")
        self._db.execute("begin immediate")
        self._db.execute(f"pragma user_version = {_VERSION}")
        self._db.execute("commit")
        self._db.executescript(_TABLE)

    def put(self, job: Job) -> None:
        """Remember a job, new or changed.

        Raises
        ------
        OutputError
            The disk does not take it.
        """
        body = json.dumps(asdict(job), default=str)
        self._change(
            "insert into jobs (id, state, created, finished, body) values (?, ?, ?, ?, ?) on conflict (id) do update "
            "set state = excluded.state, finished = excluded.finished, body = excluded.body",
            (job.id, job.state.value, job.created, job.finished, body),
        )

    def all(self) -> list[Job]:
        """Every job, oldest first.

        Raises
        ------
        OutputError
            The table is damaged.
        """
        try:
            bodies = [row[0] for row in self._db.execute("select body from jobs order by created, id")]
            return [_job(body) for body in bodies]
        except (sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise OutputError(
                f"the table of jobs is damaged ({error}); move jobs.sqlite away, then start again"
            ) from error

    def forget(self, job_id: str) -> None:
        """Strike a job out; a second time does nothing. Raises as `put`."""
        self._change("delete from jobs where id = ?", (job_id,))

    def close(self) -> None:
        """Give the file free."""
        self._db.close()

    def _change(self, words: str, values: tuple[Any, ...]) -> None:
        try:
            self._db.execute(words, values)
        except sqlite3.Error as error:
            raise OutputError(f"the table of jobs cannot be written ({error}); is the server's disk full?") from error


def _job(body: str) -> Job:
    values = json.loads(body)
    failure = values["failure"]
    return Job(
        **values
        | {
            "state": State(values["state"]),
            "notes": tuple(values["notes"]),
            "failure": Failure(**failure) if failure else None,
        }
    )
