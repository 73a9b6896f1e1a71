"""The cases of this folder: what is sent, why it matters, and what must come of it.

A case is one TOML file in ``cases/requests`` (what a client sends) or ``cases/answers`` (what an upstream
sends).  ``row`` is the class of attack as ``docs/security.md`` numbers them.  Text stands for the bytes of
Latin-1; ``[fill]`` puts a text many times in the place of a mark.

Outcomes of a request
    refused     ``status`` and the end of the connection, and not one byte at the upstream
    cut         ``status`` and the end of the connection; no complete request at the upstream
    unfinished  no complete request at the upstream, and no good answer
    forwarded   exactly ``requests`` at the upstream, each answered in order
    answered    ``status`` by the gateway itself, and not one byte at the upstream
    either      ``status`` as if cut, or forwarded
Outcomes of an answer
    refused     the client gets ``status``, and nothing of the answer
    cut         the client gets 502 or half an answer that it cannot take for a whole one
    passed      the client gets ``status`` and ``body``
    either      one of refused and passed
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Expected:
    """A request that must reach the upstream; ``never`` may stand nowhere in its head."""

    line: str
    body: str | None = None
    present: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of the request."""
        return self.line.split(" ")[1]


@dataclass(frozen=True)
class Outcome:
    """What must come of a case: one of ``status``, for one of ``reason`` if there are any.

    ``before`` answers are good ones that come before the refusal.  ``closes`` says whether the connection
    must end.  ``fields`` are lines, or names, that the answer must have; ``never`` may stand nowhere in it.
    ``keeps`` says whether the upstream's connection is used again.
    """

    outcome: str
    status: list[int]
    reason: list[str] = field(default_factory=list)
    before: int = 0
    closes: bool = False
    requests: list[Expected] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    body: str = ""
    pass_status: int = 0
    keeps: bool = False


@dataclass(frozen=True)
class Case:
    """One case; ``ends`` says how the upstream ends its connection, ``method`` what it is asked."""

    name: str
    row: int
    clause: str
    why: str
    data: bytes
    expect: Outcome
    method: str = "GET"
    ends: str = ""

    def __str__(self) -> str:
        return f"{self.name} (row {self.row}, {self.clause}): {self.why}"


def load(kind: str) -> list[Case]:
    """Return all cases of a kind, by name."""
    return [_read(path) for path in sorted((FOLDER / kind).glob("*.toml"))]


def cut(data: bytes, cutting: str) -> Iterator[bytes]:
    """Yield ``data`` whole, or byte by byte; of what is long, the middle goes in larger pieces."""
    if cutting == "whole":
        yield data
        return
    start = 0
    while start < len(data):
        is_far = 400 < start < len(data) - 1600
        end = start + (997 if is_far else 1)
        yield data[start:end]
        start = end


def _read(path: Path) -> Case:
    written: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    text: str = written.pop("bytes")
    for mark, (piece, times) in written.pop("fill", {}).items():
        assert mark in text, (path.name, mark)
        text = text.replace(mark, piece * times)
    return Case(
        name=path.stem, data=text.encode("latin-1"), expect=_outcome(written.pop("expect")), **written
    )


def _outcome(written: dict[str, Any]) -> Outcome:
    for name in ("status", "reason"):
        value = written.get(name, [])
        written[name] = value if isinstance(value, list) else [value]
    requests = [Expected(**request) for request in written.pop("requests", [])]
    return Outcome(requests=requests, **written)
