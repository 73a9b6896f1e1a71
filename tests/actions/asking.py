"""Clients of jobs and a runner that does what the test says, over the store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.task import Clock

from tests.background.begun import result_of
from tests.jobs.listening import Listener
from twistedgate.background.port import Jobs
from twistedgate.http.headers import Headers
from twistedgate.jobs.job import INLINE, Claim, End, Head, Job, State
from twistedgate.jobs.store import RESULT, StoreAway
from twistedgate.stores.memory import MemoryStore
from twistedgate.testing import Answer, Body, Client, FakeUpstream, consumer, exchange, gateway

WALL = 1_800_000_000.0

ALICE, BOB = {"X-API-Key": "alice-key"}, {"X-API-Key": "bob-key"}


def _consumer(name: str) -> str:
    digest = consumer(name, f"{name}-key").keys[0].hex()
    return f"[consumer:{name}]\nkeys = sha256:{digest}\n"


KEYS = f"[key-auth:k]\n{_consumer('alice')}{_consumer('bob')}"


class AwayStore(MemoryStore):
    """A store that can be cut off."""

    is_away = False

    before_cancel: Callable[[], object] = staticmethod(lambda: None)
    """What happens just before a job is cancelled."""

    async def submit(self, *arguments: Any) -> Any:
        """Keep a job."""
        self._reach()
        return await super().submit(*arguments)

    async def find(self, job: str, now: float) -> Job | None:
        """Return a job."""
        self._reach()
        return await super().find(job, now)

    async def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece."""
        self._reach()
        await super().put_piece(job, kind, number, piece)

    async def cancel(self, job: str, now: float) -> Job | None:
        """Cancel a job."""
        self._reach()
        self.before_cancel()
        return await super().cancel(job, now)

    async def list_jobs(self, *arguments: Any) -> Any:
        """List jobs."""
        self._reach()
        return await super().list_jobs(*arguments)

    def _reach(self) -> None:
        if self.is_away:
            raise StoreAway("the wire is cut")


class Scene:
    """A gateway with jobs, and what is done with it."""

    def __init__(self, text: str, state_max: int = 1 << 26) -> None:
        self.store = AwayStore("runner", state_max)
        self.clock = Clock()
        self.claims: list[Claim] = []
        self.listener = Listener()
        self.jobs = Jobs(self.store, self.claims.append, self.wall, self.clock, self.listener)
        self.upstream = FakeUpstream()
        self.made = gateway(text, {"u": self.upstream}, jobs=self.jobs)

    def wall(self) -> float:
        """Return the time of day."""
        return WALL + self.clock.seconds()

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.made.clock.advance(seconds)
        self.clock.advance(seconds)

    def begin(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | Body = b"",
    ) -> Client:
        """Let a client ask."""
        return self.made.begin(exchange(method, url, headers, body))

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | Body = b"",
    ) -> Answer:
        """Return the answer, which comes at once."""
        client = self.begin(method, url, headers, body)
        assert client.is_done, client
        assert client.answer is not None
        return client.answer

    def submit(self, headers: Mapping[str, str] = {}, url: str = "/reports/7", body: bytes = b"in") -> str:
        """Let a call become a job, and return where to ask for it."""
        answer = self.ask("POST", url, {"Prefer": "respond-async", **headers}, body)
        assert answer.status == 202, answer
        return field_of(answer.headers, b"location")

    def finish(self, body: bytes = b"out", number: int = -1, **head: Any) -> None:
        """Let the run of a claim succeed."""
        claim = self.claims[number]
        made = Head(
            **{"status": 200, "headers": ((b"Content-Type", b"text/plain"),), "length": len(body), **head}
        )
        if len(body) > INLINE:
            for place, start in enumerate(range(0, len(body), INLINE)):
                piece = body[start : start + INLINE]
                result_of(self.store.put_piece(claim.job.id, RESULT, place, piece))
        end = End(State.SUCCEEDED, made, body if len(body) <= INLINE else None)
        assert result_of(self.store.finish(claim, end, self.wall()))

    def fail(self, reason: str, number: int = -1) -> None:
        """Let the run of a claim fail for good."""
        end = End(State.FAILED, reason=reason)
        assert result_of(self.store.finish(self.claims[number], end, self.wall()))

    def job(self, number: int = -1) -> Job:
        """Return a job as the store has it."""
        found = result_of(self.store.find(self.claims[number].job.id, self.wall()))
        assert found is not None
        return found

    @property
    def kept(self) -> int:
        """How many jobs there are."""
        return len(self.store.memory.ledger.records)


def field_of(headers: Headers, key: bytes) -> str:
    """Return the value of a field, which must be there once."""
    (value,) = headers.get_all(key)
    return value.decode("latin-1")


def document_of(answer: Answer) -> dict[str, Any]:
    """Return the JSON of an answer."""
    found: dict[str, Any] = json.loads(answer.body)
    return found
