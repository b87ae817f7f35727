"""Bodies for 3D printers: binary STL and 3MF."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import IO, BinaryIO, cast
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from im2dem._version import __version__
from im2dem.core.errors import UsageError
from im2dem.core.mesh import Points, Triangles

from .obj import parts, write_lines

_STL_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Target="/3D/3dmodel.model" Id="rel0" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)
_DATE = (1980, 1, 1, 0, 0, 0)  # the same body gives the same bytes


def write_stl(sink: BinaryIO, points: Points, triangles: Triangles) -> None:
    """Write a body as binary STL.

    Parameters
    ----------
    sink
        Where it goes.
    points
        Shape (n, 3), millimetres by custom (STL knows no unit), z up.
    triangles
        Shape (m, 3), turned outwards.

    Raises
    ------
    UsageError
        More faces than the format can count.

    Source
    ------
    3D Systems, StereoLithography Interface Specification (1989), section 6.5: binary format.
    """
    if len(triangles) >= 2**32:
        raise UsageError(f"an STL holds 2^32 - 1 faces, got {len(triangles)}; give a larger --max-error")
    # The header must not begin with "solid": readers take that for the text format.
    sink.write(f"im2dem {__version__}, millimetres".encode().ljust(80, b" ") + struct.pack("<I", len(triangles)))
    single = points.astype(np.float32)
    for part in parts(triangles):
        face = np.zeros(len(part), _STL_FACE)
        face["corners"] = single[part]
        a, b, c = (face["corners"][:, k].astype(np.float64) for k in range(3))
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        face["normal"] = normal / np.where(length > 0, length, 1)
        sink.write(face.tobytes())


def write_3mf(
    sink: BinaryIO, bodies: Mapping[str, tuple[Points, Triangles]], facts: Mapping[str, str] | None = None
) -> None:
    """Write bodies as 3MF, each an object of its own.

    Parameters
    ----------
    sink
        Where it goes; must be seekable.
    bodies
        Name -> points (n, 3) in millimetres, z up, and triangles (m, 3) turned outwards.
    facts
        Told in the description.

    Source
    ------
    3MF Core Specification 1.3.0 (3MF Consortium), sections 2 (package), 3.4 (model, metadata), 4.1 (mesh).
    """
    about = "; ".join(f"{key}: {value}" for key, value in (facts or {}).items())
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as package:
        for name, text in (("[Content_Types].xml", _TYPES), ("_rels/.rels", _RELATIONS)):
            package.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)
        entry = zipfile.ZipInfo("3D/3dmodel.model", _DATE)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with package.open(entry, "w", force_zip64=True) as model:
            _write_model(model, bodies, about)


def _write_model(model: IO[bytes], bodies: Mapping[str, tuple[Points, Triangles]], about: str) -> None:
    out = cast(BinaryIO, model)
    out.write(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<model unit="millimeter" xml:lang="en-US" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">\n'
        f'<metadata name="Application">im2dem {__version__}</metadata>'
        f'<metadata name="Description">{escape(about)}</metadata>\n<resources>\n'.encode()
    )
    for number, (name, (points, triangles)) in enumerate(bodies.items(), start=1):
        out.write(f'<object id="{number}" type="model" name={quoteattr(name)}><mesh><vertices>\n'.encode())
        write_lines(out, '<vertex x="%.4f" y="%.4f" z="%.4f"/>\n', points)
        out.write(b"</vertices><triangles>\n")
        write_lines(out, '<triangle v1="%d" v2="%d" v3="%d"/>\n', triangles)
        out.write(b"</triangles></mesh></object>\n")
    items = "".join(f'<item objectid="{number}"/>' for number in range(1, len(bodies) + 1))
    out.write(f"</resources>\n<build>{items}</build>\n</model>\n".encode())
