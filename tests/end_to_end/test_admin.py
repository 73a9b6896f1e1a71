"""The operator's resources: what they say, to whom, and that nobody else reaches them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.configuration import everything_to, section
from tests.end_to_end.harness.daemon import Daemon, in_flight
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.targets import target
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens


@pytest.fixture
def admin(gateway: Daemon) -> Iterator[Client]:
    """A connection to the shared gateway's admin listener."""
    with Client(gateway.ports["admin"]) as client:
        yield client


def own_host(gateway: Daemon) -> str:
    return f"Host: 127.0.0.1:{gateway.ports['admin']}"


def test_live_and_ready_say_yes(gateway: Daemon) -> None:
    for path in ("/live", "/ready"):
        answer = gateway.admin(path)
        assert answer.status == 200
        assert (answer.value("Content-Type") or "").startswith("application/json")
        json.loads(answer.body)


def test_status_says_what_each_target_does(gateway: Daemon, recorder: Recorder) -> None:
    go_on = threading.Event()

    def held(visit: Visit) -> None:
        happens(go_on, "the status was read")
        visit.answer(200)

    recorder.on("/admin/held", held)
    gateway.wait_until_idle()
    with gateway.connect() as client:
        client.send(get("/admin/held"))
        recorder.visit("/admin/held")
        busy = target(gateway, "main", recorder.port)
        go_on.set()
        assert client.answer().status == 200
    gateway.wait_until_idle()
    idle = target(gateway, "main", recorder.port)
    assert (busy["state"], busy["in_flight"], idle["in_flight"]) == ("up", 1, 0)
    assert in_flight(gateway.status()) == 0


def test_status_names_every_route_and_no_secret(gateway: Daemon) -> None:
    assert "main" in gateway.status()["routes"]


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:1"])
def test_another_host_is_refused(gateway: Daemon, admin: Client, host: str) -> None:
    """A browser that a stranger's page made come here says whom it believes to be talking to."""
    answer = admin.get("/status", f"Host: {host}")
    assert 400 <= answer.status < 500
    assert b"upstreams" not in answer.body


def test_localhost_is_a_name_of_ours(gateway: Daemon, admin: Client) -> None:
    assert admin.get("/live", f"Host: localhost:{gateway.ports['admin']}").status == 200


def test_what_is_not_there_is_not_found(gateway: Daemon, admin: Client) -> None:
    assert admin.get("/nothing", own_host(gateway)).status == 404


def test_nothing_can_be_changed_by_a_post(gateway: Daemon, admin: Client) -> None:
    admin.send(request("POST", "/status", own_host(gateway), body=b"{}"))
    assert 400 <= admin.answer("POST").status < 500


def test_admin_paths_on_a_public_listener_are_routes_like_any_other(client: Client) -> None:
    for path in ("/status", "/live", "/ready"):
        assert client.get(path).value("X-Target") == path


def test_an_open_admin_listener_asks_for_its_token(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    token = "a-long-token-that-is-not-a-default-0123456789"
    (tmp_path / "token").write_text(f"{token}\n")
    daemon = start(
        "[gateway]\naccess_log = -\nadmin_token = file:token\n",
        everything_to(own_recorder.port),
        section("listener:admin", endpoint="tcp:0:interface=0.0.0.0", serve="admin"),
    )
    host = f"Host: 127.0.0.1:{daemon.ports['admin']}"
    with Client(daemon.ports["admin"]) as client:
        assert client.get("/status", host).status == 401
        assert client.get("/status", host, "Authorization: Bearer wrong").status == 401
        assert client.get("/status", host, f"Authorization: Bearer {token}").status == 200
    assert token not in "\n".join(daemon.log)
