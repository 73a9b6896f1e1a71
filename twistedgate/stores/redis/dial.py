"""How a Redis is reached: its socket or address, TLS, its Sentinels, and what it wants to know first.

A connection is given out when the server has answered on it.  Sentinels are asked anew for each connection,
first the one that knew it last time, and what they name must be a master: after a failover the old one may
still believe that it is.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory

from twistedgate.config.redis_address import RedisAddress
from twistedgate.jobs.store import StoreAway, StoreFull
from twistedgate.net.tls import ClientTLS, client_settings
from twistedgate.stores.redis.line import Hear, Line, Refused

CONNECT_TIMEOUT = 0.8
"""Seconds; the next attempt follows at once."""

UNREACHABLE = (ConnectError, OSError, StoreAway, StoreFull, Refused)
"""What an attempt fails with."""


class Dial:
    """Makes connections to the Redis at an address; raises ``ValueError`` if ``tls_ca`` cannot be used."""

    def __init__(self, reactor: Any, address: RedisAddress, password: str) -> None:
        self.address = address
        self.clock = reactor
        self._password = password
        self._sentinels = list(address.hosts) if address.master else []
        self._tls = client_settings(address.tls_ca, True, protocols=()) if address.is_tls else None

    async def __call__(self, heard: Hear | None = None) -> Line:
        """Return a connection that is ready; raises one of ``UNREACHABLE``."""
        if self._sentinels:
            host, port = await self._find_master()
        else:
            host, port = self.address.hosts[0] if self.address.hosts else ("", 0)
        line = await self._connect(host, port, heard)
        try:
            await self._introduce(line)
        except BaseException:
            await line.close()
            raise
        return line

    async def _connect(self, host: str, port: int, heard: Hear | None = None) -> Line:
        clock = self.clock
        factory = Factory.forProtocol(lambda: Line(clock, heard))
        factory.noisy = False
        endpoint: Any
        if host:
            endpoint = HostnameEndpoint(clock, host, port, timeout=CONNECT_TIMEOUT)
        else:
            endpoint = UNIXClientEndpoint(clock, self.address.path, timeout=CONNECT_TIMEOUT)
        if self._tls is not None:
            endpoint = wrapClientTLS(ClientTLS(host, self._tls), endpoint)
        connected = await endpoint.connect(factory)
        line: Line = getattr(connected, "wrappedProtocol", connected)
        return line

    async def _introduce(self, line: Line) -> None:
        """Say who we are; the server has to answer before it is believed to be there."""
        await self._authenticate(line)
        if self.address.database:
            await line.ask("SELECT", self.address.database)
        if self.address.master and (await line.ask("ROLE"))[0] != b"master":
            raise StoreAway("the Sentinels named a server that is no master")
        await line.ask("PING")

    async def _authenticate(self, line: Line) -> None:
        if self._password:
            user = [self.address.user] if self.address.user else []
            await line.ask("AUTH", *user, self._password)

    async def _find_master(self) -> tuple[str, int]:
        for sentinel in list(self._sentinels):
            try:
                found = await self._ask_sentinel(*sentinel)
            except UNREACHABLE:
                continue
            if found:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return found[0].decode(), int(found[1])
        raise StoreAway(f"no Sentinel knows where '{self.address.master}' is")

    async def _ask_sentinel(self, host: str, port: int) -> list[bytes] | None:
        """Ask one for the master; many have no password though the server has one."""
        question = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.address.master
        line = await self._connect(host, port)
        try:
            try:
                answer: list[bytes] | None = await line.ask(*question)
            except StoreAway:
                await self._authenticate(line)
                answer = await line.ask(*question)
            return answer
        finally:
            await line.close()
