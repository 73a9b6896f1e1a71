from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import capturedLogs, formatEvent

from tests.upstream.conversation import BEGUN, OK, TERMS, Sink, Talk, Wire, cut
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.http.message import Response
from twistedgate.net.tunnel import Tunnel
from twistedgate.testing import exchange
from twistedgate.upstream.asking import CLOSING_SECONDS
from twistedgate.upstream.connection import MAX_INTERIM

READ = TERMS["read_timeout"]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nto the end"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def body_of(response: Response) -> bytes:
    """Take the body of an answer that is here."""
    sink = Sink.of(response)
    assert sink.end() == "whole"
    return sink.body


# one answer


def test_an_answer_that_came_in_one_piece_is_bytes_and_the_connection_is_lent_again() -> None:
    talk = Talk()
    response = talk.answered(OK)
    assert (response.status, response.body, response.length) == (200, b"ok", 2)
    assert talk.is_lent_again
    assert talk.connection.idle_since == talk.clock()


def test_says_when_the_answer_began() -> None:
    talk = Talk()
    asked = exchange()
    talk.ask(asked)
    talk.pass_time(5)
    talk.say(OK)
    assert asked.first_byte == talk.clock()


ANSWERS = [
    (OK, b"ok"),
    (HINT + HINT + OK, b"ok"),
    (CHUNKED + b"\r\n", b"firstsecond"),
    (CHUNKED + b"X-Sum: 7\r\n\r\n", b"firstsecond"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", b"old"),
]


@given(chosen=st.sampled_from(ANSWERS), places=st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_gives_the_same_answer(chosen: tuple[bytes, bytes], places: list[int]) -> None:
    answer, body = chosen
    talk = Talk()
    waiting = talk.ask()
    sink: Sink | None = None
    for piece in cut(answer, places):
        talk.say(piece)
        if sink is None and waiting.response is not None:
            sink = Sink.of(waiting.response)
    assert sink is not None
    assert (sink.body, sink.end()) == (body, "whole")
    assert talk.is_lent_again


@given(places=st.lists(st.integers(0, 200), max_size=12), attached_after=st.integers(0, 8))
def test_nor_does_it_matter_when_somebody_takes_the_body(places: list[int], attached_after: int) -> None:
    talk = Talk()
    waiting = talk.ask()
    pieces = cut(CHUNKED + b"X-Sum: 7\r\n\r\n", places)
    for piece in pieces[:attached_after]:
        talk.say(piece)
    sink = None
    for piece in [*pieces[attached_after:], b""]:
        if sink is None and waiting.response is not None:
            sink = Sink.of(waiting.response)
        if piece:
            talk.say(piece)
        if sink is None and waiting.response is not None:
            sink = Sink.of(waiting.response)
    assert sink is not None
    assert (sink.body, sink.end()) == (b"firstsecond", "whole")
    assert sink.trailers is not None
    assert sink.trailers.get(b"x-sum") == b"7"
    assert talk.is_lent_again


def test_trailers_are_told_to_whoever_takes_the_body() -> None:
    talk = Talk()
    sink = Sink.of(talk.answered(CHUNKED, b"X-Sum: 7\r\nHost: other.test\r\n\r\n"))
    assert sink.trailers is not None
    assert list(sink.trailers) == [(b"x-sum", b"X-Sum", b"7")]


def test_is_used_for_one_exchange_after_the_other() -> None:
    talk = Talk()
    for number in range(3):
        assert talk.answered(OK).status == 200
        assert len(talk.desk.idle) == number + 1
    assert talk.connection.uses == 3


# what speaks against lending it again


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_a_target_that_will_close_is_closed(answer: bytes) -> None:
    talk = Talk()
    assert talk.answered(answer).body == b"ok"
    assert talk.wire.is_closing
    assert talk.desk.idle == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_bytes_after_an_answer_without_a_body_are_nobodys(answer: bytes, method: str) -> None:
    talk = Talk(name="after-nothing.test")
    assert talk.answered(answer + b"extra", method=method).body == b""
    assert talk.wire.is_over
    assert talk.desk.idle == []


def test_the_body_that_a_head_announces_does_not_come() -> None:
    talk = Talk()
    response = talk.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD")
    assert response.headers.get(b"content-length") == b"5"
    assert talk.is_lent_again
    talk = Talk(name="head.test")
    assert talk.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", method="HEAD").body == b""
    assert talk.desk.idle == []


@pytest.mark.parametrize("first", [0, 20, len(OK)])
def test_bytes_after_an_answer_close_the_connection_and_are_told(first: int) -> None:
    talk = Talk(name=f"after-{first}.test")
    with capturedLogs() as logged:
        talk.ask()
        talk.say(*cut(OK + b"HTTP/1.1 200 OK\r\n\r\n", [first] if first < len(OK) else []))
    assert talk.wire.is_over
    assert talk.desk.idle == []
    assert [formatEvent(event) for event in logged] == [
        f"upstream target after-{first}.test:8080: bytes after the end of an answer"
    ]


@pytest.mark.parametrize("piece", [b"x", OK, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
def test_bytes_on_an_idle_connection_are_nobodys_answer(piece: bytes) -> None:
    talk = Talk()
    talk.answered(OK)
    talk.say(piece)
    assert talk.wire.is_aborted
    assert talk.desk.forgotten == [talk.connection]


def test_a_connection_that_its_target_closes_is_not_lent_in_the_same_turn() -> None:
    talk = Talk()
    talk.answered(OK)
    talk.finish()
    assert talk.desk.forgotten == [talk.connection]
    assert not talk.connection.is_open


# an answer before the end of the request


def test_an_early_answer_ends_the_request_and_the_connection() -> None:
    talk = Talk()
    body = Body(b"piece", length=100)
    waiting = talk.ask(exchange("POST", body=body))
    talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    assert (waiting.response.status, waiting.response.body) == (413, b"big")
    assert talk.wire.is_aborted
    assert talk.desk.idle == []
    sent = talk.wire.sent
    body.receive(b"nobody's")
    assert talk.wire.sent == sent


def test_an_early_answer_may_stream_while_the_request_does() -> None:
    talk = Talk()
    body = Body(b"piece", length=9)
    waiting = talk.ask(exchange("POST", body=body))
    talk.say(BEGUN)
    sink = Sink.of(waiting.response)
    body.receive(b"more")
    body.finish()
    talk.say(b" done!")
    assert (sink.body, sink.end()) == (b"half done!", "whole")
    assert talk.is_lent_again


def test_an_early_answer_leaves_what_is_still_queued_unsent() -> None:
    """A connection whose request has not gone out is none to lend, though nothing more of it comes."""
    talk = Talk(room=0)
    talk.ask(exchange("POST", body=b"x" * 100_000))
    talk.say(OK)
    assert talk.wire.is_aborted
    assert talk.desk.idle == []


# answers that are cut short, or are none


@pytest.mark.parametrize("begun", [BEGUN, CHUNKED[:-3], CHUNKED])
@pytest.mark.parametrize("how", ["finish", "lose"])
def test_a_truncated_answer_is_told_to_whoever_takes_it(begun: bytes, how: str) -> None:
    talk = Talk()
    asked = exchange()
    waiting = talk.ask(asked)
    talk.say(begun)
    sink = Sink.of(waiting.response)
    getattr(talk, how)()
    assert sink.end() == "cut"
    assert asked.reason == "truncated"
    assert talk.desk.idle == []


def test_who_takes_it_later_is_told_then() -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.say(BEGUN)
    talk.lose()
    sink = Sink.of(waiting.response)
    assert (sink.body, sink.end()) == (b"half", "cut")


def test_a_truncated_answer_leaves_the_clients_body() -> None:
    talk = Talk()
    body = Body(b"piece", length=100)
    waiting = talk.ask(exchange("POST", body=body))
    talk.say(BEGUN)
    Sink.of(waiting.response)
    talk.finish()
    sent = talk.wire.sent
    body.receive(b"nobody's")
    assert talk.wire.sent == sent


def test_a_body_ended_by_a_close_is_whole() -> None:
    talk = Talk()
    sink = Sink.of(talk.answered(UNTIL_CLOSE))
    talk.finish()
    assert (sink.body, sink.end()) == (b"to the end", "whole")
    assert talk.wire.is_over
    assert talk.desk.idle == []


def test_a_body_ended_by_a_reset_is_not() -> None:
    talk = Talk()
    sink = Sink.of(talk.answered(UNTIL_CLOSE))
    talk.lose()
    assert sink.end() == "cut"


@pytest.mark.parametrize(("reason", "end"), [(ConnectionDone, "whole"), (ConnectionLost, "cut")])
def test_under_tls_only_a_proper_farewell_ends_a_body(reason: type[Exception], end: str) -> None:
    talk = Talk(scheme="https")
    sink = Sink.of(talk.answered(UNTIL_CLOSE))
    talk.lose(reason)
    assert sink.end() == end


def test_a_closed_body_that_nobody_has_taken_yet_is_whole_later() -> None:
    talk = Talk()
    response = talk.answered(UNTIL_CLOSE)
    talk.finish()
    talk.turn()
    assert body_of(response) == b"to the end"


def test_a_body_that_is_not_valid_is_cut_and_told() -> None:
    talk = Talk(name="invalid.test")
    sink = Sink.of(talk.answered(CHUNKED[:-3]))
    with capturedLogs() as logged:
        talk.say(b"not a size\r\n")
    assert sink.end() == "cut"
    assert talk.wire.is_aborted
    assert "a body that is not valid" in (formatEvent(logged[0]) or "")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 40_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 201 + b"\r\n",
        HINT * (MAX_INTERIM + 1),
        SWITCH,
    ],
)
def test_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.say(answer)
    assert waiting.failure == (502, "bad-response", True)
    assert talk.wire.is_aborted
    assert talk.desk.idle == []


@pytest.mark.parametrize("seen", [b"H", OK[:-10], HINT])
@pytest.mark.parametrize("how", ["finish", "lose"])
def test_an_answer_that_has_begun_is_not_to_be_asked_for_again(seen: bytes, how: str) -> None:
    """Neither as stale, though the connection was used before, nor as a reset."""
    talk = Talk()
    talk.answered(OK)
    waiting = talk.ask()
    talk.say(seen)
    getattr(talk, how)()
    assert waiting.failure == (502, "bad-response", True)


def test_interim_responses_go_to_a_client_that_may_get_them() -> None:
    talk = Talk()
    told: list[int] = []
    asked = exchange()
    asked.interim = lambda response: told.append(response.status)
    waiting = talk.ask(asked)
    talk.say(HINT, b"HTTP/1.1 100 Continue\r\n\r\n" + HINT * (MAX_INTERIM - 2) + OK)
    assert told == [103, 100, *[103] * (MAX_INTERIM - 2)]
    assert waiting.response.body == b"ok"


# time and back-pressure


def test_a_target_that_stops_in_the_middle_is_given_up() -> None:
    talk = Talk()
    asked = exchange()
    waiting = talk.ask(asked)
    talk.say(BEGUN)
    sink = Sink.of(waiting.response)
    talk.pass_time(READ - 1)
    talk.say(b"mo")
    talk.pass_time(READ - 1)
    assert not sink.end()
    talk.pass_time(1)
    assert sink.end() == "cut"
    assert asked.reason == "read-timeout"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_time_does_not_run_while_we_pause(scheme: str) -> None:
    talk = Talk(scheme=scheme)
    response = talk.answered(BEGUN)
    sink = Sink.of(response)
    response.body.pause()  # type: ignore[union-attr]
    assert not talk.wire.reads()
    talk.say(b"mo")  # TLS may have more to give after that
    talk.pass_time(READ * 10)
    assert not sink.end()
    response.body.resume()  # type: ignore[union-attr]
    assert talk.wire.reads()
    talk.pass_time(READ)
    assert sink.end() == "cut"


def test_what_comes_before_somebody_takes_it_is_held_and_reading_pauses() -> None:
    talk = Talk()
    waiting = talk.ask()
    talk.say(BEGUN)
    assert talk.wire.reads()
    talk.say(b" do")
    assert not talk.wire.reads()
    talk.pass_time(READ * 2)
    sink = Sink.of(waiting.response)
    assert talk.wire.reads()
    assert sink.body == b"half do"
    talk.say(b"ne!")
    assert sink.end() == "whole"


def test_a_client_that_is_full_at_the_end_does_not_pause_the_next_exchange() -> None:
    """All of a body is here, with trailers; its sink pauses it once it is over."""
    talk = Talk()
    response = talk.answered(CHUNKED + b"X-Sum: 7\r\n\r\n")
    Sink.of(response)
    response.body.pause()  # type: ignore[union-attr]
    assert talk.wire.reads()
    assert talk.answered(OK).body == b"ok"
    response.body.resume()  # type: ignore[union-attr]
    response.body.abandon()  # type: ignore[union-attr]
    assert not talk.wire.is_over


def test_a_paused_answer_is_read_again_before_the_connection_is_lent() -> None:
    talk = Talk(scheme="https")
    response = talk.answered(BEGUN)
    Sink.of(response)
    response.body.pause()  # type: ignore[union-attr]
    talk.say(b" done!")
    assert talk.wire.reads()
    assert talk.is_lent_again


def test_an_answer_that_nobody_wants_ends_the_connection() -> None:
    talk = Talk()
    talk.answered(BEGUN).abandon()
    assert talk.wire.is_aborted
    assert talk.desk.idle == []


def test_an_idle_connection_whose_time_is_over_is_closed_and_then_cut() -> None:
    talk = Talk()
    talk.answered(OK)
    talk.connection.expire(talk.clock())
    assert talk.wire.is_closing
    talk.pass_time(CLOSING_SECONDS)
    assert talk.wire.is_aborted


# other protocols


class Client:
    """The client's end of a tunnel."""

    def __init__(self) -> None:
        self.transport = Wire()


def upgraded(talk: Talk, *pieces: bytes) -> Response:
    """Agree on a WebSocket."""
    waiting = talk.ask(handshake())
    talk.say(*pieces)
    assert isinstance(waiting.response, Response)
    return waiting.response


def handshake() -> Exchange:
    """Return the request for one."""
    return exchange(headers=HANDSHAKE)


def opened(talk: Talk, response: Response) -> tuple[Tunnel, Client]:
    """Let the line open the tunnel."""
    client = Client()
    tunnel = Tunnel(client, response.tunnel, talk.clock())
    assert isinstance(response.body, bytes)
    tunnel.open(b"101 ", response.body, b"", lambda: None)
    return tunnel, client


def test_a_101_waits_for_its_tunnel_unread() -> None:
    talk = Talk()
    response = upgraded(talk, SWITCH + b"early")
    assert (response.status, response.body, response.tunnel) == (101, b"early", talk.connection)
    assert not talk.wire.reads()
    talk.pass_time(READ * 2)
    assert not talk.wire.is_over
    _, client = opened(talk, response)
    assert talk.wire.reads()
    talk.say(b" late")
    assert client.transport.sent == b"101 early late"
    assert talk.desk.idle == []


def test_what_tls_still_gives_before_the_tunnel_stands_is_held() -> None:
    talk = Talk(scheme="https")
    response = upgraded(talk, SWITCH + b"one ", b"two ", b"three")
    _, client = opened(talk, response)
    assert client.transport.sent == b"101 one two three"


def test_a_target_that_has_left_before_the_tunnel_stands_ends_it() -> None:
    talk = Talk(scheme="https")
    response = upgraded(talk, SWITCH, b"last words")
    talk.lose(ConnectionDone)
    tunnel, client = opened(talk, response)
    assert client.transport.sent == b"101 last words"
    assert not tunnel.is_open
    assert client.transport.is_closing


def test_an_upgrade_that_nobody_takes_up_ends_the_connection() -> None:
    talk = Talk()
    upgraded(talk, SWITCH).abandon()
    assert talk.wire.is_aborted


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(b"s3pPLMBi", b"AAAAAAAA"),
        SWITCH.replace(b"websocket", b"h2c"),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_a_101_that_does_not_prove_itself_is_a_failure(answer: bytes) -> None:
    talk = Talk()
    waiting = talk.ask(handshake())
    talk.say(answer)
    assert waiting.failure == (502, "bad-response", True)
    assert talk.wire.is_aborted


def test_a_target_that_will_not_upgrade_answers_as_always() -> None:
    talk = Talk()
    waiting = talk.ask(handshake())
    talk.say(OK)
    assert waiting.response.body == b"ok"
    assert talk.is_lent_again


def test_a_half_close_goes_through_the_tunnel() -> None:
    talk = Talk()
    tunnel, client = opened(talk, upgraded(talk, SWITCH))
    talk.finish()
    assert client.transport.is_half_closed
    assert tunnel.is_open
    assert not talk.wire.is_over


def test_back_pressure_goes_through_the_tunnel() -> None:
    talk = Talk()
    _, client = opened(talk, upgraded(talk, SWITCH))
    talk.connection.pauseProducing()
    assert not client.transport.reads()
    talk.connection.resumeProducing()
    assert client.transport.reads()


def test_a_lost_target_ends_the_tunnel() -> None:
    talk = Talk()
    tunnel, client = opened(talk, upgraded(talk, SWITCH))
    talk.lose()
    assert not tunnel.is_open
    assert client.transport.is_closing
    assert talk.desk.gone == [talk.connection]


def test_a_target_that_does_not_take_the_end_of_a_tunnel_is_cut() -> None:
    talk = Talk()
    tunnel, _ = opened(talk, upgraded(talk, SWITCH))
    talk.pass_time(CLOSING_SECONDS * 3)
    assert not talk.wire.is_over
    tunnel.close()
    assert talk.wire.is_closing
    for _ in range(2):
        talk.pass_time(CLOSING_SECONDS)
    assert talk.wire.is_aborted
