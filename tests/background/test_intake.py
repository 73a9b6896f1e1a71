from __future__ import annotations

from tests.background.begun import Begun
from twistedgate.background.intake import Intake
from twistedgate.downstream.relay import IncomingBody
from twistedgate.errors import ClientGone
from twistedgate.fakes.body import Body
from twistedgate.jobs.job import INLINE
from twistedgate.jobs.store import REQUEST
from twistedgate.net.task import Signal
from twistedgate.stores.memory import MemoryStore
from twistedgate.testing import exchange
from twistedgate.wire.body import make_reader


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


class Connection:
    """A client's connection that sends when it may."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.is_paused = False
        self.body: IncomingBody | None = None

    def pause_reading(self) -> None:
        """Send no more."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Send again."""
        self.is_paused = False

    def body_wanted(self) -> None:
        """It waits for nothing."""

    def body_ended(self, rest: bytes) -> None:
        """All is sent."""

    def flow(self) -> int:
        """Send as much as may be sent, and return how much that was."""
        assert self.body is not None
        before = self.left
        while self.left and not self.is_paused:
            size = min(self.left, 65536)
            self.left -= size
            self.body.receive(b"x" * size)
        return before - self.left


class SlowStore(MemoryStore):
    """Takes a piece when the test says so."""

    def __init__(self) -> None:
        super().__init__("r", 1 << 24)
        self.gate: Signal[None] = Signal()

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece, later."""
        await self.gate
        self.gate = Signal()
        await super().put_piece(job, kind, number, piece)


def test_a_client_sends_no_faster_than_the_store_takes_it() -> None:
    size = 5 * INLINE + 100
    store, connection = SlowStore(), Connection(size)
    asking = exchange("POST", "/", {"Content-Length": str(size)})
    connection.body = IncomingBody(connection, asking, make_reader(size, 400, (1000, 10)))
    intake = Intake(store, "job", connection.body, len)
    taking = Begun(intake.take())
    while connection.left:
        # a piece, and what one read may bring beside it
        assert connection.flow() <= INLINE + 2 * 65536
        store.gate.set(None)
    while not taking.is_done:
        store.gate.set(None)
    assert (taking.result, intake.length) == (None, size)
    pieces = [store.memory.ledger.pieces.get("job", REQUEST, number) or b"" for number in range(7)]
    assert [len(piece) for piece in pieces] == [INLINE] * 5 + [100, 0]
