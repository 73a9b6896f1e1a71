"""What an operator may have a gateway of one process do; ``view`` only reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed

from twistedgate.admin.view import Outcome

if TYPE_CHECKING:
    from twistedgate.service import GatewayService

ONE_PROCESS = (
    "one process serves alone (workers = 1), and nobody could serve while it is replaced; "
    "set workers = 2 or more and restart once, or start the new version beside this one"
)
"""Why there is no upgrade, and what to do instead."""


class Operations:
    """Acts on a ``GatewayService``."""

    def __init__(self, service: GatewayService) -> None:
        self._service = service

    def reload(self) -> Deferred[Outcome]:
        """Read the configuration again."""
        return self._service.reload()

    def upgrade(self) -> Deferred[Outcome]:
        """Refuse: code cannot be replaced under a process that serves."""
        return succeed(Outcome(errors=(ONE_PROCESS,)))
