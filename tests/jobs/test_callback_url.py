from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.test_addresses import FORMS_OF_BOTH, private
from twistedgate.config.notation import callback_host
from twistedgate.config.values import Surroundings
from twistedgate.jobs.addresses import read_address
from twistedgate.jobs.callback_url import (
    LONGEST,
    CallbackHosts,
    CallbackRefused,
    CallbackURL,
    parse_callback_url,
)

LISTED = CallbackHosts.of(
    ("hooks.example.com", "*.partners.example", "127.0.0.1", "[::1]", "http://plain.example.com")
)


def spellings(address: IPv4Address) -> list[str]:
    """Every way of writing an IPv4 address that some reader of URLs takes for it."""
    number = int(address)
    a, b, c, d = address.packed
    octal = [f"0{part:o}" for part in (a, b, c, d)]
    hexadecimal = [f"0x{part:x}" for part in (a, b, c, d)]
    return [
        str(address),
        str(number),
        f"{number:#x}",
        f"{number:#X}",
        f"0{number:o}",
        f"0o{number:o}",
        ".".join(octal),
        ".".join(hexadecimal),
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"0{octal[0]}.{b}.{c}.{d}",
        f"{hexadecimal[0]}.{b}.{octal[2]}.{d}",
        f"{a}.{b}.{(c << 8) + d}",
        f"{a}.{(b << 16) + (c << 8) + d}",
        f"{hexadecimal[0]}.{(b << 16) + (c << 8) + d:#x}",
        f"{number + (1 << 32)}",
        f"{address}.",
        f"{number}.",
        f"{number:#x}.",
        str(address).replace(".", "%2e"),
        str(address).replace(".", "\u3002"),
        "".join(chr(0xFF10 + int(digit)) if digit.isdigit() else digit for digit in str(address)),
        f"[{address}]",
        f"[::{address}]",
        f"[::ffff:{address}]",
        f"[::FFFF:{address}]",
        f"[0:0:0:0:0:ffff:{number >> 16:x}:{number & 0xFFFF:x}]",
        f"[::ffff:0:{address}]",
        f"[64:ff9b::{address}]",
        f"[64:ff9b:1::{address}]",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
        f"[::ffff:{address}%25lo]",
        f"{address}@hooks.example.com@{address}",
        f"hooks.example.com@{address}",
        f"hooks.example.com:@{address}",
        f"{address}#@hooks.example.com",
        f"{address}\\@hooks.example.com",
        f"{address}\\.hooks.example.com",
        f"{address} .hooks.example.com",
        f"{address}\t",
        f"{address}\n",
        f"\n{address}",
    ]


def refused(hosts: CallbackHosts, text: str) -> bool:
    try:
        hosts.judge(text)
    except CallbackRefused:
        return True
    return False


@given(
    private, st.integers(0, 99), st.sampled_from(["https", "http", "HTTPS"]), st.sampled_from(["", ":8443"])
)
def test_no_spelling_of_an_address_is_let_through(
    address: IPv4Address, number: int, scheme: str, port: str
) -> None:
    written = spellings(address)
    hosts = CallbackHosts.of(("hooks.example.com", "*.example.com", "*.com", "198.51.100.7"))
    assert refused(hosts, f"{scheme}://{written[number % len(written)]}{port}/hook")


@given(private, st.integers(0, 99))
def test_the_list_admits_the_address_that_it_names_and_no_other_spelling(
    address: IPv4Address, number: int
) -> None:
    written = spellings(address)
    text = written[number % len(written)]
    hosts = CallbackHosts.of((str(address),))
    if not refused(hosts, f"https://{text}/hook"):
        assert text.removesuffix(".") == str(address)


@given(private)
def test_an_address_that_is_named_is_admitted_over_http_too(address: IPv4Address) -> None:
    url = CallbackHosts.of((str(address),)).judge(f"http://{address}:8080/")
    assert url == CallbackURL("http", str(address), 8080, "/")


