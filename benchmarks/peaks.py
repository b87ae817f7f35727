"""Peak memory of a command: of its largest process, or of all its processes together."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# A process inherits the peak of the one it was forked from. So a small one in between starts the one that is measured.
_LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
_PERIOD_S = 0.2


def peak_of(command: Sequence[str]) -> tuple[float, str]:
    """Peak resident memory of the largest process of a command, GB (10^9 bytes), and all that it said.

    Raises
    ------
    RuntimeError
        The command failed; the message has what it said.
    """
    done = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return int(done.stdout) * unit / 1e9, done.stderr


def together(command: Sequence[str]) -> dict[str, float]:
    """A command with all processes that it starts: seconds of "wall" and "cpu", and "peak_gb" of them together.

    Memory that processes share counts once (proportional set size), looked up five times a second; NaN where the
    system has no /proc.

    Raises
    ------
    RuntimeError
        The command failed; the message has what it said.
    """
    import resource

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peak = 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None:
            peak = max(peak, _shared_out(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PERIOD_S)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{said.read()}")
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "peak_gb": peak / 1e9 if peak else float("nan")}


def _shared_out(root: int) -> float:
    """Bytes of a process and of all that it started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return sum(_own(pid) for pid in family)


def _own(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(1024.0 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
