from __future__ import annotations

import pytest

from twistedgate.config.check import Fault, cross_check
from twistedgate.config.model import (
    Configuration,
    ConsumerConfig,
    Endpoint,
    GatewayConfig,
    ListenerConfig,
    RouteConfig,
    UpstreamConfig,
)
from twistedgate.config.notation import endpoint as endpoint_type
from twistedgate.config.notation import target as target_type
from twistedgate.config.values import Secret, Surroundings

NOWHERE = Surroundings()


def endpoint(text: str) -> Endpoint:
    return endpoint_type.read(text, NOWHERE)


def faults(configuration: Configuration, *titles: str) -> list[Fault]:
    return list(cross_check(configuration, titles))


def listeners(*endpoints: str, serve: str = "proxy") -> dict[str, ListenerConfig]:
    return {
        f"l{number}": ListenerConfig(f"l{number}", endpoint=endpoint(text), serve=serve)
        for number, text in enumerate(endpoints)
    }


def route(
    name: str = "r", path: str = "*", upstream: str = "", policies: tuple[str, ...] = ()
) -> dict[str, RouteConfig]:
    return {name: RouteConfig(name, path=path, upstream=upstream, policies=policies)}


def test_a_route_names_an_upstream_that_is_there() -> None:
    assert faults(Configuration(routes=route(upstream="u")), "upstream:u") == []
    found = faults(Configuration(routes=route(upstream="orders")), "upstream:ordres")
    assert [(fault.section, fault.option) for fault in found] == [("route:r", "upstream")]
    assert "did you mean 'upstream:ordres'?" in found[0].what


def test_a_policy_is_a_section_of_a_kind_of_policy() -> None:
    assert faults(Configuration(routes=route(policies=("headers:h",))), "headers:h") == []
    assert len(faults(Configuration(routes=route(policies=("headers:h",))))) == 1
    assert "is no policy" in faults(Configuration(routes=route(policies=("route:r",))), "route:r")[0].what
    gateway = GatewayConfig(policies=("headers:h",))
    assert faults(Configuration(gateway=gateway))[0].section == "gateway"


def test_a_policy_stands_once() -> None:
    twice = ("headers:h", "headers:h")
    assert faults(Configuration(gateway=GatewayConfig(policies=twice)), "headers:h")[0].section == "gateway"
    both = Configuration(gateway=GatewayConfig(policies=twice[:1]), routes=route(policies=twice[:1]))
    assert [fault.section for fault in faults(both, "headers:h")] == ["route:r"]


@pytest.mark.parametrize(
    ("path", "is_under"), [("/_jobs", 1), ("/_jobs/*", 1), ("/_jobsite", 0), ("/*", 0), ("*", 0)]
)
def test_no_route_lies_under_the_jobs(path: str, is_under: int) -> None:
    assert len(faults(Configuration(routes=route(path=path)))) == is_under


@pytest.mark.parametrize(
    ("one", "other", "collides"),
    [
        ("tcp:80", "tcp:80:interface=127.0.0.1", True),
        ("tcp:80:interface=0.0.0.0", "tcp:80:interface=127.0.0.1", True),
        ("tcp:80:interface=127.0.0.1", "tcp:80:interface=127.0.0.2", False),
        ("tcp:80", "tcp:81", False),
        ("tcp:0", "tcp:0", False),
        ("tcp:80", "tcp6:80", False),
        ("unix:/a", "unix:address=/a", True),
        ("unix:/a", "unix:/b", False),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0", True),
        ("systemd:domain=INET:index=0", "systemd:domain=INET:index=1", False),
        ("systemd:domain=INET:index=0", "tcp:80", False),
    ],
)
def test_an_address_is_one_listeners(one: str, other: str, collides: bool) -> None:
    assert bool(faults(Configuration(listeners=listeners(one, other)))) is collides


@pytest.mark.parametrize(
    "text", ["tcp:81", "tcp:81:interface=10.0.0.1", "tcp6:81", "systemd:domain=UNIX:index=0"]
)
def test_an_admin_listener_for_others_wants_a_token(text: str) -> None:
    admin = listeners(text, serve="admin")
    assert [fault.option for fault in faults(Configuration(listeners=admin))] == ["endpoint"]
    gateway = GatewayConfig(admin_token=Secret("token"))
    assert faults(Configuration(gateway=gateway, listeners=admin)) == []
    assert faults(Configuration(listeners=listeners(text))) == []


@pytest.mark.parametrize("text", ["tcp:81:interface=127.0.0.1", r"tcp6:81:interface=\:\:1", "unix:/a"])
def test_an_admin_listener_for_this_machine_wants_none(text: str) -> None:
    assert faults(Configuration(listeners=listeners(text, serve="admin"))) == []


@pytest.mark.parametrize(
    ("target", "at", "is_own"),
    [
        ("http://127.0.0.1:81", "tcp:81:interface=127.0.0.1", True),
        ("http://127.0.0.2:81", "tcp:81:interface=127.0.0.1", False),
        ("http://127.0.0.2:81", "tcp:81", True),
        ("http://localhost:81", "tcp:81:interface=127.0.0.1", True),
        ("http://admin.localhost:81", "tcp:81", True),
        ("http://localhost:81", "tcp:81:interface=10.0.0.1", False),
        ("http://0.0.0.0:81", "tcp:81:interface=127.0.0.1", True),
        ("http://[::]:81", "tcp6:81", True),
        ("http://[::1]:81", r"tcp6:81:interface=\:\:1", True),
        ("http://[::ffff:127.0.0.1]:81", "tcp:81:interface=127.0.0.1", True),
        ("http://10.0.0.1:81", "tcp:81:interface=10.0.0.1", True),
        ("http://10.0.0.1:81", "tcp:81", False),
        ("http://127.0.0.1:82", "tcp:81:interface=127.0.0.1", False),
        ("http://elsewhere:81", "tcp:81:interface=127.0.0.1", False),
        ("http://127.0.0.1:81", "unix:/a", False),
    ],
)
@pytest.mark.parametrize("serve", ["proxy", "admin"])
def test_the_gateway_is_no_target_of_its_own(target: str, at: str, is_own: bool, serve: str) -> None:
    upstream = UpstreamConfig("u", targets=(target_type.read(target, NOWHERE),))
    configuration = Configuration(
        gateway=GatewayConfig(admin_token=Secret("token")),
        listeners=listeners(at, serve=serve),
        upstreams={"u": upstream},
    )
    assert bool(faults(configuration)) is is_own


def test_a_key_is_one_consumers() -> None:
    one, other = b"1" * 32, b"2" * 32
    consumers = {"a": ConsumerConfig("a", keys=(one, other)), "b": ConsumerConfig("b", keys=(other,))}
    assert [fault.section for fault in faults(Configuration(consumers=consumers))] == ["consumer:b"]
    twice = {"a": ConsumerConfig("a", keys=(one, one, one))}
    assert len(faults(Configuration(consumers=twice))) == 1
