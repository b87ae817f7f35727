"""GLB, OBJ, STL and 3MF: read back by trimesh, judged by the Khronos validator."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from im2dem.core import mesh
from im2dem.core.errors import UsageError
from im2dem.export.glb import TexturedSurface, write_glb
from im2dem.export.obj import material, write_obj
from im2dem.export.picture import jpeg, tinted_relief
from im2dem.export.print3d import write_3mf, write_stl
from node_kit import run_node

VALIDATE = """
const fs = require("fs");
require("gltf-validator").validateBytes(new Uint8Array(fs.readFileSync(0))).then(
  report => process.stdout.write(JSON.stringify(report)), error => { console.error(error); process.exit(1); });
"""


def heights(shape=(40, 50)):
    row, col = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return (200 + 80 * np.sin(row / 7) * np.cos(col / 9)).astype(np.float32)


def surface(z_factor=1.0, picture=None):
    z = heights()
    made = mesh.bounded_mesh(z, 2.0)
    points, triangles = made.placed((10, 0), (0, -10), z_factor)
    rgb = tinted_relief(z, (10, 10)) if picture is None else picture
    return TexturedSurface(points, triangles, made.uv, jpeg(rgb), {"heights": "relative", "unit": "metre"})


def glb_bytes(one):
    sink = io.BytesIO()
    write_glb(sink, one)
    return sink.getvalue()


def test_glb_layout_and_facts():
    content = glb_bytes(surface())
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert (size % 4, kind) == (0, b"JSON")
    document = json.loads(content[20 : 20 + size])
    assert document["asset"]["extras"] == {"heights": "relative", "unit": "metre"}
    # Y is up: the second coordinate spans the heights, the third runs from north (-) to south (+).
    low, high = document["accessors"][0]["min"], document["accessors"][0]["max"]
    assert (low[0], high[0]) == (-245, 245)
    assert (low[2], high[2]) == (-195, 195)
    assert 120 <= low[1] < 140
    assert 260 < high[1] <= 280


def test_khronos_validator_accepts_the_glb():
    report = json.loads(run_node("gltf-validator", VALIDATE, glb_bytes(surface())))
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)
    # A remark, not a fault: glTF 2.0 allows pictures of any size.
    assert {message["code"] for message in report["issues"]["messages"]} <= {"IMAGE_NPOT_DIMENSIONS"}
    assert report["info"]["totalTriangleCount"] == len(surface().triangles)
    assert report["info"]["resources"][1]["mimeType"] == "image/jpeg"


def test_trimesh_reads_the_glb_and_its_picture_lies_right():
    trimesh = pytest.importorskip("trimesh", reason="trimesh (extra test) reads the models back")
    picture = np.zeros((40, 50, 3), np.uint8)
    picture[:20, 25:] = (250, 0, 0)  # the north-eastern quarter is red
    one = surface(picture=picture)
    scene = trimesh.load(io.BytesIO(glb_bytes(one)), file_type="glb")
    (read,) = scene.geometry.values()
    assert len(read.faces) == len(one.triangles)
    assert (read.vertex_normals[:, 1] > 0).all()
    image = np.asarray(read.visual.material.baseColorTexture)
    # trimesh counts v from below; 16 bits of a texture coordinate are far finer than a pixel.
    uv = read.visual.uv
    colour = image[np.clip(((1 - uv[:, 1]) * 40).astype(int), 0, 39), np.clip((uv[:, 0] * 50).astype(int), 0, 49)]
    x, z = read.vertices[:, 0], read.vertices[:, 2]
    far = (np.abs(x) > 40) & (np.abs(z) > 40)  # away from the border, where JPEG mixes colours
    np.testing.assert_array_equal((colour[far][:, 0] > 128), (x[far] > 0) & (z[far] < 0))


def test_obj_names_its_material_and_reads_back():
    trimesh = pytest.importorskip("trimesh", reason="trimesh (extra test) reads the models back")
    one = surface()
    sink = io.BytesIO()
    write_obj(sink, one, "hill.mtl")
    text = sink.getvalue().decode()
    assert "mtllib hill.mtl\n" in text
    assert "# heights: relative\n" in text
    assert "map_Kd hill.jpg" in material("hill.jpg")
    read = trimesh.load(io.StringIO(text), file_type="obj", process=False)
    assert len(read.faces) == len(one.triangles)
    # Four digits after the point.
    np.testing.assert_allclose(np.ptp(read.vertices, axis=0), np.ptp(one.points, axis=0)[[0, 2, 1]], atol=1e-3)


@pytest.mark.parametrize("kind", ["stl", "3mf"])
@pytest.mark.parametrize("holes", [False, True])
def test_prints_are_watertight_with_the_right_volume(kind, holes):
    trimesh = pytest.importorskip("trimesh", reason="trimesh (extra test) reads the models back")
    if kind == "3mf":
        pytest.importorskip("networkx", reason="trimesh reads 3MF with networkx")
        pytest.importorskip("lxml", reason="trimesh reads 3MF with lxml")
    z = heights()
    if holes:
        z[10:15, 20:24] = np.nan
        z[14, 24] = z[30, 30] = np.nan
    points, triangles = mesh.regular_mesh(z).placed((0.5, 0), (0, -0.5), 0.05)
    body = mesh.solid(points, triangles, -3.0)
    sink = io.BytesIO()
    if kind == "stl":
        write_stl(sink, *body)
    else:
        write_3mf(sink, {"hill <1>": body}, {"scale": "1:20000"})
    sink.seek(0)
    read = trimesh.load(sink, file_type=kind)
    read = read.to_mesh() if kind == "3mf" else read
    assert read.is_watertight
    assert read.is_winding_consistent
    a, b, c = (body[0][body[1][:, k]] for k in range(3))
    expected = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    # STL holds single precision, 3MF four digits after the point: a 1e-5 share of some millimetres.
    assert read.volume == pytest.approx(expected, rel=1e-4)
    assert read.volume > 0


def test_3mf_speaks_of_millimetres():
    sink = io.BytesIO()
    points, triangles = mesh.regular_mesh(heights((3, 3))).placed((1, 0), (0, -1))
    write_3mf(sink, {"a": mesh.solid(points, triangles, -1)}, {"heights": "relative & more"})
    with zipfile.ZipFile(sink) as package:
        assert package.testzip() is None
        root = ElementTree.fromstring(package.read("3D/3dmodel.model"))
    assert root.attrib["unit"] == "millimeter"
    assert any("relative & more" in (element.text or "") for element in root)


def test_the_same_body_gives_the_same_bytes():
    points, triangles = mesh.regular_mesh(heights((9, 9))).placed((1, 0), (0, -1))
    body = mesh.solid(points, triangles, -1)
    for write in (lambda s: write_stl(s, *body), lambda s: write_3mf(s, {"a": body})):
        one, two = io.BytesIO(), io.BytesIO()
        write(one)
        write(two)
        assert one.getvalue() == two.getvalue()


def test_stl_faces_look_outwards():
    points, triangles = mesh.regular_mesh(heights((6, 6))).placed((1, 0), (0, -1))
    sink = io.BytesIO()
    write_stl(sink, *mesh.solid(points, triangles, -1))
    content = sink.getvalue()
    assert not content.startswith(b"solid")
    (count,) = struct.unpack_from("<I", content, 80)
    assert len(content) == 84 + 50 * count
    normals = np.frombuffer(content[84:], np.dtype([("n", "<f4", 3), ("rest", "V38")]))["n"]
    assert (normals[: len(triangles), 2] > 0).all()
    assert (normals[-20:, 2] == -1).all()  # the bottom is written last


def test_glb_too_large_for_its_format(monkeypatch):
    monkeypatch.setattr("im2dem.export.glb._LARGEST", 1000)
    with pytest.raises(UsageError, match="--max-error"):
        glb_bytes(surface())


def test_gaps_are_black_in_a_tinted_relief():
    hole = heights((9, 9))
    hole[3, 3] = np.nan
    assert (tinted_relief(hole, (10, 10))[3, 3] == 0).all()
