"""Finds the route that answers a request, without looking at each.

Rules: the answer is always that of the naive search, each rule of ``match`` in order of precedence; a table
of thousands costs what a table of one does.  A tree of path segments stands for each host pattern, and is
walked in order of precedence: a literal, then a parameter, then what ``*`` ends.  The first rule whose
other conditions hold answers.  Where priorities differ, every rule that the host and path lead to (not
every rule) is put in order first.

This module knows nothing of what a route does: its entries are opaque.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Generic, TypeVar

from twistedgate.http.headers import Headers
from twistedgate.routing.match import (
    Precedence,
    Rule,
    admits,
    admits_all,
    condition_holds,
    covers_host,
    undo_escapes,
    wants_no_more,
    why_not,
)

T = TypeVar("T")

_MOST_SEEN = 4096
_LONGEST_SEEN = 128
"""Places that are remembered with what is found there first, and the longest of them: a MiB at most."""

_PRECEDENCE = attrgetter("precedence")


@dataclass(frozen=True, slots=True)
class Miss:
    """No route answers: 404, or 405 with ``Allow`` if another method would have been answered."""

    allowed: tuple[str, ...]
    """The methods that some route would have answered, sorted; empty when there is none."""


_NOTHING = Miss(())


@dataclass(frozen=True, slots=True)
class Considered(Generic[T]):
    """One entry of the table, and what became of it."""

    answer: T
    passed_over: str
    """Why it does not answer this request, in words; empty for the one that does."""


@dataclass(frozen=True, slots=True)
class Shadowed(Generic[T]):
    """An entry that can never answer, and those that take all it would."""

    answer: T
    by: tuple[T, ...]


class _Entry(Generic[T]):
    """A rule under one of its host patterns."""

    __slots__ = (
        "admitted",
        "answer",
        "conditions",
        "host_pattern",
        "is_plain",
        "order",
        "precedence",
        "rule",
    )

    def __init__(self, rule: Rule, host_pattern: str, order: int, answer: T) -> None:
        self.rule = rule
        self.host_pattern = host_pattern
        self.order = order
        self.answer = answer
        self.precedence: tuple[Precedence, int] = (rule.precedence(host_pattern), order)
        self.admitted = rule.admitted
        self.conditions = rule.conditions
        self.is_plain = not rule.admitted and not rule.conditions

    def conditions_hold(self, headers: Headers) -> bool:
        """Whether the headers are what the rule wants."""
        return not self.conditions or all(
            condition_holds(key, value, headers) for key, value in self.conditions
        )


class _Node(Generic[T]):
    """The patterns that share a beginning: those that end here, and those that go on."""

    __slots__ = ("ends", "literals", "opens", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.ends: list[_Entry[T]] = []
        self.opens: list[_Entry[T]] = []

    def reach(self, segments: Sequence[str | None]) -> _Node[T]:
        """Return the node at the end of the segments of a pattern, made if need be."""
        node = self
        for segment in segments:
            if segment is not None:
                node = node.literals.setdefault(segment, _Node())
            else:
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
        return node

    def covering(self, segments: Sequence[str | None], is_open: bool) -> Iterator[_Entry[T]]:
        """Give every entry whose pattern takes all that a pattern matches."""
        yield from self.opens
        if not segments:
            yield from () if is_open else self.ends
            return
        first, rest = segments[0], segments[1:]
        if first is not None and first in self.literals:
            yield from self.literals[first].covering(rest, is_open)
        if first != "" and self.parameter is not None:
            yield from self.parameter.covering(rest, is_open)


class RouteTable(Generic[T]):
    """An immutable table of rules, each with what answers for it."""

    __slots__ = (
        "_any",
        "_depth",
        "_entries",
        "_exact",
        "_has_hosts",
        "_has_priorities",
        "_seen",
        "_suffixes",
    )

    def __init__(self, entries: Sequence[tuple[Rule, T]]) -> None:
        self._entries = tuple(entries)
        self._exact: dict[str, _Node[T]] = {}
        self._suffixes: dict[str, _Node[T]] = {}
        self._any: _Node[T] = _Node()
        self._seen: dict[str, list[_Entry[T]]] = {}
        self._has_hosts = any(rule.hosts for rule, _ in entries)
        self._has_priorities = len({rule.priority for rule, _ in entries}) > 1
        # Beyond the longest pattern only *how much* a path goes on matters: nothing there needs a split.
        self._depth = 1 + max((len(rule.pattern.segments) for rule, _ in entries), default=0)
        expanded = [
            _Entry(rule, host_pattern, order, answer)
            for order, (rule, answer) in enumerate(entries)
            for host_pattern in rule.host_patterns
        ]
        for entry in sorted(expanded, key=_PRECEDENCE):
            pattern = entry.rule.pattern
            node = self._root(entry.host_pattern).reach(pattern.segments)
            (node.opens if pattern.is_open else node.ends).append(entry)

    def _root(self, host_pattern: str) -> _Node[T]:
        if host_pattern == "":
            return self._any
        if host_pattern.startswith("*."):
            return self._suffixes.setdefault(host_pattern[1:], _Node())
        return self._exact.setdefault(host_pattern, _Node())

    def match(self, method: str, host: str, path: str, headers: Headers) -> T | Miss:
        """Return what answers a request; ``host`` and ``path`` as in ``RequestTarget``."""
        nearest = self._seen.get(host + path if self._has_hosts else path)
        if nearest is None:
            nearest = self._look_up(host, path)
        if nearest:
            first = nearest[0]
            if first.is_plain or (first.conditions_hold(headers) and admits(first.admitted, method)):
                return first.answer
        roots, segments = self._way(host, path)
        allowed: set[str] = set()
        for entry in self._found(roots, segments):
            if entry.conditions_hold(headers):
                if admits(entry.admitted, method):
                    return entry.answer
                allowed |= entry.admitted
        return Miss(tuple(sorted(allowed))) if allowed else _NOTHING

    def _way(self, host: str, path: str) -> tuple[list[_Node[T]], list[str]]:
        """Return the trees in which a request is looked for, and the segments of its path."""
        roots = self._roots(host) if self._has_hosts else [self._any]
        return roots, (undo_escapes(path) if "%" in path else path).split("/", self._depth)

    def _look_up(self, host: str, path: str) -> list[_Entry[T]]:
        """Return what ``_nearest`` finds, and remember it; nothing where priorities have the last word."""
        if self._has_priorities:
            return []
        roots, segments = self._way(host, path)
        nearest = _nearest(roots[-1], segments)
        place = host + path if self._has_hosts else path
        if len(place) <= _LONGEST_SEEN:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[place] = nearest
        return nearest

    def _found(self, roots: list[_Node[T]], segments: list[str]) -> Iterator[_Entry[T]]:
        """Give the entries that match host and path, in order of precedence."""
        found = chain.from_iterable(_walk(roots, segments))
        return iter(sorted(found, key=_PRECEDENCE)) if self._has_priorities else found

    def _roots(self, host: str) -> list[_Node[T]]:
        """Return the trees of the host patterns that match, the least specific first."""
        roots = [self._any]
        dot = host.rfind(".") if self._suffixes else 0
        while dot > 0:
            root = self._suffixes.get(host[dot:])
            if root is not None:
                roots.append(root)
            dot = host.rfind(".", 0, dot)
        root = self._exact.get(host)
        if root is not None:
            roots.append(root)
        return roots

    def explain(self, method: str, host: str, path: str, headers: Headers) -> list[Considered[T]]:
        """Return every entry in the order it would be asked, with the reason it was passed over.

        For people: it looks at each entry.
        """

        def place(entry: tuple[Rule, T]) -> Precedence:
            rule = entry[0]
            fitting = [pattern for pattern in rule.host_patterns if covers_host(pattern, host)]
            return min(map(rule.precedence, fitting or rule.host_patterns))

        considered: list[Considered[T]] = []
        is_answered = False
        for rule, answer in sorted(self._entries, key=place):
            reason = why_not(rule, method, host, path, headers)
            if not reason and is_answered:
                reason = "one before it answers"
            is_answered = is_answered or not reason
            considered.append(Considered(answer, reason))
        return considered

    def shadowed(self) -> list[Shadowed[T]]:
        """Return the entries that can never answer, because those before them take all they would."""
        found = []
        for order, (rule, answer) in enumerate(self._entries):
            takers: set[int] = set()
            for host_pattern in rule.host_patterns:
                taken_by = self._takers(rule, order, host_pattern)
                if not taken_by:
                    break
                takers |= taken_by
            else:
                found.append(Shadowed(answer, tuple(self._entries[place][1] for place in sorted(takers))))
        return found

    def _takers(self, rule: Rule, order: int, host_pattern: str) -> set[int]:
        """Return the places of entries that take all the rule matches under one of its host patterns."""
        precedence = (rule.precedence(host_pattern), order)
        takers: set[int] = set()
        methods: set[str] = set()
        for root in self._roots(host_pattern):
            for entry in root.covering(rule.pattern.segments, rule.pattern.is_open):
                if entry.precedence < precedence and wants_no_more(entry.rule, rule):
                    if admits_all(entry.admitted, rule.admitted):
                        return {entry.order}
                    if entry.admitted & rule.admitted:
                        takers.add(entry.order)
                        methods |= entry.admitted
        return takers if rule.admitted and methods >= rule.admitted else set()


def _nearest(node: _Node[T], segments: list[str]) -> list[_Entry[T]]:
    """Return what ``_walk`` gives first, if it needs no way back to get there; else nothing.

    That is enough for most requests, and takes a quarter of the time.
    """
    for segment in segments[1:]:
        child = node.literals.get(segment)
        if child is None:
            child = node.parameter
            if child is None or not segment:
                return node.opens
        node = child
    return node.ends or node.opens


def _walk(roots: list[_Node[T]], segments: list[str]) -> Iterator[list[_Entry[T]]]:
    """Give the entries that match, in order of precedence; the segments begin after the first slash."""
    count = len(segments)
    pending = [(root, 1) for root in roots]
    while pending:
        node, depth = pending.pop()
        if depth == 0:
            yield node.opens
            continue
        if node.opens:
            pending.append((node, 0))  # the least specific: when all that is below was of no use
        if depth == count:
            if node.ends:
                yield node.ends
            continue
        segment = segments[depth]
        if node.parameter is not None and segment:
            pending.append((node.parameter, depth + 1))
        child = node.literals.get(segment)
        if child is not None:
            pending.append((child, depth + 1))
