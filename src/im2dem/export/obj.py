"""Wavefront OBJ: text that every modeller reads, with a material file that names the picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from .glb import TexturedSurface, y_up

_LINES_AT_ONCE = 65_536


def write_obj(sink: BinaryIO, surface: TexturedSurface, material_file: str) -> None:
    """Write a surface: metres, y up.

    Parameters
    ----------
    sink
        Where the OBJ goes.
    surface
        Points and triangles; the picture is a file of its own here.
    material_file
        Name of the MTL file beside it, without folder.

    Source
    ------
    Wavefront, "Object Files (.obj)", Advanced Visualizer manual, appendix B1: v, vt, f; numbers count from 1, vt from
    the lower left corner of the picture.
    """
    for key, value in surface.facts.items():
        sink.write(f"# {key}: {value}\n".encode())
    sink.write(f"mtllib {material_file}\nusemtl picture\n".encode())
    uv = surface.uv * (1, -1) + (0, 1)
    write_lines(sink, "v %.4f %.4f %.4f\n", y_up(surface.points))
    write_lines(sink, "vt %.6f %.6f\n", uv)
    write_lines(sink, "f %d/%d %d/%d %d/%d\n", np.repeat(surface.triangles + 1, 2, axis=1))


def material(picture_file: str) -> str:
    """The MTL file: one material with this picture, not shiny."""
    return f"newmtl picture\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture_file}\n"


def write_lines(sink: BinaryIO, pattern: str, rows: NDArray[Any]) -> None:
    """Write each row of an array, shape (n, k), with a pattern of k places; a part of the rows in memory at a time."""
    for part in parts(rows):
        sink.write((pattern * len(part) % tuple(part.reshape(-1).tolist())).encode("ascii"))


def parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The rows of an array in portions of 65,536."""
    starts: Iterable[int] = range(0, len(rows), _LINES_AT_ONCE)
    return (rows[start : start + _LINES_AT_ONCE] for start in starts)
