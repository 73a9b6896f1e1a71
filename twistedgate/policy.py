"""What a policy is: options, a rule, and a place in the line.

A policy is one class in one module.  ``Config`` is a frozen dataclass whose options document
themselves; the section ``[kind:name]`` of the configuration becomes one ``Config`` and one policy.  A
policy *returns* a response to refuse and *raises* only when it failed itself (the client gets 500).
Hooks that are not overridden cost nothing: they are dropped when the pipeline is compiled.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from typing import Any, ClassVar

from twistedgate.exchange import Exchange
from twistedgate.http.message import Response
from twistedgate.runtime import Runtime


class Stage(enum.IntEnum):
    """Where a policy stands in the line; within a stage, in the order the route lists them."""

    IDENTIFY = 1
    """Who is calling?"""
    AUTHORIZE = 2
    """May they?"""
    LIMIT = 3
    """Not too often?"""
    REUSE = 4
    """Is the answer known already?"""
    TRANSFORM = 5
    """Change the request or the response."""


class Policy:
    """A rule that may answer, change or observe an exchange."""

    stage: ClassVar[Stage] = Stage.TRANSFORM
    needs_request_body: ClassVar[bool] = False
    """Whether ``request.body`` must be ``bytes`` before ``on_request`` runs (bounded by ``max_body``)."""
    Config: ClassVar[type[Any]]

    def __init__(self, config: Any, runtime: Runtime) -> None:
        """Prepare whatever can be prepared before a request comes."""

    def has_credentials(self, exchange: Exchange) -> bool:
        """Whether the request carries what this policy would identify its caller by, right or wrong.

        For the stage ``IDENTIFY``: before jobs the first policy of which this is true tells whose they are.
        """
        return False

    def on_request(self, exchange: Exchange) -> Response | Awaitable[Response | None] | None:
        """Return ``None`` to go on, or the response that ends the line."""
        return None

    def on_response(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
        """Change the response; runs for every answer of the route, refusals included."""
        return None

    def on_finish(self, exchange: Exchange) -> None:
        """Give back what was taken; runs once for every policy that was entered, on every way out."""
