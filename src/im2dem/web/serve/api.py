"""The interface for programs: jobs in, jobs out.

FastAPI is imported inside functions, as every package of an extra; it reads the annotations of routes when they are
defined, so this module must not postpone them (no ``from __future__ import annotations``).
"""

import json
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from im2dem._version import __version__
from im2dem.core.errors import UsageError
from im2dem.pipeline.predict import DEFAULT_MODEL
from im2dem.runtime.card import list_models

from .formats import ENDINGS
from .jobs import Job, State, new_id
from .names import stem_of
from .options import ServeOptions
from .problems import MEDIA_TYPE, Problem, RefusedError
from .resources import FILES, Health, JobInfo, JobList, LimitsInfo, ServerInfo, job_info, stages
from .runner import Runner
from .upload import FRAME_BYTES, drain, receive, too_large
from .wishes import FIELDS, read_wishes

if TYPE_CHECKING:
    from fastapi import FastAPI

_KEEP_ALIVE_S = 15.0
_RETRY_MS = 2000
_DRAIN_BYTES, _DRAIN_S = 16_000_000, 3.0
_SPARE_BYTES = 1_000_000_000
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["job", "gone"]},
        "id": {"type": "string"},
        "data": {
            "type": "string",
            "description": 'JSON: the job as GET /api/jobs/{job_id} gives it, or {} for "gone".',
        },
    },
}
_DOCS = {
    "gsd": "Metres per pixel, for a picture without georeference, e.g. 10.",
    "sun": "Sun azimuth,elevation in degrees, e.g. 150,35.",
    "date": "When the picture was taken, UTC, e.g. 2021-11-17T01:20.",
    "bands": "Red,green,blue counted from 1, e.g. 4,3,2; or one for grey.",
    "model": "Name of a model, see /api/info.",
    "name": "Name of the picture, for people.",
}


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """How FastAPI is told of answers that are problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    every = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST, *statuses)
    return {int(status): {"description": status.phrase, "content": content} for status in every}


def add_jobs(app: "FastAPI", runner: Runner) -> None:
    """Register what makes, shows and ends jobs."""
    from fastapi import Request, Response

    @app.get("/api/jobs", tags=["jobs"], responses=problems())
    async def list_jobs() -> JobList:
        """All jobs of this server, newest first."""
        return JobList([job_info(runner, job) for job in runner.jobs()])

    @app.post(
        "/api/jobs",
        tags=["jobs"],
        status_code=HTTPStatus.CREATED,
        responses=problems(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.INSUFFICIENT_STORAGE,
        ),
        openapi_extra=_picture_body(),
    )
    async def make_job(request: Request, response: Response) -> JobInfo:
        """Send a picture; the answer is its job, waiting.

        The picture comes as the field "file" of a form, or as the body itself. Its heights are at `links.dem` once the
        state is "done".
        """
        job = await _take_in(request, runner)
        response.headers["location"] = f"/api/jobs/{job.id}"
        return job_info(runner, job)

    @app.get("/api/jobs/{job_id}", tags=["jobs"], responses=problems(HTTPStatus.NOT_FOUND))
    async def show_job(job_id: str) -> JobInfo:
        """One job."""
        return job_info(runner, find(runner, job_id))

    @app.delete(
        "/api/jobs/{job_id}", tags=["jobs"], status_code=HTTPStatus.NO_CONTENT, responses=problems(HTTPStatus.NOT_FOUND)
    )
    async def remove_job(job_id: str) -> Response:
        """Stop a job if it runs, and forget it with its picture and its results."""
        find(runner, job_id)
        await runner.remove(job_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def add_results(app: "FastAPI", runner: Runner) -> None:
    """Register events and downloads."""
    from fastapi.responses import FileResponse, StreamingResponse

    @app.get(
        "/api/jobs/{job_id}/events",
        tags=["jobs"],
        response_class=StreamingResponse,
        responses={
            200: {"description": "Events", "content": {"text/event-stream": {"schema": _EVENT}}},
            **problems(HTTPStatus.NOT_FOUND),
        },
    )
    async def follow_job(job_id: str) -> StreamingResponse:
        """Server-sent events: "job" with the job now and after every change, "gone" when it was deleted.

        The stream ends when nothing more can happen.
        """
        find(runner, job_id)
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(_events(runner, job_id), media_type="text/event-stream", headers=headers)

    @app.head("/api/jobs/{job_id}/files/{file}", include_in_schema=False)
    @app.get(
        "/api/jobs/{job_id}/files/{file}",
        tags=["jobs"],
        response_class=FileResponse,
        responses={
            200: {
                "description": "The file",
                "content": {kind.split(";")[0]: {} for _, _, kind in FILES.values()},
            },
            206: {"description": "A part of it", "content": {kind.split(";")[0]: {} for _, _, kind in FILES.values()}},
            **problems(HTTPStatus.NOT_FOUND),
        },
        openapi_extra={"parameters": [_one_of("file", list(FILES))]},
    )
    async def download(job_id: str, file: str) -> FileResponse:
        """A result: dem.tif (heights and sigma), dem.json (how they were made), page.html (3D page), preview.webp."""
        path, saved_as, kind = result_file(runner, job_id, file)
        inline = file == "preview.webp"
        headers = {"cache-control": "private, max-age=3600"} if inline else {}
        how = "inline" if inline else "attachment"
        return FileResponse(path, media_type=kind, filename=saved_as, content_disposition_type=how, headers=headers)


def add_status(app: "FastAPI", runner: Runner) -> None:
    """Register what tells about the server itself."""
    from fastapi import Response

    @app.get("/api/info", tags=["server"], responses=problems())
    async def info() -> ServerInfo:
        """Models, formats and limits of this server."""
        return server_info(runner.options)

    @app.get(
        "/healthz", tags=["server"], responses={503: {"description": "It does not work", "model": Health}, **problems()}
    )
    async def health(response: Response) -> Health:
        """Whether the server works; asks for no token."""
        if not runner.is_well:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health("ok" if runner.is_well else "broken", __version__)

    @app.get(
        "/metrics",
        tags=["server"],
        response_class=Response,
        responses={200: {"description": "Counters", "content": {"text/plain": {}}}, **problems()},
    )
    async def metrics() -> Response:
        """Counters for Prometheus."""
        body, kind = runner.metrics.text()
        return Response(body, headers={"content-type": kind})


def find(runner: Runner, job_id: str) -> Job:
    """A job by its id.

    Raises
    ------
    RefusedError
        404.
    """
    job = runner.find(job_id)
    if job is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such job; it was deleted, or its results have expired")
    return job


def result_file(runner: Runner, job_id: str, file: str) -> tuple[Path, str, str]:
    """Path of a result, the name it is saved under, its media type.

    Raises
    ------
    RefusedError
        404: no such job, no such file, or not yet.
    """
    job = find(runner, job_id)
    if file not in FILES:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"there is no such file; known are {', '.join(FILES)}")
    name, ending, kind = FILES[file]
    path = runner.folder(job.id) / name
    if not path.is_file() or (job.state is not State.DONE and file != "preview.webp"):
        raise RefusedError(HTTPStatus.NOT_FOUND, f"{file} is not there: the job is {job.state}")
    return path, stem_of(job.name) + ending, kind


def server_info(options: ServeOptions) -> ServerInfo:
    """What this server is and does."""
    return ServerInfo(
        version=__version__,
        models=list(list_models()),
        default_model=DEFAULT_MODEL,
        endings=list(ENDINGS),
        stages=stages(),
        fields=list(FIELDS),
        limits=LimitsInfo(**asdict(options.limits)),
        asks_for_token=options.token is not None,
    )


async def _take_in(request: Any, runner: Runner) -> Job:
    """The picture of a request as a job in the queue."""
    from starlette.requests import ClientDisconnect

    limits = runner.options.limits
    with runner.place() as free:
        if not free:
            wait = runner.retry_after_s()
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{limits.queue} pictures wait already; try again in {wait} seconds",
                {"retry-after": str(wait)},
            )
        _check_length(request.headers.get("content-length"), runner)
        job_id = new_id()
        folder = runner.incoming / job_id
        folder.mkdir(mode=0o700)
        chunks = request.stream()
        try:
            kind = request.headers.get("content-type", "")
            upload = await receive(chunks, kind, dict(request.query_params), folder, limits)
            wishes = read_wishes(upload.fields)
            now = time.time()
            job = Job(job_id, upload.name, upload.ending, upload.size_bytes, now, wishes.as_json())
            runner.submit(job, folder)
        except RefusedError as refused:
            refused.headers["connection"] = "close"
            await drain(chunks, _DRAIN_BYTES, _DRAIN_S)
            raise
        except UsageError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except ClientDisconnect as error:  # nobody hears the answer, but nothing went wrong here
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the client hung up before its picture was here") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return job


def _check_length(told: str | None, runner: Runner) -> None:
    most = runner.options.limits.upload_bytes
    size = int(told) if told and told.isascii() and told.isdigit() else 0
    if size > most + FRAME_BYTES:
        raise too_large(most)
    free = shutil.disk_usage(runner.options.data).free
    if free < max(size, 1) * 2 + _SPARE_BYTES:
        raise RefusedError(
            HTTPStatus.INSUFFICIENT_STORAGE,
            f"the server's disk is nearly full ({free / 1e9:.1f} GB free); try later",
        )


async def _events(runner: Runner, job_id: str) -> AsyncIterator[str]:
    number = 0
    yield f"retry: {_RETRY_MS}\n\n"
    async for job in runner.changes(job_id, _KEEP_ALIVE_S):
        if job is None:
            yield ": still here\n\n"
            continue
        number += 1
        body = json.dumps(asdict(job_info(runner, job)), separators=(",", ":"))
        yield f"event: job\nid: {number}\ndata: {body}\n\n"
    if runner.find(job_id) is None:
        yield "event: gone\ndata: {}\n\n"


def _picture_body() -> dict[str, Any]:
    text = {"type": "string", "maxLength": 200}
    words = {name: {**text, "description": doc} for name, doc in _DOCS.items()}
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": binary, **words}, "required": ["file"]}
    kinds = ("image/tiff", "image/png", "image/jpeg", "image/jp2", "image/webp", "application/octet-stream")
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": text, "description": doc}
            for name, doc in _DOCS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, **{kind: {"schema": binary} for kind in kinds}},
        },
    }


def _one_of(name: str, values: list[str]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": values}}


def problem_schema() -> dict[str, Any]:
    """The schema of a `Problem`, for the interface's description."""
    fields = Problem.__dataclass_fields__
    kinds = {"int": {"type": "integer"}, "str": {"type": "string"}}
    properties = {name: kinds[str(field.type)] for name, field in fields.items()}
    return {"title": "Problem", "type": "object", "properties": properties, "required": list(fields)}
