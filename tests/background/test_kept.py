"""A request's body comes out of the store piece by piece, as fast as it is taken, and again if need be."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed

from twistedgate.background.kept import KeptRequest
from twistedgate.http.headers import Headers
from twistedgate.jobs.store import REQUEST, StoreAway

PIECES = [b"one", b"two", b"three"]


class Kept:
    """The pieces of a store, given out when the test says so."""

    def __init__(self, *pieces: bytes, is_slow: bool = False) -> None:
        self.pieces = list(pieces)
        self.asked: list[tuple[str, str, int]] = []
        self.waiting: list[Deferred[bytes | None]] = []
        self._is_slow = is_slow

    def get_piece(self, job: str, kind: str, number: int) -> Deferred[bytes | None]:
        """Return a piece."""
        self.asked.append((job, kind, number))
        if self._is_slow:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(self.pieces[number] if number < len(self.pieces) else None)


class Sink:
    """Takes a body, pausing whoever delivers it after each piece if it is told to."""

    def __init__(self, body: KeptRequest | None = None) -> None:
        self.taken: list[bytes] = []
        self.ends: list[str] = []
        self._body = body

    def receive(self, piece: bytes) -> None:
        self.taken.append(piece)
        if self._body is not None:
            self._body.pause()

    def finish(self, trailers: Headers | None) -> None:
        self.ends.append("whole")

    def fail(self) -> None:
        self.ends.append("short")


def kept(store: Any) -> KeptRequest:
    return KeptRequest(store, "job")


def test_delivers_every_piece_and_then_the_end() -> None:
    store, sink = Kept(*PIECES), Sink()
    kept(store).attach(sink)
    assert (sink.taken, sink.ends) == (PIECES, ["whole"])
    assert store.asked[0] == ("job", REQUEST, 0)


def test_delivers_nothing_while_the_sink_is_full() -> None:
    body = kept(Kept(*PIECES))
    sink = Sink(body)
    body.attach(sink)
    counts = [len(sink.taken)]
    for _ in range(3):
        body.resume()
        counts.append(len(sink.taken))
    assert (counts, sink.ends) == ([1, 2, 3, 3], ["whole"])


def test_delivers_anew_from_the_first_byte_to_another_sink() -> None:
    body = kept(Kept(*PIECES))
    first, second = Sink(body), Sink()
    body.attach(first)
    body.detach()
    body.attach(second)
    assert (first.taken, first.ends) == ([b"one"], [])
    assert (second.taken, second.ends) == (PIECES, ["whole"])
    assert body.can_replay


def test_a_piece_that_comes_too_late_is_nobodys() -> None:
    store = Kept(is_slow=True)
    body, sink = kept(store), Sink()
    body.attach(sink)
    body.abandon()
    store.waiting[0].callback(b"late")
    assert (sink.taken, sink.ends) == ([], [])


def test_a_store_that_is_away_cuts_the_request_short() -> None:
    store = Kept(is_slow=True)
    body, sink = kept(store), Sink()
    body.attach(sink)
    store.waiting[0].errback(StoreAway())
    assert sink.ends == ["short"]


def test_can_be_read_whole() -> None:
    read: list[bytes] = []
    ensureDeferred(kept(Kept(*PIECES)).read()).addCallback(read.append)
    assert read == [b"onetwothree"]
