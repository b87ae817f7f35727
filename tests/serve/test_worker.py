"""The real worker: real pictures, hostile ones, and what it is held to."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio

import drawing
from im2dem.pipeline.predict import PredictOptions, predict_file
from im2dem.web.serve.attempt import STAGES
from im2dem.web.serve.formats import ending_of
from im2dem.web.serve.options import Limits, ServeOptions
from im2dem.web.serve.process import COMMAND
from im2dem.web.serve.sandbox import job_environment
from im2dem.web.serve.worker import do
from serve_kit import PATIENCE_S, serving

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A server with the real worker, small limits."""
    options = ServeOptions(tmp_path_factory.mktemp("real") / "data", port=0, limits=Limits(pixels=1_000_000))
    with serving(options, COMMAND) as real:
        yield real


@contextmanager
def begun(folder, limits=None, **values):
    """A worker with an order; its standard input is open, as it is its lifeline."""
    words = {
        "folder": str(folder),
        "picture": "picture.tif",
        "name": "a scene.tif",
        "wishes": {"model": "relief-free"},
        "pixels": 10**8,
        "bytes_per_pixel": 32,
        "threads": 1,
        "resume": False,
        "limits": {"memory_bytes": 0, "seconds": 60, "threads": 1, "file_bytes": 10**9, **(limits or {})},
        **values,
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(COMMAND, env=job_environment(), text=True, **pipes) as process:
        try:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def png_header(width, height):
    """A PNG that says it is this large and holds a few bytes."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def done_here(folder, picture, monkeypatch, **values):
    """What the work on one picture tells, done in this process."""
    ending = ending_of(picture[:16])
    (folder / f"picture.{ending}").write_bytes(picture)
    monkeypatch.chdir(folder)
    told = []
    wishes = {"model": "relief-free", **values.pop("wishes", {})}
    words = {"pixels": 1_000_000, "bytes_per_pixel": 32, "threads": 1, "resume": False, "wishes": wishes, **values}
    do({"picture": f"picture.{ending}", "name": f"a scene.{ending}", **words}, told.append)
    return told


@pytest.mark.parametrize("shape", [(96, 112), (530, 600)], ids=["one tile", "tiles and overviews"])
def test_a_picture_becomes_what_im2dem_predict_makes_of_it(client, tmp_path, shape):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(*shape))
    job = client.until(client.send("scene.tif", path.read_bytes(), sun="150,35").json["id"])
    assert job["state"] == "done", job["failure"]
    assert (job["picture"]["height"], job["picture"]["width"]) == shape
    (tmp_path / "served.tif").write_bytes(client.get(job["links"]["dem"]).body)
    predict_file(path, tmp_path / "own.tif", PredictOptions(sun=(150, 35)))
    with rasterio.open(tmp_path / "served.tif") as served, rasterio.open(tmp_path / "own.tif") as own:
        assert served.descriptions == ("height", "sigma")
        assert (served.crs, served.transform, served.overviews(1)) == (own.crs, own.transform, own.overviews(1))
        # The number of threads may change the order of sums in the network: float32 rounding of heights below 100 m.
        np.testing.assert_allclose(served.read(), own.read(), atol=1e-3)
        assert served.read(1).std() > 0
    assert client.get(job["links"]["summary"]).json["shape"] == list(shape)
    page = client.get(job["links"]["view"])
    assert page.body == client.get(job["links"]["page"]).body
    assert b"<title>scene</title>" in page.body
    assert client.get(job["links"]["preview"]).body[8:12] == b"WEBP"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_requests_of_the_page_on_servers_work_as_they_stand_there(client, tmp_path):
    text = (Path(__file__).parents[2] / "docs/how-to/serve.md").read_text(encoding="utf-8")
    lines = [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("curl ")]
    assert len(lines) == 6
    drawing.draw(tmp_path / "scene.tif", drawing.colours(96, 112))
    job = ""
    for words in lines:
        here = [word.replace(":8000", f":{client.port}").replace("/ID", f"/{job}") for word in words]
        done = subprocess.run([*here, "--fail", "--silent"], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, words
        if words[-1].startswith("http") and "/jobs/" not in words[-1]:
            job = json.loads(done.stdout)["id"]
            assert client.until(job)["state"] == "done"
    assert (tmp_path / "scene-dem.tif").stat().st_size > 0


def test_a_bomb_is_refused_before_it_is_unpacked(client):
    job = client.until(client.send("bomb.png", png_header(60_000, 60_000)).json["id"])
    assert (job["state"], job["failure"]["code"]) == ("failed", "pixels")
    assert "bomb.png: has 60,000 x 60,000 = 3,600 million pixels" in job["failure"]["message"]
    assert job["links"]["preview"] is None


@pytest.mark.parametrize("ending", ["png", "jp2", "jpg", "webp"])
def test_every_format_that_is_let_in_is_read(tmp_path, monkeypatch, ending):
    path = drawing.draw(tmp_path / f"scene.{ending}", drawing.colours(40, 48))
    told = done_here(tmp_path, path.read_bytes(), monkeypatch, wishes={"gsd_m": 10.0} if ending != "jp2" else {})
    assert "result" in told[-1], told[-1]
    assert told[1]["picture"]["gsd_m"] == pytest.approx(10, rel=1e-3)  # of the map's metre, in a corner of its zone
    stages = [message["stage"] for message in told if "stage" in message]
    assert stages == sorted(stages, key=list(STAGES).index)
    assert set(stages) == set(STAGES)
    for name in ("dem.tif", "dem.tif.json", "page.html", "preview.webp"):
        assert (tmp_path / name).stat().st_size > 0


def wrong_offsets():
    """A TIFF whose strip offsets are of a type that none can have: GDAL complains late, and rasterio under a name of
    its own."""
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", width=48, height=40, count=3, dtype="uint8", crs="EPSG:32634",
                         transform=drawing.UTM_TRANSFORM) as file:  # fmt: skip
            file.write(drawing.colours(40, 48))
        data = bytearray(memory.getbuffer())
    at = data.index(struct.pack("<H", 273))  # the tag StripOffsets; its type follows
    data[at + 2 : at + 4] = struct.pack("<H", 2)  # text
    return bytes(data)


@pytest.mark.parametrize(
    "picture",
    [
        b"II*\0" + bytes(200),
        b"II*\0<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>",
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),
        b"\xff\x4f\xff\x51" + bytes(99),
        b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50),
        b"\xff\xd8\xff\xe0" + bytes(50),
        wrong_offsets(),
        png_header(900, 1),
        png_header(900, 900)[:60],
        png_header(900, 900),  # complete, but with a thousandth of its pixels
    ],
    ids=["tif", "vrt", "jp2", "j2k", "webp", "jpg", "offsets", "line", "cut png", "short png"],
)
def test_broken_pictures_are_told_failed(tmp_path, monkeypatch, picture):
    failure = done_here(tmp_path, picture, monkeypatch)[-1]["failure"]
    assert failure["code"] == "input", failure
    assert "a scene." in failure["message"]
    for secret in (str(tmp_path), "picture.tif", "VRT,"):
        assert secret not in failure["message"]


def test_a_truncated_picture_is_told_failed(tmp_path, monkeypatch):
    whole = drawing.draw(tmp_path / "scene.tif", drawing.colours(200, 200)).read_bytes()
    assert done_here(tmp_path, whole[: len(whole) * 2 // 3], monkeypatch)[-1]["failure"]["code"] == "input"


def test_too_many_bands_are_refused_by_what_they_unpack_to(tmp_path, monkeypatch):
    path = drawing.draw(tmp_path / "many.tif", np.ones((40, 20, 20), np.uint16), compress="deflate")
    failure = done_here(tmp_path, path.read_bytes(), monkeypatch, pixels=400)[-1]["failure"]
    assert failure["code"] == "pixels"
    assert "40 bands" in failure["message"]


@pytest.mark.parametrize(("wishes", "words"), [({"bands": [7, 8, 9]}, "no band 7"), ({"gsd_m": 10.0}, "georeferenced")])
def test_wishes_that_the_picture_contradicts_are_told(tmp_path, monkeypatch, wishes, words):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(64, 64))
    failure = done_here(tmp_path, path.read_bytes(), monkeypatch, wishes=wishes)[-1]["failure"]
    assert failure["code"] == "usage"
    assert words in failure["message"]
    assert "--" not in failure["message"]


def test_a_warning_of_the_library_becomes_a_note(tmp_path, monkeypatch):
    path = drawing.draw(tmp_path / "scene.tif", drawing.colours(40, 40), transform=drawing.DEGREES, crs=None)
    told = done_here(tmp_path, path.read_bytes(), monkeypatch, wishes={"gsd_m": 0.5})
    notes = [message["note"] for message in told if "note" in message]
    assert any("learned from" in note for note in notes), notes


@linux
def test_memory_is_limited(tmp_path):
    drawing.draw(tmp_path / "picture.tif", np.full((3, 5000, 5000), 9, np.uint8), compress="deflate")
    with begun(tmp_path, limits={"memory_bytes": 250_000_000}) as process:
        told = [json.loads(line) for line in process.stdout]
    # Python says so; a library may also end the process, which the server tells as "crashed".
    assert "result" not in told[-1]
    assert "failure" not in told[-1] or told[-1]["failure"]["code"] == "memory", told[-1]


def test_the_worker_ends_with_its_server(tmp_path):
    drawing.draw(tmp_path / "picture.tif", drawing.colours(2000, 2000))
    with begun(tmp_path, pixels=10**9) as process:
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 7


def in_sandbox(code, *words):
    """What a program prints in the surroundings of a job."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=job_environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_job_sees_no_credentials(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("IM2DEM_SERVE_TOKEN", "a token")
    job_environment.cache_clear()
    assert "a secret" not in job_environment().values()
    assert "a token" not in job_environment().values()
    job_environment.cache_clear()


def test_a_job_has_only_the_readers_it_needs_and_opens_no_address():
    code = """
import sys, rasterio
with rasterio.Env() as env:
    print(*sorted(env.drivers()))
for name in ("/vsicurl/{}/a.tif", "{}/a.tif", "/vsicurl_streaming/{}/a.tif", "/vsis3/b/a", "/vsigzip//vsicurl/{}/a"):
    try:
        rasterio.open(name.format(sys.argv[1]))
        print("opened", name)
    except rasterio.errors.RasterioIOError:
        pass
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        said = in_sandbox(code, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(TimeoutError):  # nobody came
            listener.accept()
    assert said.split() == ["COG", "GTiff", "JP2OpenJPEG", "JPEG", "MEM", "PNG", "WEBP"]


@pytest.mark.skipif(os.name != "posix", reason="limits as POSIX has them")
def test_limits_are_set_and_cannot_be_raised():
    code = """
from im2dem.web.serve.sandbox import hold
import resource as r, tempfile
hold({"memory_bytes": 10**9, "seconds": 10, "threads": 2, "file_bytes": 5000})
print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE), r.getrlimit(r.RLIMIT_CPU))
with tempfile.TemporaryFile(buffering=0) as file:
    file.write(bytes(5000))
    try:
        file.write(bytes(1))
    except OSError as error:
        print(error.errno == __import__("errno").EFBIG)
"""
    assert in_sandbox(code).splitlines() == ["(0, 0) (5000, 5000) (80, 80)", "True"]
