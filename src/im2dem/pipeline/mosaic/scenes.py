"""The scenes of a mosaic, what their headers say of them, and which blocks they reach."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyproj import CRS

from im2dem.core.errors import GridMismatchError, NoDataError
from im2dem.core.grid import Window
from im2dem.io.geotiff import open_reader

from .world import Block, World


@dataclass(frozen=True)
class Scene:
    """A picture of a mosaic, known by its header alone.

    Parameters
    ----------
    path
        As GDAL opens it.
    window
        Its pixels in the world.
    fingerprint
        Changes when the file does.
    sun
        (azimuth, elevation) as the file tells, degrees, or None.
    seen
        When it was taken (UTC, ISO 8601); when the file was changed where that is not told.
    """

    path: str
    window: Window
    fingerprint: str
    sun: tuple[float, float] | None
    seen: str


@dataclass(frozen=True)
class Task:
    """A block that is to be predicted, and the scenes that reach it or its halo, the lowest first."""

    block: Block
    scenes: tuple[Scene, ...]


def open_scenes(
    paths: Sequence[str], bands: tuple[int, ...] | None, block_px: int, halo_px: int
) -> tuple[World, tuple[Scene, ...]]:
    """Where the pictures lie; only their headers are read.

    Raises
    ------
    GridMismatchError
        Several reference systems, pixel sizes or pixel grids, or a picture without a place on Earth.
    NotAnImageError
        One cannot be read.
    NoDataError
        There is none.
    """
    world: World | None = None
    its_crs: CRS | None = None
    found: list[Scene] = []
    for path in paths:
        with open_reader(path, bands=bands) as reader:
            grid, info = reader.grid, reader.info
            fingerprint = reader.fingerprint
        if world is None:
            world = World.of(grid, path, block_px, halo_px)
            its_crs = CRS.from_user_input(world.crs)
        elif grid.crs != world.crs and (grid.crs is None or CRS.from_user_input(grid.crs) != its_crs):
            raise GridMismatchError(
                f"{path}: its reference system is {_short(grid.crs)}, that of {paths[0]} is {_short(world.crs)}; a "
                f"mosaic has one: warp the others (gdalwarp -t_srs {_short(world.crs)} -tap) or run one mosaic for each"
            )
        sun = None
        if info.sun_azimuth_deg is not None and info.sun_elevation_deg is not None:
            sun = info.sun_azimuth_deg, info.sun_elevation_deg
        seen = info.acquired or _changed(path)
        found.append(Scene(path, world.place(grid, path), fingerprint, sun, seen.strftime("%Y-%m-%dT%H:%M:%SZ")))
    if world is None:
        raise NoDataError("a mosaic needs at least one scene, got none")
    return world, tuple(found)


def tasks(world: World, scenes: Sequence[Scene], wanted: Window | None) -> Iterator[Task]:
    """Blocks that hold a pixel of a scene and of the part that is wanted, from north to south; made as they are taken.

    Parameters
    ----------
    world, scenes
        From `open_scenes`.
    wanted
        In pixels of the world; None: everything.
    """
    parts = [part for s in scenes if (part := s.window if wanted is None else s.window.intersection(wanted))]
    if not parts:
        return
    rows = range(min(p.row_off for p in parts) // world.block_px, -(-max(p.row_stop for p in parts) // world.block_px))
    for row in rows:
        band = world.core(Block(row, 0))
        here = [p for p in parts if p.row_off < band.row_stop and p.row_stop > band.row_off]
        columns = sorted({col for p in here for col in world.block_range(p)[1]})
        halo = world.haloed(Block(row, 0))
        near = [s for s in scenes if s.window.row_off < halo.row_stop and s.window.row_stop > halo.row_off]
        for col in columns:
            window = world.haloed(Block(row, col))
            yield Task(Block(row, col), tuple(s for s in near if s.window.intersection(window)))


def count_tasks(world: World, scenes: Sequence[Scene], wanted: Window | None) -> int:
    """How many `tasks` there are, without keeping one."""
    return sum(1 for _ in tasks(world, scenes, wanted))


def _changed(path: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(os.stat(path).st_mtime), UTC)
    except OSError:
        return datetime(1970, 1, 1, tzinfo=UTC)  # not a file of this machine, and it does not say


def _short(crs: str | None) -> str:
    if crs is None:
        return "unknown"
    authority = CRS.from_user_input(crs).to_authority()
    return ":".join(authority) if authority else crs[:40]
