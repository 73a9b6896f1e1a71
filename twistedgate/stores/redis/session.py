"""This process among those who share a Redis: its name, its lease, and the claims that it holds.

Each connection has a number.  What an earlier one still has on its way is refused by Redis once a later one
was introduced, so that what is known here of claims is all there is: a claim or a submission whose answer got
lost is undone when the next connection is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from twisted.logger import Logger

from twistedgate.jobs.job import Claim
from twistedgate.stores.redis.dial import Dial
from twistedgate.stores.redis.durability import doubts
from twistedgate.stores.redis.line import Line
from twistedgate.stores.redis.link import Link
from twistedgate.stores.redis.lua import Scripts
from twistedgate.stores.redis.records import Argument

_log = Logger()


class Session:
    """What Redis knows of this process; ``link`` is the connection that changes of state go over."""

    def __init__(self, dial: Dial, scripts: Scripts, name: str) -> None:
        # unique: another process of the same name is another runner
        self.runner = f"{name}-{secrets.token_hex(4)}"
        self.link = Link(dial, self._welcome, "jobs wait")
        self.epoch = 0
        self._address = dial.address
        self._scripts = scripts
        self._held: dict[str, int] = {}
        self._lost: set[str] = set()
        self._sayings = 0
        self._is_judged = False

    def hold(self, claim: Claim) -> None:
        """A claim was given to this process."""
        self._held[claim.job.id] = claim.fence

    def let_go(self, job: str, fence: int) -> None:
        """A claim is over."""
        if self._held.get(job) == fence:
            del self._held[job]

    def fence_of(self, job: str) -> int | None:
        """Return the fence of the claim on a job, if there is one."""
        return self._held.get(job)

    def keep_only(self, jobs: Iterable[bytes]) -> None:
        """Forget claims on jobs that are not under way here any more."""
        running = {job.decode() for job in jobs}
        self._held = {job: fence for job, fence in self._held.items() if job in running}

    def withdraw(self, job: str) -> None:
        """Nobody was told that a job was accepted: it is not to be there when Redis can be asked again."""
        self._lost.add(job)

    def saying(self) -> str:
        """Return a name for something that may have to be said twice, and counts once."""
        self._sayings += 1
        return f"{self.runner}:{self._sayings}"

    async def _welcome(self, line: Line) -> None:
        """Introduce this process on a new connection; nothing else of it is under way now."""
        if not self._is_judged:
            for doubt in await doubts(line):
                _log.warn(
                    "Redis ({address}) is not fit to keep jobs: {doubt}", address=self._address, doubt=doubt
                )
            self._is_judged = True
        self.epoch += 1
        lost = list(self._lost)
        arguments: list[Argument] = [self.runner, self.epoch, len(lost), *lost, *self._held]
        undone = await self._scripts.run(line.ask, "hello", *arguments)
        self._lost.difference_update(lost)
        if undone:
            _log.info(
                "{count} claims got lost with the connection to Redis and were given back", count=undone
            )
