from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from tests.admin.conftest import MakeSite
from tests.certificates import Authority, Pair
from tests.downstream.ports import Harbour, Port, configured
from twistedgate.admin.listener import AdminListener
from twistedgate.admin.site import MOST_CONNECTIONS, AdminSite
from twistedgate.config.model import ListenerConfig
from twistedgate.net.tls import ServerTLS

REQUEST = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority(tmp_path_factory.mktemp("authority")).issue("gateway.example.com")


class Operator:
    """An admin listener that is open, and its port."""

    def __init__(self, make_site: MakeSite, tls: ServerTLS | None = None) -> None:
        self.sites: list[AdminSite] = []
        self._make_site = make_site
        self.token = ""
        self.listener = AdminListener(self._configured(), self._make)
        self.harbour = Harbour()
        self.address = self.listener.listen(self.harbour, tls)
        self.port: Port = self.harbour.ports[0]

    @staticmethod
    def _configured(**options: Any) -> ListenerConfig:
        return configured("operator", "tcp:9000:interface=127.0.0.1", serve="admin", **options)

    def _make(self, config: ListenerConfig) -> AdminSite:
        self.sites.append(self._make_site(self.token))
        return self.sites[-1]

    def reload(self, token: str = "", tls: ServerTLS | None = None, **options: Any) -> None:
        self.token = token
        self.listener.configure(self._configured(**options), tls)

    def ask(self) -> bytes:
        """Ask on a connection of its own; return the status line."""
        protocol = self.port.factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
        transport = StringTransport(hostAddress=self.port.getHost())
        protocol.makeConnection(transport)
        protocol.dataReceived(REQUEST)
        answer: bytes = transport.value()
        return answer.partition(b"\r\n")[0]


def test_the_operators_resources_are_served(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    assert operator.address == "tcp:127.0.0.1:9000"
    assert operator.ask() == b"HTTP/1.1 200 OK"
    assert repr(operator.listener) == "<AdminListener operator>"


def test_a_reload_changes_what_new_connections_are_told(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    operator.reload(token="secret", backlog=7)
    assert operator.ask() == b"HTTP/1.1 401 Unauthorized"
    assert len(operator.sites) == 2
    assert operator.port.socket.backlog == 7


def test_a_site_is_started_and_stopped_as_often_as_its_address(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    operator.reload()
    assert [site.numPorts for site in operator.sites] == [0, 1]
    operator.listener.stop_accepting()
    assert [site.numPorts for site in operator.sites] == [0, 0]
    operator.reload()
    assert [site.numPorts for site in operator.sites] == [0, 0, 0]


def test_accepting_pauses_and_goes_on(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    operator.listener.pause_accepting()
    paused = operator.port.is_reading
    operator.listener.resume_accepting()
    assert (paused, operator.port.is_reading) == (False, True)


def test_a_closed_address_is_closed_once(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    assert operator.listener.stop_accepting().called
    assert operator.listener.stop_accepting().called
    operator.listener.resume_accepting()
    operator.listener.pause_accepting()
    assert (operator.port.is_open, operator.port.is_reading) == (False, False)


def test_no_stop_waits_for_the_operator(make_site: MakeSite) -> None:
    operator = Operator(make_site)
    operator.ask()
    operator.listener.drain()
    operator.listener.sweep(0.0)
    operator.listener.abort()
    assert operator.listener.open_count == 0
    assert operator.ask() == b"HTTP/1.1 200 OK"


def test_too_many_connections_are_turned_away_from_tls_too(make_site: MakeSite, pair: Pair) -> None:
    operator = Operator(make_site, ServerTLS(pair.certificate, pair.key))
    operator.sites[0].open_count = MOST_CONNECTIONS
    assert operator.port.connect() is None


def test_another_certificate_is_for_new_connections(make_site: MakeSite, pair: Pair) -> None:
    operator = Operator(make_site, ServerTLS(pair.certificate, pair.key))
    renewed = ServerTLS(pair.certificate, pair.key)
    operator.reload(tls=renewed)
    assert operator.listener._tls is not None
    assert operator.listener._tls.current is renewed
