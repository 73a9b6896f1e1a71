"""The numbers at ``/metrics`` are those of what happened, with one process and with two."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.metrics import OPENMETRICS, Scrape, ask
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens, until

WORD = route("word", "/word", respond='200 "hello"')


def served_by(workers: int = 1, **options: object) -> str:
    """Return the section of a gateway with so many workers."""
    return section("gateway", **{"access_log": "-", "workers": workers, **options})


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def workers(request: pytest.FixtureRequest) -> int:
    """Return how many processes serve."""
    count: int = request.param
    return count


@pytest.fixture
def second() -> Iterator[Recorder]:
    """Another upstream for one test."""
    with Recorder() as recorder:
        yield recorder
    assert recorder.complaints == []


def target(recorder: Recorder) -> dict[str, str]:
    """Return the labels of a target of the upstream ``main``."""
    return {"upstream": "main", "target": f"127.0.0.1:{recorder.port}"}


def test_requests_are_counted_by_route_method_and_status(
    start: Start, own_recorder: Recorder, workers: int
) -> None:
    own_recorder.otherwise(lambda visit: visit.answer(418 if visit.path == "/teapot" else 200, b"12345"))
    daemon = start(served_by(workers), upstream("main", own_recorder.port), route("main", "/*"), WORD)
    for _ in range(3):
        with daemon.connect() as client:
            assert client.get("/a").status == 200
            assert client.ask("POST", "/b", body=b"x" * 300).status == 200
            assert client.get("/teapot").status == 418
            assert client.ask("HEAD", "/word").status == 200
            assert client.ask("BREW", "/word").status in (200, 405, 501)
    with daemon.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().status == 400
    scrape = until_counted(daemon, 16)
    requests = scrape.values("requests_total")
    assert requests["GET", "main", "200"] == 3
    assert requests["POST", "main", "200"] == 3
    assert requests["GET", "main", "418"] == 3
    assert requests["HEAD", "word", "200"] == 3
    assert requests["other", "", "400"] == 1
    assert sum(count for (method, *_), count in requests.items() if method == "other") == 4
    assert scrape.value("failures_total", route="", reason="bad-request") == 1
    assert scrape.value("request_duration_seconds_count", route="main") == 9
    assert scrape.value("upstream_duration_seconds_count", route="main") == 9
    assert scrape.value("request_duration_seconds_bucket", route="main", le="+Inf") == 9
    assert scrape.value("request_size_bytes_count", route="main") == 3
    assert scrape.value("request_size_bytes_sum", route="main") == 900
    assert scrape.value("request_size_bytes_bucket", route="main", le="256.0") == 0
    assert scrape.value("request_size_bytes_bucket", route="main", le="1024.0") == 3
    assert scrape.value("response_size_bytes_sum", route="main") == 45
    assert scrape.value("connections_accepted_total") == 4
    until(lambda: Scrape(daemon).value("connections") == 0, "every connection is counted out")
    until(
        lambda: Scrape(daemon).value("target_requests_total", **target(own_recorder)) == 9,
        "the target's requests are counted",
    )


def until_counted(daemon: Daemon, count: int) -> Scrape:
    """Return a scrape in which so many requests are counted."""

    def look() -> list[Scrape]:
        scrape = Scrape(daemon)
        return [scrape] if sum(scrape.values("requests_total").values()) >= count else []

    return until(look, f"{count} requests are counted")[0]


def test_in_flight_is_given_back(start: Start, own_recorder: Recorder, workers: int) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "the metrics were read")
        visit.answer(200)

    own_recorder.on("/held", held)
    daemon = start(served_by(workers), upstream("main", own_recorder.port), route("main", "/*"))
    with daemon.connect() as client:
        client.send(get("/held"))
        own_recorder.visit("/held")
        during = Scrape(daemon)
        go_on.set()
        assert client.answer().status == 200
    after = until_counted(daemon, 1)
    for scrape, count in ((during, 1), (after, 0)):
        assert scrape.value("upstream_in_flight", upstream="main") == count
        assert scrape.value("target_in_flight", **target(own_recorder)) == count
    assert during.value("connections") == 1


def breaks(visit: Visit) -> None:
    """Take the whole request, and leave without an answer."""
    visit.read_body()
    visit.close()


def test_retries_ejections_and_how_targets_stand(
    start: Start, own_recorder: Recorder, second: Recorder, workers: int
) -> None:
    own_recorder.otherwise(breaks)
    options = {"eject_after": 2, "eject_for": "300s", "retries": 1, "retry_budget": "100%"}
    daemon = start(
        served_by(workers), upstream("main", own_recorder.port, second.port, **options), route("main", "/*")
    )
    bad, good = target(own_recorder), target(second)
    with daemon.connect() as client:
        for number in range(8):
            assert client.get(f"/{number}").status == 200
    scrape = until_counted(daemon, 8)
    retries = scrape.value("retries_total", upstream="main")
    # with several workers the judge is another process, and a request may be faster than its verdict
    assert 2 <= retries <= 2 * workers
    assert scrape.value("target_ejections_total", **bad) == 1
    assert scrape.value("target_ejections_total", **good) == 0
    assert (scrape.value("target_up", **bad), scrape.value("target_up", **good)) == (0, 1)
    assert scrape.value("upstream_available_targets", upstream="main") == 1
    assert scrape.value("requests_total", route="main", method="GET", status="200") == 8
    until(lambda: Scrape(daemon).value("target_failures_total", **bad) == retries, "its failures are counted")


def test_checks_are_counted_by_their_outcome(
    start: Start, own_recorder: Recorder, second: Recorder, workers: int
) -> None:
    own_recorder.on("/health", lambda visit: visit.answer(500))
    second.on("/health", lambda visit: visit.answer(200))
    checked = upstream("main", own_recorder.port, second.port, health_path="/health", health_interval="100ms")
    daemon = start(served_by(workers), checked, route("main", "/*"))

    def outcome(recorder: Recorder, word: str) -> float:
        return Scrape(daemon).value("target_probes_total", **target(recorder), outcome=word)

    until(
        lambda: outcome(own_recorder, "failed") >= 2 <= outcome(second, "passed"), "both were checked twice"
    )
    assert outcome(own_recorder, "passed") == outcome(second, "failed") == 0


def test_limits_that_were_hit(start: Start, own_recorder: Recorder, workers: int) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "another request was refused")
        visit.answer(200)

    own_recorder.on("/one", held)
    limited = route("main", "/*", max_requests=1, max_body="10")
    daemon = start(served_by(workers), upstream("main", own_recorder.port), limited)
    with daemon.connect() as client, daemon.connect() as other:
        assert other.ask("POST", "/large", body=b"x" * 11).status == 413
        client.send(get("/one"))
        own_recorder.visit("/one")
        with daemon.connect() as third:
            assert third.get("/two").status == 503
        go_on.set()
        assert client.answer().status == 200
    scrape = until_counted(daemon, 3)
    assert scrape.value("limits_hit_total", limit="too-many") == 1
    assert scrape.value("limits_hit_total", limit="body-too-large") == 1
    assert scrape.values("failures_total") == {
        ("too-many", "main"): 1,
        ("body-too-large", "main"): 1,
    }


def test_reloads_are_counted_and_take_no_counts_along(start: Start, workers: int) -> None:
    daemon = start(served_by(workers), WORD)
    with daemon.connect() as client:
        assert client.get("/word").status == 200
    before = until_counted(daemon, 1)
    assert (before.value("last_reload_successful"), before.values("reloads_total")) == (
        1,
        {("applied",): 0, ("refused",): 0},
    )
    mark = daemon.mark()
    daemon.reload(ini(served_by(workers), WORD, route("new", "/new", respond="204")))
    daemon.wait_for_log("reloaded", mark)
    applied = Scrape(daemon)
    mark = daemon.mark()
    daemon.reload(ini(served_by(workers), WORD, "[route:broken]\npath = broken\n"))
    daemon.wait_for_log("stays as it was", mark)
    until(lambda: Scrape(daemon).value("reloads_total", result="refused"), "the refusal is counted")
    refused = Scrape(daemon)
    assert (applied.value("last_reload_successful"), refused.value("last_reload_successful")) == (1, 0)
    assert refused.values("reloads_total") == {("applied",): 1, ("refused",): 1}
    assert (
        before.value("last_reload_timestamp_seconds")
        < applied.value("last_reload_timestamp_seconds")
        < refused.value("last_reload_timestamp_seconds")
    )
    with daemon.connect() as client:
        assert client.get("/word").status == 200
        assert client.get("/new").status == 204
    assert until_counted(daemon, 3).values("requests_total") == {
        ("GET", "word", "200"): 2,
        ("GET", "new", "204"): 1,
    }


def test_the_processes_that_serve(start: Start, workers: int) -> None:
    daemon = start(served_by(workers), WORD)
    scrape = Scrape(daemon)
    assert scrape.value("workers", state="serving") == scrape.value("workers_wanted") == workers
    assert scrape.value("draining") == 0
    process = {name: value for (name, _), value in scrape.samples.items() if name.startswith("process_")}
    assert process["process_resident_memory_bytes"] > workers * (10 << 20)
    assert 0 < process["process_open_fds"] < process["process_max_fds"]
    assert process["process_cpu_seconds_total"] > 0
    ((version, *_),) = [
        sorted(labels)[::-1] for name, labels in scrape.samples if name == "twistedgate_build_info"
    ]
    assert version[0] == "version"


# how it is asked


@pytest.mark.parametrize("accept", ["text/plain", "*/*"])
def test_both_formats_are_read(gateway: Daemon, accept: str) -> None:
    with gateway.connect() as client:
        client.get("/metrics-formats")
    text, openmetrics = Scrape(gateway, accept), Scrape(gateway)
    assert text.answer.value("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.answer.value("Content-Type") == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert openmetrics.answer.body.endswith(b"# EOF\n")
    assert text.samples.keys() == openmetrics.samples.keys()


def test_a_head_has_no_body(gateway: Daemon) -> None:
    port = gateway.ports["admin"]
    with Client(port) as client:
        answer = client.ask("HEAD", "/metrics", f"Host: 127.0.0.1:{port}")
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.value("Content-Length") or 0) > 1000
        assert client.ask("POST", "/metrics", f"Host: 127.0.0.1:{port}").status == 405


def test_strangers_do_not_read_them(gateway: Daemon) -> None:
    assert ask(gateway, "Host: evil.test").status in (400, 421)
    port = gateway.ports["admin"]
    with Client(port) as client:
        assert client.get("/metrics", "Host: evil.test").status == 421
    with gateway.connect() as client:
        assert client.get("/metrics").value("X-Target") == "/metrics"


def test_what_clients_send_makes_no_series(gateway: Daemon) -> None:
    with gateway.connect() as client:
        for number in range(20):
            client.get(f"/series/{number}?q={number}", f"Host: h{number}.test", f"User-Agent: {number}")
    before = len(Scrape(gateway).samples)
    with gateway.connect() as client:
        for number in range(20):
            client.get(f"/more/{number}?q={number}", f"Host: m{number}.test", f"User-Agent: m{number}")
    assert len(Scrape(gateway).samples) <= before + 5


def test_the_scrape_of_many_routes_is_whole(start: Start) -> None:
    routes = [route(f"r{number}", f"/r{number}", respond="204") for number in range(120)]
    daemon = start(served_by(), *routes)
    with daemon.connect() as client:
        for number in range(120):
            assert client.get(f"/r{number}").status == 204
    scrape = until_counted(daemon, 120)
    assert scrape.values("requests_total") == {("GET", f"r{number}", "204"): 1 for number in range(120)}
