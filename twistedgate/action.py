"""What an action is: it produces the response that the policies let through."""

from __future__ import annotations

from typing import Protocol

from twistedgate.exchange import Exchange
from twistedgate.http.message import Response


class Action(Protocol):
    """The end of a pipeline."""

    async def answer(self, exchange: Exchange) -> Response:
        """Return the response; raises ``Refusal`` or ``UpstreamFailure``."""

    def finish(self, exchange: Exchange) -> None:
        """Give back what was taken for the exchange; called once, on every way out."""
