from __future__ import annotations

import pytest

from twistedgate.errors import Refusal
from twistedgate.fakes.body import Body
from twistedgate.http.headers import Headers
from twistedgate.http.message import CHUNKED, RequestBody


class Sink:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def receive(self, piece: bytes) -> None:
        """Take a piece."""
        self.heard.append(piece)

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete."""
        self.heard.append("end" if trailers is None else trailers)

    def fail(self) -> None:
        """The body was cut short."""
        self.heard.append("failed")


def attached(body: Body) -> list[object]:
    sink = Sink()
    body.attach(sink)
    return sink.heard


def test_is_a_body_of_a_request() -> None:
    body: RequestBody = Body()
    assert (body.is_complete, body.can_replay) == (False, True)
    assert Body().length == CHUNKED


def test_delivers_what_is_here_and_then_what_comes() -> None:
    body = Body(b"a", b"b")
    heard = attached(body)
    assert heard == [b"a", b"b"]
    body.receive(b"c")
    body.finish()
    assert heard == [b"a", b"b", b"c", "end"]
    assert body.is_complete


def test_delivers_from_the_first_byte_as_often_as_it_is_asked() -> None:
    body = Body(b"a")
    first = attached(body)
    body.detach()
    body.finish()
    assert (first, attached(body)) == ([b"a"], [b"a", "end"])


def test_a_body_that_was_cut_short_says_so_then_and_later() -> None:
    body = Body(b"a")
    heard = attached(body)
    body.fail()
    assert heard == attached(body) == [b"a", "failed"]


def test_trailers_come_with_the_end() -> None:
    body, trailers = Body(), Headers.of((b"X-Sum", b"1"))
    body.finish(trailers)
    assert attached(body) == [trailers]


def test_remembers_what_its_sink_said() -> None:
    body = Body(b"a")
    heard = attached(body)
    said = []
    for tell in (body.pause, body.resume, body.abandon):
        tell()
        said.append((body.is_paused, body.is_abandoned))
    body.receive(b"b")
    assert said == [(True, False), (False, False), (False, True)]
    assert heard == [b"a"]


def refused(body: Body) -> tuple[int, str, bool]:
    with pytest.raises(Refusal) as raised:
        body.bound(4)
    return raised.value.status, raised.value.reason, raised.value.closes


def test_refuses_more_than_its_bound_whether_announced_held_or_coming() -> None:
    assert refused(Body(length=5)) == refused(Body(b"abc", b"de")) == (413, "body-too-large", True)
    body = Body(b"abcd")
    body.bound(4)
    with pytest.raises(Refusal):
        body.receive(b"e")
    endless = Body(b"abcd")
    endless.bound(0)
    endless.receive(b"e")
