"""Who wants to know of changes, and how changes by other processes are found.

A watched job has a version that its watchers have seen.  Whoever looks after others' changes asks the file
only for those whose version is another one by now: a thousand watchers cost one question.  This module knows
neither the reactor nor the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson

from twistedgate.jobs.job import Job
from twistedgate.stores.sqlite.ledger import Ledger

_UNSEEN = 0
"""No job has this version: its first comparison calls the watcher, who may have missed a change."""

_CHANGED = """
    SELECT jobs.id, jobs.version FROM json_each(?) AS watched JOIN jobs ON jobs.id = watched.key
    WHERE jobs.version <> watched.value
"""


class Watchers:
    """Those who watch jobs, and those who wait for work."""

    def __init__(self) -> None:
        self._jobs: dict[str, list[Callable[[], object]]] = {}
        self._versions: dict[str, int] = {}
        self._works: list[Callable[[], object]] = []
        self.is_unseen = False
        """Whether somebody watches a job that nobody here has seen: what was missed is to be looked for."""

    def __bool__(self) -> bool:
        return bool(self._jobs or self._works)

    def watch(self, job: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed`` for a job until what is returned is called."""
        self._jobs.setdefault(job, []).append(changed)
        if job not in self._versions:
            self._versions[job] = _UNSEEN
            self.is_unseen = True

        def stop() -> None:
            watchers = self._jobs.get(job, [])
            if changed in watchers:
                watchers.remove(changed)
            if not watchers:
                self._jobs.pop(job, None)
                self._versions.pop(job, None)

        return stop

    def on_work(self, work: Callable[[], object]) -> None:
        """Call ``work`` whenever there may be some."""
        self._works.append(work)

    def note(self, job: Job | None) -> None:
        """Remember how a job was seen by somebody here, and tell those who know it as it was before."""
        known = None if job is None else self._versions.get(job.id)
        if job is not None and known is not None and known != job.version:
            self._versions[job.id] = job.version
            if known != _UNSEEN:
                self._call(job.id)

    def tell_changed(self, jobs: Iterable[str]) -> None:
        """Call those who watch these jobs."""
        for job in jobs:
            if job in self._versions:
                # whoever of them looks first tells the others nothing new
                self._versions[job] = _UNSEEN
                self._call(job)

    def _call(self, job: str) -> None:
        for changed in tuple(self._jobs.get(job, ())):
            changed()

    def tell_work(self) -> None:
        """Call those who wait for work."""
        for work in tuple(self._works):
            work()

    def seen(self) -> bytes:
        """Return what was seen of the watched jobs, for ``look``."""
        self.is_unseen = False
        return orjson.dumps(self._versions) if self._versions else b""

    def found(self, versions: Iterable[tuple[str, int]]) -> None:
        """Take what ``look`` found, and tell those who watch."""
        changed = [(job, version) for job, version in versions if job in self._versions]
        self._versions.update(changed)
        for job, _ in changed:
            self._call(job)


def look(ledger: Ledger, last: int, seen: bytes) -> tuple[int, list[tuple[str, int]], bool]:
    """Return the file's version by others' hands, the jobs they changed, and whether some wait to be run.

    Nothing is looked for if the file is as it was at ``last``.
    """
    (current,) = ledger.one("PRAGMA data_version")
    if current == last:
        return current, [], False
    changed = ledger.all(_CHANGED, (seen.decode(),)) if seen else []
    return current, changed, ledger.one("SELECT 1 FROM loads WHERE queued > 0") is not None
