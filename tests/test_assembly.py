from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from twisted.internet.task import Clock as Reactor

from twistedgate.actions.job import JobAction
from twistedgate.actions.proxy import Proxy
from twistedgate.actions.redirect import Redirect
from twistedgate.actions.respond import Respond
from twistedgate.assembly import Assembler, CannotBeMade, Gates
from twistedgate.background.port import Jobs
from twistedgate.config.model import Configuration, RouteConfig
from twistedgate.config.schema import option
from twistedgate.config.values import line
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.headers import Headers as Fields
from twistedgate.http.message import Response
from twistedgate.pipeline import JobPipeline, Pipeline
from twistedgate.policy import Policy, Stage
from twistedgate.routing.table import Miss
from twistedgate.runtime import Runtime
from twistedgate.stores.memory import MemoryStore
from twistedgate.testing import Clock, consumer, exchange, gateway
from twistedgate.units import Units


class Marking(Policy):
    """Appends its name to a header, on the way in."""

    @dataclass(frozen=True, slots=True)
    class Config:
        """The options of ``[marking:NAME]``."""

        name: str
        mark: str = option(line, "", "What is appended; the name of the section if it is empty.")

    def __init__(self, config: Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self._mark = config.mark or config.name

    def on_request(self, exchange: Exchange) -> Response | None:
        """Append the mark."""
        exchange.request.headers.add(b"X-Mark", self._mark.encode())
        return None


class EarlyMarking(Marking):
    """The same, of an earlier stage."""

    stage = Stage.IDENTIFY


class Failing(Marking):
    """Cannot be made."""

    def __init__(self, config: Marking.Config, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        raise ValueError("no such table")


KINDS = [Marking, EarlyMarking, Failing]

MARKED = """
    [gateway]
    policies = marking:all, early-marking:all
    [route:r]
    path = /r
    upstream = u
    policies = marking:second, early-marking:own, marking:first
    [route:plain]
    path = /plain
    upstream = u
    [upstream:u]
    targets = http://192.0.2.11
    [marking:all]
    [marking:first]
    [marking:second]
    [early-marking:all]
    mark = early-all
    [early-marking:own]
    mark = early-own
"""


def test_the_gateways_policies_stand_before_the_routes_own_of_the_same_stage() -> None:
    made = gateway(MARKED, policies=KINDS)
    for path in ("/r", "/plain"):
        made.serve(exchange(url=path))
    marks = [sent.headers.get_all(b"x-mark") for sent in made.upstreams["u"].sent]
    assert marks == [
        [b"early-all", b"early-own", b"all", b"second", b"first"],
        [b"early-all", b"all"],
    ]


def test_one_section_is_one_policy_wherever_it_is_used() -> None:
    made = gateway(MARKED, policies=KINDS)
    ours, plain = pipeline(made.gateway, "/r"), pipeline(made.gateway, "/plain")
    assert set(map(id, plain.policies)) < set(map(id, ours.policies))


def pipeline(made: Gateway, path: str) -> Pipeline:
    request = exchange(url=path).request
    found = made.routes.match(request.method, request.target.host, request.target.path, request.headers)
    assert not isinstance(found, Miss)
    return found


def test_a_route_gets_the_action_that_it_names() -> None:
    made = gateway("""
        [route:a]
        path = /a
        upstream = u
        [route:b]
        path = /b
        respond = 204
        [route:c]
        path = /c
        redirect = 308 https://b.example/
        [upstream:u]
        targets = http://192.0.2.11
    """)
    actions = [type(pipeline(made.gateway, path).action) for path in ("/a", "/b", "/c")]
    assert actions == [Proxy, Respond, Redirect]


def test_policies_are_given_the_consumers_and_the_clock() -> None:
    given: list[Runtime] = []

    class Looking(Marking):
        """Remembers what it was given."""

        def __init__(self, config: Marking.Config, runtime: Runtime) -> None:
            super().__init__(config, runtime)
            given.append(runtime)

    alice = consumer("alice", "key")
    text = "[route:r]\npath = *\nupstream = u\npolicies = looking:l\n[looking:l]\n[upstream:u]\ntargets = http://a\n"
    configuration = replace(gateway(text, policies=[Looking]).configuration, consumers={"alice": alice})
    made = gateway(configuration, policies=[Looking])
    assert given[-1].consumers == (alice,)
    assert given[-1].now is made.clock
    assert dict(given[-1].upstreams) == made.upstreams


def test_a_policy_that_cannot_be_made_is_named_and_what_it_said_is_for_the_log() -> None:
    with pytest.raises(CannotBeMade, match=r"^\[failing:f\] cannot be made: \w+: no such table") as failed:
        gateway("[failing:f]\n", policies=KINDS)
    assert failed.value.told.startswith("[failing:f] cannot be made (")
    assert "no such table" not in failed.value.told
    assert "no such table" in str(failed.value.__cause__)


def test_a_kind_that_is_not_there_is_told() -> None:
    configuration = Configuration(policies={"marking:a": Marking.Config("a")})
    with pytest.raises(ValueError, match="no policy 'marking'"):
        Assembler(Units(), Gates(), lambda _: None, Clock()).assemble(configuration, {})


def limited(limit: int | None) -> RouteConfig:
    return RouteConfig("r", path="*", max_requests=limit)


def test_what_is_under_way_on_a_route_outlives_a_reload() -> None:
    gates = Gates()
    before = gates.prepare(limited(2))
    before.enter()
    assert gates.prepare(limited(1)) is before
    assert gates.under_way("r") == 1
    assert before.enter()


def test_a_limit_changes_when_the_configuration_takes_effect_and_not_before() -> None:
    gates = Gates()
    gate = gates.prepare(limited(2))
    gates.prepare(limited(1))
    assert gate.limit == 2
    gates.commit(Configuration(routes={"r": limited(1)}))
    assert gate.limit == 1


def test_a_route_that_is_gone_is_forgotten_once_nothing_is_under_way() -> None:
    gates = Gates()
    gate = gates.prepare(limited(2))
    gate.enter()
    gates.commit(Configuration())
    assert gates.under_way("r") == 1
    gate.leave()
    gates.commit(Configuration())
    assert gates.prepare(limited(2)) is not gate
    assert gates.under_way("unheard-of") == 0


ASYNC = "[route:a]\npath = /a\nrespond = 200\nasync = optional\n[route:b]\npath = *\nrespond = 201\n"


def test_a_route_with_jobs_answers_by_them_and_another_costs_no_more() -> None:
    jobs = Jobs(MemoryStore("r", 1 << 20), lambda claim: None, Clock(), Reactor())
    made = gateway(ASYNC, jobs=jobs).gateway
    asked, plain, asking = (made.routes.match("GET", "", path, Fields()) for path in ("/a", "/b", "/_jobs/x"))
    assert isinstance(asked, JobPipeline)
    assert isinstance(asked.action, JobAction)
    assert isinstance(asked.action.inner, Respond)
    assert type(plain) is Pipeline
    assert isinstance(plain.action, Respond)
    assert isinstance(asking, Pipeline)
    assert (asking.name, dict(made.jobs)) == ("_jobs", {"a": asked})


def test_without_jobs_nothing_stands_before_the_routes() -> None:
    made = gateway("[route:b]\npath = *\nrespond = 201\n").gateway
    found = made.routes.match("GET", "", "/_jobs/x", Fields())
    assert isinstance(found, Pipeline)
    assert (found.name, dict(made.jobs)) == ("b", {})


def test_there_are_no_jobs_where_nobody_runs_them() -> None:
    with pytest.raises(ValueError, match="nobody runs jobs"):
        gateway(ASYNC)
