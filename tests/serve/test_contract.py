"""The interface does what its OpenAPI description says, for whatever somebody sends (schemathesis)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from im2dem.web.serve.options import Limits, ServeOptions
from serve_kit import needs_serve, serving

needs_serve()

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (make test-all)")

ROUTES = [
    ("/api/jobs", "GET"),
    ("/api/jobs", "POST"),
    ("/api/jobs/{job_id}", "GET"),
    ("/api/jobs/{job_id}", "DELETE"),
    ("/api/jobs/{job_id}/events", "GET"),
    ("/api/jobs/{job_id}/files/{file}", "GET"),
    ("/api/info", "GET"),
    ("/healthz", "GET"),
    ("/metrics", "GET"),
]
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A server with room for all that is sent; its workers are fakes."""
    options = ServeOptions(tmp_path_factory.mktemp("contract") / "data", port=0, limits=Limits(queue=10_000))
    with serving(options) as served:
        yield served


@pytest.fixture(scope="module")
def description(client):
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{client.port}/api/openapi.json")


known: list[str] = []


def a_known_job(client):
    """Id of a job that is done."""
    if not known or client.get(f"/api/jobs/{known[0]}").status == 404:
        known[:] = [client.until(client.send("a.png").json["id"])["id"]]
    return known[0]


def test_every_route_is_tried(description):
    assert {(r.ok().path, r.ok().method.upper()) for r in description.get_all_operations()} == set(ROUTES)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    # Where nothing is asked for, nothing can be wrong.
    [(*route, "positive") for route in ROUTES] + [(*ROUTES[1], "negative")],
)
def test_answers_are_as_described(description, client, path, method, mode):
    cases = description[path][method].as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @given(cases)
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case):
        # Random ids are never those of a job: half of the cases ask for one that is there.
        if case.path_parameters and len(str(case.path_parameters["job_id"])) % 2 == 0:
            case.path_parameters["job_id"] = a_known_job(client)
        case.call_and_validate(checks=CHECKS)

    check()
