"""Brings the metrics up to date with what is counted elsewhere: by each target, and by the access log.

Only what came since the last time is added, so that counts do not go back when a target, or the log, is made
anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from twistedgate.observers.access_log import AccessLog
from twistedgate.observers.metrics import Metrics
from twistedgate.upstream.target import Target
from twistedgate.upstream.upstream import Upstream


class Tally:
    """What was added so far."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._targets: dict[Target, tuple[int, int]] = {}
        self._access_log: AccessLog | None = None
        self._dropped = 0

    def take(self, upstreams: Iterable[Upstream], access_log: AccessLog) -> None:
        """Add what is new."""
        before, self._targets = self._targets, {}
        for upstream in upstreams:
            for target in upstream.targets.by_name.values():
                requests, failed = before.get(target, (0, 0))
                self._targets[target] = target.requests, target.failed
                self._metrics.tally(
                    upstream.name, target.name, target.requests - requests, target.failed - failed
                )
        if access_log is not self._access_log:
            self._access_log, self._dropped = access_log, 0
        dropped = access_log.dropped
        self._metrics.dropped(dropped - self._dropped)
        self._dropped = dropped
