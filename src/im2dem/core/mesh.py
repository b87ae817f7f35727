"""Triangles from a height model: surfaces with a bound on their error, and solid bodies without a leak.

A surface has its corners at pixel centres and nothing over pixels without data. `GridMesh.placed` brings it to metres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import NoDataError, UsageError
from .rtin import LARGEST_BLOCK_PX, bounded_triangles

Points = NDArray[np.float64]
Triangles = NDArray[np.int32]
Axis = tuple[float, float]


@dataclass(frozen=True, eq=False)
class GridMesh:
    """A surface whose corners are pixels.

    Parameters
    ----------
    row, col
        Shape (n,), pixels.
    height
        Shape (n,), metres.
    triangles
        Shape (m, 3), corners by number, counter-clockwise seen from above when rows run south and columns east.
    shape
        (height, width) of the raster, pixels.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    height: Points
    triangles: Triangles
    shape: tuple[int, int]

    @property
    def uv(self) -> NDArray[np.float64]:
        """Where in the picture each corner is, shape (n, 2), 0..1 from its left and upper edge to the other ones."""
        rows, cols = self.shape
        return np.stack([(self.col + 0.5) / cols, (self.row + 0.5) / rows], axis=1)

    def part(self, rows: tuple[int, int], cols: tuple[int, int]) -> GridMesh:
        """The triangles that lie between two rows and two columns, both included; corners keep their place.

        Neighbouring parts fit when no triangle crosses the line between them, see `block_px` of `bounded_mesh`.

        Raises
        ------
        NoDataError
            There is no triangle.
        """
        r, c = self.row[self.triangles], self.col[self.triangles]
        inside = (r.min(1) >= rows[0]) & (r.max(1) <= rows[1]) & (c.min(1) >= cols[0]) & (c.max(1) <= cols[1])
        if not inside.any():
            raise NoDataError(
                f"no surface in rows {rows[0]} to {rows[1]} and columns {cols[0]} to {cols[1]}; cut fewer tiles"
            )
        kept, number = np.unique(self.triangles[inside], return_inverse=True)
        triangles = number.reshape(-1, 3).astype(np.int32)
        return GridMesh(self.row[kept], self.col[kept], self.height[kept], triangles, self.shape)

    def blocks(self, side: int) -> Iterator[tuple[int, int, NDArray[np.int64], GridMesh]]:
        """The surface cut into squares at rows and columns that are multiples of `side`, see `block_px`.

        Yields
        ------
        Row and column of the square; the numbers that its corners have in the whole, shape (k,); and its own mesh,
        with rows and columns counted from its upper left corner. Squares without a triangle are left out. Neighbours
        have the same corners on the edge that they share.
        """
        across = -(-(self.shape[1] - 1) // side)
        square = self.row[self.triangles].min(axis=1) // side * across + self.col[self.triangles].min(axis=1) // side
        order = np.argsort(square, kind="stable")
        found, starts = np.unique(square[order], return_index=True)
        for number, own in zip(found, np.split(self.triangles[order], starts[1:]), strict=True):
            row, col = divmod(int(number), across)
            corners, renumbered = np.unique(own, return_inverse=True)
            part = GridMesh(
                self.row[corners] - row * side, self.col[corners] - col * side, self.height[corners],
                renumbered.reshape(-1, 3).astype(np.int32), (side + 1, side + 1),
            )  # fmt: skip
            yield row, col, corners.astype(np.int64), part

    def placed(self, col_axis: Axis, row_axis: Axis, z_factor: float = 1.0) -> tuple[Points, Triangles]:
        """Corners in metres around the middle of the raster, and the triangles.

        Parameters
        ----------
        col_axis, row_axis
            (east, north) that one column and one row lead on the ground, metres.
        z_factor
            Heights are multiplied by this.

        Returns
        -------
        Points (n, 3): east, north, up, metres; triangles (m, 3), counter-clockwise seen from above whichever way
        the axes run.
        """
        rows, cols = self.shape
        c, r = self.col - (cols - 1) / 2, self.row - (rows - 1) / 2
        east = c * col_axis[0] + r * row_axis[0]
        north = c * col_axis[1] + r * row_axis[1]
        mirrored = col_axis[0] * row_axis[1] - col_axis[1] * row_axis[0] > 0
        triangles = self.triangles[:, ::-1] if mirrored else self.triangles
        return np.stack([east, north, self.height * z_factor], axis=1), np.ascontiguousarray(triangles)


def regular_mesh(dem: NDArray[np.floating]) -> GridMesh:
    """Two triangles for every four neighbouring pixels, one where one of the four has no data.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data.

    Raises
    ------
    UsageError
        Fewer than 2 x 2 pixels.
    NoDataError
        No three neighbours with data.
    """
    _check(dem)
    valid = np.isfinite(dem)
    pixel = np.arange(dem.size).reshape(dem.shape)
    nw, ne, sw, se = pixel[:-1, :-1], pixel[:-1, 1:], pixel[1:, :-1], pixel[1:, 1:]
    no_nw, no_ne, no_sw, no_se = (~valid.reshape(-1)[corner] for corner in (nw, ne, sw, se))
    missing = no_nw.astype(np.int8) + no_ne + no_sw + no_se
    full, lone = missing == 0, missing == 1
    parts = [
        (full | (lone & no_se), (nw, sw, ne)),
        (full | (lone & no_nw), (sw, se, ne)),
        (lone & no_sw, (nw, se, ne)),
        (lone & no_ne, (nw, sw, se)),
    ]
    return _compact(dem, np.concatenate([np.stack([c[where] for c in corners], axis=1) for where, corners in parts]))


def bounded_mesh(dem: NDArray[np.floating], max_error_m: float, block_px: int = LARGEST_BLOCK_PX) -> GridMesh:
    """As few triangles as right-angled halving needs to stay within `max_error_m` of every pixel.

    Parameters
    ----------
    dem
        Heights, shape (row, col), metres; NaN = no data. Edges of voids, and the lower and right edge of a raster
        whose sides are no multiples of 256 plus 1, are followed pixel by pixel.
    max_error_m
        Largest vertical distance of a pixel from the surface over it, metres, at least 0.
    block_px
        A power of two. The mesh can be cut without a gap at rows and columns that are multiples of it, see
        `GridMesh.part`.

    Raises
    ------
    UsageError
        Fewer than 2 x 2 pixels, or a bound that is negative or not a number.
    NoDataError
        No three neighbours with data.

    Source
    ------
    See `rtin.bounded_triangles`.
    """
    _check(dem)
    if not (math.isfinite(max_error_m) and max_error_m >= 0):
        raise UsageError(f"the largest error of a mesh must be 0 m or more, got {max_error_m}")
    return _compact(dem, bounded_triangles(dem, max_error_m, block_px))


def _check(dem: NDArray[np.floating]) -> None:
    if dem.ndim != 2 or min(dem.shape) < 2:
        raise UsageError(f"a surface needs at least 2 x 2 pixels, got heights of shape {dem.shape}")


def _compact(dem: NDArray[np.floating], corners: NDArray[np.int64]) -> GridMesh:
    if len(corners) == 0:
        raise NoDataError(
            f"no three neighbours among {dem.shape[0]} x {dem.shape[1]} pixels have heights, so there is no surface; "
            "check the nodata value, or give a height model with valid pixels"
        )
    used = np.zeros(dem.size, dtype=np.bool_)
    used[corners.reshape(-1)] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    pixels = np.flatnonzero(used)
    row, col = np.divmod(pixels, dem.shape[1])
    height = dem.reshape(-1)[pixels].astype(np.float64)
    return GridMesh(row, col, height, number[corners].astype(np.int32), (dem.shape[0], dem.shape[1]))


def boundary_edges(triangles: Triangles) -> Triangles:
    """Edges that belong to one triangle only, in the direction in which it runs through them.

    Parameters
    ----------
    triangles
        Shape (m, 3), all turning the same way.

    Returns
    -------
    Shape (k, 2), corners by number.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    base = int(triangles.max(initial=0)) + 1
    forth, back = edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0]
    return np.asarray(edges[~np.isin(forth, back)], dtype=np.int32)


def without_pinches(triangles: Triangles) -> Triangles:
    """The triangles without those that touch others in a single point of the rim.

    A wall under such a point would belong to four faces, and a body like that cannot be printed. Taking triangles away
    may make new points of this kind, so it goes on until there are none.
    """
    while True:
        starts = boundary_edges(triangles)[:, 0]
        corner, count = np.unique(starts, return_counts=True)
        pinched = corner[count > 1]
        if len(pinched) == 0:
            return triangles
        triangles = triangles[~np.isin(triangles, pinched).any(axis=1)]


def solid(points: Points, triangles: Triangles, base_z: float) -> tuple[Points, Triangles]:
    """A closed body: the surface, walls under its rim, and a level bottom.

    Parameters
    ----------
    points
        Shape (n, 3): east, north, up, any unit.
    triangles
        Shape (m, 3), counter-clockwise seen from above.
    base_z
        Height of the bottom, below every point.

    Returns
    -------
    Points (p, 3) and triangles (q, 3) turned outwards; every edge belongs to exactly two triangles.

    Raises
    ------
    UsageError
        The bottom is not below the surface.
    NoDataError
        Nothing is left after points that cannot be closed were taken away, see `without_pinches`.
    """
    triangles = without_pinches(triangles)
    if len(triangles) == 0:
        raise NoDataError("valid pixels touch in single points only; there is no body to close")
    points, triangles = _used(points, triangles)
    if not base_z < points[:, 2].min():
        raise UsageError(f"the bottom at {base_z:g} must lie below the lowest point at {points[:, 2].min():g}")
    edges = boundary_edges(triangles)
    count = len(points)
    below: NDArray[np.integer]
    if _is_box_rim(points, edges):
        rim, at = np.unique(edges, return_inverse=True)
        below = count + at.reshape(edges.shape)
        middle = count + len(rim)
        floor = np.concatenate([points[rim], [(points[rim].min(axis=0) + points[rim].max(axis=0)) / 2]])
        bottom = np.stack([below[:, 1], below[:, 0], np.full(len(edges), middle)], axis=1)
    else:  # the bottom repeats the surface: right for every outline and every hole
        floor = points.copy()
        below = edges + count
        bottom = triangles[:, ::-1] + count
    floor[:, 2] = base_z
    return np.concatenate([points, floor]), np.concatenate([triangles, _walls(edges, below), bottom]).astype(np.int32)


def with_skirt(points: Points, triangles: Triangles, depth: float) -> tuple[Points, Triangles]:
    """The surface with walls of this depth under its rim, which hide gaps between neighbouring surfaces.

    Parameters
    ----------
    points, triangles
        As in `solid`.
    depth
        In the unit of the points, above 0.

    Returns
    -------
    Points (n + k, 3): the old ones, then one under each point of the rim; triangles, old ones first.
    """
    edges = boundary_edges(triangles)
    rim, at = np.unique(edges, return_inverse=True)
    low = points[rim].copy()
    low[:, 2] -= depth
    walls = _walls(edges, len(points) + at.reshape(edges.shape))
    return np.concatenate([points, low]), np.concatenate([triangles, walls]).astype(np.int32)


def vertex_normals(points: Points, triangles: Triangles) -> Points:
    """Unit normals, shape (n, 3): the mean of the faces around a point, each weighted by its area.

    Points of no face look up.
    """
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(triangles.reshape(-1), np.repeat(face[:, k], 3), minlength=len(points)) for k in range(3)],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1), (0.0, 0.0, 1.0))


def _walls(edges: Triangles, below: NDArray[np.integer]) -> NDArray[np.int64]:
    start, end, low_start, low_end = edges[:, 0], edges[:, 1], below[:, 0], below[:, 1]
    one = np.stack([end, start, low_start], axis=1)
    other = np.stack([end, low_start, low_end], axis=1)
    return np.concatenate([one, other]).astype(np.int64)


def _used(points: Points, triangles: Triangles) -> tuple[Points, Triangles]:
    kept, number = np.unique(triangles, return_inverse=True)
    return points[kept], number.reshape(triangles.shape).astype(np.int32)


def _is_box_rim(points: Points, edges: Triangles) -> bool:
    """True when the rim is one closed line around a parallelogram: its middle then sees every edge from inside."""
    ground = points[:, :2]
    a, b = ground[edges[:, 0]], ground[edges[:, 1]]
    step = b - a
    turn = np.unique(np.round(np.degrees(np.arctan2(step[:, 1], step[:, 0])), 6) % 360.0 % 180.0)
    rim = ground[np.unique(edges)]
    middle = (rim.min(axis=0) + rim.max(axis=0)) / 2
    to_a = a - middle
    seen = to_a[:, 0] * step[:, 1] - to_a[:, 1] * step[:, 0] > 0
    once = len(np.unique(edges[:, 0])) == len(edges)
    # A second rim would be that of a hole, which turns the other way and fails `seen`; four corners make one outline.
    return bool(once and len(turn) == 2 and seen.all())
