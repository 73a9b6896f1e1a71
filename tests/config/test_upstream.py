from __future__ import annotations

import pytest

from twistedgate.config.notation import TargetConfig
from twistedgate.config.upstream import UpstreamConfig

PLAIN = TargetConfig("http", "a", 80)
SECURE = TargetConfig("https", "a", 443)


def wrong(upstream: UpstreamConfig) -> list[str]:
    return [concerned[0] for concerned, _ in upstream.check()]


def test_what_fits_is_fine() -> None:
    assert wrong(UpstreamConfig("u", targets=(PLAIN, SECURE), tls_ca="/a")) == []
    assert wrong(UpstreamConfig("u", targets=(SECURE,), tls_verify=False)) == []


@pytest.mark.parametrize(
    ("upstream", "option"),
    [
        (UpstreamConfig("u", targets=()), "targets"),
        (UpstreamConfig("u", targets=(PLAIN, TargetConfig("http", "a", 80, 5))), "targets"),
        (UpstreamConfig("u", targets=(PLAIN,), health_status=()), "health_status"),
        (UpstreamConfig("u", targets=(PLAIN,), tls_ca="/a"), "tls_ca"),
        (UpstreamConfig("u", targets=(SECURE,), tls_ca="/a", tls_verify=False), "tls_ca"),
    ],
)
def test_what_does_not_fit_is_told_at_its_option(upstream: UpstreamConfig, option: str) -> None:
    assert wrong(upstream) == [option]
