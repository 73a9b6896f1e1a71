"""The operator's resources: ``/live``, ``/ready``, ``/status``, ``/metrics``, ``/jobs``, and commands.

What does something is for POST, everything else for GET and HEAD.  A path is compared as it was sent: there
is one spelling of each.  This module does not know who may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request

from twistedgate.admin import commands
from twistedgate.admin.answers import answer, refuse
from twistedgate.admin.commands import Commands, perform
from twistedgate.admin.job_documents import Discretion
from twistedgate.admin.jobs import JobResources
from twistedgate.admin.scrape import scrape
from twistedgate.admin.view import AdminOperations, AdminView
from twistedgate.errors import Refusal

METHODS = (b"GET", b"HEAD")

Page = Callable[[Request], bytes | int]
"""Answers a request: by a body, or later."""


class OperatorResource(Resource):
    """Everything under the admin listener's root."""

    isLeaf = True

    def __init__(self, view: AdminView, operations: AdminOperations, discretion: Discretion) -> None:
        super().__init__()
        self._view = view
        self._commands = Commands(operations)
        self._jobs = JobResources(operations, discretion)
        self._pages: dict[bytes, Page] = {
            b"/live": self._live,
            b"/ready": self._ready,
            b"/status": self._status,
            b"/metrics": self._metrics,
        }

    def render(self, request: Request) -> bytes | int:
        """Answer a request."""
        page = self._pages.get(request.path)
        if page is not None:
            if request.method not in METHODS:
                return _refuse_method(request, METHODS)
            return page(request)
        of_jobs = self._jobs.find(request.path)
        if of_jobs is not None:
            methods, answer_of_jobs = of_jobs
            return answer_of_jobs(request) if request.method in methods else _refuse_method(request, methods)
        command = self._commands.find(request.path)
        if command is None:
            return refuse(request, Refusal(404, "no-route"))
        if request.method not in commands.METHODS:
            return _refuse_method(request, commands.METHODS)
        return perform(request, command)

    def _live(self, request: Request) -> bytes:
        return answer(request, 200, {"live": True})

    def _ready(self, request: Request) -> bytes:
        reasons = ["the gateway is shutting down"] if self._view.is_draining else []
        reasons += self._view.unready_reasons()
        return answer(request, 503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    def _status(self, request: Request) -> bytes:
        return answer(request, 200, self._view.status())

    def _metrics(self, request: Request) -> bytes | int:
        site: Any = request.site
        return scrape(request, self._view.families(), site.reactor)


class RefusedResource(Resource):
    """Answers every request with one refusal."""

    isLeaf = True

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: Request) -> bytes:
        """Answer with the refusal."""
        return refuse(request, self._refusal)


def _refuse_method(request: Request, allowed: Sequence[bytes]) -> bytes:
    allow = (b"Allow", b", ".join(allowed))
    return refuse(request, Refusal(405, "method-not-allowed", fields=(allow,)))
