"""Asking again: somebody else's server fails for a moment more often than for good."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from im2dem.core.errors import RemoteError, UsageError

T = TypeVar("T")


class MissingError(RemoteError):
    """The server says that there is no such file: asking again does not help."""


@dataclass(frozen=True)
class Patience:
    """How often and after what pause a request is repeated.

    Parameters
    ----------
    tries
        At least 1.
    first_wait_s, most_wait_s
        The pause doubles from the first to the most; a random half of it is left out, so that threads that failed
        together do not come back together.
    timeout_s
        Seconds without an answer after which a request counts as failed.
    """

    tries: int = 5
    first_wait_s: float = 0.5
    most_wait_s: float = 30.0
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first_wait_s < 0 or self.timeout_s <= 0:
            raise UsageError(f"at least one try and a positive time-out are wanted, got {self}")

    def wait_s(self, attempt: int) -> float:
        """Pause after a failed attempt (from 0), seconds."""
        full = min(self.first_wait_s * 2.0**attempt, self.most_wait_s)
        return full * (0.5 + 0.5 * random.random())


def ask(
    request: Callable[[int], T],
    what: str,
    patience: Patience,
    on_failure: Callable[[int, Exception], None] | None = None,
) -> T:
    """Make a request, and make it again when it fails.

    Parameters
    ----------
    request
        Called with the number of the attempt, from 0.
    what
        For the message.
    patience
        How often.
    on_failure
        Called after each failed attempt: to count it, to renew a token.

    Raises
    ------
    MissingError
        There is no such file; not asked again.
    RemoteError
        All attempts failed.
    """
    for attempt in range(patience.tries):
        try:
            return request(attempt)
        except MissingError:
            raise
        except (RemoteError, OSError) as error:
            last: Exception = error
            if on_failure is not None:
                on_failure(attempt, error)
        if attempt + 1 < patience.tries:
            time.sleep(patience.wait_s(attempt))
    words = " ".join(str(last).split())[:300]
    raise RemoteError(f"{what}: failed {patience.tries} times, last with: {words}") from last
