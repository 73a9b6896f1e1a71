"""Who asks for jobs: the first of several policies whose credentials are there tells.

A refusal of that policy is not passed on: who is not known gets what an unknown job gets, from whoever
answers.  Each policy is otherwise what it is before its own routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.policy import Policy, Stage


class FirstPresent(Policy):
    """Asks the first policy that finds its credentials in the request, and nobody else."""

    stage = Stage.IDENTIFY

    def __init__(self, policies: Sequence[Policy]) -> None:
        """``policies`` in the order that they are asked."""
        self._policies = tuple(policies)
        self._asked: dict[Exchange, Policy] = {}

    def has_credentials(self, exchange: Exchange) -> bool:
        """Whether any of them finds credentials."""
        return any(policy.has_credentials(exchange) for policy in self._policies)

    def on_request(self, exchange: Exchange) -> Awaitable[Response | None] | None:
        """Find out who calls, if anybody says so."""
        for policy in self._policies:
            if policy.has_credentials(exchange):
                self._asked[exchange] = policy
                answer = policy.on_request(exchange)
                return None if answer is None or isinstance(answer, Response) else _unrefused(answer)
        return None

    def on_response(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
        """Let the policy that was asked change the response."""
        policy = self._asked.get(exchange)
        return None if policy is None else policy.on_response(exchange, response)

    def on_finish(self, exchange: Exchange) -> None:
        """Let the policy that was asked give back what it took."""
        policy = self._asked.pop(exchange, None)
        if policy is not None:
            policy.on_finish(exchange)


async def _unrefused(answer: Awaitable[Response | None]) -> None:
    await answer
