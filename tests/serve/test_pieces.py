"""Names, formats, wishes, options and the table of jobs, without a server."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from im2dem.core.errors import OutputError, UsageError
from im2dem.web.serve.formats import ENOUGH_BYTES, READERS, ending_of, forbidden
from im2dem.web.serve.guard import cookie_value
from im2dem.web.serve.jobs import Failure, Job, JobStore, State, new_id
from im2dem.web.serve.names import shown_name, stem_of
from im2dem.web.serve.options import Limits, ServeOptions, is_loopback
from im2dem.web.serve.wishes import Wishes, read_wishes

# What people's tools and what attackers send as names.
HOSTILE = (
    "../../etc/passwd",
    "..",
    ".",
    "",
    "/",
    "a/../../b.tif",
    "C:\\x\\..\\y.tif",
    "\x00",
    "a\nb.tif",
    "CON",
    "~root",
)


@given(st.text(max_size=300) | st.sampled_from(HOSTILE))
def test_a_shown_name_is_short_visible_and_no_path(given_name):
    name = shown_name(given_name)
    assert 1 <= len(name) <= 80
    assert name not in (".", "..")
    assert not set(name) & set("/\\\r\n\t\0")
    assert all(unicodedata.category(c)[0] != "C" for c in name)
    assert shown_name(name) == name
    assert stem_of(name)


def test_a_long_name_keeps_its_ends():
    assert shown_name("S2A" + "x" * 200 + ".tif").startswith("S2A")
    assert shown_name("S2A" + "x" * 200 + ".tif").endswith(".tif")


@pytest.mark.parametrize(
    "head",
    [b"<VRTDataset rasterX", b"<GDAL_WMS><Service", b"%PDF-1.7 and more", b"GIF89a and more..", b"BM and more ......",
     b"\x89HDF\r\n\x1a\n........", b"PK\x03\x04....", b"http://example.or",
     b"/vsicurl/http://", b"", b"II", b"I*I\0"],
)  # fmt: skip
def test_other_formats_are_no_pictures(head):
    assert ending_of(head[:ENOUGH_BYTES]) is None


@given(st.binary(max_size=ENOUGH_BYTES))
def test_every_beginning_has_an_answer(head):
    assert ending_of(head) in {None, *READERS}


def test_what_reads_other_files_or_the_network_is_forbidden():
    drivers = ["GTiff", "VRT", "WMS", "HTTP", "PNG", "MEM", "COG", "PDF", "GTI", "STACIT"]
    assert forbidden(drivers) == ["GTI", "HTTP", "PDF", "STACIT", "VRT", "WMS"]


def test_wishes_are_read_and_come_back_from_the_table():
    told = {"gsd": " 10 ", "sun": "150,35", "date": "2021-11-17T01:20+09:00", "bands": "4,3,2", "model": ""}
    wishes = read_wishes(told)
    assert wishes == Wishes(10.0, (150.0, 35.0), "2021-11-16T16:20:00+00:00", (4, 3, 2))
    assert Wishes.from_json(json.loads(json.dumps(wishes.as_json()))) == wishes
    assert wishes.options(2, True).bands == (4, 3, 2)
    assert read_wishes({}) == Wishes()


@pytest.mark.parametrize(
    "told",
    [{"gsd": "ten"}, {"gsd": "nan"}, {"gsd": "inf"}, {"gsd": "-1"}, {"gsd": "1e9"}, {"sun": "150"}, {"sun": "150,95"},
     {"sun": "1,2,3"}, {"sun": "nan,35"}, {"date": "yesterday"}, {"date": "0001-01-01T00:00+14:00"}, {"bands": "4,3"},
     {"bands": "0,1,2"}, {"bands": "a,b,c"}, {"bands": "²,1,1"}, {"model": "../../model"}, {"model": "/etc/passwd"},
     {"prior": "auto"}, {"gsd": "1" * 201}],
    ids=lambda told: str(told)[:30],
)  # fmt: skip
def test_wishes_that_make_no_sense_are_refused(told):
    with pytest.raises(UsageError):
        read_wishes(told)


@given(
    st.dictionaries(st.sampled_from(("gsd", "sun", "date", "bands", "model", "x")), st.text(max_size=60), max_size=3)
)
def test_any_words_are_wishes_or_refused(told):
    try:
        wishes = read_wishes(told)
    except UsageError:
        return
    assert Wishes.from_json(json.loads(json.dumps(wishes.as_json()))) == wishes


def test_nobody_else_reaches_a_server_by_accident(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org"):
        with pytest.raises(UsageError, match="--token"):
            ServeOptions(tmp_path, host=host)
        assert ServeOptions(tmp_path, host=host, open_to_all=True).token is None
        assert ServeOptions(tmp_path, host=host, token="x" * 16).token
    for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1"):
        assert is_loopback(host)
        ServeOptions(tmp_path, host=host)


@pytest.mark.parametrize(
    "chosen",
    [{"token": "short"}, {"token": "with a blank in it"}, {"token": "ünicode-ünicode-ünicode"},
     {"token": "x" * 20, "open_to_all": True}, {"port": 70000}, {"workers": 0}],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(tmp_path, chosen):
    with pytest.raises(UsageError):
        ServeOptions(tmp_path, **chosen)
    with pytest.raises(UsageError):
        Limits(pixels=0)


def test_only_addresses_and_told_names_are_this_server(tmp_path):
    options = ServeOptions(tmp_path, names=("relief.example.org",))
    for host in ("localhost", "LOCALHOST.", "127.0.0.1", "[::1]", "10.0.0.7", "relief.example.org"):
        assert options.allows_host(host), host
    for host in ("evil.example.com", "", "127.0.0.1.evil.example.com", "relief.example.org.evil.net", "0x7f000001"):
        assert not options.allows_host(host), host


def test_the_cookie_does_not_tell_the_token(tmp_path):
    one, other = (ServeOptions(tmp_path, token=word * 4) for word in ("word", "Word"))
    assert one.token not in cookie_value(one)
    assert cookie_value(one) != cookie_value(other)


def a_job(**values):
    return Job(new_id(), "a.tif", "tif", 7, 1.5, {"sun": [1, 2]}, **values)


def test_jobs_come_back_from_the_table_as_they_were(tmp_path):
    jobs = [
        a_job(),
        a_job(state=State.RUNNING, started=2.0, attempts=1, notes=("a", "ü")),
        a_job(state=State.FAILED, finished=3.0, failure=Failure("time", "too long")),
        a_job(state=State.DONE, finished=3.0, picture={"width": 3}, result={"unit": "m"}),
    ]
    store = JobStore(tmp_path / "jobs.sqlite")
    for job in jobs:
        store.put(job)
    store.put(replace(jobs[0], attempts=2))
    store.forget(jobs[1].id)
    store.forget(jobs[1].id)
    store.close()
    store = JobStore(tmp_path / "jobs.sqlite")
    assert {job.id: job for job in store.all()} == {
        jobs[0].id: replace(jobs[0], attempts=2),
        jobs[2].id: jobs[2],
        jobs[3].id: jobs[3],
    }
    store.close()


def test_a_folder_belongs_to_one_server(tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite")
    with pytest.raises(UsageError, match="another im2dem serve"):
        JobStore(tmp_path / "jobs.sqlite")
    store.close()
    JobStore(tmp_path / "jobs.sqlite").close()


def test_tables_that_cannot_be_used_say_so(tmp_path):
    (tmp_path / "damaged.sqlite").write_bytes(b"this is no table at all" * 100)
    with pytest.raises(OutputError, match="damaged"):
        JobStore(tmp_path / "damaged.sqlite")
    with sqlite3.connect(tmp_path / "newer.sqlite") as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(UsageError, match="newer"):
        JobStore(tmp_path / "newer.sqlite")
    with pytest.raises(OutputError):
        JobStore(tmp_path / "no folder" / "jobs.sqlite")