@given(st.ip_addresses(v=6), st.booleans())
def test_an_ipv6_address_is_admitted_in_every_spelling_if_it_is_named(
    address: IPv6Address, is_long: bool
) -> None:
    text = address.exploded.upper() if is_long else str(address)
    for entry in (f"[{text}]", text):
        assert CallbackHosts.of((entry,)).judge(f"https://[{text}]/").host == str(address)
    other = IPv6Address(int(address) ^ 1)
    assert refused(CallbackHosts.of((f"[{other}]",)), f"https://[{text}]/")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hooks.example.com/a", CallbackURL("https", "hooks.example.com", 443, "/a")),
        ("https://hooks.example.com", CallbackURL("https", "hooks.example.com", 443, "/")),
        ("https://hooks.example.com?a=b", CallbackURL("https", "hooks.example.com", 443, "/?a=b")),
        ("HTTPS://Hooks.EXAMPLE.com./A?B=c%2F", CallbackURL("https", "hooks.example.com", 443, "/A?B=c%2F")),
        ("https://hooks.example.com:8443/", CallbackURL("https", "hooks.example.com", 8443, "/")),
        ("https://hooks.example.com:443/", CallbackURL("https", "hooks.example.com", 443, "/")),
        ("https://hooks.example.com:00080/", CallbackURL("https", "hooks.example.com", 80, "/")),
        ("https://a.partners.example/", CallbackURL("https", "a.partners.example", 443, "/")),
        ("https://a.b.partners.example/", CallbackURL("https", "a.b.partners.example", 443, "/")),
        ("https://xn--bcher-kva.partners.example/", None),
        ("https://127.0.0.1:9/", CallbackURL("https", "127.0.0.1", 9, "/")),
        ("http://127.0.0.1:9/", CallbackURL("http", "127.0.0.1", 9, "/")),
        ("http://127.0.0.1./", CallbackURL("http", "127.0.0.1", 80, "/")),
        ("http://[::1]:9/", CallbackURL("http", "::1", 9, "/")),
        ("http://[0:0::0:1]/", CallbackURL("http", "::1", 80, "/")),
        ("http://plain.example.com/", CallbackURL("http", "plain.example.com", 80, "/")),
        ("https://plain.example.com/", CallbackURL("https", "plain.example.com", 443, "/")),
    ],
)
def test_admits_what_the_list_names(text: str, url: CallbackURL | None) -> None:
    found = LISTED.judge(text)
    assert url is None or found == url
    assert LISTED.judge(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        # others' hosts
        *("https://example.com/", "https://evil.example/", "https://partners.example/"),
        *("https://evilpartners.example/", "https://xhooks.example.com/", "https://hooks.example.com.evil/"),
        *("https://hooks.example.comevil/", "https://a.hooks.example.com/", "https://localhost/"),
        *("https://127.0.0.2/", "https://[::2]/", "https://[::ffff:127.0.0.1]/", "https://[::127.0.0.1]/"),
        # plain text where it is not said
        *("http://hooks.example.com/", "http://a.partners.example/"),
        # other schemes, and none
        *("ftp://hooks.example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "javascript:alert(1)"),
        *(
            "hooks.example.com",
            "//hooks.example.com/",
            "/hook",
            "https:hooks.example.com",
            "https:/127.0.0.1/",
        ),
        *("https:///hooks.example.com/", "https://", "", " https://hooks.example.com/", "http+unix://x/"),
        *("https:\\\\hooks.example.com/", "https://hooks.example.com\\", "url:https://hooks.example.com/"),
        # user names, fragments
        *("https://me@hooks.example.com/", "https://me:pw@hooks.example.com/", "https://@hooks.example.com/"),
        *("https://evil.example@hooks.example.com/", "https://hooks.example.com@evil.example/"),
        *("https://hooks.example.com/#a", "https://hooks.example.com#", "https://evil.example#@127.0.0.1/"),
        # ports
        *("https://hooks.example.com:0/", "https://hooks.example.com:/", "https://hooks.example.com:65536/"),
        *(
            "https://hooks.example.com:443443/",
            "https://hooks.example.com:-1/",
            "https://hooks.example.com:a/",
        ),
        *("https://hooks.example.com:+443/", "https://hooks.example.com:80:80/", "https://127.0.0.1:\u0661/"),
        # hosts with two readings
        *("https://hooks.example.com../", "https://.hooks.example.com/", "https://hooks..example.com/"),
        *("https://hooks%2eexample.com/", "https://hooks.example.com%00/", "https://hooks.example.com%20/"),
        *(
            "https://h\xf6oks.example.com/",
            "https://hooks\u3002example.com/",
            "https://\uff48ooks.example.com/",
        ),
        *(
            "https://hooks.example.com\u200b/",
            "https://[hooks.example.com]/",
            "https://[::1/",
            "https://::1/",
        ),
        *(
            "https://[::1]evil.example/",
            "https://[::1%25lo]/",
            "https://[v1.x]/",
            "https://-.partners.example/",
        ),
        *(
            "https://hooks.example.com,evil.example/",
            "https://hooks.example.com;/",
            "https://*.partners.example/",
        ),
        # what does not belong into a URL, or into a header field
        *(
            "https://hooks.example.com/a b",
            "https://hooks.example.com/\r\nX: y",
            "https://hooks.example.com/\n",
        ),
        *("https://hooks.example.com/\x00", "https://hooks.example.com/%zz", "https://hooks.example.com/%2"),
        *("https://hooks.example.com/\xe9", 'https://hooks.example.com/"', "https://hooks.example.com/a|b"),
        *("https://hooks.example.com/a\\b", "https://hooks.example.com/<a>", "https://hooks.example.com/{a}"),
        "https://hooks.example.com/" + "a" * LONGEST,
    ],
)
def test_refuses_everything_else(text: str) -> None:
    assert refused(LISTED, text)


