"""What the upstream is told of the client, what the client is told of the gateway, and nothing else."""

from __future__ import annotations

import email.utils
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import Client, ask_over, get, request
from tests.end_to_end.harness.configuration import GATEWAY, everything_to, ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder


def test_fields_keep_their_order_and_their_case(client: Client, recorder: Recorder) -> None:
    client.get("/order", "zEBRA: 1", "Accept: */*", "X-a: one", "User-Agent: tests", "X-A: two")
    names = recorder.visit("/order").names()
    mine = [name for name in names if name in ("Host", "zEBRA", "Accept", "X-a", "User-Agent", "X-A")]
    assert mine == ["Host", "zEBRA", "Accept", "X-a", "User-Agent", "X-A"]
    assert recorder.visit("/order").values("x-a") == ["one", "two"]


def test_fields_of_an_answer_keep_their_order_and_their_case(client: Client, recorder: Recorder) -> None:
    recorder.on(
        "/order/back", lambda visit: visit.answer(200, b"", "x-Zebra: 1", "Server: mine", "X-ZEBRA: 2")
    )
    names = [name.decode() for name, _ in client.get("/order/back").fields]
    assert [name for name in names if name.lower() in ("x-zebra", "server")] == [
        "x-Zebra",
        "Server",
        "X-ZEBRA",
    ]


def test_the_upstream_learns_who_asked_and_how(client: Client, gateway: Daemon, recorder: Recorder) -> None:
    client.get("/who", "Host: gateway.test:8080")
    visit = recorder.visit("/who")
    assert visit.value("X-Forwarded-For") == "127.0.0.1"
    assert visit.value("X-Forwarded-Proto") == "http"
    assert visit.value("X-Forwarded-Host") == "gateway.test:8080"
    assert visit.value("X-Forwarded-Port") == str(gateway.port)
    assert visit.value("Forwarded") == 'for=127.0.0.1;host="gateway.test:8080";proto=http'
    assert re.fullmatch(r"1\.1 \S+", visit.value("Via") or "")


def test_one_request_id_is_everywhere(client: Client, gateway: Daemon, recorder: Recorder) -> None:
    answer = client.get("/id")
    request_id = answer.value("X-Request-Id")
    assert request_id
    assert recorder.visit("/id").value("X-Request-Id") == request_id
    assert gateway.record(path="/id")["request_id"] == request_id


def test_no_two_requests_share_an_id(client: Client) -> None:
    ids = {client.get("/ids").value("X-Request-Id") for _ in range(50)}
    assert len(ids) == 50


def test_an_answer_without_a_date_gets_one(client: Client) -> None:
    date = client.get("/date").value("Date")
    assert date is not None
    assert email.utils.parsedate_to_datetime(date).tzinfo is not None


def test_the_date_of_the_upstream_stays(client: Client, recorder: Recorder) -> None:
    date = "Thu, 01 Jan 1970 00:00:01 GMT"
    recorder.on("/date/own", lambda visit: visit.answer(200, b"", f"Date: {date}"))
    assert client.get("/date/own").value("Date") == date


def test_what_belongs_to_one_connection_stays_there(client: Client, recorder: Recorder) -> None:
    recorder.on(
        "/hops",
        lambda visit: visit.answer(
            200,
            b"",
            "Connection: X-Internal, keep-alive",
            "X-Internal: 1",
            "Keep-Alive: timeout=9",
            "X-End: 1",
        ),
    )
    answer = client.get("/hops", "Connection: X-Mine", "X-Mine: 1", "X-Yours: 1")
    assert answer.values("X-Internal") + answer.values("Keep-Alive") == []
    assert answer.value("X-End") == "1"
    visit = recorder.visit("/hops")
    assert (visit.values("X-Mine"), visit.values("X-Yours")) == ([], ["1"])


