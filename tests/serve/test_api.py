"""The interface over real HTTP, with workers that do what their picture is called."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from im2dem.core.errors import UsageError
from serve_kit import FAKE, PATIENCE_S, PNG, form, gone, is_alive, serving

TOKEN = "a-token-of-a-test-0123456789"


def folder(options, job):
    return options.data / "jobs" / job["id"]


def events(client, job_id):
    """(name, data) of every event until the stream ends."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE_S)
    connection.request("GET", f"/api/jobs/{job_id}/events", headers=client.headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("content-type").startswith("text/event-stream")
    found, name = [], None
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    connection.close()
    return found


def test_a_picture_becomes_a_job_and_its_results(start, options):
    client = start()
    answer = client.send("a scene.png", gsd="10", sun="150,35")
    assert answer.status == 201
    job = answer.json
    assert answer.headers["location"] == job["links"]["self"] == f"/api/jobs/{job['id']}"
    assert job["name"] == "a scene.png"
    assert job["wishes"] == {"gsd_m": 10.0, "sun": [150.0, 35.0], "model": "relief-free"}
    done = client.until(job["id"])
    assert (done["state"], done["progress"], done["attempts"]) == ("done", 1.0, 1)
    assert done["result"]["heights"] == "made up"
    assert done["picture"]["width"] == 8
    for name, ending in (("dem", "-dem.tif"), ("summary", "-dem.json"), ("page", "-3d.html")):
        file = client.get(done["links"][name])
        assert file.status == 200
        assert b"this is" in file.body
        assert f"a%20scene{ending}" in file.headers["content-disposition"]
    assert [j["id"] for j in client.get("/api/jobs").json["jobs"]] == [job["id"]]
    assert (folder(options, job) / "picture.png").read_bytes() == PNG
    order = json.loads((folder(options, job) / "order.json").read_text())
    assert order["name"] == "a scene.png"
    assert order["picture"] == "picture.png"


def test_a_picture_may_be_the_body_itself_and_come_in_pieces_of_unknown_length(start):
    client = start()
    answer = client.ask("POST", "/api/jobs?name=b.png&gsd=3", iter([PNG[:5], PNG[5:]]), {"Content-Type": "image/png"})
    assert answer.status == 201
    assert answer.json["wishes"]["gsd_m"] == 3.0
    assert answer.json["size_bytes"] == len(PNG)


def test_events_tell_every_stage_and_end(start):
    client = start()
    told = events(client, client.send("babbling.png").json["id"])
    assert {name for name, _ in told} == {"job"}
    assert told[-1][1]["state"] == "done"
    assert told[-1][1]["progress"] == 1.0
    progress = [job["progress"] for _, job in told]
    assert progress == sorted(progress)
    stages = [job["stage"] for _, job in told if job["stage"]]
    assert stages == sorted(stages, key=["check", "predict", "level", "write", "page"].index)
    # Fifty notes were told, and lines that are no messages; a page shows a few.
    assert told[-1][1]["notes"] == [f"note {i}" for i in range(20)]


def test_events_of_a_job_that_is_deleted_end_with_gone(start):
    client = start()
    job_id = client.send("slow.png").json["id"]
    client.until(job_id, lambda job: job["stage"] == "predict")
    heard = []
    listener = threading.Thread(target=lambda: heard.extend(events(client, job_id)))
    listener.start()
    time.sleep(0.2)
    assert client.ask("DELETE", f"/api/jobs/{job_id}").status == 204
    listener.join(PATIENCE_S)
    assert heard[0][1]["state"] == "running"
    assert heard[-1][0] == "gone"


def test_delete_ends_the_process_and_its_children_and_leaves_nothing(start, options):
    client = start()
    job = client.send("family.png").json
    where = folder(options, job)
    client.until(job["id"], lambda _: (where / "child").exists() and (where / "child").read_text())
    pids = [int((where / name).read_text()) for name in ("pid", "child")]
    assert all(is_alive(pid) for pid in pids)
    assert client.ask("DELETE", f"/api/jobs/{job['id']}").status == 204
    assert all(gone(pid) for pid in pids)
    assert not where.exists()
    assert client.get(f"/api/jobs/{job['id']}").status == 404
    assert client.ask("DELETE", f"/api/jobs/{job['id']}").status == 404
    assert client.until(client.send("next.png").json["id"])["state"] == "done"  # the worker goes on


def test_jobs_wait_in_order_and_a_waiting_one_can_be_deleted(start):
    client = start()
    first, second, third = (client.send(name).json["id"] for name in ("slow.png", "b.png", "c.png"))
    client.until(first, lambda job: job["state"] == "running")
    assert [client.job(i)["position"] for i in (first, second, third)] == [None, 1, 2]
    assert client.ask("DELETE", f"/api/jobs/{second}").status == 204
    assert client.job(third)["position"] == 1
    client.ask("DELETE", f"/api/jobs/{first}")
    assert client.until(third)["state"] == "done"


def test_two_workers_work_at_once(start):
    client = start(workers=2)
    one, two = (client.send("slow.png").json["id"] for _ in range(2))
    for job_id in (one, two):
        client.until(job_id, lambda job: job["state"] == "running")


def test_a_full_queue_says_when_to_come_back(start):
    client = start(limits={"queue": 2})
    running = client.send("slow.png").json["id"]
    client.until(running, lambda job: job["state"] == "running")
    assert [client.send(f"{i}.png").status for i in range(2)] == [201, 201]
    refused = client.send("too-many.png")
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    client.ask("DELETE", f"/api/jobs/{running}")
    client.until(client.get("/api/jobs").json["jobs"][0]["id"])
    assert client.send("again.png").status == 201


def test_an_upload_that_breaks_off_leaves_nothing_and_frees_its_place(start, options):
    client = start(limits={"queue": 1})
    body, kind = form(PNG + bytes(100_000), "a.png")
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE_S)
        connection.putrequest("POST", "/api/jobs")
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:50_000])
        connection.close()
    end = time.monotonic() + PATIENCE_S
    while client.send("a.png").status != 201 and time.monotonic() < end:
        time.sleep(0.02)
    while list((options.data / "incoming").iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    assert list((options.data / "incoming").iterdir()) == []
    assert len(client.get("/api/jobs").json["jobs"]) == 1


def test_what_is_too_large_is_refused_before_it_has_come(start, options):
    client = start(limits={"upload_bytes": 1000})
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE_S)
    connection.putrequest("POST", "/api/jobs")
    connection.putheader("Content-Length", str(10**12))
    connection.putheader("Content-Type", "image/png")
    connection.endheaders()  # and not one byte of the body
    assert connection.getresponse().status == 413
    connection.close()
    assert client.send("a.png", PNG + bytes(2000)).status == 413
    pieces = iter([PNG, bytes(500), bytes(900)])
    assert client.ask("POST", "/api/jobs", pieces, {"Content-Type": "image/png"}).status == 413
    assert list((options.data / "incoming").iterdir()) == []
    assert client.get("/api/jobs").json["jobs"] == []


