"""What a route's rule is, whether it matches a request, and which of two rules goes first.

Rules ("Which route" of the configuration):

- Higher priority first; then the exact host, the longest suffix, any host; then the path segment by
  segment, a literal before a ``{parameter}`` before ``*`` (and the end before ``*``); then the greater
  number of other conditions: one for methods, one for each header; then the order of the file.
- ``*.suffix`` wants at least one label before the suffix.  ``{parameter}`` is one segment, never empty.
  ``/prefix/*`` is also ``/prefix``, and never ``/prefixes``.  GET admits HEAD.
- A header's condition holds if any field of that name has exactly that value, or is there.

No rule is walked around by another spelling.  Paths are canonical when they come here (``http.target``).
Beyond that a segment is compared with its escapes of ``!$&'()*+,;=:@[]`` undone, because such a character
may also stand raw: ``/%40me`` meets the rule ``/@me``.  What means something else to RFC 3986 is another
path here too: ``/exact/`` is not ``/exact`` (a rule for both is ``/exact/*``), ``/a;v=1`` is not ``/a``,
``/A`` is not ``/a``, and ``%2F`` never separates.

``matches`` is the definition, one rule at a time; ``table`` finds the same without looking at each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from twistedgate.errors import BadMessage
from twistedgate.http.headers import Headers
from twistedgate.http.target import canonical_path, parse_host

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}").fullmatch
_PORT = re.compile(r":[0-9]+\Z").search
_STANDS_RAW = re.compile(r"%(2[146789ABC]|3[ABD]|40|5[BD])")

Precedence = tuple[int, tuple[int, int], tuple[int, ...], int]
"""Sorts rules: the lesser goes first."""


def segments_of(path: str) -> list[str]:
    """Return the segments of a canonical path in the form that they are compared in; none for ``*``."""
    return undo_escapes(path).split("/")[1:]


def undo_escapes(path: str) -> str:
    """Return the path with the escapes undone of what may also stand raw; no slash ever comes of it."""
    return _STANDS_RAW.sub(lambda escape: chr(int(escape[1], 16)), path)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path pattern: its segments, ``None`` for a ``{parameter}``, and whether ``*`` follows them."""

    segments: tuple[str | None, ...]
    is_open: bool

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Read ``/exact``, ``/prefix/*``, ``/users/{id}/cart`` or ``*``; ``ValueError`` if it is none."""
        if text in ("*", "/*"):
            return cls((), True)
        if not text.startswith("/"):
            raise ValueError(f"'{text}' is not a path; it begins with a slash, or is * for everything")
        closed = text.removesuffix("/*")
        for segment in closed.split("/"):
            if set("{}") & set(segment) and _PARAMETER(segment) is None:
                raise ValueError(f"'{segment}' in '{text}': a {{parameter}} is a whole segment")
            if "*" in segment:
                raise ValueError(f"'{text}': * stands only at the end, as /*; write %2A for the character")
        _check_canonical(text)
        segments = (None if _PARAMETER(segment) else segment for segment in segments_of(closed))
        return cls(tuple(segments), closed != text)

    def matches(self, segments: list[str]) -> bool:
        """Whether the segments of a path (``segments_of``) are what this pattern describes."""
        return self.covers(PathPattern(tuple(segments), False))

    def covers(self, other: PathPattern) -> bool:
        """Whether every path that ``other`` matches is matched by this pattern."""
        longer = len(other.segments) - len(self.segments)
        if longer < 0 or (not self.is_open and (longer > 0 or other.is_open)):
            return False
        pairs = zip(self.segments, other.segments, strict=False)
        return all(theirs != "" if ours is None else theirs == ours for ours, theirs in pairs)

    @property
    def rank(self) -> tuple[int, ...]:
        """Segment by segment: 0 for a literal, 1 for a parameter, 2 for ``*``; the end comes before all."""
        return (*(int(segment is None) for segment in self.segments), *([2] if self.is_open else ()))


def _check_canonical(text: str) -> None:
    written = text.replace("{", "%7B").replace("}", "%7D")
    try:
        canonical = canonical_path(written)
    except BadMessage as refusal:
        raise ValueError(f"'{text}' never matches; such a path is refused: {refusal.detail}") from None
    if canonical != written:
        canonical = canonical.replace("%7B", "{").replace("%7D", "}")
        raise ValueError(f"'{text}' never matches; its canonical form is {canonical}")


def parse_host_pattern(text: str) -> str:
    """Return an exact host or ``*.suffix`` as ``RequestTarget.host`` has it; ``ValueError`` if neither."""
    star = "*." if text.startswith("*.") else ""
    name = text.removeprefix(star)
    try:
        host, _ = parse_host(name.encode())
    except BadMessage:
        raise ValueError(f"'{text}' is not a host; write a name, or *. and a suffix") from None
    if _PORT(name) is not None:
        raise ValueError(f"'{text}' has a port, which is not matched; leave it out")
    if star and host.startswith("["):
        raise ValueError(f"'{text}' is not a host; nothing stands before an address")
    return star + host


def covers_host(pattern: str, other: str) -> bool:
    """Whether ``pattern`` (empty = any) matches the host, or every host of the pattern, ``other``."""
    if pattern in ("", other):
        return True
    return pattern.startswith("*.") and other.endswith(pattern[1:])


def _parse_method(text: str) -> str:
    if _TOKEN(text) is None or text != text.upper():
        raise ValueError(f"'{text}' is not a method; methods are words in capitals, such as GET")
    return text


def _parse_condition(name: str, value: str | None) -> tuple[bytes, bytes | None]:
    if _TOKEN(name) is None:
        raise ValueError(f"'{name}' is not the name of a header")
    if value is not None and (not value.isascii() or not value.isprintable() or value != value.strip()):
        raise ValueError(f"'{value}' cannot be the value of {name}: printable ASCII, no blanks around it")
    return name.lower().encode(), None if value is None else value.encode()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request must be for a route to answer it; ``ValueError`` says what cannot be.

    ``hosts`` and ``methods`` are empty for any; ``headers`` are names with the value wanted, or ``None``
    where it is enough that the field is there.
    """

    hosts: tuple[str, ...] = ()
    path: str = "*"
    methods: tuple[str, ...] = ()
    headers: tuple[tuple[str, str | None], ...] = ()
    priority: int = 0
    pattern: PathPattern = field(init=False, repr=False, compare=False)
    """The path, parsed."""
    host_patterns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The hosts in canonical form; one empty pattern for any."""
    admitted: frozenset[str] = field(init=False, repr=False, compare=False)
    """Every method that is admitted; empty for any."""
    conditions: tuple[tuple[bytes, bytes | None], ...] = field(init=False, repr=False, compare=False)
    """The headers, by lower-cased name."""

    def __post_init__(self) -> None:
        methods = {_parse_method(method) for method in self.methods}
        set_field = object.__setattr__
        set_field(self, "pattern", PathPattern.parse(self.path))
        set_field(self, "host_patterns", tuple(dict.fromkeys(map(parse_host_pattern, self.hosts))) or ("",))
        set_field(self, "admitted", frozenset(methods | ({"HEAD"} if "GET" in methods else set())))
        set_field(self, "conditions", tuple(_parse_condition(*condition) for condition in self.headers))

    def precedence(self, host_pattern: str) -> Precedence:
        """Return what sorts this rule, matched by that one of its hosts, among others."""
        if host_pattern == "":
            host_rank = (2, 0)
        elif host_pattern.startswith("*."):
            host_rank = (1, -len(host_pattern))
        else:
            host_rank = (0, 0)
        others = len(self.conditions) + bool(self.methods)
        return -self.priority, host_rank, self.pattern.rank, -others


def matches(rule: Rule, method: str, host: str, path: str, headers: Headers) -> bool:
    """Whether the rule matches a request; ``host`` and ``path`` as in ``RequestTarget``."""
    return why_not(rule, method, host, path, headers) == ""


def why_not(rule: Rule, method: str, host: str, path: str, headers: Headers) -> str:
    """Return the first thing about a request that the rule does not match, in words; empty if it matches."""
    if not any(covers_host(pattern, host) for pattern in rule.host_patterns):
        return f"the host is not {' or '.join(rule.host_patterns)}"
    if not rule.pattern.matches(segments_of(path)):
        return f"the path is not {rule.path}"
    for key, value in rule.conditions:
        if not condition_holds(key, value, headers):
            return f"there is no header {key.decode()}" + ("" if value is None else f": {value.decode()}")
    if not admits(rule.admitted, method):
        return f"the method is not {' or '.join(rule.methods)}"
    return ""


def admits(admitted: frozenset[str], method: str) -> bool:
    """Whether the method is among those admitted; none means any."""
    return not admitted or method in admitted


def condition_holds(key: bytes, value: bytes | None, headers: Headers) -> bool:
    """Whether a field of the lower-cased name is there, with exactly the value if one is wanted."""
    return headers.has(key) if value is None else value in headers.get_all(key)


def shadows(earlier: Rule, later: Rule) -> bool:
    """Whether ``earlier``, which stands before ``later`` in the file, takes every request it would match."""
    if not (earlier.pattern.covers(later.pattern) and wants_no_more(earlier, later)):
        return False
    return admits_all(earlier.admitted, later.admitted) and all(
        any(
            covers_host(ours, theirs) and earlier.precedence(ours) <= later.precedence(theirs)
            for ours in earlier.host_patterns
        )
        for theirs in later.host_patterns
    )


def admits_all(admitted: frozenset[str], others: frozenset[str]) -> bool:
    """Whether every method of ``others`` is among those admitted; none means any, on both sides."""
    return not admitted or (bool(others) and admitted >= others)


def wants_no_more(earlier: Rule, later: Rule) -> bool:
    """Whether headers that fulfil the conditions of ``later`` always fulfil those of ``earlier``."""
    return all(
        any(name == wanted and value in (None, sent) for wanted, sent in later.conditions)
        for name, value in earlier.conditions
    )
