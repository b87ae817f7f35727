"""What the interface shows of jobs: plain values with links, the same in answers and in events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .attempt import STAGES
from .jobs import Job, State
from .runner import Runner
from .worker import DEM, PAGE, PREVIEW, SIDE_CAR


@dataclass(frozen=True)
class PictureInfo:
    """What a picture's header says; `gsd_m` is the size of a pixel in metres, where it is known."""

    width: int
    height: int
    bands: int
    dtype: str
    format: str
    gsd_m: float | None
    georeferenced: bool


@dataclass(frozen=True)
class ResultInfo:
    """What came out: what kind of heights, in which unit, by which model, under which sun."""

    heights: str
    unit: str
    model: str
    tiles: int
    sun_from: str
    sun_azimuth_deg: float | None
    sun_elevation_deg: float | None


@dataclass(frozen=True)
class FailureInfo:
    """Why nothing came out: one word for programs, one sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Links:
    """Where to go from here; null as long as there is nothing."""

    self: str
    events: str
    preview: str | None
    dem: str | None
    summary: str | None
    page: str | None
    view: str | None


@dataclass(frozen=True)
class JobInfo:
    """One job. Times are UTC; `progress` goes from 0 to 1 over all stages, `stage_done` of `stage_total` within one."""

    id: str
    name: str
    size_bytes: int
    state: State
    created: str
    started: str | None
    finished: str | None
    expires: str | None
    position: int | None
    stage: str | None
    stage_done: int
    stage_total: int
    progress: float
    attempts: int
    wishes: dict[str, Any]
    picture: PictureInfo | None
    result: ResultInfo | None
    failure: FailureInfo | None
    notes: list[str]
    links: Links


@dataclass(frozen=True)
class JobList:
    """All jobs of this server, newest first."""

    jobs: list[JobInfo]


@dataclass(frozen=True)
class LimitsInfo:
    """What one job, and all of them, may take here."""

    upload_bytes: int
    pixels: int
    seconds: float
    memory_bytes: int
    queue: int
    keep_s: float


@dataclass(frozen=True)
class ServerInfo:
    """What this server is and does."""

    version: str
    models: list[str]
    default_model: str
    endings: list[str]
    stages: list[str]
    fields: list[str]
    limits: LimitsInfo
    asks_for_token: bool


@dataclass(frozen=True)
class Health:
    """Whether the server works."""

    status: str
    version: str


# Name in the address: file in the job's folder, ending of the name it is saved under, media type.
FILES: Mapping[str, tuple[str, str, str]] = {
    "dem.tif": (DEM, "-dem.tif", "image/tiff; application=geotiff; profile=cloud-optimized"),
    "dem.json": (SIDE_CAR, "-dem.json", "application/json"),
    "page.html": (PAGE, "-3d.html", "text/html; charset=utf-8"),
    "preview.webp": (PREVIEW, "-preview.webp", "image/webp"),
}


def job_info(runner: Runner, job: Job) -> JobInfo:
    """A job as clients see it, at this moment."""
    live = runner.live(job.id)
    done = job.state is State.DONE
    base = f"/api/jobs/{job.id}"
    has_preview = done or (live is not None and live.has_preview) or (runner.folder(job.id) / PREVIEW).is_file()
    return JobInfo(
        id=job.id,
        name=job.name,
        size_bytes=job.size_bytes,
        state=job.state,
        created=_iso(job.created) or "",
        started=_iso(job.started),
        finished=_iso(job.finished),
        expires=_iso(runner.expires(job)),
        position=runner.position(job.id),
        stage=live.stage if live else None,
        stage_done=live.done if live else 0,
        stage_total=live.total if live else 0,
        progress=1.0 if done else live.progress if live else 0.0,
        attempts=job.attempts,
        wishes=dict(job.wishes),
        picture=PictureInfo(**job.picture) if job.picture else None,
        result=ResultInfo(**job.result) if job.result else None,
        failure=FailureInfo(job.failure.code, job.failure.message) if job.failure else None,
        notes=list(job.notes),
        links=Links(
            self=base,
            events=f"{base}/events",
            preview=f"{base}/files/preview.webp" if has_preview else None,
            dem=f"{base}/files/dem.tif" if done else None,
            summary=f"{base}/files/dem.json" if done else None,
            page=f"{base}/files/page.html" if done else None,
            view=f"/jobs/{job.id}/3d" if done else None,
        ),
    )


def stages() -> list[str]:
    """Names of the stages, in order."""
    return list(STAGES)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
