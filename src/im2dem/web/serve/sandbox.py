"""What a job's process is held to: formats, network, memory, time, files. Set before any byte of a stranger is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache

from .formats import forbidden

# Room for threads and compressing after the last tile; the clock of the server is the limit that people see.
_CPU_SLACK_S = 60
_MOST_FILES = 256
# Kept from the server's own surroundings; everything else, credentials of clouds included, stays outside.
_KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH"),
    *("PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GDAL_DATA", "PROJ_DATA", "PROJ_LIB"),
)


@cache
def job_environment() -> dict[str, str]:
    """Environment variables of a job's process.

    GDAL registers the readers of `formats.READERS` and what writes results, and nothing else: no VRT that names other
    files, no web service, no PDF. Its network file systems open no address, and PROJ fetches no grid.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "GDAL_SKIP": ",".join(forbidden(_drivers())),
        # Side-cars and world files of a picture would have to be asked for by name; a job's folder has none.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
        "GDAL_HTTP_MAX_RETRY": "0",
        "PROJ_NETWORK": "OFF",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }


def _drivers() -> list[str]:
    import rasterio

    with rasterio.Env() as env:
        return list(env.drivers())


def hold(limits: Mapping[str, float]) -> None:
    """Hold this process to its limits, for good, where the system can.

    Parameters
    ----------
    limits
        "memory_bytes" (0: none), "seconds" of the clock, "threads", "file_bytes" of any one file it writes.
    """
    if sys.platform == "win32":
        return
    import resource

    # Data, not address space: threads and the network library reserve addresses that they never touch.
    if limits["memory_bytes"]:
        _lower(resource.RLIMIT_DATA, int(limits["memory_bytes"]))
    _lower(resource.RLIMIT_CPU, int(limits["seconds"] * limits["threads"]) + _CPU_SLACK_S)
    _lower(resource.RLIMIT_FSIZE, int(limits["file_bytes"]))
    _lower(resource.RLIMIT_NOFILE, _MOST_FILES)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, wanted: int) -> None:
    import resource

    _, most = resource.getrlimit(kind)
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(kind, (limit, limit))
