"""A request and a response, as the line sees them: parsed, judged, framing understood.

A body is ``bytes`` when all of it is here, or a ``BodySource`` that delivers pieces to one sink with
back-pressure.  What is held in memory for a body is always bounded by whoever implements the source.
This module knows neither sockets nor how a message is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from twistedgate.http.headers import Field, Headers
from twistedgate.http.target import RequestTarget


class BodySink(Protocol):
    """Takes the pieces of one body, in order."""

    def receive(self, piece: bytes) -> None:
        """Take a piece; never empty."""

    def finish(self, trailers: Headers | None) -> None:
        """The body is complete; ``trailers`` came after the last chunk (RFC 9112 section 7.1.2)."""

    def fail(self) -> None:
        """The body ends here, short of its announced end."""


class BodySource(Protocol):
    """Delivers one body to one sink."""

    def attach(self, sink: BodySink) -> None:
        """Deliver what is held at once, then each piece as it arrives, then ``finish`` or ``fail``."""

    def pause(self) -> None:
        """Deliver nothing more until ``resume``; pieces already under way may still come."""

    def resume(self) -> None:
        """Deliver again."""

    def abandon(self) -> None:
        """Nobody wants the rest."""


class RequestBody(BodySource, Protocol):
    """The body of a request, which can be delivered anew while all of it that came is still held."""

    is_complete: bool
    """Whether its end has come."""

    @property
    def can_replay(self) -> bool:
        """Whether ``attach`` can still begin with the first byte."""

    def detach(self) -> None:
        """The sink takes no more; another may be attached while ``can_replay``."""

    def bound(self, size: int) -> None:
        """Refuse (413) more than ``size`` bytes from now on, 0 for no limit; raises if more is here."""

    async def read(self) -> bytes:
        """Return the whole body; only for one that is bounded."""


CHUNKED = -1
"""``length`` of a body whose end is marked by the last chunk."""

UNTIL_CLOSE = -2
"""``length`` of a response body that ends with its connection."""


class Request:
    """One request.

    ``length`` is the body's length in bytes, 0 for none, ``CHUNKED`` when only its end will tell.
    ``headers`` holds what goes on to the upstream: hop-by-hop fields, those that ``Connection``
    names, and those that only a gateway may set are already gone.
    """

    __slots__ = (
        "accepts_trailers",
        "body",
        "expects_continue",
        "headers",
        "is_http10",
        "keep_alive",
        "length",
        "method",
        "target",
        "upgrade",
    )

    def __init__(self, method: str, target: RequestTarget, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.length = 0
        self.body: bytes | RequestBody = b""
        self.is_http10 = False
        self.keep_alive = True
        self.expects_continue = False
        self.accepts_trailers = False
        self.upgrade: bytes | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target.authority}{self.target.path}>"


@dataclass(frozen=True, slots=True)
class WrittenHead:
    """How the head of an answer is written as long as nobody changes it, Date and Content-Length included.

    It holds for a response of this very status and phrase, whose fields are these very ``lines``, and whose
    body has this ``length``; what the gateway adds comes behind ``text``.
    """

    status: int
    phrase: bytes
    fields: tuple[Field, ...]
    lines: bytes
    length: int
    text: bytes

    def is_of(self, response: Response) -> bool:
        """Whether nothing of the response's head was changed."""
        headers = response.own_headers
        return (
            (headers is None or headers.known_lines is self.lines)
            and response.status == self.status
            and response.phrase is self.phrase
            and response.tunnel is None
        )


class Response:
    """One final response.

    ``length`` is the length of ``body`` in bytes, ``CHUNKED`` or ``UNTIL_CLOSE`` as the upstream framed
    it; the head that goes to the client is framed anew.  ``reason`` is the machine word of a refusal
    (a key of ``errors.TITLES``), empty for an answer of an upstream or an action.  ``closes`` ends the
    client's connection after it; ``tunnel`` is the upstream's side of a connection that both have agreed to
    upgrade; ``written`` is how its head was written before, where that is known.
    """

    __slots__ = ("body", "closes", "length", "own_headers", "phrase", "reason", "status", "tunnel", "written")

    def __init__(
        self, status: int, headers: Headers | None = None, body: bytes | BodySource = b"", *, reason: str = ""
    ) -> None:
        self.status = status
        self.phrase = b""
        self.own_headers = headers
        """The fields, ``None`` until somebody asks for those that are known from ``written``, or for none."""
        self.body = body
        self.length = len(body) if isinstance(body, bytes) else CHUNKED
        self.reason = reason
        self.closes = False
        self.tunnel: Any = None
        self.written: WrittenHead | None = None

    @property
    def headers(self) -> Headers:
        """The fields."""
        headers = self.own_headers
        if headers is None:
            written = self.written
            headers = Headers() if written is None else Headers(written.fields, written.lines)
            self.own_headers = headers
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        self.own_headers = headers

    def abandon(self) -> None:
        """Nobody wants the answer: whoever delivers its body or holds its tunnel may stop."""
        if not isinstance(self.body, bytes):
            self.body.abandon()
        if self.tunnel is not None:
            self.tunnel.abort()

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>".replace(" >", ">")


class KeptResponse(Response):
    """An answer that was kept as the policies of its route had left it: they are not asked again."""

    __slots__ = ()
