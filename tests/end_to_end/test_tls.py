"""TLS on both sides, with certificates made for the test."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.certificates import Identity, new_identity
from tests.end_to_end.harness.client import Client, get
from tests.end_to_end.harness.configuration import everything_to, ini, listener, route, section
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """A certificate for localhost."""
    return new_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="module")
def secure_recorder(identity: Identity) -> Iterator[Recorder]:
    """An upstream that speaks TLS."""
    with Recorder(tls=identity.server_side()) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory,
    identity: Identity,
    shared_recorder: Recorder,
    secure_recorder: Recorder,
) -> Iterator[Daemon]:
    """A gateway with a TLS listener, and upstreams that are believed, or not."""
    folder = tmp_path_factory.mktemp("secure")
    stranger = new_identity(folder)
    target = f"https://localhost:{secure_recorder.port}"
    text = ini(
        listener(),
        listener("tls", tls_certificate=identity.certificate, tls_key=identity.key),
        everything_to(shared_recorder.port),
        section("upstream:believed", targets=target, tls_ca=identity.authority),
        route("believed", "/believed/*"),
        section("upstream:stranger", targets=target, tls_ca=stranger.authority, retries=0),
        route("stranger", "/stranger/*"),
        section("upstream:unchecked", targets=target, tls_verify="no"),
        route("unchecked", "/unchecked/*"),
        section(
            "upstream:other-name",
            targets=f"https://127.0.0.2:{secure_recorder.port}",
            tls_ca=identity.authority,
            retries=0,
        ),
        route("other-name", "/other-name/*"),
    )
    with Daemon(folder, text) as daemon:
        yield daemon


def test_a_client_comes_by_tls(secure: Daemon, identity: Identity, recorder: Recorder) -> None:
    with Client(secure.ports["tls"], tls=identity.client_side()) as client:
        for number in range(3):
            assert client.get(f"/tls/{number}").status == 200
        body = bytes(range(256)) * 4000
        assert client.ask("POST", "/tls/body", body=body).body == body
    visit = recorder.visit("/tls/0")
    assert (visit.value("X-Forwarded-Proto"), visit.value("X-Forwarded-Port")) == (
        "https",
        str(secure.ports["tls"]),
    )


def test_old_versions_of_tls_are_refused(secure: Daemon, identity: Identity) -> None:
    context = identity.client_side()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Client(secure.ports["tls"], tls=context) as client:
        assert client.get("/tls/12").status == 200
    output = subprocess.run(
        ["openssl", "s_client", "-tls1_1", "-connect", f"127.0.0.1:{secure.ports['tls']}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert b"Cipher is (NONE)" in output.stdout


def test_a_client_without_tls_gets_no_answer_and_harms_nobody(secure: Daemon, identity: Identity) -> None:
    with Client(secure.ports["tls"]) as plain:
        plain.send_while_open([get("/plain")])
        assert b"HTTP/1.1 200" not in plain.rest()
    with Client(secure.ports["tls"], tls=identity.client_side()) as client:
        assert client.get("/tls/after").status == 200


def test_the_gateway_speaks_tls_to_an_upstream_that_it_believes(
    secure: Daemon, secure_recorder: Recorder
) -> None:
    with secure.connect() as client:
        for number in range(3):
            assert client.get(f"/believed/{number}").status == 200
        body = bytes(range(256)) * 4000
        assert client.ask("POST", "/believed/body", body=body).body == body
    links = {secure_recorder.visit(f"/believed/{number}").link for number in range(3)}
    assert len(links) == 1


@pytest.mark.parametrize("name", ["stranger", "other-name"])
def test_an_upstream_that_cannot_prove_its_name_gets_not_a_byte(
    secure: Daemon, secure_recorder: Recorder, name: str
) -> None:
    with secure.connect() as client:
        answer = client.get(f"/{name}/x", "Authorization: Bearer secret")
    assert (answer.status, json.loads(answer.body)["reason"]) == (502, "connect-failed")
    assert secure_recorder.visits_to(f"/{name}/x") == []


def test_the_operator_may_ask_for_no_proof(secure: Daemon) -> None:
    with secure.connect() as client:
        assert client.get("/unchecked/x").status == 200


def test_a_new_certificate_is_shown_after_a_reload(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    first = new_identity(tmp_path)
    tls = listener(tls_certificate=first.certificate, tls_key=first.key)
    daemon = start(tls, everything_to(own_recorder.port))
    with Client(daemon.port, tls=first.client_side()) as client:
        assert client.get("/tls/first").status == 200
        second = new_identity(tmp_path)
        daemon.signal(signal.SIGHUP)
        until(lambda: trusts(daemon.port, second), "the new certificate is shown")
        assert client.get("/tls/kept").status == 200


def test_a_reload_may_ask_for_proof(
    start: Start, tmp_path: Path, identity: Identity, secure_recorder: Recorder
) -> None:
    def text(**options: str) -> str:
        target = f"https://localhost:{secure_recorder.port}"
        return ini(section("upstream:main", targets=target, retries=0, **options), route("main", "*"))

    authority = tmp_path / "authority.pem"
    authority.write_bytes(Path(new_identity(tmp_path).authority).read_bytes())
    daemon = start(text(tls_verify="no"))
    with daemon.connect() as client:
        assert client.get("/unchecked").status == 200
        reload(daemon, text(tls_ca=str(authority)))
        assert client.get("/unproved").status == 502
        authority.write_bytes(Path(identity.authority).read_bytes())
        reload(daemon, text(tls_ca=str(authority)))
        assert client.get("/proved").status == 200
    assert secure_recorder.visits_to("/unproved") == []


def test_a_connection_that_was_proved_to_another_authority_is_not_used_again(
    start: Start, tmp_path: Path, identity: Identity, secure_recorder: Recorder
) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_bytes(Path(identity.authority).read_bytes())
    target = f"https://localhost:{secure_recorder.port}"
    text = ini(section("upstream:main", targets=target, tls_ca=authority, retries=0), route("main", "*"))
    daemon = start(text)
    with daemon.connect() as client:
        for path in ("/proved/1", "/proved/2"):
            assert client.get(path).status == 200
            reload(daemon, text)
        assert secure_recorder.visit("/proved/1").link is secure_recorder.visit("/proved/2").link
        authority.write_bytes(Path(new_identity(tmp_path).authority).read_bytes())
        reload(daemon, text)
        assert client.get("/believed-no-more").status == 502
    until(lambda: daemon.status()["upstreams"]["main"]["requests"] == 3, "all three are counted")


def reload(daemon: Daemon, text: str) -> None:
    """Give the daemon another configuration, and wait until it is in use."""
    mark = daemon.mark()
    daemon.reload(text)
    daemon.wait_for_log("reloaded", mark)


def trusts(port: int, identity: Identity) -> bool:
    """Whether the port shows the certificate of ``identity``."""
    try:
        with Client(port, tls=identity.client_side()):
            return True
    except ssl.SSLCertVerificationError:
        return False