def test_a_request_that_has_been_here_before_is_a_loop(client: Client, recorder: Recorder) -> None:
    client.get("/loop", "Via: 1.1 elsewhere")
    via = recorder.visit("/loop").values("Via")
    assert "elsewhere" in via[0]
    answer = client.get("/loop/again", *(f"Via: {value}" for value in via))
    assert answer.status == 508
    assert recorder.visits_to("/loop/again") == []


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, shared_recorder: Recorder) -> Iterator[Daemon]:
    """A gateway that believes every peer of the loopback interface, with three ways to fill Host."""
    port = shared_recorder.port
    text = ini(
        GATEWAY + "trusted_proxies = 127.0.0.0/8, 192.0.2.0/24\n",
        everything_to(port),
        upstream("target-host", port, host_header="target"),
        route("target-host", "/host/target"),
        upstream("literal-host", port, host_header="inside.test"),
        route("literal-host", "/host/literal"),
    )
    with Daemon(tmp_path_factory.mktemp("trusting"), text) as daemon:
        yield daemon


def test_a_trusted_proxy_is_believed(trusting: Daemon, recorder: Recorder) -> None:
    with trusting.connect() as client:
        answer = client.get(
            "/trusted",
            "X-Forwarded-For: 203.0.113.66, 198.51.100.7, 192.0.2.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: public.test",
            "X-Request-Id: given-by-the-proxy-1",
        )
    visit = recorder.visit("/trusted")
    assert visit.value("X-Forwarded-For") == "203.0.113.66, 198.51.100.7, 192.0.2.1, 127.0.0.1"
    assert visit.value("X-Forwarded-Proto") == "https"
    assert visit.value("X-Forwarded-Host") == "public.test"
    assert visit.value("X-Request-Id") == answer.value("X-Request-Id") == "given-by-the-proxy-1"
    record = trusting.record(path="/trusted")
    assert (record["client"], record["request_id"]) == ("198.51.100.7", "given-by-the-proxy-1")


def test_a_trusted_proxy_may_not_write_anything_into_an_id(trusting: Daemon, recorder: Recorder) -> None:
    with trusting.connect() as client:
        client.get("/trusted/id", 'X-Request-Id: "><script>' + "x" * 300)
    assert "script" not in (recorder.visit("/trusted/id").value("X-Request-Id") or "")


def test_host_goes_on_unless_the_upstream_wants_its_own(trusting: Daemon, recorder: Recorder) -> None:
    with trusting.connect() as client:
        for path in ("/host/kept", "/host/target", "/host/literal"):
            client.get(path)
    hosts = [recorder.visit(f"/host/{name}").value("Host") for name in ("kept", "target", "literal")]
    assert hosts == ["gateway.test", f"127.0.0.1:{recorder.port}", "inside.test"]
    assert recorder.visit("/host/target").value("X-Forwarded-Host") == "gateway.test"


def test_an_old_client_without_a_host_is_served(client: Client, recorder: Recorder) -> None:
    client.send(b"GET /no-host HTTP/1.0\r\n\r\n")
    assert client.answer().status == 200
    assert recorder.visit("/no-host").value("Host") == f"127.0.0.1:{recorder.port}"


def test_absolute_form_decides_about_the_host(client: Client, recorder: Recorder) -> None:
    client.send(request("GET", "http://Other.Test:81/absolute", "Host: gateway.test"))
    assert client.answer().status == 200
    assert recorder.visit("/absolute").value("Host") == "other.test:81"


def test_names_with_underscores_do_not_go_on(client: Client, recorder: Recorder) -> None:
    client.send(get("/underscore", "X_Forwarded_For: 192.0.2.66", "my_name: 1", "My-Name: 2"))
    assert client.answer().status == 200
    visit = recorder.visit("/underscore")
    assert (visit.values("my_name"), visit.value("My-Name")) == ([], "2")


def test_clients_come_by_ipv6_and_by_unix_socket(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    path = tmp_path / "gateway.sock"
    daemon = start(
        everything_to(own_recorder.port),
        section("listener:six", endpoint="tcp6:0:interface=\\:\\:1"),
        section("listener:local", endpoint=f"unix:{path}", mode="600"),
    )
    assert ask_over(socket.AF_INET6, ("::1", daemon.ports["six"]), "/six") == 200
    assert ask_over(socket.AF_UNIX, str(path), "/unix") == 200
    six = own_recorder.visit("/six")
    assert six.value("X-Forwarded-For") == "::1"
    assert six.value("Forwarded") == 'for="[::1]";host=gateway.test;proto=http'
    assert own_recorder.visit("/unix").values("X-Forwarded-Port") == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
