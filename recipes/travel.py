"""Training data for a machine that takes little at a time and has no network: squeeze here, unpack and render there.

    python recipes/travel.py squeeze DATA OUT --most-mb 45      # OUT/1, OUT/2, ...: each at most so large
    python recipes/travel.py unpack OUT/1 WORK                  # there: WORK/packs/*.npz, WORK/dem/*.npz
    python recipes/travel.py render WORK --count 900 --size 320 --seed 100 --out WORK/packs/synth-100.npz

Heights travel without loss (differences along both axes, LZMA: about 60 % of a deflated GeoTIFF), pictures as WebP of
quality 92. DATA is a folder with pairs/ and dem/ as `im2dem dataset pack` and `synth` take them; pairs of the split
"test" stay at home. Unpacking and rendering need no GDAL.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 92


def squeeze_heights(heights: NDArray[np.int16]) -> bytes:
    """int16 (row, col) as bytes: differences along rows and columns, their sign folded in, bytes apart, LZMA."""
    step = np.diff(np.diff(heights, axis=1, prepend=np.int16(0)), axis=0, prepend=np.int16(0)).astype(np.int32)
    folded = ((step << 1) ^ (step >> 31)).astype(np.uint16)
    planes = np.stack([(folded & 255).astype(np.uint8), (folded >> 8).astype(np.uint8)])
    return np.array(heights.shape, np.int64).tobytes() + lzma.compress(planes.tobytes(), preset=1)


def loosen_heights(squeezed: bytes) -> NDArray[np.int16]:
    """What `squeeze_heights` was given."""
    shape = tuple(np.frombuffer(squeezed[:16], np.int64))
    planes = np.frombuffer(lzma.decompress(squeezed[16:]), np.uint8).reshape(2, *shape).astype(np.uint16)
    folded = planes[0] | (planes[1] << 8)
    step = ((folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)).astype(np.int16)
    rows = np.cumsum(step, axis=0, dtype=np.int16)  # int16 wraps as the differences did
    return np.cumsum(rows, axis=1, dtype=np.int16)


def squeeze(data: Path, out: Path, most_bytes: int) -> None:
    """Write zip files into numbered folders, none of which holds more than `most_bytes`."""
    loads: list[tuple[Path, int]] = []
    for name, files in _files(data):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        size = held.getbuffer().nbytes
        for k, (folder, load) in enumerate(loads):
            if load + size <= most_bytes:
                loads[k] = (folder, load + size)
                break
        else:
            folder = out / str(len(loads) + 1)
            loads.append((folder, size))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.zip").write_bytes(held.getvalue())
        sys.stderr.write(f"{folder.name}/{name}  {size / 2**20:.1f} MB\n")


def _files(data: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    from im2dem.dataset.chips import quantise_heights
    from im2dem.dataset.pairs import find_dem_sources, find_pairs, read_pair

    for source in find_dem_sources(data / "dem"):
        record = {k: getattr(source, k) for k in ("name", "licence", "gsd_m", "latitude_deg")}
        record["mean_m"] = float(np.nanmean(source.dem))
        # quarter metres about the mean: what a pack keeps
        yield (
            f"dem-{source.name}",
            {"meta": json.dumps(record).encode(), "dem": squeeze_heights(quantise_heights(source.dem))},
        )
    for pair in find_pairs(data / "pairs"):
        split = pair.meta.get("split")
        if split not in ("train", "val"):
            continue
        chips = read_pair(pair, drop_clouds=split == "train" and "-s2-" in pair.name)
        picture = io.BytesIO()
        Image.fromarray(np.moveaxis(chips.rgb[0], 0, -1)).save(picture, "WEBP", quality=QUALITY)
        record = {
            "gsd_m": float(chips.gsd_m[0]),
            "sun_azimuth_deg": float(chips.sun_azimuth_deg[0]),
            "sun_elevation_deg": float(chips.sun_elevation_deg[0]),
            "latitude_deg": float(chips.latitude_deg[0]),
            "name": pair.name,
            "provenance": chips.provenance,
        }
        name = f"pack-{split}-{'free' if pair.is_free else 'restricted'}-{pair.name}"
        yield (
            name,
            {"meta": json.dumps(record).encode(), "rgb": picture.getvalue(), "dem": squeeze_heights(chips.dem[0])},
        )


def unpack(folder: Path, work: Path) -> None:
    """Packs that `im2dem train` reads; those of restricted licences begin with "restricted-"."""
    from im2dem.dataset.chips import Chips, save_chips

    for name in ("packs", "dem"):
        (work / name).mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            files = {member: archive.read(member) for member in archive.namelist()}
        meta, dem = json.loads(files["meta"]), loosen_heights(files["dem"])
        if "rgb" not in files:
            np.savez(work / "dem" / f"{meta['name']}.npz", dem=dem, meta=json.dumps(meta))
            continue
        rgb = np.ascontiguousarray(np.moveaxis(np.asarray(Image.open(io.BytesIO(files["rgb"])).convert("RGB")), -1, 0))
        keys = ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "latitude_deg")
        numbers = [np.array([float(meta[key])]) for key in keys]
        chips = Chips(rgb[None], dem[None], *numbers, names=(meta["name"],), provenance=meta["provenance"])
        _, split, licence, place = path.stem.split("-", 3)
        prefix = {"free": "", "restricted": "restricted-"}[licence] if split == "train" else ""
        save_chips(work / "packs" / f"{prefix}{split}-{place}.npz", chips)


def render(work: Path, out: Path, count: int, size_px: int, seed: int) -> None:
    """A pack of rendered chips of all height models that were unpacked."""
    from im2dem.dataset.chips import DEM_STEP_M, VOID, save_chips
    from im2dem.dataset.synth import DemSource, SynthOptions, make_chips

    sources = []
    for path in sorted((work / "dem").glob("*.npz")):
        with np.load(path) as data:
            dem, meta = data["dem"], json.loads(str(data["meta"]))
        heights = np.where(dem == VOID, np.float32(np.nan), dem * np.float32(DEM_STEP_M) + np.float32(meta["mean_m"]))
        sources.append(DemSource(meta["name"], meta["licence"], heights, meta["gsd_m"], meta["latitude_deg"]))
    save_chips(out, make_chips(sources, SynthOptions(count=count, size_px=size_px, seed=seed)))


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("squeeze")
    one.add_argument("data", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--most-mb", type=float, default=45.0)
    one = commands.add_parser("unpack")
    one.add_argument("folder", type=Path)
    one.add_argument("work", type=Path)
    one = commands.add_parser("render")
    one.add_argument("work", type=Path)
    one.add_argument("--out", type=Path, required=True)
    for name, default in (("count", 900), ("size", 320), ("seed", 100)):
        one.add_argument(f"--{name}", type=int, default=default)
    given: Any = parser.parse_args()
    if given.command == "squeeze":
        squeeze(given.data, given.out, int(given.most_mb * 2**20))
    elif given.command == "unpack":
        unpack(given.folder, given.work)
    else:
        render(given.work, given.out, given.count, given.size, given.seed)


if __name__ == "__main__":
    main()
