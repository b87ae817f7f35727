"""Answers to requests that cannot be granted: one shape for all, as RFC 9457 has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """Why a request was refused.

    Parameters
    ----------
    title
        The status in words.
    status
        Of HTTP.
    detail
        What was given, what was wanted, what to do.
    """

    title: str
    status: int
    detail: str


class RefusedError(Exception):
    """A request that is answered with a `Problem`.

    Parameters
    ----------
    status
        Of HTTP, 400 to 599.
    detail
        See `Problem`.
    headers
        Of the answer.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})

    @property
    def problem(self) -> Problem:
        """The body of the answer."""
        return Problem(self.status.phrase, int(self.status), str(self))
