from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.downstream.conversation import Line
from tests.net.loop import a_loop
from twistedgate.downstream.relay import REPLAYED, IncomingBody, OutgoingBody
from twistedgate.errors import BadMessage, Refusal
from twistedgate.exchange import Exchange
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED
from twistedgate.net.task import Task
from twistedgate.testing import exchange
from twistedgate.wire.body import make_reader

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Sink:
    """Takes a body, and pauses its source if it is to."""

    def __init__(self, pause: Callable[[], None] | None = None) -> None:
        self.pieces: list[bytes] = []
        self.ended = ""
        self._pause = pause

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def receive(self, piece: bytes) -> None:
        assert piece
        assert not self.ended
        self.pieces.append(piece)
        if self._pause is not None:
            self._pause()

    def finish(self, trailers: Headers | None) -> None:
        assert not self.ended
        self.ended = "whole"

    def fail(self) -> None:
        assert not self.ended
        self.ended = "cut short"


class Coming:
    """A connection that a body comes on."""

    def __init__(self, length: int) -> None:
        self.exchange: Exchange = exchange("POST")
        self.exchange.request.length = length
        self.body = IncomingBody(self, self.exchange, make_reader(length, 400, (1000, 10)))
        self.is_reading = True
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def body_wanted(self) -> None:
        self.told.append("wanted")

    def body_ended(self, rest: bytes) -> None:
        self.told.append(f"ended before {rest.decode()}")


def run(waiting: Coroutine[Any, Any, Any]) -> list[Any]:
    """Begin to wait; the list holds the result once there is one."""
    results: list[Any] = []

    async def wait() -> None:
        results.append(await waiting)

    Task(wait(), lambda: None).step()
    return results


# a request's body


def test_a_sink_gets_what_came_before_it_and_what_comes_after() -> None:
    coming = Coming(6)
    coming.body.receive(b"ab")
    coming.body.receive(b"cd")
    sink = Sink()
    coming.body.attach(sink)
    assert sink.pieces == [b"abcd"]
    coming.body.receive(b"ef")
    assert (sink.pieces, sink.ended) == ([b"abcd", b"ef"], "whole")
    assert coming.exchange.bytes_in == 6


def test_a_sink_that_comes_late_gets_all_at_once() -> None:
    coming = Coming(4)
    coming.body.receive(b"abcd")
    sink = Sink()
    coming.body.attach(sink)
    assert (sink.pieces, sink.ended) == ([b"abcd"], "whole")


def test_the_end_is_told_to_the_connection_before_anybody_takes_the_last_byte() -> None:
    coming = Coming(4)
    coming.body.attach(Sink(lambda: coming.told.append("taken")))
    coming.body.receive(b"abcdnext")
    assert coming.told == ["ended before next", "taken"]
    assert coming.body.is_complete


@given(
    body=st.binary(min_size=1, max_size=40),
    cuts=st.sets(st.integers(1, 60)),
    attached_at=st.integers(0, 10),
    is_chunked=st.booleans(),
)
def test_however_a_body_comes_a_sink_gets_it_in_order(
    body: bytes, cuts: set[int], attached_at: int, is_chunked: bool
) -> None:
    coming = Coming(CHUNKED if is_chunked else len(body))
    text = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    ends = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    sink = Sink()
    for number, (start, end) in enumerate(pairwise(ends)):
        if number == attached_at:
            coming.body.attach(sink)
        coming.body.receive(text[start:end])
    if attached_at >= len(ends) - 1:
        coming.body.attach(sink)
    assert (sink.body, sink.ended) == (body, "whole")
    assert coming.exchange.bytes_in == len(body)


def test_a_small_body_can_be_sent_again() -> None:
    coming = Coming(6)
    first, second = Sink(), Sink()
    coming.body.attach(first)
    coming.body.receive(b"abc")
    coming.body.detach()
    coming.body.receive(b"def")
    assert coming.body.can_replay
    coming.body.attach(second)
    assert (first.body, first.ended) == (b"abc", "")
    assert (second.body, second.ended) == (b"abcdef", "whole")


