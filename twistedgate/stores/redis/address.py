"""Where a Redis is, as ``state`` says it.

``redis://[USER@]HOST[:PORT][/DB]``, ``rediss://`` for TLS, ``redis+sentinel://H1[:P],H2[:P]/NAME[/DB]`` (and
``rediss+sentinel://``) where Sentinels know the master, ``redis+unix://[USER@]/PATH[?db=N]`` on this machine.
TLS trusts the system's authorities, or those of ``?tls_ca=FILE``.  A password has no place here: addresses
are shown.  This module opens nothing, and does not import the library that speaks to Redis.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

PORT = 6379
SENTINEL_PORT = 26379

SCHEMES = frozenset(("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+unix"))


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where a Redis is, and which of its databases."""

    hosts: tuple[tuple[str, int], ...] = ()
    """The server; those of the Sentinels, where ``master`` is named; empty for a socket."""
    path: str = ""
    """Of a socket on this machine."""
    master: str = ""
    """The name under which Sentinels know it."""
    database: int = 0
    user: str = ""
    is_tls: bool = False
    tls_ca: str | None = None

    def __str__(self) -> str:
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.master} by {where}" if self.master else where


def parse_address(text: str) -> RedisAddress:
    """Return what ``text`` says; raises ``ValueError`` with a sentence for whoever wrote it."""
    parts = urlsplit(text)
    if parts.scheme not in SCHEMES:
        raise ValueError(
            f"'{parts.scheme}:' is no way to reach a Redis; there are {', '.join(sorted(SCHEMES))}"
        )
    user, _, place = parts.netloc.rpartition("@")
    if ":" in user:
        raise ValueError(
            "a password does not belong into the address, which is shown: write it as state_password"
        )
    options = _options(parts.query)
    known = (
        {"db"} if parts.scheme == "redis+unix" else {"tls_ca"} if parts.scheme.startswith("rediss") else set()
    )
    for name in options:
        if name not in known:
            raise ValueError(f"'{name}' is not known behind the '?' of {parts.scheme}://")
    if parts.fragment:
        raise ValueError("a '#' has no meaning in the address of a Redis")
    if parts.scheme == "redis+unix":
        return _socket(place, unquote(parts.path), unquote(user), options.get("db", "0"))
    is_tls, tls_ca = parts.scheme.startswith("rediss"), options.get("tls_ca")
    first, _, rest = parts.path.removeprefix("/").partition("/")
    if not parts.scheme.endswith("+sentinel"):
        database = _database("/".join(filter(None, (first, rest))))
        return RedisAddress((_host(place, PORT),), "", "", database, unquote(user), is_tls, tls_ca)
    if not first:
        raise ValueError("the name of the master is missing: redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB")
    hosts = tuple(_host(one, SENTINEL_PORT) for one in place.split(","))
    return RedisAddress(hosts, "", unquote(first), _database(rest), unquote(user), is_tls, tls_ca)


def _options(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise ValueError(f"'?{query}' cannot be understood; write ?NAME=VALUE") from None


def _socket(place: str, path: str, user: str, database: str) -> RedisAddress:
    if place or not path.startswith("/"):
        raise ValueError("the path of a socket begins with a '/': redis+unix:///run/redis/redis.sock")
    return RedisAddress(path=path, database=_database(database), user=user)


def _host(text: str, port: int) -> tuple[str, int]:
    """Read ``HOST``, ``HOST:PORT``, ``[ADDRESS]`` or ``[ADDRESS]:PORT``."""
    try:
        parts = urlsplit(f"//{text}")
        host, number = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"'{text}' is no HOST:PORT") from None
    if not host or number == 0 or (text.count(":") > 1 and not text.startswith("[")):
        raise ValueError(f"'{text}' is no HOST:PORT")
    return host, number or port


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"'{text}' is no database; they are numbered from 0")
    return int(text)
