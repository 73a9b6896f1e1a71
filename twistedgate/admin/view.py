"""What the operator's resources read: a port that the running gateway implements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class AdminView(Protocol):
    """The gateway as an operator sees it; reading changes nothing."""

    @property
    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""

    def unready_reasons(self) -> list[str]:
        """Return why requests should go elsewhere, a sentence each; empty when none is known."""

    def status(self) -> Mapping[str, object]:
        """Return what ``/status`` shows, in JSON's own types or dataclasses, without a secret.

        ``version``, ``started`` (ISO 8601), ``routes``, ``upstreams`` (each with its targets: state, since
        when, in flight, counts, last error), ``listeners``, ``connections``, ``access_log_dropped``.
        """
