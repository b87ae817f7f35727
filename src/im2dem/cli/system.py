"""`im2dem demo` and `im2dem doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from im2dem.core.errors import OutputError
from im2dem.pipeline.demo import ATTRIBUTION, demo_scene
from im2dem.pipeline.doctor import examine
from im2dem.pipeline.predict import PredictOptions, predict_file, summary
from im2dem.web.page import PageOptions
from im2dem.web.view import view

from . import console
from .predict import tell

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON summary.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("demo")(demo)
    app.command("doctor")(doctor)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo-output"),
    open_page: Annotated[bool, typer.Option("--open", help="Show the 3D page in the browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the main job on the scene that ships: a DEM and a 3D page, no network needed. Replaces an earlier demo."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {out} cannot be made: {error}; choose another with --out") from error
    scene, dem, page = demo_scene(), out / "tsukuba-dem.tif", out / "tsukuba-3d.html"
    with console.progress_bar() as progress:
        prediction = predict_file(scene, dem, PredictOptions(overwrite=True), progress)
    options = PageOptions(title="Hills of Tsukuba, from one Landsat picture", attribution=ATTRIBUTION)
    shown = view(dem, scene, page, options, overwrite=True)
    if open_page:
        shown.open()
    if as_json:
        console.say_json({**summary(prediction), "page": str(page)})
        return
    tell(prediction)
    console.say(f"3D page  {page}  (open it in a browser; it needs no network)")


def doctor(as_json: AsJson = False) -> int:
    """Check this installation: versions, formats, models, extras, and a tiny run. Exits 1 when the main job fails."""
    findings = examine()
    failed = any(f.ok is False for f in findings)
    if as_json:
        console.say_json({"ok": not failed, "findings": [asdict(f) for f in findings]})
    else:
        marks = {True: "ok", False: "FAIL", None: "-"}
        for finding in findings:
            console.say(f"{marks[finding.ok]:<5} {finding.subject:<14} {finding.text}")
    return 1 if failed else 0
