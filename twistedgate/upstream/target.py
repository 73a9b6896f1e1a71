"""One address of an upstream: its name, what is under way to it, and what happened there."""

from __future__ import annotations

from math import inf

from twistedgate.config.model import TargetConfig
from twistedgate.exchange import Exchange


def target_name(address: str, port: int) -> str:
    """Return ``HOST:PORT``, an IPv6 address in its brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Target:
    """An address that requests are sent to.

    ``name`` is ``HOST:PORT`` of the address itself; ``config`` is what the configuration says of it, and its
    host may be a name with several addresses.  Counts belong to the target, so they outlive a reload.
    """

    __slots__ = (
        "address",
        "authority",
        "config",
        "failed",
        "in_flight",
        "is_on_trial",
        "is_suspected",
        "last_trial",
        "name",
        "requests",
        "trial",
        "trial_until",
        "weight",
    )

    def __init__(self, config: TargetConfig, address: str) -> None:
        self.address = address
        self.name = target_name(address, config.port)
        self.configure(config)
        self.weight: float = config.weight
        self._count_anew()
        self.requests = 0
        self.failed = 0
        self.is_suspected = False
        """Whether the next success is to be reported."""
        self.is_on_trial = False
        """Whether the next request is the trial after an ejection."""
        self.trial_until = -inf
        """From when on it is not any more, as nobody made it here."""
        self.last_trial = -inf
        """The ``trial_until`` of the last trial that was made here."""
        self.trial: Exchange | None = None
        """The exchange that is the trial, while it is under way."""

    def configure(self, config: TargetConfig) -> None:
        """Be what the configuration says now."""
        self.config = config
        default_port = 443 if config.scheme == "https" else 80
        host = f"[{config.host}]" if ":" in config.host else config.host
        text = host if config.port == default_port else f"{host}:{config.port}"
        self.authority = text.encode("ascii")

    def _count_anew(self) -> None:
        """Begin with nothing in flight."""
        self.in_flight = 0

    def take(self) -> None:
        """Count a request that goes there."""
        self.in_flight += 1
        self.requests += 1

    def give_back(self) -> None:
        """Count a request less in flight."""
        self.in_flight -= 1

    def __repr__(self) -> str:
        return f"<Target {self.name} in_flight={self.in_flight} weight={self.weight}>"
