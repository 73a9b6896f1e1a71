from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.conversation import HEAD, Sink, Wire
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers
from twistedgate.http.message import Response
from twistedgate.upstream.relay import IncomingAnswer, OutgoingRequest
from twistedgate.wire.body import make_reader


class Asked:
    """The connection that a request goes out on."""

    def __init__(self) -> None:
        self.transport = Wire()
        self.progressed = 0
        self.finished: list[bool] = []

    def request_progressed(self) -> None:
        """Count."""
        self.progressed += 1

    def request_finished(self, is_whole: bool) -> None:
        """Remember how."""
        self.finished.append(is_whole)


class Answered:
    """The connection that an answer comes on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def attached(self) -> None:
        """Somebody takes the body now."""
        self.told.append("attached")

    def pause(self) -> None:
        """Read no more for now."""
        self.told.append("pause")

    def resume(self) -> None:
        """Read again."""
        self.told.append("resume")

    def abort(self) -> None:
        """Close at once."""
        self.told.append("abort")


def sent(body: Body, *, chunks: bool = False) -> tuple[Asked, OutgoingRequest]:
    """Begin to send a request."""
    asked = Asked()
    outgoing = OutgoingRequest(asked, HEAD, body, chunks=chunks)
    outgoing.start()
    return asked, outgoing


def attached(piece: bytes) -> tuple[Answered, IncomingAnswer, Sink]:
    """Begin to take the body of an answer of which a piece is here."""
    answered = Answered()
    answer = IncomingAnswer(answered, piece)
    return answered, answer, Sink.of(Response(200, body=answer))


# a request


def test_a_head_goes_out_with_the_first_piece_of_its_body() -> None:
    asked, _ = sent(Body(b"piece", length=10))
    assert asked.transport.sent == HEAD + b"piece"
    assert asked.progressed == 1


def test_or_at_once_where_the_client_waits_to_be_told() -> None:
    body = Body(length=5)
    asked, _ = sent(body)
    assert asked.transport.sent == HEAD
    body.receive(b"piece")
    body.finish()
    assert asked.transport.sent == HEAD + b"piece"
    assert asked.finished == [True]


def test_a_body_that_is_all_here_is_sent_when_it_is_taken() -> None:
    body = Body(b"piece", length=5)
    body.finish()
    asked, _ = sent(body)
    assert asked.transport.sent == HEAD + b"piece"
    assert asked.finished == [True]


def test_an_empty_chunked_body_is_its_last_chunk() -> None:
    body = Body()
    body.finish()
    asked, _ = sent(body, chunks=True)
    assert asked.transport.sent == HEAD + b"0\r\n\r\n"


@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_what_is_chunked_is_read_as_what_came(pieces: list[bytes]) -> None:
    body = Body()
    asked, _ = sent(body, chunks=True)
    for piece in pieces:
        body.receive(piece)
    body.finish()
    reader = make_reader(-1, 400, (1000, 10))
    assert reader.receive(asked.transport.sent.removeprefix(HEAD)) == b"".join(pieces)
    assert (reader.is_complete, reader.rest) == (True, b"")


def test_trailers_of_a_request_go_no_further() -> None:
    asked, outgoing = sent(Body(), chunks=True)
    outgoing.finish(Headers.of((b"X-Sum", b"7")))
    assert asked.transport.sent == HEAD + b"0\r\n\r\n"


def test_a_body_that_fails_is_told() -> None:
    body = Body(length=10)
    asked, _ = sent(body)
    body.fail()
    assert asked.finished == [False]


def test_back_pressure_goes_to_the_body() -> None:
    body = Body(length=10)
    _, outgoing = sent(body)
    outgoing.pause()
    paused = [body.is_paused]
    outgoing.resume()
    assert [*paused, body.is_paused] == [True, False]


def test_what_comes_after_it_left_is_not_sent() -> None:
    body = Body(length=10)
    asked, outgoing = sent(body)
    outgoing.leave()
    body.receive(b"nobody's")
    body.finish()
    assert asked.transport.sent == HEAD
    assert asked.finished == []


# an answer


def test_what_is_held_is_delivered_before_the_connection_goes_on() -> None:
    order: list[str] = []
    answered = Answered()
    answer = IncomingAnswer(answered, b"held")

    class Ordered(Sink):
        def receive(self, piece: bytes) -> None:
            order.extend([piece.decode(), *answered.told])

    answer.attach(Ordered())
    assert order == ["held"]
    assert answered.told == ["attached"]


def test_pieces_pass_once_somebody_takes_them() -> None:
    answered, answer, sink = attached(b"")
    answer.deliver(b"one")
    answer.deliver(b"two")
    assert (sink.pieces, answered.told) == ([b"one", b"two"], ["attached"])


def test_before_that_they_are_held_and_reading_pauses() -> None:
    answered = Answered()
    answer = IncomingAnswer(answered, b"one")
    answer.deliver(b"two")
    assert answered.told == ["pause"]
    assert not answer.is_attached
    assert Sink.of(Response(200, body=answer)).body == b"onetwo"
    assert answer.is_attached


def test_back_pressure_goes_to_the_connection() -> None:
    answered, answer, _ = attached(b"")
    answer.pause()
    answer.resume()
    assert answered.told == ["attached", "pause", "resume"]


def test_an_end_is_told_once_and_the_connection_is_nobodys_any_more() -> None:
    for end, told in (("finish", "whole"), ("fail", "cut")):
        answered, answer, sink = attached(b"")
        getattr(answer, end)(*([None] if end == "finish" else []))
        assert sink.end() == told
        answer.pause()
        answer.resume()
        answer.abandon()
        assert answered.told == ["attached"]


def test_one_that_is_abandoned_cuts_the_connection_and_delivers_no_more() -> None:
    answered, answer, sink = attached(b"piece")
    answer.abandon()
    answer.abandon()
    answer.finish(None)
    assert answered.told == ["attached", "abort"]
    assert (sink.body, sink.end()) == (b"piece", "")


def test_a_sink_may_have_enough_with_what_was_held() -> None:
    answered = Answered()
    answer = IncomingAnswer(answered, b"too much")

    class Satisfied(Sink):
        def receive(self, piece: bytes) -> None:
            answer.abandon()

    answer.attach(Satisfied())
    assert answered.told == ["abort"]


def test_a_failure_before_anybody_takes_the_body_is_told_to_who_does() -> None:
    answered = Answered()
    answer = IncomingAnswer(answered, b"")
    answer.fail()
    sink = Sink.of(Response(200, body=answer))
    assert answered.told == ["attached"]
    answer.fail()
    assert sink.end() == "cut"


class Keeping:
    """A sink that keeps what it takes, and so must see it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def receive(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def finish(self, trailers: object) -> None:
        """The body is complete."""

    def fail(self) -> None:
        """The body was cut short."""


class Passing(Keeping):
    """A sink that sends what it takes as it is."""

    outlet = "a transport"

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def passed(self, size: int) -> None:
        self.sizes.append(size)


class Attached:
    """The connection that a body comes on."""

    def attached(self) -> None:
        """Somebody takes the body."""

    def pause(self) -> None:
        """Read no more."""

    def resume(self) -> None:
        """Read again."""

    def abort(self) -> None:
        """Close."""


def test_a_body_has_an_outlet_only_while_its_sink_has_one() -> None:
    body = IncomingAnswer(Attached(), b"abc")
    outlets = [body.outlet]
    sink = Passing()
    body.attach(sink)
    outlets.append(body.outlet)
    body.passed(5)
    assert (sink.pieces, sink.sizes) == ([b"abc"], [5])
    body.finish(None)
    outlets.append(body.outlet)
    assert outlets == [None, "a transport", None]


def test_a_sink_that_looks_at_its_pieces_is_no_outlet() -> None:
    body = IncomingAnswer(Attached(), b"")
    body.attach(Keeping())
    assert body.outlet is None
