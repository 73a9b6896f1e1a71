"""Looks a name up as the system does, off the reactor's thread, and learns how long the answer is good.

The addresses are those that ``getaddrinfo`` gives, so ``/etc/hosts``, search domains and whatever else the
system is set up to use count here too.  It tells no time to live; so the first name server is asked for the
record itself, and if its answer has one of those addresses, the time to live is believed.  Nothing else of
that answer is.  This module does not know who wants to know.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns
from twisted.python.failure import Failure

from twistedgate.upstream.resolver import Answer, NoSuchName

QUESTION_TIMEOUT = 2.0
"""Seconds that the name server has to tell the time to live; the addresses wait for it."""

_NO_SUCH_NAME = {socket.EAI_NONAME, socket.EAI_NODATA}
"""What the C library says of a name that is not there, or has no address: no other server knows better."""


def system_addresses(host: str) -> tuple[str, ...]:
    """Return the addresses of ``host``; waits for name servers; raises ``OSError`` if there are none.

    It is ``NoSuchName`` where that is certain: a name server that does not answer proves nothing.
    """
    try:
        # Addresses of a family that this machine has no address of could not be reached.
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError:
        raise NoSuchName(f"'{host}' is no host name") from None
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise NoSuchName(*error.args) from None
        raise
    return tuple(str(address[0]) for _, _, _, _, address in found)


def name_servers(path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Return the addresses of the system's name servers, as far as they are IPv4."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    named = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return tuple(address for address in named if _is_ipv4(address))


class SystemLookup:
    """The lookup of a real gateway."""

    def __init__(
        self,
        reactor: Any,
        addresses: Callable[[str], tuple[str, ...]] = system_addresses,
        servers: Callable[[], tuple[str, ...]] = name_servers,
        port: int = dns.PORT,
    ) -> None:
        """``addresses`` is called in a thread of its own."""
        self._reactor = reactor
        self._addresses = addresses
        self._servers = servers
        self._port = port

    def __call__(self, host: str) -> Deferred[Answer]:
        """Look ``host`` up; fails with ``OSError``."""
        return Deferred.fromCoroutine(self._look(host))

    async def _look(self, host: str) -> Answer:
        addresses = await self._in_thread(host)
        return Answer(addresses, await self._ttl(host, addresses))

    def _in_thread(self, host: str) -> Deferred[tuple[str, ...]]:
        """Call ``addresses`` in a thread that neither fills the reactor's pool nor holds up its end."""
        found: Deferred[tuple[str, ...]] = Deferred()

        def tell(answer: tuple[str, ...] | Failure) -> None:
            if not found.called:
                found.callback(answer)

        def look() -> None:
            answer: tuple[str, ...] | Failure
            try:
                answer = self._addresses(host)
            except OSError:
                answer = Failure()
                answer.cleanFailure()
            self._reactor.callFromThread(tell, answer)

        threading.Thread(target=look, name=f"lookup-{host}", daemon=True).start()
        return found

    async def _ttl(self, host: str, addresses: tuple[str, ...]) -> float | None:
        servers = self._servers()
        # A name without a dot is completed by a search domain, or is none of the DNS.
        if not servers or "." not in host.strip(".") or not addresses:
            return None
        kind = dns.A if _is_ipv4(addresses[0]) else dns.AAAA
        question = _Question(host, kind, (servers[0], self._port))
        try:
            self._reactor.listenUDP(0, question)
        except CannotListenError:
            return None
        question.answer.addTimeout(QUESTION_TIMEOUT, self._reactor)
        question.answer.addCallback(_lifetime, addresses)
        # Whatever went wrong, no answer or not a proper one: the time to live is not known.
        return await question.answer.addErrback(lambda _: None)


class _Question(DatagramProtocol):
    """Asks one name server one question."""

    noisy = False

    def __init__(self, host: str, kind: int, server: tuple[str, int]) -> None:
        self._server = server
        self._message = dns.Message(id=secrets.randbelow(1 << 16), recDes=1)
        self._message.addQuery(host.encode("ascii"), kind)
        self.answer: Deferred[Any] = Deferred()

    def startProtocol(self) -> None:
        """Send the question; connected, so that nobody else's answer is heard (RFC 5452 section 9.1)."""
        assert self.transport is not None
        self.answer.addBoth(self._close)
        self.transport.connect(*self._server)
        self.transport.write(self._message.toStr(), None)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Take the answer to this question, and no other."""
        if datagram[:2] == self._message.toStr()[:2] and not self.answer.called:
            self.answer.callback(datagram)

    def connectionRefused(self) -> None:
        """No name server is there."""
        if not self.answer.called:
            self.answer.errback(OSError("no name server"))

    def _close(self, answer: Any) -> Any:
        assert self.transport is not None
        self.transport.stopListening()
        return answer


def _lifetime(datagram: bytes, addresses: tuple[str, ...]) -> float | None:
    """Return the shortest time to live of an answer that has one of ``addresses``, aliases included."""
    message = dns.Message()
    message.fromStr(datagram)
    told = {_address(record.payload) for record in message.answers}
    if told.isdisjoint(addresses):
        return None
    return float(min(record.ttl for record in message.answers))


def _address(payload: object) -> str:
    if not isinstance(payload, dns.Record_A | dns.Record_AAAA):
        return ""
    return str(ipaddress.ip_address(payload.address or b""))


def _is_ipv4(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False
