"""WebSocket: the opening handshake, the tunnel behind it, and how it ends (RFC 9110 section 7.8)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.end_to_end.harness.client import Client, get, request
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.link import Gone
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()


def handshake(path: str, *more: str) -> bytes:
    fields = ("Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", *more)
    return request("GET", path, *fields, "Sec-WebSocket-Version: 13")


def opened(behind: Callable[[Visit], None]) -> Callable[[Visit], None]:
    """Return a script that accepts the handshake and then does ``behind``."""

    def script(visit: Visit) -> None:
        visit.send(SWITCH)
        behind(visit)

    return script


def echo_bytes(visit: Visit) -> None:
    while True:
        visit.send(visit.link.receive())


def test_the_handshake_passes_both_ways(client: Client, recorder: Recorder) -> None:
    recorder.on("/ws", opened(echo_bytes))
    client.send(handshake("/ws", "Sec-WebSocket-Protocol: chat"))
    answer = client.answer()
    assert (answer.status, answer.value("Upgrade"), answer.value("Connection")) == (
        101,
        "websocket",
        "Upgrade",
    )
    assert answer.value("Sec-WebSocket-Accept") == ACCEPT
    visit = recorder.visit("/ws")
    assert (visit.value("Upgrade"), visit.value("Connection")) == ("websocket", "Upgrade")
    assert (visit.value("Sec-WebSocket-Key"), visit.value("Sec-WebSocket-Protocol")) == (KEY, "chat")


def test_bytes_pass_both_ways_and_are_never_read_as_http(client: Client, recorder: Recorder) -> None:
    recorder.on("/ws/echo", opened(echo_bytes))
    client.send(handshake("/ws/echo"))
    assert client.answer().status == 101
    for message in (b"\x81\x05hello", get("/smuggled"), bytes(range(256)) * 300):
        client.send(message)
        assert client.reader.take(len(message)) == message
    assert recorder.visits_to("/smuggled") == []


def test_bytes_right_behind_the_101_are_not_lost(client: Client, recorder: Recorder) -> None:
    def script(visit: Visit) -> None:
        visit.send(SWITCH + b"\x81\x02hi")
        visit.link.wait_for_end()

    recorder.on("/ws/eager", script)
    client.send(handshake("/ws/eager"))
    assert client.answer().status == 101
    assert client.reader.take(4) == b"\x81\x02hi"


def test_early_bytes_wait_for_the_101(client: Client, gateway: Daemon, recorder: Recorder) -> None:
    go_on = threading.Event()

    def script(visit: Visit) -> None:
        happens(go_on, "the handshake may be accepted")
        visit.send(SWITCH)
        visit.send(visit.link.receive())

    recorder.on("/ws/early", script)
    client.send(handshake("/ws/early") + b"early")
    visit = recorder.visit("/ws/early")
    with gateway.connect() as other:
        assert other.get("/ws/probe").status == 200
    recorder.settle()
    assert visit.link.raw.endswith(b"\r\n\r\n")
    go_on.set()
    assert client.answer().status == 101
    assert client.reader.take(5) == b"early"


def test_a_refused_handshake_is_an_ordinary_answer(client: Client, recorder: Recorder) -> None:
    recorder.on("/ws/refused", lambda visit: visit.answer(403, b"no"))
    client.send(handshake("/ws/refused"))
    answer = client.answer()
    assert (answer.status, answer.body) == (403, b"no")
    assert answer.values("Upgrade") == []


def test_after_a_refused_handshake_early_bytes_are_a_request_or_nothing(
    client: Client, recorder: Recorder
) -> None:
    recorder.on("/ws/refused-early", lambda visit: visit.answer(200, b"no"))
    client.send(handshake("/ws/refused-early") + get("/ws/next"))
    answer = client.answer()
    assert answer.body == b"no"
    if answer.closes:
        assert client.ends()
    else:
        assert client.answer().value("X-Target") == "/ws/next"


def test_a_half_close_of_the_client_leaves_the_other_direction_open(
    client: Client, recorder: Recorder
) -> None:
    def script(visit: Visit) -> None:
        received = b""
        try:
            while True:
                received += visit.link.receive()
        except Gone:
            visit.send(b"you said " + received)

    recorder.on("/ws/half", opened(script))
    client.send(handshake("/ws/half"))
    assert client.answer().status == 101
    client.send(b"last words")
    client.finish_sending()
    assert client.rest() == b"you said last words"


def test_a_half_close_of_the_upstream_leaves_the_other_direction_open(
    client: Client, recorder: Recorder
) -> None:
    heard = threading.Event()

    def script(visit: Visit) -> None:
        visit.send(b"last words")
        visit.finish_sending()
        if visit.link.receive() == b"still here":
            heard.set()

    recorder.on("/ws/upstream-half", opened(script))
    client.send(handshake("/ws/upstream-half"))
    assert client.answer().status == 101
    assert client.rest() == b"last words"
    client.send(b"still here")
    happens(heard, "the upstream hears the client after its own end")


def test_the_tunnel_ends_when_the_upstream_leaves(client: Client, recorder: Recorder) -> None:
    recorder.on("/ws/leave", opened(lambda visit: visit.close()))
    client.send(handshake("/ws/leave"))
    assert client.answer().status == 101
    assert client.ends()


def test_the_tunnel_ends_when_the_client_leaves(gateway: Daemon, recorder: Recorder) -> None:
    recorder.on("/ws/client-leaves", opened(echo_bytes))
    with gateway.connect() as client:
        client.send(handshake("/ws/client-leaves"))
        assert client.answer().status == 101
        client.reset()
    happens(recorder.visit("/ws/client-leaves").link.ended, "the upstream's side of the tunnel ends")
    gateway.wait_until_idle()


def test_a_tunnel_is_one_line_of_the_log(gateway: Daemon, recorder: Recorder) -> None:
    def twice(visit: Visit) -> None:
        visit.send(visit.link.receive() * 2)
        visit.close()

    recorder.on("/ws/logged", opened(twice))
    with gateway.connect() as client:
        client.send(handshake("/ws/logged"))
        assert client.answer().status == 101
        client.send(b"12345")
        assert client.rest() == b"1234512345"
    record = gateway.record(path="/ws/logged")
    assert (record["status"], record["bytes_in"], record["bytes_out"]) == (101, 5, 10)
