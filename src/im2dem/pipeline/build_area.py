"""Training sets from anywhere on Earth: an area, a source, a plan that fits the memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from im2dem.core.errors import NoDataError, UsageError
from im2dem.dataset.area import Area, area_of_grid, read_area
from im2dem.dataset.plan import Block, Portion
from im2dem.dataset.sources import AreaSource
from im2dem.io.geotiff import open_dem

from .build import BuildOptions, BuildReport, Progress, build

# What a download moves, measured on no server in particular: an estimate must say what it rests on.
ASSUMED_MB_S = 10.0
_CHIP_BYTES_PX = 5.0


@dataclass(frozen=True)
class PlanOptions:
    """Which chips, in which portions.

    Parameters
    ----------
    size_px, gsd_m
        Side of a chip and metres a pixel.
    memory_mb
        For the blocks that are in work at the same time, without the program itself.
    limit
        Take this many chips of the plan at most, or None.
    """

    size_px: int = 256
    gsd_m: float = 10.0
    memory_mb: float = 1000.0
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.memory_mb <= 0 or (self.limit is not None and self.limit < 1):
            raise UsageError("memory above 0 MB and a limit of at least 1 chip are wanted")


@dataclass(frozen=True)
class Estimate:
    """What a build would take.

    Parameters
    ----------
    chips, blocks
        Of the plan.
    scenes_per_block
        Mean over the blocks that the catalogue was asked about, or None.
    asked_blocks
        How many those were.
    download_bytes, disk_bytes
        Estimates.
    hours
        At `ASSUMED_MB_S`.
    """

    chips: int
    blocks: int
    scenes_per_block: float | None
    asked_blocks: int
    download_bytes: int
    disk_bytes: int
    hours: float


def area_from(aoi: str | Path | None, dem: str | Path | None) -> Area:
    """The area of a GeoJSON file, or the outline of a height model.

    Raises
    ------
    UsageError
        Neither is given.
    InputError
        The file holds no area.
    """
    if aoi is not None:
        path = Path(aoi)
        if path.suffix.lower() in (".tif", ".tiff", ".vrt"):
            return area_from(None, path)
        return read_area(path)
    if dem is None:
        raise UsageError("give an area (--aoi area.geojson) or a height model (--dem dem.tif)")
    with open_dem(dem) as reader:
        return area_of_grid(reader.grid, Path(dem).name)


def plan_blocks(source: AreaSource, area: Area, plan: PlanOptions, at_a_time: int) -> list[Block]:
    """Blocks of an area, as large as the memory allows.

    Parameters
    ----------
    source
        Tells what a pixel takes.
    area
        Where.
    plan
        Size, memory, limit.
    at_a_time
        Blocks in work at the same time.

    Raises
    ------
    NoDataError
        No chip lies in the area.
    """
    pixels = plan.memory_mb * 1e6 / at_a_time / source.bytes_per_pixel()
    blocks = source.blocks(area, Portion(plan.size_px, plan.gsd_m, pixels, plan.limit))
    if not blocks:
        raise NoDataError(f"{area.name}: no chip of {plan.size_px} px lies in it; check the area")
    return blocks


def build_area(
    source: AreaSource,
    area: Area,
    output: str | Path,
    plan: PlanOptions,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """A training set of an area; see `build.build`."""
    options = options or BuildOptions()
    blocks = plan_blocks(source, area, plan, options.threads)
    request = {
        **source.request,
        "area": list(area.geometries),
        "size_px": plan.size_px,
        "gsd_m": plan.gsd_m,
        "limit": plan.limit,
    }
    return build(source, blocks, output, request, options, progress)


def estimate(source: AreaSource, blocks: Sequence[Block], plan: PlanOptions) -> Estimate:
    """What a build would download, store and take, without downloading a pixel.

    The catalogue is asked about five blocks spread over the plan at most.

    Parameters
    ----------
    source, blocks, plan
        As for `build_area`.

    Raises
    ------
    RemoteError
        The catalogue does not answer.
    """
    chips = sum(len(block.chips) for block in blocks)
    pixels = chips * plan.size_px**2
    expected = source.expected(blocks)
    download = pixels * expected.bytes_per_pixel
    return Estimate(
        chips,
        len(blocks),
        expected.scenes_per_block,
        expected.asked_blocks,
        int(download),
        int(pixels * _CHIP_BYTES_PX),
        download / (ASSUMED_MB_S * 1e6) / 3600,
    )


def told(estimate_: Estimate) -> dict[str, Any]:
    """An estimate as JSON, with what it rests on."""
    return {**asdict(estimate_), "assumed_mb_s": ASSUMED_MB_S}
