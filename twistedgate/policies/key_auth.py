"""``[key-auth:NAME]``: who calls is told by a key, in a header or in the query.

Of a key only its SHA-256 digest is known, in the ``keys`` of ``[consumer:NAME]``.  A request carries exactly
one credential: of two, the gateway and the upstream might believe different ones.  The key goes no further
than this policy, unless it is told to ``keep`` it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from twistedgate.config.fields import field_name
from twistedgate.config.model import ConsumerConfig
from twistedgate.config.notation import parameter
from twistedgate.config.schema import Problem, option
from twistedgate.config.values import boolean, empty_or, optional
from twistedgate.exchange import Exchange
from twistedgate.http.headers import Field, field, write_lines
from twistedgate.http.message import Response
from twistedgate.jobs.identity import owner_text
from twistedgate.policy import Policy, Stage
from twistedgate.problem import refuse
from twistedgate.runtime import Runtime

_CONSUMER: Final = b"x-consumer"
# RFC 9110 section 11.6.1: a 401 names what would be accepted.  No scheme is registered for keys; Kong's name.
_CHALLENGE: Final = ((b"WWW-Authenticate", b'Key realm="twistedgate"'),)


@dataclass(frozen=True, slots=True)
class _Owner:
    """A key's digest, whose it is, and what the upstream is told of them."""

    digest: bytes
    consumer: str
    identity: str
    groups: tuple[str, ...]
    fields: tuple[Field, ...]
    lines: bytes


_NOBODY: Final = _Owner(b"\x00" * 32, "", "", (), (), b"")


class KeyAuth(Policy):
    """Lets those pass who send the key of a ``[consumer:NAME]``; others get 401.

    The upstream sees the consumer's name in ``X-Consumer``, and not the key.
    """

    stage = Stage.IDENTIFY

    @dataclass(frozen=True, slots=True)
    class Config:
        """The options of ``[key-auth:NAME]``."""

        name: str
        header: bytes | None = option(
            optional(field_name), "X-API-Key", "The header that holds the key; empty = not looked for."
        )
        query: str = option(
            empty_or(parameter), "", "The query parameter that holds the key; empty = not looked for."
        )
        keep: bool = option(boolean, "no", "yes leaves the key in what the upstream sees.")

        def check(self) -> list[Problem]:
            """Return what is wrong between the options."""
            if self.header is None and not self.query:
                return [(("header", "query"), "is empty, and so is query; name where the key is to be found")]
            return []

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self._header = b"" if config.header is None else config.header.lower()
        self._parameter = config.query.encode("ascii")
        self._keep = config.keep
        self._owners = {
            digest: _owner(digest, consumer, owner_text(f"key-auth:{config.name}", consumer.name))
            for consumer in runtime.consumers
            for digest in consumer.keys
        }

    def has_credentials(self, exchange: Exchange) -> bool:
        """Whether the request carries a key, right or wrong."""
        request = exchange.request
        if self._header and request.headers.has(self._header):
            return True
        query = request.target.query
        return bool(self._parameter and query and _taken(query, self._parameter)[0])

    def on_request(self, exchange: Exchange) -> Response | None:
        """Find out who calls, or refuse."""
        request = exchange.request
        in_header = request.headers.get_all(self._header) if self._header else []
        query = request.target.query
        in_query, rest = _taken(query, self._parameter) if self._parameter and query else ([], query)
        credentials = in_header + in_query
        if len(credentials) != 1:
            reason = "bad-credentials" if credentials else "no-credentials"
            return refuse(401, reason, fields=_CHALLENGE)
        digest = hashlib.sha256(credentials[0]).digest()
        # The look-up is by a digest that nobody can steer byte by byte; the comparison takes the same
        # time for every key, right or wrong.
        owner = self._owners.get(digest, _NOBODY)
        if not hmac.compare_digest(owner.digest, digest):
            return refuse(401, "bad-credentials", fields=_CHALLENGE)
        exchange.consumer, exchange.groups = owner.consumer, owner.groups
        if not exchange.identity:
            exchange.identity = owner.identity
        if not self._keep:
            if in_header:
                request.headers.remove(self._header)
            else:
                request.target = replace(request.target, query=rest)
        request.headers.remove(_CONSUMER)
        request.headers.extend(owner.fields, owner.lines)
        return None


def _owner(digest: bytes, consumer: ConsumerConfig, identity: str) -> _Owner:
    fields = (field(b"X-Consumer", consumer.name.encode("ascii")),)
    return _Owner(digest, consumer.name, identity, consumer.groups, fields, write_lines(fields))


def _taken(query: str, wanted: bytes) -> tuple[list[bytes], str]:
    """Return the decoded values of a parameter, however its name is spelled, and the query without it."""
    values, rest = [], []
    for pair in query[1:].split("&"):
        name, _, value = pair.partition("=")
        if _decoded(name) == wanted:
            values.append(_decoded(value))
        else:
            rest.append(pair)
    return values, f"?{'&'.join(rest)}" if rest else ""


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))
