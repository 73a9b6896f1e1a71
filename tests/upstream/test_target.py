from __future__ import annotations

import pytest

from twistedgate.config.model import TargetConfig
from twistedgate.upstream.target import Target, target_name


@pytest.mark.parametrize(
    ("config", "address", "name", "authority"),
    [
        (TargetConfig("http", "192.0.2.1", 8080), "192.0.2.1", "192.0.2.1:8080", b"192.0.2.1:8080"),
        (TargetConfig("http", "a.example", 80), "192.0.2.1", "192.0.2.1:80", b"a.example"),
        (TargetConfig("https", "a.example", 443), "192.0.2.1", "192.0.2.1:443", b"a.example"),
        (TargetConfig("https", "a.example", 80), "192.0.2.1", "192.0.2.1:80", b"a.example:80"),
        (
            TargetConfig("http", "2001:db8::1", 8080),
            "2001:db8::1",
            "[2001:db8::1]:8080",
            b"[2001:db8::1]:8080",
        ),
        (TargetConfig("http", "2001:db8::1", 80), "2001:db8::1", "[2001:db8::1]:80", b"[2001:db8::1]"),
        (TargetConfig("http", "a.example", 8080), "2001:db8::1", "[2001:db8::1]:8080", b"a.example:8080"),
    ],
)
def test_is_named_by_its_address_and_asked_by_its_host(
    config: TargetConfig, address: str, name: str, authority: bytes
) -> None:
    target = Target(config, address)
    assert (target.name, target.authority, target.address) == (name, authority, address)


def test_begins_with_nothing_under_way_and_its_configured_weight() -> None:
    target = Target(TargetConfig("http", "a.example", 80, weight=3), "192.0.2.1")
    assert (target.weight, target.in_flight, target.requests, target.failed) == (3, 0, 0, 0)
    assert not target.is_on_trial
    assert repr(target) == "<Target 192.0.2.1:80 in_flight=0 weight=3>"


def test_counts_what_is_taken_until_it_is_given_back() -> None:
    target = Target(TargetConfig("http", "a.example", 80), "192.0.2.1")
    target.take()
    target.take()
    target.give_back()
    assert (target.in_flight, target.requests) == (1, 2)


def test_two_targets_of_one_name_are_two() -> None:
    config = TargetConfig("http", "a.example", 80)
    assert Target(config, "192.0.2.1") != Target(config, "192.0.2.1")


def test_an_address_and_a_port_are_a_name() -> None:
    assert [target_name("192.0.2.1", 80), target_name("2001:db8::1", 80)] == [
        "192.0.2.1:80",
        "[2001:db8::1]:80",
    ]
