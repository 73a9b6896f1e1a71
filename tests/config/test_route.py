from __future__ import annotations

import pytest

from twistedgate.config.notation import Redirect, Respond
from twistedgate.config.route import RouteConfig

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
    ],
)
def test_what_does_not_fit_is_told_at_its_option(route: RouteConfig, option: str) -> None:
    assert wrong(route) == [option]
