from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.certificates import Authority, Pair
from tests.downstream.conversation import Conversation, House, Line, get, post, post_chunked
from tests.downstream.secure import SecureConversation
from twistedgate.downstream.answering import LINGER_BYTES, LINGER_SECONDS
from twistedgate.fakes.body import Body
from twistedgate.fakes.upstream import Later
from twistedgate.http.headers import Headers
from twistedgate.http.message import UNTIL_CLOSE, BodySink, Response, WrittenHead
from twistedgate.net.transport import READ_SIZE
from twistedgate.net.tunnel import Tunnel

KIB = 1024
MOST_HELD = 512 * KIB
"""Bytes that may be held for one client, whoever is slow."""


def streamed(source: Body, length: int | None = None, status: int = 200) -> Response:
    response = Response(status, body=source)
    if length is not None:
        response.length = length
    return response


def body_of(client: Conversation) -> bytes:
    """What follows the first head."""
    return client.received.partition(b"\r\n\r\n")[2]


# which framing


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    source = Body(b"first")
    client = Conversation(House(streamed(source)))
    client.send(get())
    source.receive(b"second")
    source.finish()
    assert b"Transfer-Encoding: chunked\r\n" in client.received
    assert body_of(client) == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    assert client.is_open


def test_a_body_of_known_length_goes_as_it_is() -> None:
    source = Body(b"first")
    client = Conversation(House(streamed(source, 11)))
    client.send(get())
    source.receive(b"second")
    source.finish()
    assert b"Content-Length: 11\r\n" in client.received
    assert body_of(client) == b"firstsecond"
    assert client.is_open


def known(is_known: bool) -> Response:
    """Return an answer that was written before, or the same that was not."""
    written = WrittenHead(
        200,
        b"Fine",
        ((b"date", b"Date", b"today"),),
        b"Date: today\r\n",
        5,
        b"HTTP/1.1 200 Fine\r\nDate: today\r\nContent-Length: 5\r\n",
    )
    response = Response(200, Headers(written.fields, written.lines), b"hello")
    response.phrase = written.phrase
    if is_known:
        response.own_headers = None
        response.written = written
    return response


def nothing(response: Response) -> None:
    """Leave the answer as it is."""


def more(response: Response) -> None:
    response.headers.add(b"X-More", b"1")


def others(response: Response) -> None:
    response.headers = Headers.of((b"X-Other", b"1"))


def another_status(response: Response) -> None:
    response.status = 201


def another_phrase(response: Response) -> None:
    response.phrase = b"Good"


def another_body(response: Response) -> None:
    response.body = b"good-bye"


def longer_body(response: Response) -> None:
    response.body = Body(b"hello")


def last(response: Response) -> None:
    response.closes = True


