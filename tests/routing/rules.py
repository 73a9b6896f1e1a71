"""Rules and requests, made so that they meet often."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from twistedgate.http.headers import Headers
from twistedgate.routing.match import Rule

METHODS = ("GET", "HEAD", "POST")
HOSTS = ("a.b.example", "*.example", "*.b.example")
HEADERS = (("X-A", None), ("X-A", "1"), ("X-B", "2"))
PATHS = (
    *("*", "/*", "/"),
    *(
        f"/{'/'.join(chosen)}{end}"
        for length in (1, 2)
        for chosen in product(("a", "{x}", "@"), repeat=length)
        for end in ("", "/", "/*")
    ),
    *("/a/a/a", "/a/a/{x}", "/a/{x}/a", "/{x}/{y}/{z}", "/{x}/a/a/*"),
)

Request = tuple[str, str, str, Headers]
"""Method, host, path and headers."""

_SPELLINGS = ("a", "b", "@", "%40", "a;", "%2F")
_REQUEST_PATHS = (
    *("*", "/"),
    *(f"/{segment}{end}" for segment in _SPELLINGS for end in ("", "/")),
    *(f"/{'/'.join(chosen)}{end}" for chosen in product(("a", "b", "@"), repeat=2) for end in ("", "/")),
    *("/a/a/a", "/a/a/b", "/a/b/a", "/b/a/a", "/b/b/b", "/a/a/a/", "/a/a/a/a", "/a/%40/a/a/a", "/b/a/a/b/a"),
)
_REQUEST_HEADERS = (
    Headers(),
    Headers.of((b"X-A", b"1")),
    Headers.of((b"x-a", b"2"), (b"X-A", b"1"), (b"X-B", b"2")),
)

paths = st.sampled_from(_REQUEST_PATHS)
"""Canonical paths of requests."""

hosts = st.sampled_from(("a.b.example", "c.b.example", "b.example", "example", ""))
"""Hosts of requests."""

requests = st.tuples(st.sampled_from(METHODS), hosts, paths, st.sampled_from(_REQUEST_HEADERS))
"""Single requests."""

request_sets = st.tuples(st.sampled_from(METHODS), hosts, st.sampled_from(_REQUEST_HEADERS)).map(
    lambda chosen: [(chosen[0], chosen[1], path, chosen[2]) for path in _REQUEST_PATHS]
)
"""Requests for every path."""


def rules(priorities: tuple[int, ...] = (0, 0, 1)) -> st.SearchStrategy[Rule]:
    """Give rules of every kind, most of them with few conditions."""
    return st.builds(
        Rule,
        st.just(()) | st.lists(st.sampled_from(HOSTS), max_size=2).map(tuple),
        st.sampled_from(PATHS),
        st.just(()) | st.lists(st.sampled_from(METHODS), max_size=2).map(tuple),
        st.just(()) | st.lists(st.sampled_from(HEADERS), max_size=2).map(tuple),
        st.sampled_from(priorities),
    )
