"""What consistent-hash hashes: ``hash_key``, compiled to a function of the exchange."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from twistedgate.exchange import Exchange

KeyOf = Callable[[Exchange], bytes]


def compile_key(hash_key: str) -> KeyOf:
    """Return the function for ``ip``, ``path``, ``header:NAME``, ``cookie:NAME`` or ``query:NAME``.

    Where a request lacks what is asked for, its client's address serves.
    """
    kind, _, name = hash_key.partition(":")
    if kind == "path":
        return lambda exchange: exchange.request.target.path.encode("ascii")
    if kind == "header":
        key = name.lower().encode("ascii")
        return lambda exchange: exchange.request.headers.get(key) or _client(exchange)
    if kind == "cookie":
        wanted = name.encode("ascii")
        return lambda exchange: _cookie(exchange, wanted) or _client(exchange)
    if kind == "query":
        wanted = name.encode("ascii")
        return lambda exchange: _parameter(exchange, wanted) or _client(exchange)
    return _client


def _client(exchange: Exchange) -> bytes:
    return exchange.client.encode("ascii")


def _cookie(exchange: Exchange, wanted: bytes) -> bytes:
    for value in exchange.request.headers.get_all(b"cookie"):
        for pair in value.split(b";"):
            name, equals, text = pair.strip().partition(b"=")
            if equals and name == wanted:
                return text
    return b""


def _parameter(exchange: Exchange, wanted: bytes) -> bytes:
    for pair in exchange.request.target.query[1:].split("&"):
        name, _, text = pair.partition("=")
        if unquote_to_bytes(name) == wanted:
            return text.encode("ascii")
    return b""