@pytest.mark.parametrize(
    ("what", "code", "attempts"),
    [("failing", "input", 1), ("abort", "crashed", 1), ("silent", "crashed", 1), ("killed", "crashed", 2)],
)
def test_a_job_that_fails_says_why(start, options, what, code, attempts):
    client = start()
    job = client.until(client.send(f"{what}.png").json["id"])
    assert (job["state"], job["failure"]["code"], job["attempts"]) == ("failed", code, attempts)
    assert job["failure"]["message"]
    assert str(options.data) not in json.dumps(job)
    assert list(folder(options, job).glob("*.part*")) == []
    assert client.get(f"/api/jobs/{job['id']}/files/dem.tif").status == 404
    assert client.until(client.send("next.png").json["id"])["state"] == "done"


def test_a_process_that_was_ended_from_outside_gets_a_second_chance(start):
    client = start()
    job = client.until(client.send("killed-once.png").json["id"])
    assert (job["state"], job["attempts"]) == ("done", 2)


def test_a_job_that_takes_too_long_is_stopped(start, options):
    client = start(limits={"seconds": 0.6})
    job = client.until(client.send("slow.png").json["id"])
    assert job["failure"]["code"] == "time"
    assert gone(int((folder(options, job) / "pid").read_text()))


def test_results_expire(start, options):
    client = start(limits={"keep_s": 0.4})
    job = client.until(client.send("a.png").json["id"])
    assert job["expires"] >= job["finished"]
    end = time.monotonic() + PATIENCE_S
    while client.get(f"/api/jobs/{job['id']}").status == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert client.get(f"/api/jobs/{job['id']}").status == 404
    assert not folder(options, job).exists()
    assert "im2dem_jobs_expired_total 1.0" in client.get("/metrics").body.decode()


