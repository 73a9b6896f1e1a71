"""One log for all processes: a worker's events travel to the supervisor, which logs them again.

An event becomes text where it happens, with its traceback, and with a bound: what is cut is its middle, as a
traceback ends with what matters most.  When the channel is gone, or an event comes out of sending another,
it is written to standard error.  This module does not know where the supervisor's log goes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, eventAsText
from zope.interface import implementer

LONGEST_TEXT = 16 * 1024
"""Characters of a record: a deep traceback is a quarter of it."""

LONGEST_NAMESPACE = 200

_STANDARD_ERROR = 2


@implementer(ILogObserver)
class WorkerLog:
    """Observes a worker's log.

    ``send`` takes a record as fields of a message, and returns whether it will arrive; it is called in the
    thread that made this, by way of ``call_from_thread`` if the event came from another.
    """

    def __init__(self, send: Callable[..., bool], call_from_thread: Callable[..., object]) -> None:
        self._send = send
        self._call_from_thread = call_from_thread
        self._thread = threading.get_ident()
        self._is_sending = False

    def __call__(self, event: LogEvent) -> None:
        """Send the event on its way."""
        record = record_of(event)
        if record is None:
            return
        if threading.get_ident() == self._thread:
            self._hand(record)
        else:
            self._call_from_thread(self._hand, record)

    def _hand(self, record: Mapping[str, str]) -> None:
        is_taken = False
        if not self._is_sending:
            self._is_sending = True
            try:
                is_taken = self._send(**record)
            finally:
                self._is_sending = False
        if not is_taken:
            _write(record)


def record_of(event: LogEvent) -> dict[str, str] | None:
    """Return level, namespace and text of an event, ``None`` if it says nothing."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    level = event.get("log_level")
    namespace = str(event.get("log_namespace") or event.get("log_system") or "-")
    return {
        "level": (LogLevel.info if level is None else level).name,
        "namespace": _sound(namespace[:LONGEST_NAMESPACE]),
        "text": _sound(_shortened(text)),
    }


def relog(record: Mapping[str, Any], worker: int) -> None:
    """Log a record of a worker here."""
    Logger(record["namespace"]).emit(
        LogLevel.lookupByName(record["level"]), "worker {worker}: {text}", worker=worker, text=record["text"]
    )


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    begin, end = LONGEST_TEXT // 4, LONGEST_TEXT - LONGEST_TEXT // 4
    return f"{text[:begin]}\n[{len(text) - LONGEST_TEXT} characters are left out]\n{text[-end:]}"


def _sound(text: str) -> str:
    """Return text that can be encoded: a lone surrogate must not cost the event its record."""
    return text.encode("utf-8", "backslashreplace").decode()


def _write(record: Mapping[str, str]) -> None:
    # not by sys.stderr, which may be a file that logs what is written to it
    line = f"[{record['namespace']}#{record['level']}] {record['text']}\n".encode()
    with suppress(OSError):
        while line:
            line = line[os.write(_STANDARD_ERROR, line) :]