def test_a_large_body_cannot_be_sent_again() -> None:
    coming = Coming(REPLAYED * 2)
    sink = Sink()
    coming.body.attach(sink)
    could_replay = []
    for piece in (b"x" * REPLAYED, b"x"):
        coming.body.receive(piece)
        could_replay.append(coming.body.can_replay)
    assert could_replay == [True, False]
    assert len(sink.body) == REPLAYED + 1


def test_reading_pauses_where_a_body_might_be_sent_again_and_goes_on_when_it_is_taken() -> None:
    coming = Coming(REPLAYED * 2)
    coming.body.receive(b"x" * (REPLAYED + 1))
    assert (coming.is_reading, coming.body.can_replay) == (False, True)
    coming.body.attach(Sink())
    assert (coming.is_reading, coming.body.can_replay) == (True, False)


def test_a_sink_that_is_full_at_once_is_heeded() -> None:
    coming = Coming(100)
    coming.body.receive(b"x")
    coming.pause_reading()
    coming.body.attach(Sink(coming.body.pause))
    assert not coming.is_reading


def test_a_sink_holds_the_connection_up_until_the_body_is_here() -> None:
    coming = Coming(2)
    coming.body.attach(Sink())
    seen = []
    for act in (coming.body.pause, coming.body.resume):
        act()
        seen.append(coming.is_reading)
    coming.body.receive(b"ab")
    coming.body.pause()
    assert [*seen, coming.is_reading] == [False, True, True]


def test_a_body_that_breaks_off_is_cut_short_for_its_sink() -> None:
    coming, sink = Coming(6), Sink()
    coming.body.attach(sink)
    coming.body.receive(b"abc")
    coming.body.fail()
    coming.body.fail()
    assert (sink.body, sink.ended) == (b"abc", "cut short")


def test_a_body_that_nobody_wants_is_not_held() -> None:
    coming, sink = Coming(6), Sink()
    coming.body.attach(sink)
    coming.body.abandon()
    coming.body.receive(b"abc")
    assert (sink.body, coming.body.can_replay) == (b"", False)


def test_a_body_that_is_wrong_is_refused() -> None:
    coming = Coming(CHUNKED)
    with pytest.raises(BadMessage) as refused:
        coming.body.receive(b"-1\r\n")
    assert (refused.value.status, refused.value.reason) == (400, "bad-body")


def test_a_bound_refuses_what_is_announced_what_is_here_and_what_comes() -> None:
    announced, here, coming = Coming(11), Coming(CHUNKED), Coming(CHUNKED)
    here.body.receive(b"b\r\n0123456789a\r\n")
    for body in (announced.body, here.body):
        with pytest.raises(Refusal) as refused:
            body.bound(10)
        assert (refused.value.status, refused.value.closes) == (413, True)
    coming.body.bound(10)
    coming.body.receive(b"a\r\n0123456789\r\n")
    with pytest.raises(Refusal):
        coming.body.receive(b"1\r\na\r\n")


def test_a_bound_of_zero_is_none() -> None:
    coming = Coming(1 << 40)
    coming.body.bound(0)
    coming.body.receive(b"x")


def test_a_whole_body_is_wanted_read_and_given() -> None:
    coming = Coming(REPLAYED * 2)
    coming.body.receive(b"x" * (REPLAYED + 1))
    results = run(coming.body.read())
    assert (coming.told, coming.is_reading, results) == (["wanted"], True, [])
    coming.body.receive(b"x" * (REPLAYED - 1))
    assert results == [b"x" * REPLAYED * 2]
    assert coming.is_reading


def test_a_whole_body_that_is_here_is_given_at_once() -> None:
    coming = Coming(4)
    coming.body.receive(b"abcd")
    assert run(coming.body.read()) == [b"abcd"]
    assert "wanted" not in coming.told


