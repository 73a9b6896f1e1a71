"""A Redis is reached by socket, port, TLS and Sentinels, as whom and in which database its address says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.stores.redis.server import RedisServer, Sentinel, free_port
from twistedgate.config.redis_address import RedisAddress, parse_address
from twistedgate.jobs.store import StoreAway
from twistedgate.stores.redis.dial import UNREACHABLE, Dial

Start = Callable[..., RedisServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers, each with more arguments, in folders of their own."""
    started: list[RedisServer] = []

    def start(*arguments: str, sentinel: tuple[int, str, int] | None = None) -> RedisServer:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        server = RedisServer(folder, *arguments) if sentinel is None else Sentinel(folder, *sentinel)
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


async def answer(reactor: Any, address: RedisAddress, password: str, *command: str) -> Any:
    """Connect, and return the answer to a command."""
    line = await Dial(reactor, address, password)()
    try:
        return await line.ask(*command)
    finally:
        await line.close()


async def test_a_socket_is_reached(reactor: Any, redis_server: RedisServer) -> None:
    assert await answer(reactor, redis_server.address, "", "PING") == b"PONG"


async def test_a_port_is_reached(reactor: Any, start: Start) -> None:
    port = free_port()
    start("--port", str(port), "--bind", "127.0.0.1")
    assert await answer(reactor, parse_address(f"redis://127.0.0.1:{port}"), "", "PING") == b"PONG"
    assert await answer(reactor, parse_address(f"redis://localhost:{port}"), "", "PING") == b"PONG"


async def test_a_database_is_chosen(reactor: Any, redis_server: RedisServer) -> None:
    address = replace(redis_server.address, database=3)
    assert b" db=3 " in await answer(reactor, address, "", "CLIENT", "INFO")
    with pytest.raises(UNREACHABLE):
        await answer(reactor, replace(address, database=99), "", "PING")


async def test_a_password_is_given(reactor: Any, start: Start) -> None:
    server = start("--requirepass", "secret word")
    assert await answer(reactor, server.address, "secret word", "PING") == b"PONG"
    for wrong in ("", "other"):
        with pytest.raises(StoreAway):
            await answer(reactor, server.address, wrong, "PING")


async def test_a_user_is_named(reactor: Any, start: Start) -> None:
    server = start()
    server.ask("ACL", "SETUSER", "gate", "on", ">secret", "~*", "&*", "+@all")
    address = replace(server.address, user="gate")
    assert b" user=gate " in await answer(reactor, address, "secret", "CLIENT", "INFO")
    with pytest.raises(StoreAway):
        await answer(reactor, address, "other", "PING")


async def test_nobody_there_is_told(reactor: Any, tmp_path: Path) -> None:
    for address in (
        RedisAddress(path=str(tmp_path / "none")),
        parse_address(f"redis://127.0.0.1:{free_port()}"),
        parse_address(f"redis+sentinel://127.0.0.1:{free_port()}/main"),
    ):
        with pytest.raises(UNREACHABLE):
            await answer(reactor, address, "", "PING")


async def test_a_redis_that_stands_still_is_not_there(reactor: Any, own_server: RedisServer) -> None:
    own_server.freeze()
    with pytest.raises(StoreAway, match="does not answer"):
        await answer(reactor, own_server.address, "", "PING")


async def test_tls_verifies_whom_it_speaks_to(reactor: Any, start: Start, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair, port = authority.issue("localhost"), str(free_port())
    files = (
        "--tls-cert-file",
        pair.certificate,
        "--tls-key-file",
        pair.key,
        "--tls-ca-cert-file",
        authority.path,
    )
    start("--tls-port", port, "--tls-auth-clients", "no", "--bind", "127.0.0.1", *files)
    good = parse_address(f"rediss://localhost:{port}?tls_ca={authority.path}")
    assert await answer(reactor, good, "", "PING") == b"PONG"
    for refused in (
        f"rediss://localhost:{port}?tls_ca={other.path}",
        f"rediss://127.0.0.1:{port}?tls_ca={authority.path}",
        f"rediss://localhost:{port}",
        f"redis://localhost:{port}",
    ):
        with pytest.raises(UNREACHABLE):
            await answer(reactor, parse_address(refused), "", "PING")


def test_authorities_that_cannot_be_read_are_told_before(reactor: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        Dial(reactor, parse_address(f"rediss://localhost?tls_ca={tmp_path / 'none'}"), "")


async def test_sentinels_know_the_master(reactor: Any, start: Start) -> None:
    master, sentinel = free_port(), free_port()
    start("--port", str(master), "--bind", "127.0.0.1", "--requirepass", "secret")
    start(sentinel=(sentinel, "main", master))
    # the first one is not there: the second is asked, and first from then on
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{sentinel}"
    dial = Dial(reactor, parse_address(f"redis+sentinel://{hosts}/main/2"), "secret")
    for _ in range(2):
        line = await dial()
        assert b" db=2 " in await line.ask("CLIENT", "INFO")
        await line.close()
        assert dial._sentinels[0] == ("127.0.0.1", sentinel)
    with pytest.raises(StoreAway, match="no Sentinel knows where 'other' is"):
        await answer(reactor, parse_address(f"redis+sentinel://{hosts}/other"), "secret", "PING")


async def test_a_sentinel_may_want_the_password_too(reactor: Any, start: Start) -> None:
    master, sentinel = free_port(), free_port()
    start("--port", str(master), "--bind", "127.0.0.1", "--requirepass", "secret")
    guarded = start("--port", str(sentinel), "--bind", "127.0.0.1", "--requirepass", "secret")
    # a server that is no Sentinel knows no master, but it asks for the password first
    assert guarded.path
    with pytest.raises(StoreAway, match="no Sentinel knows"):
        await answer(reactor, parse_address(f"redis+sentinel://127.0.0.1:{sentinel}/main"), "secret", "PING")


async def test_what_a_sentinel_names_must_be_a_master(reactor: Any, start: Start) -> None:
    replica, sentinel = free_port(), free_port()
    start("--port", str(replica), "--bind", "127.0.0.1", "--replicaof", f"127.0.0.1 {free_port()}")
    start(sentinel=(sentinel, "main", replica))
    with pytest.raises(StoreAway, match="no master"):
        await answer(reactor, parse_address(f"redis+sentinel://127.0.0.1:{sentinel}/main"), "", "PING")
