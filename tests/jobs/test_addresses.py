from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.jobs.addresses import Address, is_public, read_address

PRIVATE_NETWORKS = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
]

private = st.sampled_from(PRIVATE_NETWORKS).flatmap(lambda network: st.ip_addresses(v=4, network=network))
public = st.ip_addresses(v=4).filter(is_public)


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(0xFFFF << 32 | int(address))


def nat64(address: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))


def six_to_four(address: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2002 << 112 | int(address) << 80 | 1)


FORMS_OF_BOTH = [mapped, nat64, six_to_four]
"""Under these an address is as public as the one that it stands for."""


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "10.1.2.3", "100.100.100.200", "127.0.0.1", "127.255.255.255", "169.254.169.254"),
        *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "203.0.113.9"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
        *("::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("2001:db8::1", "2001::1", "2001:10::1", "3fff::1", "5f00::1", "100::1", "4000::1"),
        *("::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::8.8.8.8", "64:ff9b::169.254.169.254"),
        *("::ffff:10.0.0.1", "2002:7f00:1::", "2600::5efe:10.0.0.1", "2600::200:5efe:127.0.0.1"),
    ],
)
def test_what_leads_inside_or_nowhere_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.0", "172.15.255.255"),
        *("172.32.0.0", "192.0.1.1", "223.255.255.255", "11.0.0.0", "168.63.129.15"),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
        *("2002:808:808::1", "2600::5efe:8.8.8.8"),
    ],
)
def test_what_is_everybodys_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(private, st.sampled_from(FORMS_OF_BOTH))
def test_no_private_address_is_public_in_any_form(address: IPv4Address, form: object) -> None:
    assert callable(form)
    assert not is_public(address)
    assert not is_public(form(address))


@given(public, st.sampled_from(FORMS_OF_BOTH))
def test_a_public_address_is_public_in_the_forms_that_lead_to_it(address: IPv4Address, form: object) -> None:
    assert callable(form)
    assert is_public(form(address))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_special(address: Address) -> None:
    known = (
        *(address.is_loopback, address.is_link_local, address.is_multicast),
        *(address.is_unspecified, address.is_reserved, address.is_private),
    )
    # To Python, what stands for a public IPv4 address is reserved.
    is_a_form = address in IPv6Network("::ffff:0:0/96") or address in IPv6Network("64:ff9b::/96")
    assert is_a_form or not (is_public(address) and any(known))


@given(st.ip_addresses())
def test_reads_what_it_would_write(address: Address) -> None:
    assert read_address(str(address)) == address
    if isinstance(address, IPv6Address):
        assert read_address(f"[{address}]") == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "127.1", "0177.0.0.1", "127.0.0.01", "0x7f.0.0.1", "0x7f000001", "2130706433"),
        *(
            "127.0.0.1.",
            "127.0.0.1 ",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "fe80::1%eth0",
            "fe80::1%1",
            "1.2.3.4.5",
        ),
        *("\u0661.1.1.1", "::ffff:127.1", "[[::1]]", "[]"),
    ],
)
def test_reads_nothing_else(text: str) -> None:
    assert read_address(text) is None
