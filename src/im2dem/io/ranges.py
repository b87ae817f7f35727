"""A file on somebody else's server, read piece by piece with range requests."""

from __future__ import annotations

import io
import re
from typing import Any

from im2dem.core.errors import MissingDependencyError, RemoteError

from .retry import MissingError, Patience, ask

_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")


class RangeFile(io.RawIOBase):
    """A remote file that can be sought in; each read is one request, repeated when it fails.

    Parameters
    ----------
    url
        http or https. Where the server sends on to another address, that one is used until it fails.
    patience
        How often a read is repeated.
    size
        Bytes, when known from before; None: asked.

    Raises
    ------
    MissingError
        There is no such file.
    RemoteError
        The server does not answer, or not with pieces.
    MissingDependencyError
        The extra is not installed.
    """

    def __init__(self, url: str, patience: Patience, size: int | None = None) -> None:
        try:
            import requests
        except ImportError as error:
            raise MissingDependencyError(
                "reading remote files needs a package that is not installed (requests); run: pip install 'im2dem[data]'"
            ) from error
        self.url, self.patience = url, patience
        self._requests: Any = requests
        self._session: Any = requests.Session()
        self._address = url
        self._place = 0
        self._size = size
        if size is None:
            self._read(0, 8)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size or 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set where the next read begins."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or the part of it that the file still has."""
        count = min(len(buffer), self.size - self._place)
        if count <= 0:
            return 0
        content = self._read(self._place, count)
        buffer[:count] = content
        self._place += count
        return count

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._session.close()
        super().close()

    def _read(self, start: int, count: int) -> bytes:
        def attempt(_: int) -> bytes:
            try:
                return self._ask(start, count)
            except RemoteError:
                self._address = self.url
                raise

        return ask(attempt, self.url, self.patience)

    def _ask(self, start: int, count: int) -> bytes:
        span = {"Range": f"bytes={start}-{start + count - 1}", "Accept-Encoding": "identity"}
        try:
            answer = self._session.get(self._address, headers=span, timeout=self.patience.timeout_s)
        except self._requests.RequestException as error:
            raise RemoteError(f"no answer ({error})") from error
        if answer.status_code == 404:
            raise MissingError(f"{self.url}: there is no such file")
        if answer.status_code != 206:
            raise RemoteError(f"the server answered {answer.status_code} where 206 (part of a file) was wanted")
        told = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
        total = int(told[1]) if told else -1
        if self._size is None and total >= 0:
            self._size = total
            count = min(count, total - start)
        if total != self._size or len(answer.content) != count:
            raise RemoteError(
                f"{len(answer.content)} of {count} bytes came, of a file of {total} ({self._size} before)"
            )
        self._address = answer.url
        return bytes(answer.content)
