"""What the operator's resources read and do: ports that the running gateway implements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from twistedgate.config.difference import Change
from twistedgate.jobs.observer import JobsObserver
from twistedgate.jobs.store import JobStore
from twistedgate.observers.exposition import Families


class AdminView(Protocol):
    """The gateway as an operator sees it; reading changes nothing."""

    @property
    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""

    @property
    def credential_names(self) -> Sequence[str]:
        """The header fields and parameters that carry credentials, as the configuration in use says."""

    def unready_reasons(self) -> list[str]:
        """Return why requests should go elsewhere, a sentence each; empty when none is known."""

    def status(self) -> Mapping[str, object]:
        """Return what ``/status`` shows, in JSON's own types or dataclasses, without a secret.

        ``version``, ``started`` (ISO 8601), ``routes``, ``upstreams`` (each with its targets: state, since
        when, in flight, counts, last error), ``listeners``, ``connections``, ``access_log_dropped``.
        """

    def families(self) -> Deferred[Families]:
        """Return what ``/metrics`` shows; it may be read piece by piece, over several turns."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: it is done, or it is not for each of ``errors``.

    ``said`` is one line for a person; ``changes`` are those of a reload.  Nothing in it is a secret.
    """

    said: str = ""
    changes: tuple[Change, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether it was carried out, whole."""
        return not self.errors


class UnknownName(LookupError):
    """There is no upstream or target of that name; the text names those that there are."""


class AdminOperations(Protocol):
    """What an operator may have the gateway do.  None of them raises what it can say in an ``Outcome``."""

    @property
    def store(self) -> JobStore:
        """Where jobs are kept, everybody's; it may be away."""

    @property
    def observer(self) -> JobsObserver:
        """Who counts what becomes of jobs."""

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration again, and tell once it is in use, or once it is refused."""

    def upgrade(self) -> Deferred[Outcome]:
        """Let newly installed code take over, and tell once it serves, or once it is refused."""

    def drain_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        """Pick a target (``HOST:PORT``, or as it is configured) no more; fails with ``UnknownName``."""

    def enable_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        """Let a target that was drained be picked again; fails with ``UnknownName``."""
