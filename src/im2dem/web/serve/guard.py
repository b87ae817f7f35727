"""The door: who may ask at all, and the headers on every answer. Plain ASGI, before any route."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from .options import ServeOptions
from .problems import MEDIA_TYPE, RefusedError

log = logging.getLogger("im2dem")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "im2dem"
_OPEN = ("/healthz", "/login", "/static/")
_READING = ("GET", "HEAD")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not "no-referrer": with that, browsers call the origin of this server's own forms "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class Guard:
    """Lets a request through when it names this server, comes from no other site, and brings the token.

    Parameters
    ----------
    app
        What is behind the door.
    options
        Names and token.
    answered
        Called with method and status of every answer.
    """

    def __init__(self, app: App, options: ServeOptions, answered: Callable[[str, int], None]) -> None:
        self._app, self._options, self._answered = app, options, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {bytes(name).lower() for name, _ in message.get("headers", [])}
                more = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in own]
                message["headers"] = [*message.get("headers", []), *more]
                self._answered(method, int(message["status"]))
            await send(message)

        try:
            self._check(scope, method)
        except RefusedError as refused:
            await _answer(refused, scope, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope, method: str) -> None:
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1"))
        host = headers.get("host", "")
        if not self._options.allows_host(_without_port(host)):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server does not answer to the name {host[:80]!r}; it can be told to with --allow-host",
            )
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if method not in _READING and (foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site")):
            raise RefusedError(HTTPStatus.FORBIDDEN, "another site made this request; use this server's own page")
        path = str(scope["path"])
        if self._options.token and not path.startswith(_OPEN) and not self._knows(headers):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "this server asks for its token: send the header Authorization: Bearer TOKEN, or sign in at /login",
                {"www-authenticate": "Bearer"},
            )

    def _knows(self, headers: MutableMapping[str, str]) -> bool:
        kind, _, word = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and is_token(self._options, word.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), cookie_value(self._options).encode())


def is_token(options: ServeOptions, word: str) -> bool:
    """Whether a word is the token; takes equally long whichever letter is wrong."""
    return options.token is not None and hmac.compare_digest(word.encode(), options.token.encode())


def cookie_value(options: ServeOptions) -> str:
    """What a browser that has shown the token brings from then on; the token cannot be found from it."""
    return hmac.new((options.token or "").encode(), b"im2dem serve, cookie of a browser", hashlib.sha256).hexdigest()


def _without_port(host: str) -> str:
    """The name in a Host header.

    >>> _without_port("[::1]:8000"), _without_port("localhost:80"), _without_port("a.b")
    ('[::1]', 'localhost', 'a.b')
    """
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


async def _answer(refused: RefusedError, scope: Scope, send: Send) -> None:
    wants_page = any(n == b"accept" and b"text/html" in v for n, v in scope["headers"])
    if refused.status is HTTPStatus.UNAUTHORIZED and wants_page and scope["method"] in _READING:
        headers = [(b"location", b"/login")]
        await send({"type": "http.response.start", "status": int(HTTPStatus.SEE_OTHER), "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = json.dumps(asdict(refused.problem)).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": int(refused.status), "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
