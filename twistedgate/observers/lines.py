"""One exchange as one line of the access log.

Whatever a client wrote stays inside its field: control characters, quotes and line ends are escaped.
``Authorization`` and ``Cookie`` are never looked at; secrets in a query are replaced.  The exchange is
finished when it comes here; of one that was refused for its form, what was understood is told.  This module
does not know where a line goes.
"""

from __future__ import annotations

import re
import time
from typing import Protocol

import orjson

from twistedgate.exchange import Exchange, RefusedExchange
from twistedgate.http.message import Request
from twistedgate.observers.redaction import Redaction

_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls that JSON allows in a string and a terminal obeys: DEL, C1, the bidirectional overrides."""

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
"""What nginx escapes in a variable of its log: controls, the quote, the backslash, beyond ASCII."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Lines(Protocol):
    """A style of the access log."""

    def __call__(self, exchange: Exchange) -> bytes:
        """Return the line of a finished exchange, its end included."""


def lines(style: str, redact_query: tuple[str, ...]) -> Lines:
    """Return what writes lines in ``style``: ``json`` or ``combined``."""
    redact = Redaction(redact_query)
    return CombinedLines(redact) if style == "combined" else JsonLines(redact)


class JsonLines:
    """One flat JSON object a line; names are always there, text is empty where there is nothing to tell."""

    __slots__ = ("_millisecond", "_redact", "_stamp")

    def __init__(self, redact: Redaction) -> None:
        self._redact = redact
        self._millisecond = -1
        self._stamp = ""

    def __call__(self, exchange: Exchange) -> bytes:
        """Return the line of ``exchange``."""
        method, host, path, query = _asked(exchange.request or _understood(exchange))
        # Under load many exchanges begin in one millisecond: its name is written once.
        millisecond = int(exchange.opened * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._stamp = _iso(millisecond)
        started, first_byte, connecting = exchange.started, exchange.first_byte, exchange.connect_seconds
        pipeline = exchange.pipeline
        line = {
            "time": self._stamp,
            "request_id": exchange.request_id,
            "client": exchange.client,
            "method": method,
            "host": host,
            "path": path,
            "query": self._redact(query)[1:] if query else "",
            "status": exchange.status,
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
            "route": "" if pipeline is None else pipeline.name,
            "upstream": exchange.upstream,
            "target": exchange.target,
            "attempts": exchange.attempts,
            # Whole microseconds: round() costs three times as much, and more digits tell nothing.
            "seconds": int((exchange.finished - started) * 1e6) / 1e6,
            "first_byte_seconds": int((first_byte - started) * 1e6) / 1e6 if first_byte else None,
            "connect_seconds": int(connecting * 1e6) / 1e6 if connecting else 0,
            "reason": exchange.reason,
            "consumer": exchange.consumer,
        }
        try:
            written = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        except orjson.JSONEncodeError:
            written = orjson.dumps({key: _sound(value) for key, value in line.items()}) + b"\n"
        return written if written.isascii() and b"\x7f" not in written else _visible(written)


class CombinedLines:
    """The ``combined`` format of nginx and Apache, times in UTC; the user is the consumer."""

    __slots__ = ("_redact", "_second", "_stamp")

    def __init__(self, redact: Redaction) -> None:
        self._redact = redact
        self._second = -1
        self._stamp = ""

    def __call__(self, exchange: Exchange) -> bytes:
        """Return the line of ``exchange``."""
        second = int(exchange.opened)
        if second != self._second:
            self._second = second
            self._stamp = _apache_time(second)
        request = self._request_line(exchange.request or _understood(exchange))
        referer, agent = self._browser(exchange.request)
        return (
            f"{_plain(exchange.client)} - {_plain(exchange.consumer)} [{self._stamp}] "
            f'"{request}" {exchange.status} {exchange.bytes_out} "{referer}" "{agent}"\n'
        ).encode("ascii")

    def _request_line(self, request: Request | None) -> str:
        if request is None:
            return "-"
        _, _, path, query = _asked(request)
        version = "1.0" if request.is_http10 else "1.1"
        return _plain(f"{request.method} {path or '-'}{self._redact(query)} HTTP/{version}")

    def _browser(self, request: Request | None) -> tuple[str, str]:
        if request is None:
            return "-", "-"
        referer = (request.headers.get(b"referer") or b"").decode("latin-1")
        agent = (request.headers.get(b"user-agent") or b"").decode("latin-1")
        return _plain(self._redact(referer)), _plain(agent)


def _understood(exchange: Exchange) -> Request | None:
    return exchange.understood if isinstance(exchange, RefusedExchange) else None


def _asked(request: Request | None) -> tuple[str, str, str, str]:
    if request is None:
        return "", "", "", ""
    target = request.target
    return request.method, target.host, target.path, target.query


def _iso(millisecond: int) -> str:
    second, rest = divmod(millisecond, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{rest:03d}Z"


def _apache_time(second: int) -> str:
    # Not by strftime: the name of the month must not follow the locale.
    at = time.gmtime(second)
    day = f"{at.tm_mday:02d}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year:04d}"
    return f"{day}:{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"


def _plain(text: str) -> str:
    if not text:
        return "-"
    return _NOT_PLAIN.sub(_nginx_escape, text)


def _nginx_escape(found: re.Match[str]) -> str:
    character = found[0]
    encoded = character.encode("latin-1" if ord(character) < 256 else "utf-8", "replace")
    return "".join(f"\\x{byte:02X}" for byte in encoded)


def _visible(written: bytes) -> bytes:
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written.decode()).encode()


def _sound(value: object) -> object:
    """Return text that can be encoded: a lone surrogate must not cost the line its log."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
