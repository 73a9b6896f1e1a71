"""Who serves, as the service has it: this process alone, or workers; and what is known of that, as it stands.

The service and what operators are shown do not know which it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from twistedgate.config.model import Configuration, ListenerConfig
from twistedgate.jobs.store import JobStore
from twistedgate.net.opened import Opened
from twistedgate.observers.measures import Measures
from twistedgate.upstream.judges import Judges


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """One process that serves."""

    pid: int
    state: str
    """``starting``, ``serving``, ``draining`` or ``ending``."""
    connections: int
    requests: int


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """An upstream, over all processes."""

    requests: int
    in_flight: int
    connections: int
    idle_connections: int


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A target, over all processes."""

    in_flight: int
    requests: int
    failed: int


class Counts(Protocol):
    """Where everything is counted."""

    def total(self, start: int, length: int, /) -> list[int]:
        """Return so many counts, each of all processes together."""


class Serves(Protocol):
    """Serves by the configuration that was committed last."""

    judges: Judges
    measures: Measures
    store: JobStore
    """Where jobs are kept, for those who ask about all of them."""

    # a configuration takes effect

    def prepare(self, configuration: Configuration) -> Deferred[Any]:
        """Make everything that a configuration wants, aside; what it fails with leaves nothing behind."""

    def commit(self, prepared: Any) -> Deferred[None]:
        """Swap a prepared configuration in; this cannot fail.  Fires when everybody serves by it."""

    def abandon(self, prepared: Any) -> None:
        """Leave everything as it is; what was made for ``prepared`` is closed."""

    def opened(self, config: ListenerConfig) -> Opened | None:
        """Return the socket of an operator's listener of what was prepared last, if it is open already."""

    # the life of it

    def start(self) -> None:
        """The reactor runs."""

    def resume_accepting(self) -> Deferred[None]:
        """Let clients in; fires when everybody serves who is to."""

    def reopen_logs(self) -> None:
        """Write the access log to a new file of its name from now on."""

    def drain(self, timeout: float) -> Deferred[None]:
        """Accept no more, and wait until what is under way has ended, ``timeout`` seconds at most."""

    def stop(self) -> Deferred[None]:
        """Close everything that is left."""

    def is_well(self) -> bool:
        """Whether nobody who serves hangs without a successor."""

    # what is known

    def tally(self) -> None:
        """Bring ``measures`` and ``board`` up to date, as far as this process can."""

    @property
    def board(self) -> Counts:
        """The counts whose places ``measures`` has."""

    @property
    def wanted(self) -> int:
        """How many processes are to serve."""

    @property
    def processes(self) -> list[ProcessFacts]:
        """Those that there are."""

    @property
    def requests(self) -> int:
        """Requests that have ended, whatever their answer."""

    @property
    def connections(self) -> int:
        """Connections of clients."""

    @property
    def is_paused(self) -> bool:
        """Whether nobody accepts connections, as all have as many as they may."""

    @property
    def dropped(self) -> int:
        """Lines of the access log that could not be written."""

    @property
    def addresses(self) -> dict[str, str]:
        """Where each listener for clients is, by its name."""

    def connections_of(self, listener: str) -> int:
        """Return the connections of one listener."""

    def in_flight(self, route: str) -> int:
        """Return how many exchanges of a route are under way."""

    def upstream(self, name: str) -> UpstreamFacts:
        """Return what is known of an upstream."""

    def target(self, upstream: str, name: str) -> TargetFacts:
        """Return what is known of a target."""
