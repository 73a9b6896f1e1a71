from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.conftest import LoggedFailures
from twistedgate.background.pulled import PulledBody
from twistedgate.errors import UpstreamFailure
from twistedgate.fakes.client import Answer
from twistedgate.http.message import Response
from twistedgate.jobs.store import StoreAway
from twistedgate.net.task import Signal


class Making:
    """Makes pieces, waits where the test says, and knows whether it was closed."""

    def __init__(self, *pieces: bytes | Signal[None] | Exception) -> None:
        self.pieces = pieces
        self.made = 0
        self.is_closed = False

    async def make(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                self.made += 1
                if isinstance(piece, bytes):
                    yield piece
                elif isinstance(piece, Exception):
                    raise piece
                else:
                    await piece
        finally:
            self.is_closed = True


def taken(making: Making) -> tuple[PulledBody, Answer]:
    body, answer = PulledBody(making.make()), Answer(Response(200))
    body.attach(answer)
    return body, answer


def test_delivers_every_piece_and_the_end() -> None:
    _, answer = taken(making := Making(b"a", b"", b"bc"))
    assert (answer.body, answer.is_whole, making.is_closed) == (b"abc", True, True)


def test_makes_nothing_while_nobody_takes_it() -> None:
    body = PulledBody((making := Making(b"a", b"b", b"c")).make())
    answer = Pausing(body)
    body.attach(answer)
    assert (answer.body, making.made) == (b"a", 1)
    body.resume()
    assert (answer.body, making.made) == (b"ab", 2)
    body.resume()
    body.resume()
    assert (answer.body, answer.is_whole) == (b"abc", True)


class Pausing(Answer):
    """A client that takes one piece at a time."""

    def __init__(self, source: PulledBody) -> None:
        super().__init__(Response(200))
        self.source = source

    def receive(self, piece: bytes) -> None:
        super().receive(piece)
        self.source.pause()


def test_a_piece_may_take_its_time() -> None:
    gate: Signal[None] = Signal()
    _, answer = taken(Making(b"a", gate, b"b"))
    assert (answer.body, answer.is_whole) == (b"a", False)
    gate.set(None)
    assert (answer.body, answer.is_whole) == (b"ab", True)


@pytest.mark.parametrize("waits", [True, False])
def test_what_nobody_wants_is_closed(waits: bool) -> None:
    making = Making(b"a", Signal[None](), b"b") if waits else Making(b"a", b"b")
    body = PulledBody(making.make())
    answer = Answer(Response(200)) if waits else Pausing(body)
    body.attach(answer)
    body.abandon()
    body.abandon()
    assert (answer.body, answer.is_whole, making.is_closed) == (b"a", False, True)


def test_what_nobody_ever_took_is_let_go() -> None:
    PulledBody(Making(b"a").make()).abandon()


def test_a_body_that_fails_is_cut_short() -> None:
    for end in (StoreAway(), UpstreamFailure(502, "truncated")):
        _, answer = taken(Making(b"a", end))
        assert (answer.body, answer.is_whole, answer.ended.is_set) == (b"a", False, True)


def test_a_fault_is_written_down(logged_failures: LoggedFailures) -> None:
    _, answer = taken(Making(b"a", RuntimeError("a mistake")))
    assert (answer.is_whole, answer.ended.is_set) == (False, True)
    assert len(logged_failures.flush(RuntimeError)) == 1
