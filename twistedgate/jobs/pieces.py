"""Bodies in pieces, kept in memory, and those among them whose job never came."""

from __future__ import annotations

from twistedgate.jobs.store import REQUEST, RESULT

ORPHANED = 3600.0
"""Seconds after which pieces of a job that was not submitted are thrown away."""


class Pieces:
    """The pieces of large bodies, by job and kind."""

    __slots__ = ("_kept", "_orphans")

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[int, bytes]] = {}
        self._orphans: dict[str, float | None] = {}
        """Jobs that are not submitted: since when that is known."""

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, job: str, kind: str, number: int, piece: bytes) -> int:
        """Keep a piece; return by how many bytes more is kept."""
        kept = self._kept.setdefault((job, kind), {})
        grown = len(piece) - len(kept.get(number, b""))
        kept[number] = piece
        return grown

    def get(self, job: str, kind: str, number: int) -> bytes | None:
        """Return a piece, if it is there."""
        kept = self._kept.get((job, kind))
        return None if kept is None else kept.get(number)

    def size(self, job: str, kind: str) -> int:
        """Return how many bytes of a body are kept."""
        return sum(map(len, self._kept.get((job, kind), {}).values()))

    def drop(self, job: str, kind: str) -> int:
        """Throw a body away; return how many bytes it had."""
        if not self._kept:
            return 0
        self._orphans.pop(job, None)
        return sum(map(len, self._kept.pop((job, kind), {}).values()))

    def await_job(self, job: str) -> None:
        """Say that nobody has submitted the job yet."""
        self._orphans.setdefault(job, None)

    def adopt(self, job: str) -> None:
        """Say that the job is submitted."""
        self._orphans.pop(job, None)

    def drop_orphans(self, now: float) -> int:
        """Throw away what nobody came for; return how many bytes it had."""
        dropped = 0
        for job, since in list(self._orphans.items()):
            if since is None:
                self._orphans[job] = now
            elif now >= since + ORPHANED:
                dropped += self.drop(job, REQUEST) + self.drop(job, RESULT)
        return dropped
