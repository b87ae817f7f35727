"""What strangers send, by the hundred thousand: python benchmarks/fuzz_server.py [--inputs 100000] [--seed 0].

Two doors, as `im2dem serve` has them. *requests*: forms, bodies, names and fields, cut, mixed and made up, through the
code that receives them; anything but a picture or a refusal with a status of 400 to 499 is a fault. *pictures*: real
small files of every format that is let in, with bytes changed, cut and repeated, through the look at the header, the
preview and the reader of windows, in processes with the surroundings and limits of a job; anything but pixels or an
error that people are told is a fault: an exception that nobody foresaw, a crash, more than ten seconds for one file. A
fault tells its seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import rasterio
from harness import ROOT
from rasterio.io import MemoryFile

from im2dem.core.errors import UsageError
from im2dem.core.grid import Window
from im2dem.io.geotiff import open_reader
from im2dem.web.serve import upload
from im2dem.web.serve.formats import READERS, ending_of
from im2dem.web.serve.header import look, write_preview
from im2dem.web.serve.options import Limits
from im2dem.web.serve.problems import RefusedError
from im2dem.web.serve.sandbox import hold, job_environment
from im2dem.web.serve.wishes import FIELDS, read_wishes
from im2dem.web.serve.worker import failure_of

sys.path.insert(0, str(ROOT / "tests"))
from serve_kit import PNG, form

BATCH = 500
LONGEST_S = 10.0
WORDS = (
    "",
    "10",
    "150,35",
    "4,3,2",
    "nan",
    "-1",
    "1e999",
    "2021-11-17T01:20",
    "relief-free",
    "../x",
    "\0",
    "é" * 300,
    "0x1F",
)
NAMES = ("a.png", "../../etc/passwd", "\u202egnp.exe", "", "a" * 5000, 'x"; name="y', "CON", "\r\nX: 1")


def mixed(dice: random.Random, data: bytes, changes: int) -> bytes:
    """Data with some bytes changed, cut out, repeated or put in."""
    out = bytearray(data)
    for _ in range(dice.randint(1, changes)):
        at, length = dice.randrange(len(out) + 1), dice.choice((1, 1, 2, 4, 16, 200))
        deed = dice.randrange(5)
        if deed == 0:
            out[at : at + length] = dice.randbytes(length)
        elif deed == 1:
            del out[at : at + length]
        elif deed == 2:
            out[at:at] = out[at : at + length]
        elif deed == 3:
            out[at : at + length] = dice.choice((b"\xff", b"\0", b"\x7f", b"\x80")) * length
        else:
            del out[max(at, 12) :]
        if not out:
            return bytes(out)
    return bytes(out)


def one_request(dice: random.Random, folder: Path, loop: asyncio.Runner) -> str:
    """Send one request to the code that receives it; what came of it, in a word."""
    fields = {dice.choice((*FIELDS, "name", "x")): dice.choice(WORDS) for _ in range(dice.randrange(4))}
    body, kind = form(PNG + dice.randbytes(dice.randrange(300)), dice.choice(NAMES), fields)
    if dice.random() < 0.2:
        body, kind = PNG, dice.choice(("image/png", "", "text/html; x", kind[: dice.randrange(len(kind))]))
    if dice.random() < 0.8:
        body = mixed(dice, body, 6)
    step = dice.choice((1, 7, 64, 65536))

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), step):
            yield body[at : at + step]

    try:
        got = loop.run(upload.receive(chunks(), kind, fields, folder, Limits(upload_bytes=2000)))
        read_wishes(got.fields)
    except RefusedError as refused:
        if not 400 <= refused.status < 500:
            raise
        return f"refused {int(refused.status)}"
    except UsageError:
        return "refused 422"
    finally:
        for path in folder.iterdir():
            if path.name != "picture.part" and path.stem != "picture":
                raise AssertionError(f"a name reached the disk: {path.name}")
            path.unlink()
    return "taken"


def requests(inputs: int, seed: int) -> Counter[str]:
    """Many requests; raises at the first fault."""
    counts: Counter[str] = Counter()
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # To the disk for certain is what the server owes to a person, not to this test.
    upload._to_disk = lambda file: file.flush()  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as loop:
        for i in range(inputs):
            try:
                counts[one_request(random.Random(f"{seed}-{i}"), Path(name), loop)] += 1
            except Exception as error:
                raise SystemExit(f"requests: seed {seed}, input {i}: {type(error).__name__}: {error}") from error
    return counts


def seeds_of_pictures() -> dict[str, list[bytes]]:
    """Small whole files of every format, in several layouts."""
    rows, cols = np.mgrid[0:40, 0:48]
    rgb = np.stack([rows * 5, cols * 5, (rows * cols) % 200 + 20]).astype(np.uint8)
    layouts = {
        "tif": [{}, {"compress": "deflate"}, {"compress": "lzw", "predictor": 2}, {"compress": "jpeg"}, {"tiled": True},
                {"interleave": "band"}, {"bigtiff": "yes"}, {"compress": "webp"}, {"compress": "zstd"}],
        "png": [{}], "jpg": [{}], "jp2": [{"quality": "100", "reversible": "yes"}], "webp": [{}],
    }  # fmt: skip
    found: dict[str, list[bytes]] = {}
    for ending, wanted in layouts.items():
        for layout in wanted:
            with MemoryFile() as memory:
                shape = {"width": 48, "height": 40, "count": 3, "dtype": "uint8"}
                tiles = {"blockxsize": 16, "blockysize": 16} if "tiled" in layout else {}
                with memory.open(driver=READERS[ending], **shape, **layout, **tiles) as file:
                    file.write(rgb)
                found.setdefault(ending, []).append(bytes(memory.getbuffer()))
    return found


def batch_of_pictures(seed: int, first: int, count: int) -> None:
    """Read many mixed-up files in this process; prints what it is at before each, and the counts at the end."""
    files = [data for group in seeds_of_pictures().values() for data in group]
    limits = {"memory_bytes": 2_000_000_000, "seconds": 600, "threads": 1, "file_bytes": 10**8}
    hold(limits)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for i in range(first, first + count):
            print(f"at {i}", flush=True)
            dice = random.Random(f"{seed}-{i}")
            data = mixed(dice, dice.choice(files), 12)
            ending = ending_of(data[:16])
            if ending is None:
                counts["not let in"] += 1
                continue
            path = Path(name) / f"picture.{ending}"
            path.write_bytes(data)
            began = time.monotonic()
            counts[one_picture(path)] += 1
            if time.monotonic() - began > LONGEST_S:
                raise TimeoutError(f"{time.monotonic() - began:.0f} s")
            path.unlink()
    print("counts " + json.dumps(counts), flush=True)


def one_picture(path: Path) -> str:
    """What a job does with a file before its network starts."""
    try:
        header = look(path, 4_000_000, 32, None)
        write_preview(path, path.with_name("preview.out"), None)
        with open_reader(path) as reader:
            reader.read(Window(0, 0, min(64, header.height), min(64, header.width)))
    except Exception as error:
        code, _ = failure_of(error, path.name)
        if code == "internal":
            raise
        return f"told: {code}"
    return "read"


def pictures(inputs: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Many files in processes of their own, and the faults."""
    counts: Counter[str] = Counter()
    faults = []
    for first in range(0, inputs, BATCH):
        start, stop = first, min(first + BATCH, inputs)
        while start < stop:
            words = [sys.executable, __file__, "--batch", str(seed), str(start), str(stop - start)]
            done = subprocess.run(words, capture_output=True, text=True, check=False, env=job_environment())
            lines = done.stdout.splitlines()
            if done.returncode == 0 and lines[-1].startswith("counts "):
                counts.update(json.loads(lines[-1].removeprefix("counts ")))
                break
            at = int(lines[-1].split()[1]) if lines else start
            last = done.stderr.strip().splitlines()[-1:] or [""]
            faults.append(f"seed {seed}, input {at}: status {done.returncode} {last[0]}")
            counts["faults"] += 1
            start = at + 1
    return counts, faults


def main() -> int:
    """Run both; 1 when there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("requests", "pictures"))
    parser.add_argument("--batch", nargs=3, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.batch:
        batch_of_pictures(*chosen.batch)
        return 0
    found: dict[str, object] = {"GDAL": rasterio.__gdal_version__, "cores": os.cpu_count(), "seed": chosen.seed}
    faults: list[str] = []
    if chosen.only != "pictures":
        found["requests"] = dict(sorted(requests(chosen.inputs, chosen.seed).items()))
    if chosen.only != "requests":
        counts, faults = pictures(chosen.inputs, chosen.seed)
        found["pictures"], found["faults"] = dict(sorted(counts.items())), faults
    print(json.dumps(found, indent=1))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
