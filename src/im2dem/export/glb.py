"""GLB: one textured surface in one binary glTF 2.0 file."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from im2dem._version import __version__
from im2dem.core.errors import UsageError
from im2dem.core.mesh import Points, Triangles, vertex_normals

_FLOAT, _UINT = 5126, 5125
_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_LARGEST = 2**32 - 1


@dataclass(frozen=True, eq=False)
class TexturedSurface:
    """What a model file needs.

    Parameters
    ----------
    points
        Shape (n, 3): east, north, up, metres.
    triangles
        Shape (m, 3), counter-clockwise seen from above.
    uv
        Shape (n, 2), 0..1 from the left and the upper edge of the picture.
    picture_jpeg
        The picture, encoded.
    facts
        Said in the file: what the heights are, where it lies. Values that JSON can hold.
    """

    points: Points
    triangles: Triangles
    uv: NDArray[np.float64]
    picture_jpeg: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


def y_up(points: Points) -> NDArray[np.float32]:
    """East, north, up -> x = east, y = up, z = south, shape (n, 3): right-handed, as glTF wants it."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1).astype(np.float32)


def write_glb(sink: BinaryIO, surface: TexturedSurface) -> None:
    """Write a surface as GLB: metres, y up, normals, one opaque material that is not shiny.

    Parameters
    ----------
    sink
        Where it goes.
    surface
        Points, triangles, picture.

    Raises
    ------
    UsageError
        The file would pass 4 GiB, the most that GLB can say.

    Source
    ------
    glTF 2.0 specification (Khronos, ISO/IEC 12113:2022), sections 3.6 (binary data), 3.7 (geometry), 4.4 (GLB).
    """
    position = y_up(surface.points)
    normal = y_up(vertex_normals(surface.points, surface.triangles))
    # Single precision: readers are about that forget to divide 16-bit coordinates by 65535.
    uv = surface.uv.astype(np.float32)
    blocks = [
        (position.tobytes(), _VERTEX_DATA),
        (normal.tobytes(), _VERTEX_DATA),
        (uv.tobytes(), _VERTEX_DATA),
        (surface.triangles.astype("<u4").tobytes(), _INDEX_DATA),
        (surface.picture_jpeg, None),
    ]
    views, offset = [], 0
    for content, target in blocks:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": offset, "byteLength": len(content)}
        views.append(view | ({"target": target} if target else {}))
        offset += _padded(len(content))
    count = len(position)
    accessors: list[dict[str, Any]] = [
        {"bufferView": 0, "componentType": _FLOAT, "count": count, "type": "VEC3",
         "min": position.min(axis=0).tolist(), "max": position.max(axis=0).tolist()},
        {"bufferView": 1, "componentType": _FLOAT, "count": count, "type": "VEC3"},
        {"bufferView": 2, "componentType": _FLOAT, "count": count, "type": "VEC2"},
        {"bufferView": 3, "componentType": _UINT, "count": surface.triangles.size, "type": "SCALAR"},
    ]  # fmt: skip
    document = json.dumps(_document(views, accessors, offset, surface.facts), separators=(",", ":")).encode()
    document += b" " * (_padded(len(document)) - len(document))
    total = 12 + 8 + len(document) + 8 + offset
    if total > _LARGEST:
        raise UsageError(
            f"a GLB holds at most 4 GiB, this surface takes {total / 2**30:.1f}; give a larger --max-error"
        )
    sink.write(struct.pack("<4sII", b"glTF", 2, total))
    sink.write(struct.pack("<I4s", len(document), b"JSON") + document)
    sink.write(struct.pack("<I4s", offset, b"BIN\0"))
    for content, _ in blocks:
        sink.write(content + b"\0" * (_padded(len(content)) - len(content)))


def _padded(length: int) -> int:
    return -(-length // 4) * 4


def _document(
    views: list[dict[str, Any]], accessors: list[dict[str, Any]], length: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    material = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    return {
        "asset": {"version": "2.0", "generator": f"im2dem {__version__}", "extras": dict(facts)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "terrain"}],
        "meshes": [
            {"primitives": [
                {"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3, "material": 0}
            ]}
        ],
        "materials": [{"name": "picture", "pbrMetallicRoughness": material}],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": len(views) - 1, "mimeType": "image/jpeg"}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": length}],
    }  # fmt: skip
