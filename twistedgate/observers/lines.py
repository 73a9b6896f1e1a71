"""One exchange as one line of the access log.

Whatever a client wrote stays inside its field: control characters, quotes and line ends are escaped.
``Authorization`` and ``Cookie`` are never looked at; secrets in a query are replaced.  The exchange is
finished when it comes here; of one that was refused for its form, what was understood is told.  This module
does not know where a line goes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import orjson

from twistedgate.exchange import Exchange, RefusedExchange
from twistedgate.http.message import Request
from twistedgate.observers.redaction import Redaction

_UNSEEN = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls that JSON allows in a string and a terminal obeys: DEL, C1, the bidirectional overrides."""

_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")
"""What nginx escapes in a variable of its log: controls, the quote, the backslash, beyond ASCII."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


Line = Callable[[Exchange], bytes]
"""Returns the line of a finished exchange, its end included."""


def lines(style: str, redact_query: tuple[str, ...]) -> Line:
    """Return what writes lines in ``style``: ``json`` or ``combined``."""
    redact = Redaction(redact_query)
    return CombinedLines(redact).write if style == "combined" else JsonLines(redact).write


class JsonLines:
    """One flat JSON object a line; names are always there, text is empty where there is nothing to tell.

    Most exchanges say what others said: who asked for what, and what came of it.  Each of these parts is
    written once and remembered.
    """

    __slots__ = ("_asked", "_became", "_redact", "_since", "_stamp", "_until")

    def __init__(self, redact: Redaction) -> None:
        self._redact = redact
        self._since = self._until = 0.0
        self._stamp = ""
        self._asked = Parts("client", "method", "host", "path", "query")
        self._became = Parts("status", "route", "upstream", "target", "attempts", "reason", "consumer")

    def write(self, exchange: Exchange) -> bytes:
        """Return the line of ``exchange``, whose id is plain ASCII that needs no quoting."""
        # Under load many exchanges begin in one millisecond: its name is written once.
        if not self._since <= exchange.opened < self._until:
            self._stamp_millisecond(exchange.opened)
        request = exchange.request or _understood(exchange)
        if request is None:
            who = self._asked.write((exchange.client, "", "", "", ""))
        else:
            target = request.target
            asked = (exchange.client, request.method, target.host, target.path, target.query)
            who = self._asked.written.get(asked) or self._write_asked(asked)
        became = (
            exchange.status,
            "" if (pipeline := exchange.pipeline) is None else pipeline.name,
            exchange.upstream,
            exchange.target,
            exchange.attempts,
            exchange.reason,
            exchange.consumer,
        )
        started, first_byte, finished = exchange.started, exchange.first_byte, exchange.finished
        connecting, seconds = exchange.connect_seconds, f"{finished - started:.6f}"
        first = "null"
        if first_byte:
            first = seconds if first_byte == finished else f"{first_byte - started:.6f}"
        line = (
            f'{{"time":"{self._stamp}","request_id":"{exchange.request_id}"{who}'
            f"{self._became.written.get(became) or self._became.write(became)}"
            f',"bytes_in":{exchange.bytes_in},"bytes_out":{exchange.bytes_out}'
            f',"seconds":{seconds},"first_byte_seconds":{first}'
            f',"connect_seconds":{f"{connecting:.6f}" if connecting else "0"}}}\n'
        )
        if exchange.job:
            line = f"{line[:-2]}{_of_job(exchange.job, exchange.run)}}}\n"
        try:
            return line.encode()
        except UnicodeEncodeError:
            # only a policy could have made such an id
            return line.encode("utf-8", "replace")

    def _stamp_millisecond(self, opened: float) -> None:
        millisecond = int(opened * 1000)
        self._since, self._until = millisecond / 1000, (millisecond + 1) / 1000
        self._stamp = _iso(millisecond)

    def _write_asked(self, asked: tuple[str, ...]) -> str:
        query = asked[-1]
        return self._asked.write(asked, (*asked[:-1], self._redact(query)[1:] if query else ""))


_MOST_PARTS = 8192
_LONGEST_PART = 1024
"""Parts of lines that are remembered, of one kind, and the longest of them: a MiB or two in all."""


class Parts:
    """Parts of JSON objects under always the same names, remembered by what they were made from."""

    __slots__ = ("_names", "written")

    def __init__(self, *names: str) -> None:
        self._names = names
        self.written: dict[tuple[str | int, ...], str] = {}
        """What was written, by the values that it was asked for with."""

    def write(self, key: tuple[str | int, ...], values: tuple[str | int, ...] | None = None) -> str:
        """Return ``values``, or those of ``key`` itself, under their names, each behind a comma."""
        part = ""
        for name, value in zip(self._names, values or key, strict=True):
            part += f',"{name}":{value if isinstance(value, int) else _quoted(value)}'
        if len(part) <= _LONGEST_PART:
            if len(self.written) >= _MOST_PARTS:
                self.written.clear()
            self.written[key] = part
        return part


class CombinedLines:
    """The ``combined`` format of nginx and Apache, times in UTC; the user is the consumer."""

    __slots__ = ("_redact", "_second", "_stamp")

    def __init__(self, redact: Redaction) -> None:
        self._redact = redact
        self._second = -1
        self._stamp = ""

    def write(self, exchange: Exchange) -> bytes:
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
        target = request.target
        version = "1.0" if request.is_http10 else "1.1"
        return _plain(f"{request.method} {target.path or '-'}{self._redact(target.query)} HTTP/{version}")

    def _browser(self, request: Request | None) -> tuple[str, str]:
        if request is None:
            return "-", "-"
        referer = (request.headers.get(b"referer") or b"").decode("latin-1")
        agent = (request.headers.get(b"user-agent") or b"").decode("latin-1")
        return _plain(self._redact(referer)), _plain(agent)


def _of_job(job: str, run: int) -> str:
    """Return which job it is about: an id that we gave, or that a store of ours knows."""
    return f',"job":{_quoted(job)},"run":{run}' if run else f',"job":{_quoted(job)}'


def _understood(exchange: Exchange) -> Request | None:
    return exchange.understood if isinstance(exchange, RefusedExchange) else None


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


def _quoted(text: str) -> str:
    """Return a JSON string; a lone surrogate must not cost the line."""
    try:
        written = orjson.dumps(text)
    except orjson.JSONEncodeError:
        written = orjson.dumps(text.encode("utf-8", "replace").decode())
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written.decode())
