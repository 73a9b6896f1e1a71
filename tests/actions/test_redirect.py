from __future__ import annotations

import pytest

from twistedgate.actions.redirect import Redirect
from twistedgate.config.model import RouteConfig
from twistedgate.testing import exchange, gateway, runtime


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_sends_the_client_elsewhere(status: int) -> None:
    made = gateway(f"[route:r]\npath = *\nredirect = {status} https://b.example/new?x=1\n")
    answer = made.serve(exchange("POST", "https://a.example/old?secret", body=b"a"))
    assert (answer.status, answer.body, answer.reason) == (status, b"", "")
    assert answer.headers.get_all(b"location") == [b"https://b.example/new?x=1"]


def test_a_route_that_leads_nowhere_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="route r has nowhere"):
        Redirect(RouteConfig("r", path="*"), runtime())
