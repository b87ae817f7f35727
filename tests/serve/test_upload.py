"""Bodies of requests: any chunks give the same file, and nothing but a refusal comes of anything else."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from im2dem.web.serve.options import Limits
from im2dem.web.serve.problems import RefusedError
from im2dem.web.serve.upload import drain, receive
from serve_kit import PNG, form, needs_serve

needs_serve()


def take(body, kind, query=None, most=10_000, sizes=(65536,)):
    """(upload, bytes of the file) of a body that comes in pieces of these sizes, in turn."""

    async def pieces():
        position, turn = 0, 0
        while position < len(body):
            size = sizes[turn % len(sizes)]
            yield body[position : position + size]
            position, turn = position + size, turn + 1

    with tempfile.TemporaryDirectory() as name:
        upload = asyncio.run(receive(pieces(), kind, query or {}, Path(name), Limits(upload_bytes=most)))
        files = list(Path(name).iterdir())
        assert [file.name for file in files] == [f"picture.{upload.ending}"]
        return upload, files[0].read_bytes()


def outcome(body, kind):
    """(201, bytes of the file), or (status of the refusal, nothing); any other exception is a fault."""
    try:
        return 201, take(body, kind, sizes=(37,))[1]
    except RefusedError as refused:
        return int(refused.status), b""


@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_chunks_do_not_matter(tail, sizes):
    picture = PNG + tail + b"\r\n--"  # the beginning of a border inside the picture is part of the picture
    body, kind = form(picture, "a b.png", {"sun": "150,35"})
    upload, stored = take(body, kind, sizes=sizes)
    assert stored == picture
    assert (upload.name, upload.ending, upload.size_bytes) == ("a b.png", "png", len(picture))
    assert upload.fields == {"sun": "150,35"}
    assert take(picture, "image/png", {"name": "x.png", "gsd": "3"}, sizes=sizes)[1] == picture


@given(st.binary(max_size=400), st.integers(0, 600), st.binary(max_size=8))
@settings(max_examples=60, deadline=None)
def test_forms_that_are_cut_or_mixed_up_are_refused_and_nothing_else(noise, cut, insertion):
    body, kind = form(PNG, "a.png", {"gsd": "1"})
    for mixed in (body[:cut] + insertion + body[cut:], body[:cut], noise, body[:cut] + noise):
        status, stored = outcome(mixed, kind)
        assert 400 <= status < 500 or (status == 201 and stored.startswith(PNG[:8]))


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=90))
@settings(max_examples=60, deadline=None)
def test_any_content_type_is_a_picture_or_refused(kind):
    status, stored = outcome(PNG, kind)
    assert status in (400, 415) or (status == 201 and stored == PNG)


@pytest.mark.parametrize("name", ["../../x.png", "/etc/passwd", "..\\..\\x.png", "a\0b.png", "%00", "é\u202e.png", ""])
def test_names_do_not_reach_the_disk(name):
    upload, stored = take(*form(PNG, name))  # `take` looks at the folder
    assert stored == PNG
    assert "/" not in upload.name
    assert "\\" not in upload.name


def border(kind):
    return b"--" + kind.partition("boundary=")[2].encode()


def refusal(*words, **more):
    with pytest.raises(RefusedError) as caught:
        take(*words, **more)
    return caught.value.status, str(caught.value)


def test_refusals_say_what_is_wrong():
    body, kind = form(PNG, "a.png")
    assert refusal(PNG, "image/png", most=30)[0] == 413
    assert refusal(body, kind, most=30)[0] == 413
    assert refusal(b"", "image/png")[0] == 400
    assert refusal(b"GIF89a" + bytes(40), "image/gif")[0] == 415
    assert refusal(b"<VRTDataset>" + bytes(40), "image/tiff")[0] == 415
    assert refusal(b"a=b", "application/x-www-form-urlencoded")[0] == 415
    assert refusal(body, "multipart/form-data")[0] == 400
    assert "breaks off" in refusal(body[:-10], kind)[1]
    no_file = body.replace(b'name="file"; filename="a.png"', b'name="other"')
    assert "file" in refusal(no_file, kind)[1]
    twice = body[: -len(b"--\r\n") - len(border(kind))] + body
    assert "one picture" in refusal(twice, kind)[1]
    assert "longer" in refusal(*form(PNG, "a.png", {"sun": "1" * 2000}))[1]
    assert refusal(*form(PNG, "a" * 9000 + ".png"))[0] == 400
    assert "more than" in refusal(*form(PNG, "a.png", {f"f{i}": "1" for i in range(20)}))[1]


def test_a_name_field_counts_before_the_file_name():
    assert take(*form(PNG, "a.png", {"name": "b.png"}))[0].name == "b.png"


def test_a_refused_body_is_drained_within_reason():
    seen = []

    async def endless():
        while True:
            seen.append(1)
            yield bytes(1000)

    asyncio.run(drain(endless(), 50_000, 5.0))
    assert 50 <= len(seen) <= 52


def test_a_body_that_drips_is_refused(tmp_path):
    async def drops():
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    async def whole(chunks):
        folder = tmp_path / "job"
        folder.mkdir()
        await receive(chunks, "image/png", {}, folder, Limits(seconds=0.2))

    async def png_drops():
        yield PNG
        async for drop in drops():
            yield drop

    with pytest.raises(RefusedError, match="send the picture again") as caught:
        asyncio.run(whole(png_drops()))
    assert caught.value.status == 408
