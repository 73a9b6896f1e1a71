"""One request, its response, and what was learned on the way: the only mutable thing on the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twistedgate.http.hops import Peer

if TYPE_CHECKING:
    from twistedgate.http.message import Request, Response
    from twistedgate.pipeline import Pipeline
    from twistedgate.runtime import TargetPort


class Exchange:
    """One request on its way through the gateway.

    Times are monotonic seconds, ``opened`` is wall-clock seconds; ``first_byte`` is 0 until an upstream
    answered.  ``client`` is the address of the client as believed: the peer's, or what a trusted proxy said.
    ``request`` is ``None`` where what came could not be understood.  ``request_id`` is made of letters,
    digits and ``._~+/=:@-``: it can stand anywhere as it is.  What was counted in for the exchange, and must
    be counted out on every way out, is in ``entered`` (policies) and ``holds_...``.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "client",
        "connect_seconds",
        "consumer",
        "entered",
        "finished",
        "first_byte",
        "groups",
        "holds_gate",
        "holds_target",
        "holds_upstream",
        "identity",
        "interim",
        "job",
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

    request: Request

    is_run = False
    """Whether it is made for a job, and no client waits: what is tried again is the job's own affair."""
    run = 0
    """Which run of its job it is, from 1; 0 where a client waits."""
    response_timeout: float | None = None
    """Seconds until the head of an answer is due, in place of the upstream's own."""

    def __init__(
        self, request: Request | None, peer: Peer, request_id: str, started: float, opened: float
    ) -> None:
        self.request = request  # type: ignore[assignment]
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
        self.identity = ""
        """Who calls, and who says so: ``KIND:NAME/CONSUMER`` of the first policy that found it out."""
        self.upstream = ""
        self.target = ""
        self.job = ""
        """The id of the job that it is about: one that it became, is a run of, or asks for."""
        self.attempts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.connect_seconds = 0.0
        self.first_byte = 0.0
        self.finished = 0.0
        self.entered = 0
        self.holds_gate = False
        self.holds_upstream = False
        self.holds_target: TargetPort | None = None
        self.interim: Callable[[Response], None] | None = None
        """Sends an interim response (1xx) on; set while the client may still get one."""

    @property
    def route(self) -> str:
        """The name of the route that answers, empty before one was found."""
        return "" if self.pipeline is None else self.pipeline.name

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id} {self.request!r} {self.status or 'under way'}>"


class RefusedExchange(Exchange):
    """An exchange without a request: what came was refused for its form.

    ``understood`` is what could be read of it all the same, for whoever writes it down.
    """

    __slots__ = ("understood",)

    def __init__(
        self, understood: Request | None, peer: Peer, request_id: str, started: float, opened: float
    ) -> None:
        super().__init__(None, peer, request_id, started, opened)
        self.understood = understood
