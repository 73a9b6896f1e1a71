"""What an operator can have done, by POST: ``/reload``, ``/upgrade``, and a target drained or enabled.

An answer comes when the command is done: 200 with what was done, 409 with every reason why it was not.  A
path is compared as it was sent; names in it may be percent-encoded.  This module does not know who may ask.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.web.server import Request

from twistedgate.admin.answers import answer, refuse
from twistedgate.admin.later import Asked, answer_later
from twistedgate.admin.view import AdminOperations, Outcome, UnknownName
from twistedgate.errors import Refusal

METHODS = (b"POST",)

Command = Callable[[], Deferred[Outcome]]


class Commands:
    """Finds commands by their path."""

    def __init__(self, operations: AdminOperations) -> None:
        self._plain: Mapping[bytes, Command] = {
            b"/reload": operations.reload,
            b"/upgrade": operations.upgrade,
        }
        self._of_target: Mapping[bytes, Callable[[str, str], Deferred[Outcome]]] = {
            b"drain": operations.drain_target,
            b"enable": operations.enable_target,
        }

    def find(self, path: bytes) -> Command | None:
        """Return what a path asks for, ``None`` if there is no such command."""
        if path in self._plain:
            return self._plain[path]
        match path.split(b"/"):
            case [b"", b"upstreams", upstream, b"targets", target, verb] if verb in self._of_target:
                return functools.partial(self._of_target[verb], _text(upstream), _text(target))
        return None


def _text(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode("utf-8", "replace")


def perform(request: Request, command: Command) -> int:
    """Do what the command says, and answer once it is done; whoever left by then is not answered."""

    async def work(asked: Asked) -> bytes:
        try:
            return _answer(asked.request, await command())
        except UnknownName as unknown:
            raise Refusal(404, "unknown-name", str(unknown)) from unknown

    return answer_later(request, work)


def _answer(request: Request, outcome: Outcome) -> bytes:
    if not outcome.is_done:
        return refuse(request, Refusal(409, "command-refused"), {"errors": outcome.errors})
    changes = [
        {"kind": change.kind, "section": change.section, "options": change.options}
        for change in outcome.changes
    ]
    return answer(request, 200, {"done": True, "said": outcome.said, "changes": changes})
