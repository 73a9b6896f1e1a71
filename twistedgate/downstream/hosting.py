"""What a connection needs of the listener that accepted it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from twistedgate.config.model import ListenerConfig
from twistedgate.gateway import Gateway
from twistedgate.http.hops import Forwarder
from twistedgate.wire.codec import HeadLimits


class Serving:
    """What all listeners of a process serve with; a reload swaps it."""

    __slots__ = ("forwarder", "gateway", "wall_offset")

    gateway: Gateway
    forwarder: Forwarder

    def __init__(self) -> None:
        self.wall_offset = time.time() - time.monotonic()
        """What makes a monotonic time a time of day."""


class Host(Protocol):
    """The listener, as its connections see it."""

    config: ListenerConfig
    limits: HeadLimits
    serving: Serving
    is_draining: bool
    now: Callable[[], float]
    """Monotonic seconds."""
    make_request_id: Callable[[], str]
    date: Callable[[], bytes]
    """The value of a Date header."""

    def closed(self, connection: object) -> None:
        """The connection is gone."""
