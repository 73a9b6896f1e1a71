"""Everything that is known of jobs, in memory, and by what each is found; how much memory it all takes.

Past seven eighths of the bound new jobs are refused (``StoreFull``); the last eighth is kept for the answers
to those that are here.  What a job *may* do next is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence

from twistedgate.jobs.agenda import Agenda
from twistedgate.jobs.job import NewJob, Terms
from twistedgate.jobs.lane import Lane
from twistedgate.jobs.pieces import Pieces
from twistedgate.jobs.record import Record
from twistedgate.jobs.roll import Roll
from twistedgate.jobs.store import REQUEST, RESULT, StoreFull

RECORD_COST = 1600
"""Bytes that a job takes beside its bodies and its fields, as measured."""

FIELD_COST = 130
"""Bytes that a field takes beside its text: a tuple and two strings."""

MOST_TERMS = 1000
"""Terms that are shared: there are a few of each route, since clients choose how long they wait."""

ALL = 8
FOR_NEW = 7
"""Eighths of the memory."""


def weight(fields: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many bytes of memory header fields take."""
    return sum([len(name) + len(value) + FIELD_COST for name, value in fields])


def text_weight(job: NewJob | Record) -> int:
    """Return how many bytes the texts take that clients choose: a query alone may be as long as a head."""
    call = job.call
    of_call = len(call.path) + len(call.query) + len(call.authority)
    return of_call + len(job.owner) + len(job.caller) + len(job.key) + len(job.callback)


class Ledger:
    """The jobs that are kept; ``state_max`` bounds the memory for them."""

    def __init__(self, state_max: int) -> None:
        self.state_max = state_max
        self.used = 0
        """Bytes that everything here is held to take."""
        self.records: dict[str, Record] = {}
        self.lanes: dict[str, Lane] = {}
        self.pieces = Pieces()
        self.ends: Agenda[float, Record] = Agenda()
        """When what is finished is to leave."""
        self.forgotten = 0
        """Jobs that went past their ttl since somebody counted."""
        self._keys: dict[tuple[str, str, str], Record] = {}
        self._all: Roll[Record] = Roll()
        self._owners: dict[str, Roll[Record]] = {}
        self._terms: dict[Terms, Terms] = {}
        self._number = 0

    def lane(self, route: str) -> Lane:
        """Return the queue of a route."""
        lane = self.lanes.get(route)
        if lane is None:
            lane = self.lanes[route] = Lane()
        return lane

    def roll(self, owner: str | None) -> Roll[Record]:
        """Return an owner's jobs, or everybody's."""
        return self._all if owner is None else self._owners.get(owner, Roll())

    def with_key(self, new: NewJob, now: float) -> Record | None:
        """Return the earlier job of the same key, while it lives."""
        known = self._keys.get((new.route, new.caller, new.key)) if new.key else None
        return None if known is None or known.is_gone(now) else known

    def charge(self, size: int, share: int = ALL) -> None:
        """Take memory, if no more than a share of all is taken then; raises ``StoreFull``."""
        if (self.used + size) * ALL > self.state_max * share:
            raise StoreFull
        self.used += size

    def add(self, new: NewJob, now: float) -> Record:
        """Keep a job; raises ``StoreFull``."""
        cost = RECORD_COST + len(new.body or b"") + weight(new.call.headers) + text_weight(new)
        self.charge(cost, FOR_NEW)
        self._number += 1
        record = self.records[new.id] = Record(new, self._number, now)
        record.cost = cost
        record.terms = self._shared(new.terms)
        self._all.enter(record.number, record)
        if new.owner:
            roll = self._owners.get(new.owner)
            if roll is None:
                roll = self._owners[new.owner] = Roll()
            roll.enter(record.number, record)
        if new.key:
            self._keys[new.route, new.caller, new.key] = record
        if new.body is None:
            self.pieces.adopt(new.id)
        return record

    def _shared(self, terms: Terms) -> Terms:
        """Return the same object for the same terms: a route's are many jobs'."""
        if len(self._terms) >= MOST_TERMS:
            self._terms.clear()
        return self._terms.setdefault(terms, terms)

    def put_piece(self, job: str, kind: str, number: int, piece: bytes) -> None:
        """Keep a piece of a body; raises ``StoreFull``."""
        self.charge(len(piece), FOR_NEW if kind == REQUEST else ALL)
        self.used += self.pieces.put(job, kind, number, piece) - len(piece)
        if job not in self.records:
            self.pieces.await_job(job)

    def drop_body(self, record: Record, kind: str) -> None:
        """Throw a body away, and give its memory back."""
        if kind == REQUEST:
            inline, record.body = record.body, None
        else:
            inline, record.result = record.result, None
        size = 0 if inline is None else len(inline)
        record.cost -= size
        self.used -= size + self.pieces.drop(record.id, kind)

    def forget(self, record: Record) -> None:
        """Throw a job's bodies away, as its owner wants."""
        self.drop_body(record, REQUEST)
        self.drop_body(record, RESULT)
        record.forget()

    def expire(self, now: float, limit: int) -> None:
        """Let some of what is too old leave: past the ttl all but its name, past twice the ttl that too."""
        for _ in range(limit):
            record = self.ends.pop_until(now)
            if record is None:
                return
            if record.is_emptied:
                self.used -= record.cost
                del self.records[record.id]
            else:
                self._empty(record)
                self.ends.put((record.finished or now) + 2 * record.terms.ttl, record)

    def _empty(self, record: Record) -> None:
        self.forgotten += 1
        self.drop_body(record, REQUEST)
        self.drop_body(record, RESULT)
        record.empty()
        # what its fields took, those that went with its end among them, but not what is still remembered
        left = RECORD_COST + text_weight(record)
        self.used -= record.cost - left
        record.cost = left
        self._all.leave(record.number)
        roll = self._owners.get(record.owner)
        if roll is not None:
            roll.leave(record.number)
            if not roll:
                del self._owners[record.owner]
        key = (record.route, record.caller, record.key)
        if record.key and self._keys.get(key) is record:
            del self._keys[key]