# an answer's body


def going(source: Body, *, chunks: bool = False, accepts_trailers: bool = False) -> tuple[OutgoingBody, Line]:
    line, passing = Line(), exchange()
    passing.request.accepts_trailers = accepts_trailers
    return OutgoingBody(line, passing, HEAD, source, chunks=chunks), line


def test_the_head_goes_out_with_the_first_piece() -> None:
    class Counting(Line):
        writes = 0

        def write(self, piece: bytes) -> None:
            self.writes += 1
            super().write(piece)

    line = Counting()
    OutgoingBody(line, exchange(), HEAD, Body(b"first"), chunks=False).start()
    assert (line.received, line.writes) == (HEAD + b"first", 1)


def test_the_head_does_not_wait_for_a_body() -> None:
    source = Body()
    outgoing, line = going(source)
    outgoing.start()
    assert line.received == HEAD
    source.receive(b"late")
    assert line.received == HEAD + b"late"


@pytest.mark.parametrize(("chunks", "end"), [(True, b"0\r\n\r\n"), (False, b"")])
def test_a_body_without_a_piece_has_its_end(chunks: bool, end: bytes) -> None:
    source = Body()
    source.finish()
    outgoing, line = going(source, chunks=chunks)
    outgoing.start()
    assert line.received == HEAD + end
    assert run(_end_of(outgoing)) == [True]


def test_the_pieces_are_chunks_where_only_their_end_tells() -> None:
    source = Body(b"one", b"three")
    outgoing, line = going(source, chunks=True, accepts_trailers=True)
    outgoing.start()
    source.finish(Headers.of((b"X-Sum", b"8")))
    assert line.received == HEAD + b"3\r\none\r\n5\r\nthree\r\n0\r\nX-Sum: 8\r\n\r\n"


async def _end_of(outgoing: OutgoingBody) -> bool:
    return await outgoing.ended


@pytest.mark.parametrize("is_whole", [True, False])
def test_whoever_waits_hears_whether_it_was_whole(is_whole: bool) -> None:
    source = Body(b"some")
    outgoing, _ = going(source)
    outgoing.start()
    results = run(_end_of(outgoing))
    assert results == []
    if is_whole:
        source.finish()
    else:
        source.fail()
    assert results == [is_whole]


def test_a_client_that_is_full_or_gone_is_told_to_the_source() -> None:
    source = Body(b"some")
    outgoing, _ = going(source)
    outgoing.start()
    outgoing.pause()
    paused = source.is_paused
    outgoing.resume()
    outgoing.abandon()
    assert (paused, source.is_paused, source.is_abandoned) == (True, False, True)


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_source_that_has_ended_is_told_nothing_more(is_whole: bool) -> None:
    """Its connection may serve somebody else by now."""
    source = Body(b"some")
    outgoing, _ = going(source, chunks=True)
    outgoing.start()
    if is_whole:
        source.finish()
    else:
        source.fail()
    outgoing.pause()
    paused = source.is_paused
    source.pause()
    outgoing.resume()
    outgoing.abandon()
    assert (paused, source.is_paused, source.is_abandoned) == (False, True, False)


# what goes out unseen


@pytest.mark.parametrize(("chunks", "has_outlet"), [(False, True), (True, False)])
def test_only_what_goes_out_as_it_is_may_go_unseen(chunks: bool, has_outlet: bool) -> None:
    with a_loop() as loop:
        recorder, _ = loop.pair()
        passing = exchange()
        body = OutgoingBody(recorder.transport, passing, HEAD, Body(b"first"), chunks=chunks)
        assert body.outlet is None, "the head is not out"
        body.start()
        assert (body.outlet is recorder.transport) == has_outlet
        body.passed(7)
        assert passing.bytes_out == len(b"first") + 7


def test_what_somebody_has_to_encrypt_does_not_go_unseen() -> None:
    body, _ = going(Body(b"first"))
    body.start()
    assert body.outlet is None
