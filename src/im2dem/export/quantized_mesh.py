"""Quantized mesh: the terrain tiles of Cesium."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from im2dem.core.mesh import GridMesh, Points, vertex_normals

_MOST = 32_767
_A, _B = 6_378_137.0, 6_356_752.314245179
_E2 = 1 - (_B / _A) ** 2
_NORMALS = 1


@dataclass(frozen=True)
class TileExtent:
    """Where a tile lies, degrees of longitude and latitude on WGS 84."""

    west: float
    south: float
    east: float
    north: float


def earth_fixed(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], height_m: NDArray[np.float64]) -> Points:
    """Geocentric x, y, z of points on WGS 84, shape (n, 3), metres."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    across = _A / np.sqrt(1 - _E2 * np.sin(lat) ** 2)
    flat = (across + height_m) * np.cos(lat)
    up = (across * (1 - _E2) + height_m) * np.sin(lat)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), up], axis=1)


def placed_on_earth(mesh: GridMesh, extent: TileExtent) -> Points:
    """Geocentric x, y, z of the corners of a mesh that fills an extent, shape (n, 3), metres."""
    rows, cols = mesh.shape
    lon = extent.west + (extent.east - extent.west) * mesh.col / (cols - 1)
    lat = extent.north - (extent.north - extent.south) * mesh.row / (rows - 1)
    return earth_fixed(lon, lat, mesh.height)


def write_quantized_mesh(sink: BinaryIO, mesh: GridMesh, extent: TileExtent, normals: Points | None = None) -> None:
    """Write one tile, not compressed.

    Parameters
    ----------
    sink
        Where it goes.
    mesh
        A surface without voids whose first and last rows and columns lie on the edges of the tile, at most 65,535
        corners.
    extent
        Of the tile.
    normals
        Unit normals for the extension "octvertexnormals", shape (n, 3), geocentric; None: from this tile alone, which
        shows as a seam of light where tiles meet.

    Source
    ------
    CesiumGS/quantized-mesh specification 1.0; normals: Cigolle et al. (2014), JCGT 3(2), section 2.2 ("oct"); horizon
    point: Ring (2013), "Computing the horizon occlusion point", cesium.com.
    """
    rows, cols = mesh.shape
    low, high = float(mesh.height.min()), float(mesh.height.max())
    u = np.rint(mesh.col / (cols - 1) * _MOST).astype(np.int64)
    v = np.rint((1 - mesh.row / (rows - 1)) * _MOST).astype(np.int64)
    h = np.rint((mesh.height - low) / (high - low or 1.0) * _MOST).astype(np.int64)
    points = placed_on_earth(mesh, extent)
    if normals is None:
        normals = vertex_normals(points, mesh.triangles)
    order, triangles = _by_first_use(mesh.triangles)
    u, v, h, points = u[order], v[order], h[order], points[order]
    sink.write(_header(points, low, high))
    sink.write(struct.pack("<I", len(points)))
    for values in (u, v, h):
        step = np.diff(values, prepend=0)
        sink.write((step << 1 ^ step >> 63).astype("<u2").tobytes())  # zigzag: small steps of either sign, small codes
    sink.write(struct.pack("<I", len(triangles)) + _watermarks(triangles).astype("<u2").tobytes())
    for axis, value in ((u, 0), (v, 0), (u, _MOST), (v, _MOST)):  # west, south, east, north
        edge = np.flatnonzero(axis == value)
        edge = edge[np.argsort((v if axis is u else u)[edge])]
        sink.write(struct.pack("<I", len(edge)) + edge.astype("<u2").tobytes())
    codes = oct_encode(normals[order]).tobytes()
    sink.write(struct.pack("<BI", _NORMALS, len(codes)) + codes)


def oct_encode(normals: Points) -> NDArray[np.uint8]:
    """Unit vectors in two bytes each, shape (n, 3) to (n, 2).

    Source
    ------
    Cigolle et al. (2014), JCGT 3(2), 1-30, section 2.2.
    """
    flat = normals / np.abs(normals).sum(axis=1, keepdims=True)
    sign = np.where(flat[:, :2] >= 0, 1.0, -1.0)
    folded = np.where(flat[:, 2:] < 0, (1 - np.abs(flat[:, 1::-1])) * sign, flat[:, :2])
    return np.asarray(np.rint((np.clip(folded, -1, 1) * 0.5 + 0.5) * 255), dtype=np.uint8)


def _by_first_use(triangles: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Corners in the order in which triangles name them first, which the coding of indexes needs."""
    flat = triangles.reshape(-1)
    corners, first = np.unique(flat, return_index=True)
    order = corners[np.argsort(first)]
    number = np.zeros(int(flat.max()) + 1, dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return order.astype(np.int64), number[triangles]


def _watermarks(triangles: NDArray[np.int32]) -> NDArray[np.int64]:
    """Distance of each index from the highest one so far plus one, 0 for a new corner."""
    flat = triangles.reshape(-1).astype(np.int64)
    before = np.concatenate([[-1], np.maximum.accumulate(flat)[:-1]])
    return before + 1 - flat


def _header(points: Points, low: float, high: float) -> bytes:
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - middle, axis=1).max())
    horizon = _horizon_point(points, middle)
    return struct.pack("<3d2f4d3d", *middle, low, high, *middle, radius, *horizon)


def _horizon_point(points: Points, toward: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point along `toward` that is behind the horizon only when all points are; units of the ellipsoid's axes."""
    axes = np.array([_A, _A, _B])
    scaled = points / axes
    direction = toward / axes
    direction = direction / np.linalg.norm(direction)
    length = np.maximum(np.linalg.norm(scaled, axis=1), 1.0)
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    cosine = unit @ direction
    sine = np.linalg.norm(np.cross(unit, direction), axis=1)
    # Angle from the direction to the point, plus that from the point to where its horizon touches the ellipsoid.
    cos_beta = 1 / length
    spread = cosine * cos_beta - sine * np.sqrt(np.maximum(length**2 - 1, 0)) * cos_beta
    if (spread <= 0.01).any():  # a tile as large as a continent is never behind the horizon as a whole
        return np.asarray(direction * 100.0)
    return np.asarray(direction * float((1 / spread).max()))
