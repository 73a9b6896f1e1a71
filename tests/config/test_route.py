from __future__ import annotations

import pytest

from twistedgate.config.notation import Redirect, Respond
from twistedgate.config.route import RouteConfig
from twistedgate.config.values import Secret

PLAIN = Respond(200, "")


def wrong(route: RouteConfig) -> list[str]:
    return [concerned[0] for concerned, _ in route.check()]


@pytest.mark.parametrize(
    "route",
    [
        RouteConfig("r", path="*", upstream="u"),
        RouteConfig("r", path="*", respond=PLAIN),
        RouteConfig("r", path="*", redirect=Redirect(301, "/")),
        RouteConfig("r", path="/a/*", upstream="u", strip_prefix="/a", add_prefix="/b"),
        RouteConfig("r", path="/a/b/*", upstream="u", strip_prefix="/a"),
        RouteConfig("r", path="/a", upstream="u", strip_prefix="/a"),
        RouteConfig("r", path="/a%2Fb", upstream="u", encoded_slashes="keep"),
        RouteConfig("r", path="*", upstream="u", async_="optional", timeout=5.0, async_wait=1.0),
        RouteConfig("r", path="*", respond=PLAIN, async_="always", async_keep_headers=(b"Cookie",)),
        RouteConfig("r", path="*", respond=PLAIN, async_timeout=600.0),
        RouteConfig(
            "r",
            path="*",
            respond=PLAIN,
            async_="always",
            async_callback_hosts=("a",),
            async_callback_secret=Secret("whsec_"),
        ),
    ],
)
def test_what_fits_is_fine(route: RouteConfig) -> None:
    assert wrong(route) == []


@pytest.mark.parametrize(
    ("route", "option"),
    [
        (RouteConfig("r", path="*"), "upstream"),
        (RouteConfig("r", path="*", upstream="u", respond=PLAIN), "respond"),
        (RouteConfig("r", path="*", respond=PLAIN, redirect=Redirect(301, "/")), "redirect"),
        (RouteConfig("r", path="/ab/*", upstream="u", strip_prefix="/a"), "strip_prefix"),
        (RouteConfig("r", path="*", upstream="u", strip_prefix="/a"), "strip_prefix"),
        (RouteConfig("r", path="/{a}/*", upstream="u", strip_prefix="/a"), "strip_prefix"),
        (RouteConfig("r", path="*", respond=PLAIN, add_prefix="/a"), "add_prefix"),
        (RouteConfig("r", path="/a%5Cb", upstream="u"), "path"),
        (RouteConfig("r", path="*", respond=PLAIN, async_wait=1.0), "async_wait"),
        (RouteConfig("r", path="*", upstream="u", async_="always", timeout=1.0), "timeout"),
    ],
)
def test_what_does_not_fit_is_told_at_its_option(route: RouteConfig, option: str) -> None:
    assert wrong(route) == [option]
