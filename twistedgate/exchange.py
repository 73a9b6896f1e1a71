"""One request, its response, and what was learned on the way: the only mutable thing on the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twistedgate.http.message import Request, Response
    from twistedgate.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a downstream connection, and how it came in."""

    address: str
    """The peer's IP address, or ``unix:`` for a unix socket."""
    port: int
    """The listener's port, as ``X-Forwarded-Port`` tells it; 0 for a unix socket."""
    scheme: str
    """``http`` or ``https``: what the client spoke to the listener."""
    is_trusted: bool
    """Whether ``trusted_proxies`` names the address."""
    listener: str
    """The listener's name."""


class Exchange:
    """One request on its way through the gateway.

    Times are monotonic seconds, ``opened`` is wall-clock seconds.  ``client`` is the address of the
    client as believed: the peer's, or what a trusted proxy said.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "client",
        "connect_seconds",
        "consumer",
        "finished",
        "first_byte",
        "groups",
        "opened",
        "peer",
        "pipeline",
        "reason",
        "request",
        "request_id",
        "response",
        "scheme",
        "started",
        "status",
        "target",
        "upstream",
    )

    def __init__(self, request: Request, peer: Peer, request_id: str, started: float, opened: float) -> None:
        self.request = request
        self.peer = peer
        self.request_id = request_id
        self.started = started
        self.opened = opened
        self.client = peer.address
        self.scheme = peer.scheme
        self.pipeline: Pipeline | None = None
        self.response: Response | None = None
        self.status = 0
        self.reason = ""
        self.consumer = ""
        self.groups: tuple[str, ...] = ()
        self.upstream = ""
        self.target = ""
        self.attempts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.connect_seconds = 0.0
        self.first_byte = 0.0
        self.finished = 0.0

    @property
    def route(self) -> str:
        """The name of the route that answers, empty before one was found."""
        return "" if self.pipeline is None else self.pipeline.name

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id} {self.request!r} {self.status or 'under way'}>"
