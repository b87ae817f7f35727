"""Addresses that can be read now: tokens are added at the moment of reading."""

from __future__ import annotations

import threading
import time
from datetime import datetime

from im2dem.core.errors import RemoteError

from .retry import Patience, ask

_TOKEN_SPARE_S = 300.0


class Signer:
    """Adds a token to an address at the moment of reading; asks for a new one before the old one ends.

    Parameters
    ----------
    token_url
        Address that hands out tokens, with ``{collection}`` in it; None: addresses stay as they are.
    patience
        How often it is asked.
    """

    def __init__(self, token_url: str | None, patience: Patience) -> None:
        self._url = token_url
        self._patience = patience
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def sign(self, href: str, collection: str) -> str:
        """An address that can be read now.

        Raises
        ------
        RemoteError
            No token is to be had.
        """
        if href.startswith("s3://"):
            bucket, _, key = href.removeprefix("s3://").partition("/")
            href = f"https://{bucket}.s3.amazonaws.com/{key}"
        if self._url is None:
            return href
        with self._lock:
            token, ends = self._tokens.get(collection, ("", 0.0))
            if time.time() > ends - _TOKEN_SPARE_S:
                token, ends = ask(lambda _: self._ask(collection), "a token for reading", self._patience)
                self._tokens[collection] = token, ends
        return f"{href}{'&' if '?' in href else '?'}{token}"

    def forget(self, collection: str) -> None:
        """Throw a token away that the server did not accept."""
        with self._lock:
            self._tokens.pop(collection, None)

    def _ask(self, collection: str) -> tuple[str, float]:
        import requests

        address = str(self._url).format(collection=collection)
        try:
            answer = requests.get(address, timeout=self._patience.timeout_s)
            answer.raise_for_status()
            content = answer.json()
            ends = datetime.fromisoformat(str(content["msft:expiry"]).replace("Z", "+00:00"))
            token = str(content["token"])
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise RemoteError(f"no token from {address}: {error}") from error
        # A token that ends sooner than the spare is used all the same, and for its half at least.
        left = ends.timestamp() - time.time()
        return token, max(ends.timestamp(), time.time() + min(left / 2, _TOKEN_SPARE_S) + _TOKEN_SPARE_S)
