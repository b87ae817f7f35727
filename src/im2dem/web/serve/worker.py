"""One job in a process of its own: an order comes in on standard input, lines of JSON go out on standard output.

Started ahead of time, so that libraries are loaded when the order comes. Standard input stays open as a lifeline: when
the server ends, however it ends, this process ends too.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from im2dem.core.errors import InputError, OutputError, UsageError
from im2dem.io.environment import damaged
from im2dem.pipeline.predict import Prediction, predict_file
from im2dem.web.page import PageOptions
from im2dem.web.view import view

from .formats import IN_WORDS
from .header import TooManyPixelsError, look, write_preview
from .names import stem_of
from .sandbox import hold
from .wishes import Wishes

DEM, SIDE_CAR, PAGE, PREVIEW = "dem.tif", "dem.tif.json", "page.html", "preview.webp"
ATTRIBUTION = "Heights predicted from one picture by im2dem"
_LIFELINE_CUT = 7
_EVERY_S = 0.1
# How the libraries below say that there is none left: C++, GDAL, the network's runtime.
_NO_MEMORY = re.compile(r"bad_alloc|cannot allocate|failed to allocate|out of memory", re.IGNORECASE)
_CODES: dict[type[Exception], str] = {
    TooManyPixelsError: "pixels",  # before what it is a kind of
    InputError: "input",
    UsageError: "usage",
    OutputError: "output",
}

Tell = Callable[[dict[str, Any]], None]


def main() -> int:
    """Wait for an order, do it, tell how it went; always 0 unless the process itself is broken."""
    tell = _voice()
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    threading.Thread(target=_end_with_server, daemon=True).start()
    os.chdir(order["folder"])
    hold(order["limits"])
    do(order, tell)
    return 0


def do(order: dict[str, Any], tell: Tell) -> None:
    """`work`, with every way to fail told as "failure" and every warning as "note".

    Parameters
    ----------
    order, tell
        See `work`.
    """
    notes = _Notes(tell, order["picture"], order["name"])
    logging.getLogger("im2dem").addHandler(notes)
    try:
        work(order, tell)
    except Exception as error:
        code, message = failure_of(error, order["picture"])
        if code == "internal":
            traceback.print_exc()
        tell({"failure": {"code": code, "message": _for_people(message, order["picture"], order["name"])}})
    finally:
        logging.getLogger("im2dem").removeHandler(notes)


def work(order: dict[str, Any], tell: Tell) -> None:
    """From the picture in the current folder to heights and their page, in the same folder.

    Parameters
    ----------
    order
        "picture" (file), "name" (for people), "wishes", "pixels", "bytes_per_pixel", "threads", "resume".
    tell
        Takes what is to be told: "stage" with "done" and "total", "picture", "result".

    Raises
    ------
    Im2DemError
        See `predict_file` and `view`.
    """
    picture, wishes = Path(order["picture"]), Wishes.from_json(order["wishes"])
    tell({"stage": "check", "done": 0, "total": 1})
    header = look(picture, order["pixels"], order["bytes_per_pixel"], wishes.gsd_m)
    tell({"picture": asdict(header)})
    write_preview(picture, Path(PREVIEW), wishes.bands)
    tell({"stage": "check", "done": 1, "total": 1, "preview": True})
    prediction = predict_file(picture, DEM, wishes.options(order["threads"], order["resume"]), _Steps(tell))
    tell({"stage": "page", "done": 0, "total": 1})
    options = PageOptions(title=stem_of(order["name"]), attribution=ATTRIBUTION)
    view(DEM, picture, PAGE, options, overwrite=True)
    tell({"stage": "page", "done": 1, "total": 1, "result": _result(prediction)})


def _result(prediction: Prediction) -> dict[str, Any]:
    condition = prediction.configuration["condition"]
    return {
        "heights": _in_words(prediction.heights_are),
        "unit": prediction.unit,
        "model": prediction.configuration["model"]["name"],
        "sun_azimuth_deg": condition["sun_azimuth_deg"],
        "sun_elevation_deg": condition["sun_elevation_deg"],
        "sun_from": condition["sun_from"],
        "tiles": prediction.report.tiles,
    }


class _Steps:
    """Progress of the prediction, ten times a second at most."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._last, self._stage = tell, 0.0, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self._stage or done >= total or now - self._last >= _EVERY_S:
            self._tell({"stage": stage, "done": done, "total": total})
            self._last, self._stage = now, stage


class _Notes(logging.Handler):
    """Warnings of the library, for the person whose picture it is."""

    def __init__(self, tell: Tell, picture: str, name: str) -> None:
        super().__init__(logging.WARNING)
        self._tell, self._picture, self._name = tell, picture, name

    def emit(self, record: logging.LogRecord) -> None:
        self._tell({"note": _for_people(record.getMessage(), self._picture, self._name)})


def _for_people(message: str, picture: str, name: str) -> str:
    """A message of the library as somebody with a form sees it: their file's name, and fields instead of options."""
    return _in_words(message).replace(picture, name)


def _in_words(text: str) -> str:
    text = text.replace("GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG or WebP", IN_WORDS)
    return re.sub(r"--(gsd|sun|date|bands|model)\b", r"\1", text)


def _voice() -> Tell:
    """Tells on what was standard output; whatever a library prints goes to standard error from now on."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(message: dict[str, Any]) -> None:
        with lock:
            channel.write(json.dumps(message, default=str) + "\n")
            channel.flush()

    return tell


def _end_with_server() -> None:
    while os.read(0, 1024):
        pass
    os._exit(_LIFELINE_CUT)


def failure_of(error: Exception, picture: str) -> tuple[str, str]:
    """Code and message of an error, for the person whose picture it is.

    Parameters
    ----------
    error
        What ended the work.
    picture
        Name of the picture's file.
    """
    root: BaseException | None = error
    while root is not None:
        if isinstance(root, MemoryError) or _NO_MEMORY.search(str(root)):
            return "memory", "the job needs more memory than one may have here; crop the picture or make it coarser"
        root = root.__cause__
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "internal")
    if code != "internal":
        return code, str(error)
    # GDAL's own complaints about a damaged file, which rasterio raises under names that are not its public ones.
    if type(error).__module__.partition(".")[0] == "rasterio":
        return "input", str(damaged(picture, error))
    return code, "something went wrong inside im2dem; the server's log has the details"


if __name__ == "__main__":
    sys.exit(main())
