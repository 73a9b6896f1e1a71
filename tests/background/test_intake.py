from __future__ import annotations

from tests.background.begun import Begun
from twistedgate.background.intake import Intake
from twistedgate.errors import ClientGone
from twistedgate.fakes.body import Body
from twistedgate.jobs.job import INLINE
from twistedgate.jobs.store import REQUEST
from twistedgate.stores.memory import MemoryStore


class Scene:
    """A body that comes, and where it goes."""

    def __init__(self, *pieces: bytes) -> None:
        self.store = MemoryStore("r", 1 << 24)
        self.body = Body(*pieces)
        self.seen = b""
        self.intake = Intake(self.store, "job", self.body, self._see)
        self.taking = Begun(self.intake.take())

    def _see(self, piece: bytes) -> None:
        self.seen += piece

    @property
    def kept(self) -> bytes:
        """What the store has."""
        ledger = self.store.memory.ledger
        pieces = [ledger.pieces.get("job", REQUEST, number) for number in range(10)]
        return b"".join(piece for piece in pieces if piece is not None)


def test_a_small_body_is_held_and_seen() -> None:
    scene = Scene(b"a", b"b")
    assert not scene.taking.is_done
    scene.body.finish()
    assert (scene.taking.result, scene.seen, scene.intake.length) == (b"ab", b"ab", 2)
    assert (scene.intake.has_pieces, scene.kept) == (False, b"")


def test_a_large_body_goes_into_the_store_in_pieces() -> None:
    scene = Scene(b"x" * INLINE, b"y" * INLINE)
    scene.body.receive(b"z")
    scene.body.finish()
    whole = b"x" * INLINE + b"y" * INLINE + b"z"
    assert (scene.taking.is_done, scene.taking.result) == (True, None)
    assert (scene.kept, scene.seen, scene.intake.length) == (whole, whole, len(whole))


def test_half_a_body_is_none() -> None:
    scene = Scene(b"x" * INLINE, b"y")
    assert scene.intake.has_pieces
    scene.body.fail()
    assert isinstance(scene.taking.error, ClientGone)
    assert scene.body.is_abandoned
