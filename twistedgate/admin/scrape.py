"""The metrics, written a little in each turn of the reactor: a gateway of many routes serves on meanwhile.

Each count is read when it comes to be written, so that a scrape is not one moment, and no sum of several
counts in it is exact while requests end.  This module does not know what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET, Request

from twistedgate.admin.answers import refuse, set_head
from twistedgate.errors import Refusal
from twistedgate.observers.exposition import Families, choose, render

SLICE = 0.002
"""Seconds of one turn: what a few dozen requests take.  A small gateway is written in one turn."""

_log = Logger()


def scrape(request: Request, families: Families, reactor: Any) -> bytes | int:
    """Answer with all metrics, in the format that the request wants more."""
    fields = request.requestHeaders.getRawHeaders(b"accept", [])
    form = choose(b",".join(fields).decode("latin-1"))
    return Scrape(request, render(families, form), form.value.encode("ascii"), reactor).begin()


class Scrape:
    """One answer that is being written."""

    def __init__(self, request: Request, pieces: Iterator[str], kind: bytes, reactor: Any) -> None:
        self._request = request
        self._pieces = pieces
        self._kind = kind
        self._reactor = reactor
        self._written: list[str] = []
        self._is_gone = False

    def begin(self) -> bytes | int:
        """Return the answer if a turn is enough for it; else it comes by itself."""
        if self._write():
            return self._answer()
        self._request.notifyFinish().addErrback(self._left)
        self._reactor.callLater(0, self._go_on)
        return NOT_DONE_YET

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
            _log.failure("the metrics could not be written")
            body = refuse(self._request, Refusal(500, "internal"))
        self._request.write(body)
        self._request.finish()

    def _answer(self) -> bytes:
        body = "".join(self._written).encode()
        self._request.setHeader(b"Vary", b"Accept")
        set_head(self._request, 200, self._kind, len(body))
        return b"" if self._request.method == b"HEAD" else body
