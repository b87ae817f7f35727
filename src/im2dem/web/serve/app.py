"""The application: routes behind the door, and the runner that lives as long as it does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from im2dem._version import __version__
from im2dem.core.errors import Im2DemError, MissingDependencyError

from .guard import Guard
from .metrics import Metrics
from .options import ServeOptions
from .problems import MEDIA_TYPE, RefusedError
from .process import COMMAND
from .runner import Runner

_NEEDS = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_ABOUT = """\
Send a picture, get a height model: `POST /api/jobs`, then `GET /api/jobs/{id}` or its events until the state is "done",
then the files under `links`. Refusals are `application/problem+json`.
"""


class Application:
    """What a web server runs.

    Parameters
    ----------
    options
        See `ServeOptions`.
    command
        Program that does a job; tests give others.

    Attributes
    ----------
    asgi
        The application itself.
    runner
        The queue behind it.

    Raises
    ------
    MissingDependencyError
        The extra "serve" is not installed.
    UsageError, OutputError
        See `Runner`.
    """

    def __init__(self, options: ServeOptions, command: Sequence[str] = COMMAND) -> None:
        require_packages()
        metrics = Metrics()
        self.runner = Runner(options, metrics, command)
        metrics.watch(lambda state: sum(job.state is state for job in self.runner.jobs()))
        self.asgi = Guard(self._fastapi(), options, metrics.answered)

    def _fastapi(self) -> Any:
        from fastapi import FastAPI

        from .api import add_jobs, add_results, add_status, problem_schema
        from .site import add_login, add_site

        app = FastAPI(
            title="im2dem",
            version=__version__,
            description=_ABOUT,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            openapi_url="/api/openapi.json",
            docs_url=None,
            redoc_url=None,
            lifespan=self._lifespan,
        )
        for add in (add_jobs, add_results, add_status, add_site, add_login):
            add(app, self.runner)
        describe = app.openapi

        def openapi() -> dict[str, Any]:
            description = describe()
            description.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problem_schema()
            return description

        app.openapi = openapi  # type: ignore[method-assign]
        _answer_problems(app)
        return app

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        del app
        await self.runner.start()
        try:
            yield
        finally:
            await self.runner.stop()


def require_packages() -> None:
    """Return when the packages of the extra are there.

    Raises
    ------
    MissingDependencyError
        One is not; the message names the extra.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"the server needs packages that are not installed ({', '.join(missing)}); run: pip install 'im2dem[serve]'"
        )


def _answer_problems(app: Any) -> None:
    """Every refusal, FastAPI's own included, in the one shape."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import Response

    def answer(refused: RefusedError) -> Response:
        body = json.dumps(asdict(refused.problem))
        return Response(body, int(refused.status), refused.headers, MEDIA_TYPE)

    async def refused(request: Any, error: Exception) -> Response:
        del request
        return answer(error if isinstance(error, RefusedError) else RefusedError(HTTPStatus.BAD_REQUEST, str(error)))

    async def http(request: Any, error: Exception) -> Response:
        del request
        status = HTTPStatus(getattr(error, "status_code", 500))
        words = {404: "there is nothing at this address", 405: "this address does not take this method"}
        headers = getattr(error, "headers", None)
        return answer(RefusedError(status, words.get(int(status), str(getattr(error, "detail", ""))), headers))

    async def invalid(request: Any, error: Exception) -> Response:
        del request
        found = error.errors() if isinstance(error, RequestValidationError) else []
        words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in found) or str(error)
        return answer(RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, words))

    async def failed(request: Any, error: Exception) -> Response:
        del request
        return answer(RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, str(error)))

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Im2DemError, failed)
