"""The page for people, its files, the 3D view of a job, and the door for browsers.

Routes are defined as in `api`: annotations are not postponed.
"""

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from im2dem.pipeline.demo import demo_scene

from .api import result_file
from .guard import COOKIE, cookie_value, is_token
from .problems import RefusedError
from .runner import Runner

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import Response

_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
}
_MOST_LOGIN_BYTES = 2000
_COOKIE_S = 30 * 86_400
# The view is a page with its own script inside, made from a stranger's picture: it runs in an origin of its own, from
# which neither this server nor the cookie can be reached.
_VIEW_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'"
)


def add_site(app: "FastAPI", runner: Runner) -> None:
    """Register the page."""
    from fastapi import Request
    from fastapi.responses import FileResponse, Response

    @app.get("/", include_in_schema=False)
    @app.get("/jobs/{job_id}", include_in_schema=False)
    async def page() -> Response:
        return static("index.html", None)

    @app.get("/static/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        return static(name, request.headers.get("if-none-match"))

    @app.get("/jobs/{job_id}/3d", include_in_schema=False)
    async def view(job_id: str) -> FileResponse:
        path, _, kind = result_file(runner, job_id, "page.html")
        headers = {"content-security-policy": _VIEW_POLICY, "x-frame-options": "SAMEORIGIN"}
        return FileResponse(path, media_type=kind, headers=headers)

    @app.get("/demo.tif", include_in_schema=False)
    async def demo() -> FileResponse:
        return FileResponse(demo_scene(), media_type="image/tiff", filename="tsukuba.tif")


def add_login(app: "FastAPI", runner: Runner) -> None:
    """Register the door for browsers, which cannot send a header of their own."""
    from fastapi import Request
    from fastapi.responses import RedirectResponse, Response

    @app.get("/login", include_in_schema=False)
    async def ask() -> Response:
        return static("login.html", None)

    @app.post("/login", include_in_schema=False)
    async def enter(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_LOGIN_BYTES:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a token is not that long")
        word = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not is_token(runner.options, word):
            return RedirectResponse("/login#wrong", HTTPStatus.SEE_OTHER)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, cookie_value(runner.options), _COOKIE_S, httponly=True, samesite="strict", secure=secure
        )
        return answer


def static(name: str, known: str | None) -> "Response":
    """A file of the page; 304 when the browser has it already.

    Raises
    ------
    RefusedError
        404.
    """
    from fastapi.responses import Response

    found = _files().get(name)
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such file")
    body, mark = found
    headers = {"etag": mark, "cache-control": "no-cache"}
    if known == mark:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=_KINDS[name.rpartition(".")[2]])


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Bytes and mark of every file of the page: what is not in this table cannot be asked for."""
    found = {}
    for path in (files("im2dem.web.serve") / "static").iterdir():
        if path.name.rpartition(".")[2] in _KINDS:
            body = path.read_bytes()
            found[path.name] = body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return found
