"""A gateway for the operator's resources to look at, and conversations with them in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.jobs.listening import Listener
from twistedgate.admin.site import AdminSite, admin_factory
from twistedgate.admin.view import Outcome
from twistedgate.config.model import Endpoint, GatewayConfig, ListenerConfig
from twistedgate.config.values import Secret
from twistedgate.jobs.store import JobStore
from twistedgate.observers.exposition import Families
from twistedgate.stores.memory import MemoryStore


class StaticView:
    """A gateway that is as the test says."""

    def __init__(self) -> None:
        self.is_draining = False
        self.reasons: list[str] = []
        self.document: Mapping[str, object] = {"version": "1.2.3", "connections": 7}
        self.failure: Exception | None = None
        self.metrics: Families = ()
        self.looking: Deferred[Families] | None = None
        self.credential_names: list[str] = []

    def unready_reasons(self) -> list[str]:
        if self.failure is not None:
            raise self.failure
        return list(self.reasons)

    def status(self) -> Mapping[str, object]:
        return self.document

    def families(self) -> Deferred[Families]:
        return self.looking or succeed(self.metrics)


class Orders:
    """What the gateway was asked to do; each is done when the test says what became of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.under_way: Deferred[Outcome] = Deferred()
        self.store: JobStore = MemoryStore("here", 2**30)
        self.observer = Listener()

    def _ask(self, *words: str) -> Deferred[Outcome]:
        self.asked.append(words)
        self.under_way = Deferred()
        return self.under_way

    def reload(self) -> Deferred[Outcome]:
        return self._ask("reload")

    def upgrade(self) -> Deferred[Outcome]:
        return self._ask("upgrade")

    def drain_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        return self._ask("drain", upstream, target)

    def enable_target(self, upstream: str, target: str) -> Deferred[Outcome]:
        return self._ask("enable", upstream, target)


class Answer:
    """One answer of a conversation, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *fields = head.decode("ascii").split("\r\n")
        version, status, self.phrase = first.split(" ", 2)
        assert version == "HTTP/1.1"
        self.status = int(status)
        self.headers = dict(field.lower().split(": ", 1) for field in fields)

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Conversation:
    """A connection to the operator's resources, in memory."""

    def __init__(self, site: AdminSite, host: Any) -> None:
        self.transport = StringTransport(hostAddress=host)
        self.channel = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
        if self.channel is not None:
            self.channel.makeConnection(self.transport)

    def send(self, raw: bytes) -> bytes:
        """Send bytes, and return what has come back since the last time."""
        self.channel.dataReceived(raw)
        answer: bytes = self.transport.value()
        self.transport.clear()
        return answer

    def ask(self, path: str, method: str = "GET", host: str = "localhost", **fields: str) -> Answer:
        """Send a request, and return the answer."""
        more = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return Answer(self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()))

    def begin(self, path: str, *fields: str, method: str = "POST") -> None:
        """Send a request that need not be answered at once."""
        more = "".join(f"{field}\r\n" for field in fields)
        self.channel.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())

    def answered(self) -> Answer:
        """Return the answer that has come by now."""
        return Answer(self.send(b""))

    def close(self) -> None:
        """Close the connection."""
        self.channel.connectionLost(Failure(ConnectionDone()))


MakeSite = Callable[..., AdminSite]
Converse = Callable[..., Conversation]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def view() -> StaticView:
    return StaticView()


@pytest.fixture
def operations() -> Orders:
    return Orders()


@pytest.fixture
def make_site(view: StaticView, operations: Orders, clock: Clock) -> MakeSite:
    """Make a site with a token or without."""

    def make(token: str = "", **options: Any) -> AdminSite:
        endpoint = Endpoint("tcp:9000:interface=127.0.0.1", "tcp", 9000, "127.0.0.1")
        listener = ListenerConfig("operator", endpoint=endpoint, serve="admin", **options)
        gateway = GatewayConfig(admin_token=Secret(token))
        return admin_factory(view, operations, listener, gateway, clock)

    return make


@pytest.fixture
def converse(make_site: MakeSite) -> Callable[..., Conversation]:
    """Connect to a site, which is made if none is given."""

    def connect(site: AdminSite | None = None, host: Any = None) -> Conversation:
        return Conversation(site or make_site(), host or IPv4Address("TCP", "127.0.0.1", 9000))

    return connect
