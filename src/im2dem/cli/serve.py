"""`im2dem serve`."""

from __future__ import annotations

import logging
import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from . import console

_GIGA, _MEGA = 1_000_000_000, 1_000_000
_HOUR_S = 3600.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="IM2DEM_SERVE_TOKEN", help="Word that every request must bring; better in the variable."),
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Let in whoever reaches the address.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further name of this server, e.g. behind a proxy; may be repeated.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the jobs; default: the user's state folder.")] = None,
    workers: Annotated[int, typer.Option(help="Jobs at a time.")] = 1,
    max_upload: Annotated[int, typer.Option(help="Largest picture file, MB.")] = 1000,
    max_pixels: Annotated[float, typer.Option(help="Largest picture, million pixels.")] = 150.0,
    max_seconds: Annotated[float, typer.Option(help="Longest job, seconds.")] = 1800.0,
    max_memory: Annotated[float, typer.Option(help="Memory of one job, GB (Linux); 0: no limit.")] = 4.0,
    queue: Annotated[int, typer.Option(help="Jobs that may wait; more are refused.")] = 20,
    keep: Annotated[float, typer.Option(help="How long results stay, hours.")] = 24.0,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> None:
    """Serve a page on this machine where pictures are dropped and heights come out, and the same over HTTP."""
    from im2dem.web.serve.app import require_packages
    from im2dem.web.serve.options import Limits, ServeOptions
    from im2dem.web.serve.run import serve as run

    require_packages()
    limits = Limits(
        upload_bytes=max_upload * _MEGA,
        pixels=int(max_pixels * _MEGA),
        seconds=max_seconds,
        memory_bytes=int(max_memory * _GIGA),
        queue=queue,
        keep_s=keep * _HOUR_S,
    )
    options = ServeOptions(
        data=data or _state_folder(),
        host=host,
        port=port,
        token=token,
        open_to_all=no_token,
        names=tuple(allow_host or ()),
        workers=workers,
        limits=limits,
    )
    logging.getLogger("im2dem").setLevel(min(logging.INFO, logging.getLogger("im2dem").level or logging.INFO))

    def ready(address: str) -> None:
        console.say(f"serving  {address}")
        console.say(f"jobs in  {options.data}  (kept {keep:g} hours; Ctrl-C ends the server, waiting jobs stay)")
        if options.token:
            console.say("token    asked for at the page, or as the header Authorization: Bearer TOKEN")
        if open_page:
            webbrowser.open(address)

    run(options, ready)


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "im2dem" / "serve"