def test_an_empty_list_admits_nothing() -> None:
    assert refused(CallbackHosts.of(()), "https://hooks.example.com/")


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "",
            "*",
            "*.",
            "*.*",
            "a.*",
            "*.127.0.0.1",
            "*.[::1]",
            "127.1",
            "0x7f000001",
            "2130706433",
            "10.0.0.0/8",
        ),
        *(
            "hooks.example.com:443",
            "https://hooks.example.com",
            "hooks.example.com/a",
            "[127.0.0.1]",
            "h\xf6oks",
        ),
    ],
)
def test_a_list_holds_hosts_only(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host"):
        CallbackHosts.of((entry,))


@pytest.mark.parametrize(
    "entry",
    [
        *("hooks.example.com", "Hooks.Example.com", "*.example.com", "http://plain.example.com", "localhost"),
        *(
            "http://*.example.com",
            "127.0.0.1",
            "http://127.0.0.1",
            "::1",
            "[::1]",
            "http://[::1]",
            "http://::1",
        ),
    ],
)
def test_reads_what_the_configuration_reads(entry: str) -> None:
    hosts = CallbackHosts.of((callback_host.read(entry, Surroundings()),))
    host = entry.removeprefix("http://").replace("*", "a").strip("[]")
    written = f"[{host}]" if ":" in host else host
    assert hosts.judge(f"https://{written}/").host == host.lower()
    is_plain = entry.startswith("http://") or read_address(host) is not None
    assert refused(hosts, f"http://{written}/") is not is_plain


@pytest.mark.parametrize(
    ("url", "authority", "text"),
    [
        (CallbackURL("https", "a.example", 443, "/x"), "a.example", "https://a.example/x"),
        (CallbackURL("https", "a.example", 80, "/x"), "a.example:80", "https://a.example:80/x"),
        (CallbackURL("http", "2600::1", 80, "/"), "[2600::1]", "http://[2600::1]/"),
        (CallbackURL("http", "2600::1", 443, "/"), "[2600::1]:443", "http://[2600::1]:443/"),
    ],
)
def test_a_url_has_one_spelling(url: CallbackURL, authority: str, text: str) -> None:
    assert (url.authority, str(url)) == (authority, text)
    assert parse_callback_url(text) == url


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    for candidate in (
        text,
        f"https://{text}",
        f"https://127.0.0.1{text}",
        f"https://{text}.partners.example/",
    ):
        try:
            url = LISTED.judge(candidate)
        except CallbackRefused:
            continue
        assert url.host in {
            "127.0.0.1",
            "::1",
            "hooks.example.com",
            "plain.example.com",
        } or url.host.endswith(".partners.example")


def test_public_addresses_may_be_connected_to() -> None:
    found = ("93.184.215.14", "2606:2800:21F:0::1")
    assert LISTED.judge_addresses("hooks.example.com", found) == ("93.184.215.14", "2606:2800:21f::1")


@given(private, st.sampled_from(FORMS_OF_BOTH), st.integers(0, 2), st.booleans())
def test_one_address_that_is_not_public_spoils_them_all(
    address: IPv4Address, form: object, place: int, is_plain: bool
) -> None:
    assert callable(form)
    found = ["93.184.215.14", "2606:2800:21f::1"]
    found.insert(place, str(address if is_plain else form(address)))
    hosts = CallbackHosts.of(("hooks.example.com", "198.51.100.7"))
    with pytest.raises(CallbackRefused, match="not public"):
        hosts.judge_addresses("hooks.example.com", found)


@given(private, st.sampled_from(FORMS_OF_BOTH))
def test_the_list_names_an_address_and_not_what_stands_for_it(address: IPv4Address, form: object) -> None:
    assert callable(form)
    hosts = CallbackHosts.of(("hooks.example.com", str(address)))
    assert hosts.judge_addresses("hooks.example.com", (str(address),)) == (str(address),)
    with pytest.raises(CallbackRefused, match="not public"):
        hosts.judge_addresses("hooks.example.com", (str(address), str(form(address))))


@pytest.mark.parametrize("found", ["fe80::1%eth0", "2600::1%1", "127.1", "0x7f000001", "localhost", ""])
def test_what_is_no_address_is_not_connected_to(found: str) -> None:
    with pytest.raises(CallbackRefused, match="not public"):
        LISTED.judge_addresses("hooks.example.com", (found,))


def test_a_host_without_an_address_is_refused() -> None:
    with pytest.raises(CallbackRefused, match="no address"):
        LISTED.judge_addresses("hooks.example.com", ())
