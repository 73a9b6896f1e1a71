"""Counts exchanges, and what else happens in a gateway, into cells that somebody else adds up and shows.

``count`` is on the line: a few additions to whole numbers, no text and nothing that stays.  A block that is
not known (its route went with a reload, or there was no room for it) is that of ``other``.  One process
writes into its cells, so no lock is needed.  This module does not know how many processes there are, nor what
the counts are called outside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, MutableSequence

from twistedgate.exchange import Exchange
from twistedgate.observers.cells import (
    ACCEPTED,
    ANSWERED,
    BOTH_DURATIONS,
    BYTES,
    DROPPED,
    DURATION,
    EJECTIONS,
    FAILURES,
    LIMITS,
    LIMITS_HIT,
    METHODS,
    OTHER,
    OUTCOMES,
    PROBES,
    PROCESS,
    REASONS,
    RELOADS,
    REQUEST_SIZE,
    REQUESTS,
    RESPONSE_SIZE,
    RESULTS,
    RETRIES,
    SECONDS,
    STATUSES,
    TARGET_FAILURES,
    TARGET_REQUESTS,
    UPSTREAM_DURATION,
    names,
    route_block,
    status_label,
    target_block,
    upstream_block,
)
from twistedgate.observers.jobs import JobMetrics

_METHOD_AT = {method: REQUESTS + place * len(STATUSES) for place, method in enumerate(METHODS)}
_OTHER_METHOD = _METHOD_AT[OTHER]
_STATUS_AT = tuple(STATUSES.index(status_label(status)) for status in range(1000))
_OTHER_STATUS = STATUSES.index(OTHER)
_REASON_AT = {reason: FAILURES + place for place, reason in enumerate(REASONS)}
_LIMIT_AT = {limit: LIMITS_HIT + place for place, limit in enumerate(LIMITS)}
_RESULT_AT = {result: RELOADS + place for place, result in enumerate(RESULTS)}
_OUTCOME_AT = {outcome: PROBES + place for place, outcome in enumerate(OUTCOMES)}

_SECONDS = SECONDS.bounds
_SECONDS_SUM = SECONDS.buckets
_BYTES = BYTES.bounds
_BYTES_SUM = BYTES.buckets

_SWITCHED = 101
"""The status of a tunnel: how long that was open says nothing about how fast requests are answered."""


class Metrics:
    """The counts of one process."""

    __slots__ = ("_answered", "_cells", "_other", "_process", "_routes", "_starts", "jobs")

    def __init__(self, cells: MutableSequence[int], starts: Mapping[str, int]) -> None:
        """``cells`` are 64 bits wide; ``starts`` tells where each block is, those of ``FIXED`` at least.

        ``starts`` may change; ``arrange`` is to be called when blocks of routes come or go.
        """
        self._cells = cells
        self._starts = starts
        self.jobs = JobMetrics(cells, starts)
        self.arrange()

    def arrange(self) -> None:
        """Count into the blocks that there are now."""
        starts = self._starts
        self._process = starts[PROCESS]
        self._answered = self._process + ANSWERED
        self._other = starts[route_block(OTHER)]
        # without the prefix, so that nothing is put together for a request
        self._routes = {name: starts[route_block(name)] for name in names(starts, "route")}
        self.jobs.arrange()

    @property
    def answered(self) -> int:
        """Exchanges that ended in this process."""
        return self._cells[self._answered]

    # the line

    def count(self, exchange: Exchange) -> None:
        """Count an exchange that is over."""
        cells = self._cells
        cells[self._answered] += 1
        status = exchange.status
        try:
            start = self._routes[exchange.pipeline.name]  # type: ignore[union-attr]
            cells[start + _METHOD_AT[exchange.request.method] + _STATUS_AT[status]] += 1
        except (AttributeError, LookupError):
            start = self._count_unforeseen(exchange)
        first_byte = exchange.first_byte
        if first_byte and first_byte == exchange.finished and status != _SWITCHED:
            spent = int((first_byte - exchange.started) * 1e6)
            at = start + BOTH_DURATIONS
            cells[at + bisect_left(_SECONDS, spent)] += 1
            cells[at + _SECONDS_SUM] += spent
        else:
            self._count_durations(start, exchange)
        size = exchange.bytes_out
        if size:
            at = start + RESPONSE_SIZE
            cells[at + bisect_left(_BYTES, size)] += 1
            cells[at + _BYTES_SUM] += size
        size = exchange.bytes_in
        if size:
            at = start + REQUEST_SIZE
            cells[at + bisect_left(_BYTES, size)] += 1
            cells[at + _BYTES_SUM] += size
        if exchange.reason:
            self._count_reason(start, exchange.reason)
        if exchange.attempts > 1:
            self._count_retries(exchange)

    def _count_unforeseen(self, exchange: Exchange) -> int:
        """Count a request whose route, method or status has no cell of its own; return the block."""
        pipeline, request = exchange.pipeline, exchange.request
        start = self._routes.get("" if pipeline is None else pipeline.name, self._other)
        method = _OTHER_METHOD if request is None else _METHOD_AT.get(request.method, _OTHER_METHOD)
        status = exchange.status
        is_known = 0 <= status < len(_STATUS_AT)
        self._cells[start + method + (_STATUS_AT[status] if is_known else _OTHER_STATUS)] += 1
        return start

    def _count_durations(self, start: int, exchange: Exchange) -> None:
        """Count how long an answer took, and how long its head, if a target gave it."""
        started, first_byte = exchange.started, exchange.first_byte
        if exchange.status != _SWITCHED:
            self._count_seconds(start + DURATION, exchange.finished - started)
        if first_byte:
            self._count_seconds(start + UPSTREAM_DURATION, first_byte - started)

    def _count_seconds(self, at: int, seconds: float) -> None:
        spent = int(seconds * 1e6)
        self._cells[at + bisect_left(_SECONDS, spent)] += 1
        self._cells[at + _SECONDS_SUM] += spent

    def _count_reason(self, start: int, reason: str) -> None:
        self._cells[start + _REASON_AT.get(reason, _REASON_AT[OTHER])] += 1
        if reason in _LIMIT_AT:
            self.limit_hit(reason)

    def _count_retries(self, exchange: Exchange) -> None:
        at = self._starts.get(upstream_block(exchange.upstream), self._starts[upstream_block(OTHER)])
        self._cells[at + RETRIES] += exchange.attempts - 1

    # connections

    def accepted(self) -> None:
        """Count a connection that was accepted."""
        self._cells[self._process + ACCEPTED] += 1

    def limit_hit(self, limit: str) -> None:
        """Count that somebody was refused or had to wait for a limit, one of ``LIMITS``."""
        self._cells[self._process + _LIMIT_AT[limit]] += 1

    # targets

    def probed(self, upstream: str, target: str, is_good: bool) -> None:
        """Count a check."""
        self._cells[self._target(upstream, target) + _OUTCOME_AT["passed" if is_good else "failed"]] += 1

    def ejected(self, upstream: str, target: str) -> None:
        """Count an ejection."""
        self._cells[self._target(upstream, target) + EJECTIONS] += 1

    def tally(self, upstream: str, target: str, requests: int, failures: int) -> None:
        """Count so many requests more, and so many that failed."""
        at = self._target(upstream, target)
        self._cells[at + TARGET_REQUESTS] += requests
        self._cells[at + TARGET_FAILURES] += failures

    def _target(self, upstream: str, target: str) -> int:
        known = self._starts.get(target_block(upstream, target))
        return self._starts[target_block(OTHER, OTHER)] if known is None else known

    # the gateway

    def reloaded(self, result: str) -> None:
        """Count a reload that ended with one of ``RESULTS``."""
        self._cells[self._process + _RESULT_AT[result]] += 1

    def dropped(self, lines: int) -> None:
        """Count lines of the access log that were not written."""
        self._cells[self._process + DROPPED] += lines