def test_fields_that_make_no_sense_are_refused(start, options):
    client = start()
    for fields in ({"gsd": "ten"}, {"model": "../../etc/passwd"}, {"prior": "auto"}):
        refused = client.send("a.png", **fields)
        assert refused.status == 422
        assert refused.json["status"] == 422
    assert client.get("/api/jobs").json["jobs"] == []
    assert list((options.data / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../jobs.sqlite", "..%2fjobs.sqlite", "picture.png", "order.json", "%2e%2e/x", "dem.tif%00"]
)
def test_only_named_results_can_be_fetched(start, path):
    client = start()
    job = client.until(client.send("a.png").json["id"])
    assert client.get(f"/api/jobs/{job['id']}/files/{path}").status == 404
    assert client.get(f"/static/{path}").status == 404
    assert client.get(f"/api/jobs/{path}").status == 404


def test_a_hostile_name_stays_a_word(start, options):
    client = start()
    name = '../../<img src=x onerror=alert(1)>"\u202e.png'
    job = client.until(client.ask("POST", "/api/jobs?name=..%2F..%2F%3Cb%3E%0D%0Ax%3A1%22.png", PNG).json["id"])
    assert job["name"] == '<b>x:1".png'
    kept = client.get(job["links"]["dem"]).headers
    assert "x" not in kept
    assert kept["content-disposition"].startswith("attachment")
    other = client.until(client.send(name).json["id"])
    assert "/" not in other["name"]
    assert sorted(p.name for p in options.data.iterdir() if not p.name.endswith("-wal")) == [
        "incoming",
        "jobs",
        "jobs.sqlite",
    ]


def test_parts_of_a_raster_can_be_fetched(start):
    client = start()
    job = client.until(client.send("a.png").json["id"])
    part = client.get(job["links"]["dem"], Range="bytes=5-6")
    assert (part.status, part.body) == (206, b"is")
    head = client.ask("HEAD", job["links"]["dem"])
    assert (head.status, head.body) == (200, b"")


def test_every_answer_has_the_headers_that_browsers_need(start):
    client = start()
    job = client.until(client.send("a.png").json["id"])
    for path in (
        "/",
        "/login",
        "/static/serve.css",
        "/api/jobs",
        "/nothing",
        job["links"]["dem"],
        job["links"]["view"],
    ):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert "unsafe" not in client.get("/").headers["content-security-policy"]
    view = client.get(job["links"]["view"]).headers["content-security-policy"]
    # Scripts of a page that was made from a stranger's picture get an origin of their own.
    assert view.startswith("sandbox ")
    assert "allow-same-origin" not in view


def test_other_sites_get_nothing_through_a_visitors_browser(start):
    client = start(names=("relief.example.org",))
    for host in ("evil.example.com", "evil.example.com:8000", "", "localhost.evil.net"):
        assert client.get("/api/jobs", Host=host).status == 421
    for host in ("localhost", "127.0.0.1:99", "[::1]:8000", "relief.example.org"):
        assert client.get("/api/jobs", Host=host).status == 200
    body, kind = form(PNG, "a.png")
    for more in ({"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.ask("POST", "/api/jobs", body, {"Content-Type": kind, **more}).status == 403
        assert client.ask("DELETE", "/api/jobs/x", headers=more).status == 403
    own = {"Origin": f"http://127.0.0.1:{client.port}", "Sec-Fetch-Site": "same-origin", "Content-Type": kind}
    assert client.ask("POST", "/api/jobs", body, own).status == 201
    preflight = client.ask(
        "OPTIONS", "/api/jobs", headers={"Origin": "https://x.net", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status in (403, 405)


def test_a_token_is_asked_for(start):
    client = start(token=TOKEN)
    for path in ("/api/jobs", "/api/info", "/metrics", "/api/openapi.json", "/demo.tif", "/jobs/x/3d"):
        refused = client.get(path)
        assert refused.status == 401, path
        assert refused.headers["www-authenticate"] == "Bearer"
    for word in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}"):
        assert client.get("/api/jobs", Authorization=word).status == 401
    assert client.get("/api/jobs", Authorization=f"Bearer {TOKEN}").status == 200
    assert client.get("/healthz").status == 200
    assert client.send("a.png").status == 401
    away = client.get("/", Accept="text/html")
    assert (away.status, away.headers["location"]) == (303, "/login")


def test_a_browser_shows_the_token_once(start):
    client = start(token=TOKEN)
    page = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = client.ask("POST", "/login", b"token=wrong", page)
    assert (wrong.headers["location"], "set-cookie" in wrong.headers) == ("/login#wrong", False)
    assert client.ask("POST", "/login", b"token=" + b"x" * 5000, page).status == 413
    right = client.ask("POST", "/login", f"token={TOKEN}".encode(), page)
    cookie = right.headers["set-cookie"]
    assert right.headers["location"] == "/"
    assert all(word in cookie.lower() for word in ("httponly", "samesite=strict"))
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert client.get("/api/jobs", Cookie=pair).status == 200
    assert client.get("/api/jobs", Cookie=pair + "0").status == 401


def test_health_and_counters(start):
    client = start()
    assert client.get("/healthz").json["status"] == "ok"
    client.until(client.send("a.png").json["id"])
    client.until(client.send("failing.png").json["id"])
    client.ask("DELETE", f"/api/jobs/{client.send('slow.png').json['id']}")
    text = client.get("/metrics").body.decode()
    for line in (
        "im2dem_jobs_accepted_total 3.0",
        'im2dem_jobs_ended_total{how="done"} 1.0',
        'im2dem_jobs_ended_total{how="input"} 1.0',
        'im2dem_jobs_ended_total{how="deleted"} 1.0',
        'im2dem_jobs{state="done"} 1.0',
        'im2dem_jobs{state="running"} 0.0',
        f"im2dem_upload_bytes_total {3.0 * len(PNG)}",
        'im2dem_http_requests_total{method="POST",status="201"} 3.0',
    ):
        assert line in text, line


def test_the_description_names_every_route_and_no_page(start):
    description = start().get("/api/openapi.json").json
    assert set(description["paths"]) == {
        "/api/jobs",
        "/api/jobs/{job_id}",
        "/api/jobs/{job_id}/events",
        "/api/jobs/{job_id}/files/{file}",
        "/api/info",
        "/healthz",
        "/metrics",
    }
    assert set(description["paths"]["/api/jobs"]["post"]["requestBody"]["content"]) >= {
        "multipart/form-data",
        "image/tiff",
    }


def test_the_page_needs_no_other_server(start):
    client = start()
    for path in ("/", "/jobs/0123456789abcdef0123", "/login"):
        page = client.get(path).body.decode()
        assert "http://" not in page
        assert "https://" not in page
        for mark in ("<style", "style=", "onclick", "<script>"):
            assert mark not in page, mark
    answer = client.get("/static/main.js")
    assert client.get("/static/main.js", If_None_Match=answer.headers["etag"]).status == 304


def test_a_second_server_in_the_same_folder_is_refused(start, options):
    start()
    with pytest.raises(UsageError, match="another im2dem serve"), serving(options):
        pass


def test_a_taken_port_is_said(start, options):
    from im2dem.web.serve.run import serve

    client = start()
    with pytest.raises(UsageError, match="--port"):
        serve(replace(options, data=options.data.with_name("other"), port=client.port), print, FAKE)


def test_a_folder_without_right_is_said(options, tmp_path):
    from im2dem.core.errors import OutputError

    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="--data"), serving(replace(options, data=Path(tmp_path / "file" / "data"))):
        pass
