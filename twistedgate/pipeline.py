"""One route, compiled: its bounds, the hooks of its policies in order, its action.

Hooks that a policy does not override are dropped when the pipeline is made, and only a hook that waits
costs an await.  Requests run through the policies by stage, responses in reverse; whatever was entered is
finished.  A body is read for the first policy that needs it, so that those before can refuse unread.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.logger import Logger

from twistedgate.action import Action
from twistedgate.config.model import RouteConfig
from twistedgate.errors import ClientGone, Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.http.message import KeptResponse, Response
from twistedgate.limiting.gate import Gate
from twistedgate.policy import Policy
from twistedgate.problem import from_failure, from_refusal, refuse

_log = Logger()


def _overrides(policy: Policy, hook: str) -> bool:
    return getattr(type(policy), hook) is not getattr(Policy, hook)


class Pipeline:
    """One route's policies and action."""

    __slots__ = (
        "_admits",
        "_count",
        "_dresses",
        "_finishes",
        "_gate",
        "_keeps_encoded_slashes",
        "_max_body",
        "action",
        "dresses",
        "name",
        "policies",
        "route",
        "timeout",
    )

    def __init__(self, route: RouteConfig, policies: Sequence[Policy], action: Action, gate: Gate) -> None:
        """``policies`` in the order of the configuration; the stages are put in order here."""
        ordered = sorted(policies, key=lambda policy: policy.stage)
        self.name = route.name
        self.route = route
        self.policies = tuple(ordered)
        self._count = len(ordered)
        self.timeout = route.timeout
        self.action = action
        self._gate = gate
        self._max_body = route.max_body
        self._keeps_encoded_slashes = route.encoded_slashes == "keep"
        self._admits: list[tuple[int, bool, Callable[[Exchange], Any]]] = [
            (place, policy.needs_request_body, policy.on_request)
            for place, policy in enumerate(ordered, 1)
            if policy.needs_request_body or _overrides(policy, "on_request")
        ]
        self._dresses: list[Callable[[Exchange, Response], Awaitable[None] | None]] = [
            policy.on_response for policy in reversed(ordered) if _overrides(policy, "on_response")
        ]
        self.dresses = bool(self._dresses)
        """Whether any policy looks at responses."""
        self._finishes: list[tuple[int, Callable[[Exchange], None]]] = [
            (place, policy.on_finish)
            for place, policy in enumerate(ordered, 1)
            if _overrides(policy, "on_finish")
        ]

    def admit(self, exchange: Exchange) -> Response | Awaitable[Response | None] | None:
        """Return ``None`` to go on, or the response that ends the line, or what to wait for to know."""
        request = exchange.request
        if request.target.has_encoded_slash and not self._keeps_encoded_slashes:
            return refuse(400, "bad-path")
        if request.length:
            self._bound_body(exchange)
        gate = self._gate
        if gate.limit is None:
            gate.under_way += 1
        elif not gate.enter():
            return refuse(503, "too-many")
        exchange.holds_gate = True
        if self._admits:
            return self._run_policies(exchange)
        exchange.entered = self._count
        return None

    async def _run_policies(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        for place, needs_body, admit in self._admits:
            if needs_body and not isinstance(request.body, bytes):
                request.body = await request.body.read()
                request.length = len(request.body)
            exchange.entered = place
            answer = admit(exchange)
            if answer is not None and not isinstance(answer, Response):
                answer = await answer
            if isinstance(answer, Response):
                return answer
            if answer is not None:
                raise TypeError(f"on_request returned {type(answer).__name__}, neither a Response nor None")
        exchange.entered = self._count
        return None

    def _bound_body(self, exchange: Exchange) -> None:
        body = exchange.request.body
        if not isinstance(body, bytes):
            body.bound(self._max_body)

    async def dress(self, exchange: Exchange, response: Response) -> Response:
        """Let the policies change the response; where one fails, the rest go on with the refusal instead."""
        for hook in self._dresses:
            try:
                waiting = hook(exchange, response)
                if waiting is not None:
                    await waiting
            except ClientGone:
                response.abandon()
                raise
            except Exception as error:  # noqa: BLE001 -- a policy's failure is no other policy's
                response.abandon()
                response = self._failed(exchange, error)
        return response

    def _failed(self, exchange: Exchange, error: Exception) -> Response:
        """Return the answer where a policy failed on the response, or was interrupted there."""
        if isinstance(error, Refusal):
            return from_refusal(error)
        if isinstance(error, UpstreamFailure):
            return from_failure(error)
        _log.failure("a policy of route {route} failed in on_response", route=self.name)
        return refuse(500, "internal")

    def finish(self, exchange: Exchange) -> None:
        """Give everything back; no failure of one policy keeps another from it."""
        self.action.finish(exchange)
        if exchange.holds_gate:
            exchange.holds_gate = False
            self._gate.under_way -= 1
        for place, hook in self._finishes:
            if place <= exchange.entered:
                try:
                    hook(exchange)
                except Exception:  # noqa: BLE001 -- see above
                    _log.failure("a policy of route {route} failed in on_finish", route=self.name)


class JobPipeline(Pipeline):
    """The pipeline of a route whose calls may become jobs.

    ``of_jobs`` is the same for an exchange whose call does: the route's timeout does not end it, as the job
    goes on without it.
    """

    __slots__ = ("of_jobs",)

    def __init__(self, route: RouteConfig, policies: Sequence[Policy], action: Action, gate: Gate) -> None:
        super().__init__(route, policies, action, gate)
        self.of_jobs: JobPipeline = self
        self.of_jobs = of_jobs = copy.copy(self)
        of_jobs.of_jobs = of_jobs
        of_jobs.timeout = None

    async def dress(self, exchange: Exchange, response: Response) -> Response:
        """Let the policies change the response, unless they did when the job was run."""
        if isinstance(response, KeptResponse):
            return response
        return await super().dress(exchange, response)