@pytest.mark.parametrize(
    "change", [nothing, more, others, another_status, another_phrase, another_body, longer_body, last]
)
@pytest.mark.parametrize(
    "request_bytes",
    [
        get(),
        get("Connection: close"),
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_a_head_that_was_written_before_is_what_it_would_be(
    change: Callable[[Response], None], request_bytes: bytes
) -> None:
    received = []
    for is_known in (True, False):
        response = known(is_known)
        change(response)
        client = Conversation(House(response))
        client.send(request_bytes)
        received.append((client.received, client.is_open))
    assert received[0] == received[1]


@pytest.mark.parametrize("keeps", [False, True])
def test_an_old_client_sees_the_end_of_an_unknown_length_by_the_end_of_the_connection(keeps: bool) -> None:
    source = Body(b"first")
    client = Conversation(House(streamed(source)))
    client.send(get("/orders/7", *(["Connection: keep-alive"] if keeps else []), version="1.0"))
    source.receive(b"second")
    assert not client.line.is_over
    source.finish()
    assert body_of(client) == b"firstsecond"
    assert b"Connection: close\r\n" in client.received
    assert client.line.is_closed


def test_an_old_client_keeps_its_connection_if_it_asks_to() -> None:
    client = Conversation(House())
    client.send(get("/static", "Connection: keep-alive", version="1.0"))
    assert b"Connection: keep-alive\r\n" in client.received
    assert client.is_open
    client.send(get("/static", version="1.0"))
    assert client.statuses == [200, 200]
    assert client.line.is_closed


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_abandons_the_one_there_is(method: str, status: int) -> None:
    source = Body(b"never sent")
    house = House(streamed(source, status=status))
    client = Conversation(house)
    client.send(get(method=method))
    assert body_of(client) == b""
    assert source.is_abandoned
    assert (client.statuses, client.is_open, house.is_even) == ([status], True, True)


def test_a_head_alone_says_how_long_the_body_would_be() -> None:
    client = Conversation(House())
    client.send(get("/static", method="HEAD"))
    assert b"Content-Length: 6\r\n" in client.received
    assert body_of(client) == b""


def test_trailers_go_to_those_who_accept_them() -> None:
    answers = []
    for fields in ([], ["Connection: TE", "TE: trailers"]):
        source = Body(b"all")
        client = Conversation(House(streamed(source)))
        client.send(get("/orders/7", *fields))
        source.finish(Headers.of((b"X-Sum", b"6")))
        answers.append(body_of(client))
    assert answers == [b"3\r\nall\r\n0\r\n\r\n", b"3\r\nall\r\n0\r\nX-Sum: 6\r\n\r\n"]


def test_an_answer_that_asks_to_close_closes() -> None:
    response = Response(200, body=b"last")
    response.closes = True
    client = Conversation(House(response))
    client.send(get())
    assert b"Connection: close\r\n" in client.received
    assert client.line.is_closed


def test_what_was_sent_is_counted() -> None:
    source = Body(b"first", b"second")
    house = House(Response(200, body=b"here"), streamed(source))
    client = Conversation(house)
    client.send(get() * 2)
    source.finish()
    assert [exchange.bytes_out for exchange in house.observed] == [4, 11]


# half an answer


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("length", [100, None, UNTIL_CLOSE])
def test_half_an_answer_does_not_end_like_a_whole_one(version: str, length: int | None) -> None:
    source = Body(b"half")
    house = House(streamed(source, length))
    client = Conversation(house)
    client.send(get(version=version))
    source.fail()
    assert client.line.is_aborted
    assert not client.line.is_closed
    assert b"0\r\n\r\n" not in body_of(client)
    assert house.is_even


def test_nothing_is_begun_behind_half_an_answer() -> None:
    source = Body(b"half")
    house = House(streamed(source))
    client = Conversation(house)
    client.send(get() * 2)
    source.fail()
    client.settle()
    assert len(house.orders.sent) == 1
    assert client.statuses == [200]


def test_an_answer_that_ends_before_it_is_taken_is_half_too() -> None:
    source = Body(b"half")
    source.fail()
    client = Conversation(House(streamed(source)))
    client.send(get())
    assert client.line.is_aborted


# a client that takes little


class Flood:
    """A source that delivers as much as one read at a time, as long as it is not paused."""

    def __init__(self, total: int) -> None:
        self.left = total
        self.reads = 0
        self.was_paused_after_its_end = False
        self._sink: BodySink | None = None
        self._is_paused = False
        self._is_over = False

    def attach(self, sink: BodySink) -> None:
        self._sink = sink
        self.resume()

    def run(self) -> None:
        """Read as the reactor would."""
        while self.left and not self._is_paused:
            size = min(READ_SIZE, self.left)
            self.left -= size
            self.reads += 1
            assert self._sink is not None
            self._sink.receive(b"x" * size)
        if not self.left and not self._is_over:
            self._is_over = True
            assert self._sink is not None
            self._sink.finish(None)

    def pause(self) -> None:
        self.was_paused_after_its_end |= self._is_over
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False

    def abandon(self) -> None:
        self._sink = None


def test_a_client_that_takes_nothing_holds_its_source_up() -> None:
    flood = Flood(64 * 1024 * KIB)
    client = Conversation(House(Response(200, body=flood)), room=100 * KIB)
    client.send(get())
    flood.run()
    assert flood.reads == 1
    assert client.line.queued <= MOST_HELD
    for _ in range(20):
        client.line.take(client.line.queued + KIB)
        flood.run()
    assert client.line.most_queued <= MOST_HELD
    assert 15 <= flood.reads <= 30


def test_a_client_that_takes_all_in_the_end_has_all() -> None:
    flood = Flood(3 * 1024 * KIB)
    client = Conversation(House(Response(200, body=flood)), room=100 * KIB)
    client.send(get())
    flood.run()
    while not client.received.endswith(b"0\r\n\r\n"):
        client.line.take(300 * KIB)
        flood.run()
    assert body_of(client).count(b"x") == 3 * 1024 * KIB
    assert client.is_open


def test_a_source_that_has_ended_is_not_paused() -> None:
    """Its connection may serve somebody else by now."""
    flood = Flood(200 * KIB)
    client = Conversation(House(Response(200, body=flood)), room=KIB)
    client.send(get())
    flood.run()
    flood.resume()
    flood.run()
    assert client.line.queued > client.line.bufferSize
    assert not flood.was_paused_after_its_end


class Begun(Body):
    """A source that goes on when somebody takes it, as an upstream's connection does."""

    def attach(self, sink: BodySink) -> None:
        super().attach(sink)
        self.is_paused = False


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_source_is_paused_that_fills_the_client_at_once_unless_it_has_ended(has_ended: bool) -> None:
    source = Begun(b"x" * 200 * KIB)
    if has_ended:
        source.finish()
    client = Conversation(House(streamed(source)), room=KIB)
    client.send(get())
    assert client.line.queued > client.line.bufferSize
    assert source.is_paused is not has_ended


def test_a_client_that_took_little_so_far_begins_no_further_request() -> None:
    house = House(Response(200, body=b"x" * 100 * KIB), Response(201))
    client = Conversation(house, room=KIB)
    client.send(get() * 2)
    assert len(house.orders.sent) == 1
    client.line.take(50 * KIB)
    assert len(house.orders.sent) == 1
    client.line.take()
    assert client.statuses == [200, 201]
    assert client.line.is_reading


def test_a_client_that_took_little_of_a_late_answer_begins_no_further_request() -> None:
    first = Later()
    house = House(first, Response(201))
    client = Conversation(house, room=KIB)
    client.send(get() * 2)
    first.answer(Response(200, body=b"x" * 100 * KIB))
    assert len(house.orders.sent) == 1
    client.line.take()
    assert client.statuses == [200, 201]


def test_a_client_that_took_little_so_far_is_not_read() -> None:
    house = House(Response(200, body=b"x" * 100 * KIB), Response(201))
    client = Conversation(house, room=KIB)
    client.send(get(), get())
    assert not client.line.is_reading
    assert len(house.orders.sent) == 1
    client.line.take()
    assert client.statuses == [200, 201]


# interim answers


def test_a_client_that_waits_to_be_told_is_told_once_when_its_body_is_wanted() -> None:
    client = Conversation(House())
    client.send(post("/read/1", "Expect: 100-continue", length=4))
    assert client.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"body")
    assert client.statuses == [100, 200]
    assert client.is_open


def test_a_client_that_sent_its_body_anyway_is_not_told() -> None:
    client = Conversation(House())
    client.send(post("/read/1", "Expect: 100-continue", length=4, body=b"bo"), b"dy")
    assert client.statuses == [200]


def test_a_client_that_gets_its_answer_is_not_told() -> None:
    client = Conversation(House())
    client.send(post("/static", "Expect: 100-continue", length=4))
    assert client.statuses == [200]
    assert not client.is_open


def test_what_an_upstream_says_meanwhile_is_passed_on() -> None:
    later = Later()
    house = House(later)
    client = Conversation(house)
    client.send(post("/orders/7", "Expect: 100-continue", length=4))
    passing = client.connection._exchange
    assert passing is not None
    interim = passing.interim
    assert interim is not None
    interim(Response(103, Headers.of((b"Link", b"</style.css>"))))
    interim(Response(100))
    interim(Response(100))
    client.send(b"body")
    later.answer(Response(200))
    assert client.statuses == [103, 100, 200]
    assert client.received.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
    assert passing.interim is None
    interim(Response(103))
    assert client.statuses == [103, 100, 200]


def test_an_upstreams_100_is_not_for_those_who_do_not_wait_for_it() -> None:
    later = Later()
    client = Conversation(House(later))
    client.send(post(body=b"body"))
    passing = client.connection._exchange
    assert passing is not None
    assert passing.interim is not None
    passing.interim(Response(100))
    later.answer(Response(200))
    assert client.statuses == [200]


def test_an_old_client_gets_nothing_before_its_answer() -> None:
    later = Later()
    client = Conversation(House(later))
    client.send(post(body=b"body").replace(b"HTTP/1.1", b"HTTP/1.0"))
    passing = client.connection._exchange
    assert passing is not None
    assert passing.interim is None


# how it ends


def test_an_answer_before_the_body_was_read_is_the_last() -> None:
    client = Conversation(House())
    client.send(post("/static", length=100, body=b"some"))
    assert client.statuses == [200]
    assert b"Connection: close\r\n" in client.received
    assert client.line.is_half_closed
    client.send(b"more of it")
    client.finish_sending()
    assert client.line.is_closed


def test_a_body_that_goes_on_behind_the_answer_is_read_up_to_a_bound() -> None:
    client = Conversation(House())
    client.send(post("/static", length=10 * LINGER_BYTES), b"x" * (LINGER_BYTES - 1), b"x")
    assert not client.line.is_over
    client.send(b"x")
    assert client.line.is_closed


def test_a_large_last_answer_is_not_cut_while_it_is_taken() -> None:
    """The time that a client may go on sending is no bound for what it takes."""
    client = Conversation(House(Response(200, body=b"x" * 300 * KIB)), room=KIB)
    client.send(get("/orders/7", "Connection: close"))
    for _ in range(29):
        client.wait(LINGER_SECONDS)
        client.line.take(10 * KIB)
    assert not client.line.is_over
    client.line.take()
    assert client.line.is_closed
    assert body_of(client) == b"x" * 300 * KIB


def test_an_early_answer_is_not_cut_while_it_is_taken() -> None:
    client = Conversation(House(Response(200, body=b"x" * 300 * KIB)), room=KIB)
    client.send(post(length=10 * LINGER_BYTES))
    for _ in range(29):
        client.send(b"x" * KIB)
        client.wait(LINGER_SECONDS)
        client.line.take(10 * KIB)
    assert not client.line.is_over
    client.line.take()
    assert body_of(client) == b"x" * 300 * KIB
    assert client.line.is_half_closed
    client.wait(LINGER_SECONDS)
    assert client.line.is_closed


def test_a_client_that_sends_too_much_is_read_no_more_but_has_its_answer() -> None:
    client = Conversation(House(Response(200, body=b"x" * 300 * KIB)), room=KIB)
    client.send(post(length=10 * LINGER_BYTES), b"y" * (LINGER_BYTES + 1))
    assert not client.line.is_reading
    assert not client.line.is_over
    client.line.take()
    assert client.line.is_closed
    assert body_of(client) == b"x" * 300 * KIB


def test_what_comes_behind_the_last_answer_is_not_a_request() -> None:
    house = House()
    client = Conversation(house)
    client.send(get("/orders/7", "Connection: close"))
    client.connection.dataReceived(get())
    assert len(house.orders.sent) == 1


def test_no_body_holds_a_connection_that_has_nothing_to_do() -> None:
    client = Conversation(House())
    client.send(post("/orders/7", body=b"x" * 100 * KIB))
    assert client.connection.is_idle
    assert client.connection._codec.rest == b""


# tunnels

HANDSHAKE = get(
    "/orders/chat",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class FarEnd:
    """The target's side of a tunnel."""

    def __init__(self, room: float = float("inf")) -> None:
        self.transport: Any = Line(room)
        self.transport.registerProducer(self, True)
        self.tunnel: Tunnel | None = None

    def join(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel

    def say(self, piece: bytes) -> None:
        assert self.tunnel is not None
        self.tunnel.receive(self, piece, 0.0)

    def abort(self) -> None:
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        assert self.tunnel is not None
        self.tunnel.pause(self)

    def resumeProducing(self) -> None:
        assert self.tunnel is not None
        self.tunnel.resume(self)

    def finish_sending(self) -> None:
        assert self.tunnel is not None
        self.tunnel.half_closed(self)

    def lose(self) -> None:
        assert self.tunnel is not None
        self.tunnel.close()


def switching(far: FarEnd, early: bytes = b"") -> Response:
    response = Response(101, body=early)
    response.tunnel = far
    return response


def upgraded(house: House, far: FarEnd, room: float = float("inf")) -> Conversation:
    """Return a client in a tunnel."""
    client = Conversation(house, room)
    client.send(HANDSHAKE)
    assert far.tunnel is not None
    return client


def test_a_tunnel_passes_bytes_both_ways() -> None:
    far = FarEnd()
    house = House(switching(far, b"early"))
    client = upgraded(house, far)
    client.send(b"up")
    far.say(b"down")
    assert body_of(client) == b"earlydown"
    assert far.transport.received == b"up"
    assert house.observed == []
    client.leave()
    assert (house.observed[0].bytes_in, house.observed[0].bytes_out) == (2, 9)
    assert house.is_even


@pytest.mark.parametrize("pieces", [(HANDSHAKE + b"hello",), (HANDSHAKE, b"hello")])
def test_what_a_client_says_before_the_tunnel_stands_is_not_lost(pieces: tuple[bytes, ...]) -> None:
    later, far = Later(), FarEnd()
    client = Conversation(House(later))
    client.send(*pieces)
    assert far.transport.received == b""
    later.answer(switching(far))
    assert far.transport.received == b"hello"
    assert client.line.is_reading
    client.leave()


def test_a_tunnel_holds_the_side_up_that_sends_to_a_slow_one() -> None:
    far = FarEnd()
    client = upgraded(House(switching(far, b"x" * 100 * KIB)), far, room=KIB)
    assert not far.transport.is_reading
    client.line.take()
    assert far.transport.is_reading
    far.transport.room = KIB
    client.send(b"x" * 100 * KIB)
    was_reading = client.line.is_reading
    far.transport.take()
    assert (was_reading, client.line.is_reading) == (False, True)
    client.leave()


def test_a_target_that_is_slow_from_the_start_holds_its_client_up() -> None:
    later, far = Later(), FarEnd(room=KIB)
    client = Conversation(House(later))
    client.send(HANDSHAKE + b"x" * 100 * KIB)
    later.answer(switching(far))
    was_reading = client.line.is_reading
    far.transport.take()
    assert (was_reading, client.line.is_reading) == (False, True)
    client.leave()


def test_a_half_close_passes_through_a_tunnel() -> None:
    far = FarEnd()
    house = House(switching(far))
    client = upgraded(house, far)
    client.finish_sending()
    assert far.transport.is_half_closed
    assert not client.line.is_over
    far.say(b"the rest")
    far.finish_sending()
    client.settle()
    assert client.received.endswith(b"the rest")
    assert client.line.is_closed
    assert far.transport.is_closed
    assert (house.reasons, house.is_even) == ([""], True)


def test_a_half_close_passes_behind_what_is_queued() -> None:
    far = FarEnd(room=KIB)
    client = upgraded(House(switching(far)), far)
    client.send(b"x" * 100 * KIB)
    client.finish_sending()
    assert not far.transport.is_half_closed
    far.transport.take()
    assert far.transport.is_half_closed
    assert far.transport.received == b"x" * 100 * KIB
    client.leave()


def test_a_tunnel_whose_target_is_lost_ends_with_what_was_sent() -> None:
    far = FarEnd()
    client = upgraded(House(switching(far)), far, room=KIB)
    far.say(b"x" * 10 * KIB)
    far.lose()
    assert not client.line.is_over
    client.line.take()
    assert client.line.is_closed
    assert client.received.endswith(b"x" * KIB)


def test_what_comes_out_of_a_tunnel_that_is_over_is_not_a_request() -> None:
    far = FarEnd()
    house = House(switching(far), Response(200))
    client = upgraded(house, far)
    far.lose()
    client.connection.dataReceived(get())
    assert len(house.orders.sent) == 1


def test_a_quiet_tunnel_is_closed() -> None:
    far = FarEnd()
    client = upgraded(House(switching(far), idle_timeout=60.0), far)
    client.wait(59.0)
    client.send(b"ping")
    client.wait(59.0)
    assert not client.line.is_over
    client.wait(1.0)
    assert client.line.is_closed
    assert far.transport.is_closed


def test_a_tunnel_outlives_the_time_of_its_route_and_a_drain() -> None:
    far = FarEnd()
    house = House(switching(far), idle_timeout=1000.0)
    client = Conversation(house)
    client.send(HANDSHAKE.replace(b"/orders/chat", b"/brief"))
    house.is_draining = True
    client.connection.drain()
    client.wait(100.0)
    assert not client.line.is_over
    client.connection.abort()
    client.settle()
    assert (house.reasons, far.transport.is_closed) == (["client-gone"], True)


def test_no_upgrade_is_begun_while_draining() -> None:
    house = House()
    house.is_draining = True
    client = Conversation(house)
    client.send(HANDSHAKE)
    assert (client.statuses, house.reasons) == ([503], ["draining"])


def test_an_upgrade_that_is_not_accepted_is_answered_like_any_other() -> None:
    client = Conversation(House(Response(200)))
    client.send(HANDSHAKE, get())
    assert client.statuses == [200, 200]


# TLS


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("authority")).issue("api.example.com")


def test_tls_is_answered_and_closed_with_a_farewell(pair: Pair) -> None:
    client = SecureConversation(House(), pair)
    client.send(get("/static"), get("/static", "Connection: close"))
    assert client.statuses == [200, 200]
    assert client.has_said_farewell
    client.take_leave()
    assert client.line.is_over


def test_tls_that_is_closed_is_not_held_by_a_client_that_says_no_farewell(pair: Pair) -> None:
    house = House(idle_timeout=60.0)
    client = SecureConversation(house, pair)
    client.send(get("/static"))
    client.wait(60.0)
    assert client.has_said_farewell
    client.send(get())
    assert house.orders.sent == []
    client.wait(LINGER_SECONDS)
    assert client.line.is_closed


def test_tls_has_its_early_answer_and_is_not_read_for_ever(pair: Pair) -> None:
    client = SecureConversation(House(), pair)
    client.send(post_chunked("/static"), b"400\r\n" + b"x" * KIB + b"\r\n")
    assert client.statuses == [200]
    assert not client.line.is_over
    client.send(b"x" * LINGER_BYTES)
    assert client.line.is_closed


def test_tls_that_never_shakes_hands_is_not_held(pair: Pair) -> None:
    client = SecureConversation(House(header_timeout=10.0), pair, shakes_hands=False)
    client.wait(10.0)
    client.wait(LINGER_SECONDS)
    assert client.line.is_over
