"""The metrics, written a little in each turn of the reactor: a gateway of many routes serves on meanwhile.

Each count is read when it comes to be written, so that a scrape is not one moment, and no sum of several
counts in it is exact while requests end.  This module does not know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from twistedgate.admin.answers import refuse, set_head
from twistedgate.errors import Refusal
from twistedgate.observers.exposition import Families, Format, choose, render

SLICE = 0.002
"""Seconds of one turn: what a few dozen requests take.  A small gateway is written in one turn."""

_log = Logger()


def scrape(request: Request, asked: Deferred[Families], reactor: Any) -> int:
    """Answer with all metrics, in the format that the request wants more, once they are there."""
    fields = request.requestHeaders.getRawHeaders(b"accept", [])
    form = choose(b",".join(fields).decode("latin-1"))
    return Scrape(request, form, reactor).begin(asked)


class Scrape:
    """One answer that is being written."""

    def __init__(self, request: Request, form: Format, reactor: Any) -> None:
        self._request = request
        self._form = form
        self._reactor = reactor
        self._pieces: Iterator[str] = iter(())
        self._written: list[str] = []
        self._is_gone = False

    def begin(self, asked: Deferred[Families]) -> int:
        """Answer as soon as it is known what with; it may be at once."""
        self._request.notifyFinish().addErrback(self._left)
        asked.addCallback(self._found).addErrback(self._fail)
        return NOT_DONE_YET

    def _found(self, families: Families) -> None:
        self._pieces = render(families, self._form)
        self._go_on()

    def _left(self, reason: object) -> None:
        self._is_gone = True

    def _write(self) -> bool:
        """Write on until everything is written, which is told, or the turn is over."""
        end = time.perf_counter() + SLICE
        for piece in self._pieces:
            self._written.append(piece)
            if time.perf_counter() >= end:
                return False
        return True

    def _go_on(self) -> None:
        if self._is_gone:
            return
        try:
            if not self._write():
                self._reactor.callLater(0, self._go_on)
                return
            body = self._answer()
        except Exception:  # noqa: BLE001 -- as where a request is answered at once: nobody may wait for ever
            self._fail(Failure())
            return
        self._end(body)

    def _fail(self, failure: Failure) -> None:
        _log.failure("the metrics could not be written", failure)
        if not self._is_gone:
            self._end(refuse(self._request, Refusal(500, "internal")))

    def _end(self, body: bytes) -> None:
        self._request.write(body)
        self._request.finish()

    def _answer(self) -> bytes:
        body = "".join(self._written).encode()
        self._request.setHeader(b"Vary", b"Accept")
        set_head(self._request, 200, self._form.value.encode("ascii"), len(body))
        return b"" if self._request.method == b"HEAD" else body
