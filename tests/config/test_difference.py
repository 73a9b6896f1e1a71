from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config.difference import Change, check_reload, differences, summary
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import Configuration, ConsumerConfig, GatewayConfig, RouteConfig
from twistedgate.config.state import StateConfig
from twistedgate.config.values import Secret
from twistedgate.units import Units

FRONT = "[listener:public]\nendpoint = tcp:8080\n"
ORDERS = "[upstream:orders]\ntargets = http://192.0.2.1\n"
WORD = '[route:word]\npath = /word\nrespond = 200 "a"\n'


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


class Reader:
    """Reads sections as the gateway does."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "gateway.ini"

    def __call__(self, *sections: str) -> Configuration:
        self._file.write_text("".join(sections))
        return Units().load(str(self._file))


def told(before: Configuration, after: Configuration) -> list[str]:
    return [str(change) for change in differences(before, after)]


def test_equal_configurations_have_none(read: Reader) -> None:
    first, second = read(FRONT, ORDERS, WORD), read("# again\n", FRONT, WORD, ORDERS)
    assert differences(first, second) == ()
    assert summary(()) == "nothing changed"


def test_each_kind_of_section_is_told_when_it_comes_and_when_it_goes(read: Reader) -> None:
    more = f"{ORDERS}{WORD}[consumer:acme]\n[key-auth:partners]\n"
    small, large = read(FRONT), read(FRONT, more)
    sections = ["upstream:orders", "route:word", "consumer:acme", "key-auth:partners"]
    assert told(small, large) == [f"added {section}" for section in sections]
    assert told(large, small) == [f"removed {section}" for section in sections]


def test_the_options_that_changed_are_named(read: Reader) -> None:
    before = read("[gateway]\n", FRONT, ORDERS, WORD, "[key-auth:partners]\n")
    after = read(
        "[gateway]\ndrain_delay = 5s\nmax_connections = 7\n",
        FRONT.replace("8080", "8081"),
        ORDERS + "retries = 3\nbalance = random-two\n",
        WORD.replace('"a"', '"b"'),
        "[key-auth:partners]\nheader = X-Other\n",
    )
    assert told(before, after) == [
        "changed gateway (drain_delay, max_connections)",
        "changed listener:public (endpoint)",
        "changed upstream:orders (balance, retries)",
        "changed route:word (respond)",
        "changed key-auth:partners (header)",
    ]


def test_a_summary_is_one_line(read: Reader) -> None:
    changes = differences(read(FRONT, ORDERS), read(FRONT, WORD))
    assert summary(changes) == "removed upstream:orders, added route:word"


def test_what_is_gone_comes_last_of_its_kind(read: Reader) -> None:
    other = WORD.replace("word", "other")
    assert told(read(FRONT, WORD), read(FRONT, other)) == ["added route:other", "removed route:word"]


def test_the_order_of_routes_is_a_difference_and_that_of_upstreams_is_none(read: Reader) -> None:
    other = WORD.replace("word", "other")
    assert told(read(FRONT, WORD, other), read(FRONT, other, WORD)) == ["reordered routes"]
    stock = ORDERS.replace("orders", "stock")
    assert told(read(FRONT, ORDERS, stock), read(FRONT, stock, ORDERS)) == []


def test_a_route_that_comes_between_reorders_nothing(read: Reader) -> None:
    first, second, third = (WORD.replace("word", name) for name in ("first", "second", "third"))
    assert told(read(FRONT, first, third), read(FRONT, first, second, third)) == ["added route:second"]


SECRETS = st.text("abcdef0123456789", min_size=12, max_size=20)


@given(st.tuples(SECRETS, SECRETS).filter(lambda pair: pair[0] != pair[1]))
def test_no_value_is_ever_told(pair: tuple[str, str]) -> None:
    before, after = (
        Configuration(
            GatewayConfig(admin_token=Secret(secret)),
            consumers={"acme": ConsumerConfig("acme", keys=(secret.encode(),))},
        )
        for secret in pair
    )
    changes = differences(before, after)
    assert [str(change) for change in changes] == [
        "changed gateway (admin_token)",
        "changed consumer:acme (keys)",
    ]
    assert not any(secret in repr(changes) for secret in pair)


@dataclass(frozen=True, slots=True)
class Other:
    """The options of a policy that another distribution publishes under a name that was ours."""

    name: str


def test_a_section_that_has_become_something_else_is_changed(read: Reader) -> None:
    before = read(FRONT, "[key-auth:partners]\n")
    after = Configuration(listeners=before.listeners, policies={"key-auth:partners": Other("partners")})
    assert differences(before, after) == (Change("changed", "key-auth:partners"),)


@pytest.mark.parametrize(
    "changed", [GatewayConfig(workers=4), GatewayConfig(state=StateConfig("sqlite:/jobs", path="/jobs"))]
)
def test_what_wants_a_start_is_refused_with_the_reason(changed: GatewayConfig) -> None:
    with pytest.raises(ConfigurationErrors) as raised:
        check_reload("a.ini", Configuration(), Configuration(changed))
    (error,) = raised.value.errors
    name = differences(Configuration(), Configuration(changed))[0].options[0]
    assert str(error).startswith(f"a.ini: [gateway] {name}: is another one than at the start")


def test_everything_else_may_change() -> None:
    check_reload("a.ini", Configuration(), Configuration(GatewayConfig(drain_delay=3.0)))


def test_an_option_is_told_by_its_name_in_the_file() -> None:
    before, after = RouteConfig("r", path="*"), RouteConfig("r", path="*", async_="always", async_wait=1.0)
    (change,) = differences(Configuration(routes={"r": before}), Configuration(routes={"r": after}))
    assert change.options == ("async", "async_wait")
