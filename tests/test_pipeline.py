from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.conftest import LoggedFailures
from twistedgate.config.model import RouteConfig
from twistedgate.errors import Refusal, UpstreamFailure
from twistedgate.exchange import Exchange
from twistedgate.gateway import Gateway
from twistedgate.http.message import KeptResponse, Response
from twistedgate.limiting.gate import Gate
from twistedgate.net.task import Signal
from twistedgate.pipeline import JobPipeline, Pipeline
from twistedgate.policy import Policy, Stage
from twistedgate.problem import refuse
from twistedgate.routing.match import Rule
from twistedgate.routing.table import RouteTable
from twistedgate.testing import Answer, Body, Client, Clock, exchange, runtime

Diary = list[str]


class Recording(Policy):
    """Writes down which hook of it ran, and does there what it was told to."""

    def __init__(self, name: str, diary: Diary, stage: Stage = Stage.TRANSFORM) -> None:
        super().__init__(None, runtime())
        self.name = name
        self.stage = stage  # type: ignore[misc]
        self.diary = diary
        self.admission: Callable[[Exchange], Any] = lambda exchange: None
        self.dressing: Callable[[Exchange, Response], Any] = lambda exchange, response: None
        self.finishing: Callable[[Exchange], None] = lambda exchange: None

    def on_request(self, exchange: Exchange) -> Any:
        """Look at the request."""
        self.diary.append(f"{self.name} admits")
        return self.admission(exchange)

    def on_response(self, exchange: Exchange, response: Response) -> Any:
        """Look at the response."""
        self.diary.append(f"{self.name} dresses {response.status}")
        return self.dressing(exchange, response)

    def on_finish(self, exchange: Exchange) -> None:
        """Look back."""
        self.diary.append(f"{self.name} finishes")
        self.finishing(exchange)


class Reading(Recording):
    """Reads the body before it looks at the request."""

    needs_request_body = True


class Answering:
    """An action that answers what it was given, or raises it."""

    def __init__(self, diary: Diary, *answers: Response | BaseException | Signal[Response]) -> None:
        self.diary = diary
        self.answers = list(answers)

    async def answer(self, exchange: Exchange) -> Response:
        """Answer."""
        self.diary.append("answers")
        answer = self.answers.pop(0) if self.answers else Response(200)
        if isinstance(answer, Signal):
            return await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def finish(self, exchange: Exchange) -> None:
        """Look back."""
        self.diary.append("action finishes")


class Line:
    """One pipeline behind a gateway, with its gate."""

    def __init__(self, diary: Diary, *policies: Policy, route: RouteConfig | None = None) -> None:
        route = route or RouteConfig("r", path="*")
        self.diary = diary
        self.action = Answering(diary)
        self.gate = Gate(route.max_requests)
        self.pipeline = Pipeline(route, policies, self.action, self.gate)
        self.observed: list[Exchange] = []
        table = RouteTable([(Rule((), "*", (), (), 0), self.pipeline)])
        self.gateway = Gateway(table, self.observed.append, Clock())

    def begin(self, passing: Exchange) -> Client:
        """Let an exchange begin."""
        client = Client(passing)
        client.start(self.gateway.serve(passing, client))
        return client

    def serve(self, passing: Exchange | None = None) -> Answer:
        """Let an exchange begin and end."""
        client = self.begin(passing or exchange())
        assert client.is_done
        assert client.answer is not None
        assert self.gate.under_way == 0
        assert len(self.observed) == 1
        return client.answer


def recordings(diary: Diary, names: str, stages: Sequence[Stage] = ()) -> list[Recording]:
    return [
        Recording(name, diary, stage)
        for name, stage in zip(names, stages or [Stage.TRANSFORM] * len(names), strict=True)
    ]


def finished(diary: Diary) -> str:
    """Return the names of those that finished."""
    return "".join(line[0] for line in diary if line.endswith(" finishes") and line[1] == " ")


# the order


def test_requests_go_by_stage_and_responses_in_reverse() -> None:
    diary: Diary = []
    stages = [Stage.TRANSFORM, Stage.LIMIT, Stage.REUSE, Stage.IDENTIFY, Stage.AUTHORIZE]
    Line(diary, *recordings(diary, "TLRIA", stages)).serve()
    assert diary == [
        *(f"{name} admits" for name in "IALRT"),
        "answers",
        *(f"{name} dresses 200" for name in "TRLAI"),
        "action finishes",
        *(f"{name} finishes" for name in "IALRT"),
    ]


def test_within_a_stage_the_order_is_that_of_the_configuration() -> None:
    diary: Diary = []
    line = Line(diary, *recordings(diary, "abcd", [Stage.LIMIT, Stage.IDENTIFY, Stage.LIMIT, Stage.IDENTIFY]))
    line.serve()
    assert [entry[0] for entry in diary if entry.endswith("admits")] == ["b", "d", "a", "c"]


def test_hooks_that_are_not_overridden_are_dropped() -> None:
    class Silent(Policy):
        pass

    silent = Silent(None, runtime())
    pipeline = Line([], silent).pipeline
    assert pipeline.policies == (silent,)
    assert pipeline.admit(exchange()) is None
    assert not pipeline.dresses
    assert Line([], Recording("a", [])).pipeline.dresses


# refusals


def test_a_refusal_ends_the_line_and_every_policy_dresses_it() -> None:
    diary: Diary = []
    first, second, third = recordings(diary, "abc")
    second.admission = lambda _: refuse(403, "no")
    answer = Line(diary, first, second, third).serve()
    assert (answer.status, answer.reason) == (403, "no")
    assert diary == [
        "a admits",
        "b admits",
        *(f"{name} dresses 403" for name in "cba"),
        "action finishes",
        "a finishes",
        "b finishes",
    ]


def test_what_a_policy_sets_is_on_refusals_too() -> None:
    first, second = recordings([], "ab")
    first.dressing = lambda _, response: response.headers.set(b"X-A", b"1")
    second.admission = lambda _: refuse(403, "no")
    answer = Line([], first, second).serve()
    assert answer.headers.get(b"x-a") == b"1"
    assert json.loads(answer.body)["reason"] == "no"


@pytest.mark.parametrize(
    "failure", [UpstreamFailure(502, "reset", "detail"), Refusal(502, "reset", "detail")]
)
def test_the_answer_to_the_actions_failure_is_dressed_and_everybody_finishes(failure: Exception) -> None:
    diary: Diary = []
    line = Line(diary, *recordings(diary, "ab"))
    line.action.answers = [failure]
    assert line.serve().status == 502
    assert diary[3:5] == ["b dresses 502", "a dresses 502"]
    assert finished(diary) == "ab"


# policies that wait


def test_a_policy_may_wait_in_either_hook() -> None:
    diary: Diary = []
    first, second = recordings(diary, "ab")
    admitted: Signal[None] = Signal()
    dressed: Signal[None] = Signal()
    first.admission = lambda _: admitted
    second.dressing = lambda _, response: dressed
    client = Line(diary, first, second).begin(exchange())
    assert diary == ["a admits"]
    admitted.set(None)
    assert diary[-1] == "b dresses 200"
    assert client.status == 0
    dressed.set(None)
    assert client.is_done


def test_a_policy_may_refuse_after_a_wait() -> None:
    verdict: Signal[Response | None] = Signal()
    (only,) = recordings([], "a")
    only.admission = lambda _: verdict
    client = Line([], only).begin(exchange())
    verdict.set(refuse(403, "no"))
    assert client.status == 403


# policies that fail

SECRET = "postgres://user:secret@db"


def fails(*_: object) -> None:
    raise OSError(SECRET)


async def fails_later(*_: object) -> None:
    raise OSError(SECRET)


def is_plain_500(answer: Answer) -> bool:
    """Whether the client is told that the gateway failed, and nothing else."""
    document = json.loads(answer.body)
    everything = repr((answer.headers, answer.body))
    return (
        (answer.status, answer.reason, document["reason"]) == (500, "internal", "internal")
        and "secret" not in everything
        and "OSError" not in everything
    )


@pytest.mark.parametrize("failing", [fails, fails_later])
def test_a_policy_that_fails_on_a_request_is_a_500_without_a_word(
    failing: Callable[..., Any], logged_failures: LoggedFailures
) -> None:
    diary: Diary = []
    first, second, third = recordings(diary, "abc")
    second.admission = failing
    assert is_plain_500(Line(diary, first, second, third).serve())
    assert "answers" not in diary
    assert finished(diary) == "ab"
    assert [str(failure.value) for failure in logged_failures.flush(OSError)] == [SECRET]


@pytest.mark.parametrize("failing", [fails, fails_later])
def test_a_policy_that_fails_on_a_response_is_a_500_which_the_rest_dress(
    failing: Callable[..., Any], logged_failures: LoggedFailures
) -> None:
    diary: Diary = []
    first, second, third = recordings(diary, "abc")
    second.dressing = failing
    assert is_plain_500(Line(diary, first, second, third).serve())
    assert [entry for entry in diary if "dresses" in entry] == [
        "c dresses 200",
        "b dresses 200",
        "a dresses 500",
    ]
    assert finished(diary) == "abc"
    assert len(logged_failures.flush(OSError)) == 1


def test_an_answer_that_is_not_sent_is_abandoned(logged_failures: LoggedFailures) -> None:
    (only,) = recordings([], "a")
    only.dressing = fails
    line, source = Line([], only), Body(b"of the upstream")
    line.action.answers = [Response(200, body=source)]
    assert is_plain_500(line.serve())
    assert source.is_abandoned
    logged_failures.flush(OSError)


class TunnelEnd:
    """The upstream's side of a tunnel."""

    def __init__(self) -> None:
        self.is_aborted = False

    def abort(self) -> None:
        """Close at once."""
        self.is_aborted = True


def test_a_tunnel_that_is_not_opened_is_closed(logged_failures: LoggedFailures) -> None:
    (only,) = recordings([], "a")
    only.dressing = fails
    line, end = Line([], only), TunnelEnd()
    line.action.answers = [Response(101)]
    line.action.answers[0].tunnel = end  # type: ignore[union-attr]
    assert is_plain_500(line.serve())
    assert end.is_aborted
    logged_failures.flush(OSError)


@pytest.mark.parametrize("odd", [(403, "no"), "refused", True])
def test_a_policy_that_returns_neither_response_nor_none_lets_nobody_pass(
    odd: object, logged_failures: LoggedFailures
) -> None:
    async def answers(_: Exchange) -> object:
        return odd

    diary: Diary = []
    (only,) = recordings(diary, "a")
    only.admission = answers
    line = Line(diary, only)
    assert line.serve().status == 500
    assert "answers" not in diary
    assert len(logged_failures.flush(TypeError)) == 1


def test_a_policy_that_fails_in_the_end_keeps_no_other_from_its_end(logged_failures: LoggedFailures) -> None:
    diary: Diary = []
    first, second = recordings(diary, "ab")
    first.finishing = fails
    assert Line(diary, first, second).serve().status == 200
    assert finished(diary) == "ab"
    assert len(logged_failures.flush(OSError)) == 1


def test_the_actions_failure_is_a_500_without_a_word(logged_failures: LoggedFailures) -> None:
    line = Line([], *recordings([], "a"))
    line.action.answers = [OSError(SECRET)]
    assert is_plain_500(line.serve())
    logged_failures.flush(OSError)


@pytest.mark.parametrize("hook", ["admission", "dressing"])
def test_a_refusal_that_is_raised_is_a_refusal(hook: str) -> None:
    def refuses(*_: object) -> None:
        raise Refusal(403, "no", "detail", fields=((b"X-Why", b"1"),))

    (only,) = recordings([], "a")
    setattr(only, hook, refuses)
    answer = Line([], only).serve()
    assert (answer.status, answer.reason, answer.headers.get(b"x-why")) == (403, "no", b"1")
    assert b"detail" not in answer.body


def test_an_upstreams_failure_on_the_way_out_is_told_as_such() -> None:
    def asks(*_: object) -> None:
        raise UpstreamFailure(504, "response-timeout")

    (only,) = recordings([], "a")
    only.dressing = asks
    assert Line([], only).serve().status == 504


# what is cut


@pytest.mark.parametrize("hook", ["admission", "dressing"])
def test_a_client_that_leaves_while_a_policy_waits_is_counted_out(hook: str) -> None:
    never: Signal[None] = Signal()
    diary: Diary = []
    first, second, third = recordings(diary, "abc")
    setattr(second, hook, lambda *_: never)
    line = Line(diary, first, second, third)
    passing = exchange()
    client = line.begin(passing)
    assert line.gate.under_way == 1
    client.leave()
    assert (line.gate.under_way, client.is_done, client.answer) == (0, True, None)
    assert finished(diary) == ("ab" if hook == "admission" else "abc")
    assert (line.observed, passing.reason) == ([passing], "client-gone")


def test_the_answer_to_a_client_that_left_is_abandoned() -> None:
    never: Signal[None] = Signal()
    (only,) = recordings([], "a")
    only.dressing = lambda *_: never
    line, source = Line([], only), Body(b"of the upstream")
    line.action.answers = [Response(200, body=source)]
    line.begin(exchange()).leave()
    assert source.is_abandoned


@pytest.mark.parametrize("hook", ["admission", "dressing"])
def test_a_timeout_while_a_policy_waits_is_a_timeout(hook: str) -> None:
    never: Signal[None] = Signal()
    (only,) = recordings([], "a")
    setattr(only, hook, lambda *_: never)
    line = Line([], only)
    client = line.begin(exchange())
    client.interrupt(Refusal(504, "timeout"))
    assert (client.status, client.exchange.reason, line.gate.under_way) == (504, "timeout", 0)


# bounds


def test_past_max_requests_nothing_is_entered() -> None:
    diary: Diary = []
    line = Line(diary, *recordings(diary, "a"), route=RouteConfig("r", path="*", max_requests=1))
    late: Signal[Response] = Signal()
    line.action.answers = [late]
    first, second = line.begin(exchange()), line.begin(exchange())
    assert second.answer is not None
    assert (second.status, second.answer.reason) == (503, "too-many")
    assert second.answer.headers.has(b"retry-after")
    assert (diary.count("a admits"), finished(diary)) == (1, "")
    late.set(Response(200))
    assert first.is_done
    assert line.gate.under_way == 0
    assert line.begin(exchange()).answer is not None


@pytest.mark.parametrize("path", ["/a%2Fb", "/a%2fb", "/a%5Cb"])
def test_encoded_slashes_are_refused_unless_the_route_keeps_them(path: str) -> None:
    answer = Line([]).serve(exchange(url=f"https://a.example{path}"))
    assert (answer.status, answer.reason) == (400, "bad-path")
    keeping = Line([], route=RouteConfig("r", path="*", encoded_slashes="keep"))
    assert keeping.serve(exchange(url=f"https://a.example{path}")).status == 200


def test_a_refused_path_enters_nothing() -> None:
    diary: Diary = []
    Line(diary, *recordings(diary, "a")).serve(exchange(url="https://a.example/a%2Fb"))
    assert diary == ["a dresses 400", "action finishes"]


def short() -> RouteConfig:
    return RouteConfig("r", path="*", max_body=4)


def test_a_body_that_is_announced_too_long_is_refused_before_anything_else() -> None:
    diary: Diary = []
    line = Line(diary, *recordings(diary, "a"), route=short())
    answer = line.serve(exchange("POST", body=Body(length=5)))
    assert (answer.status, answer.reason, answer.closes) == (413, "body-too-large", True)
    assert "a admits" not in diary


def test_a_body_that_becomes_too_long_is_refused_then() -> None:
    line = Line([], route=short())
    line.action.answers = [Signal()]
    client = line.begin(exchange("POST", body=Body(b"abcd")))
    assert client.status == 0
    client.send(b"e")
    assert (client.status, line.gate.under_way) == (413, 0)


def test_a_body_of_any_length_passes_where_there_is_no_limit() -> None:
    endless = RouteConfig("r", path="*", max_body=0)
    assert Line([], route=endless).serve(exchange("POST", body=Body(length=1 << 40))).status == 200


# policies that read the body


def test_a_body_is_read_for_the_policy_that_needs_it_and_those_after_it() -> None:
    diary: Diary = []
    before, reading, after = Recording("a", diary), Reading("b", diary), Recording("c", diary)
    seen: list[object] = []
    for policy in (before, reading, after):
        policy.admission = lambda passing: seen.append(passing.request.body)
    line, body, passing = Line(diary, before, reading, after), Body(b"half"), exchange("POST", body=b"")
    passing.request.body, passing.request.length = body, body.length
    client = line.begin(passing)
    assert diary == ["a admits"]
    client.send(b" more")
    client.finish()
    assert client.is_done
    assert seen == [body, b"half more", b"half more"]
    assert passing.request.length == 9


def test_who_refuses_first_leaves_the_body_unread() -> None:
    diary: Diary = []
    refusing, reading = Recording("a", diary), Reading("b", diary)
    refusing.admission = lambda _: refuse(401, "no-credentials")
    assert Line(diary, refusing, reading).serve(exchange("POST", body=Body())).status == 401
    assert "b admits" not in diary


def test_a_policy_whose_body_never_came_was_not_entered() -> None:
    diary: Diary = []
    line = Line(diary, Recording("a", diary), Reading("b", diary), route=short())
    client = line.begin(exchange("POST", body=Body(b"a")))
    client.send(b"bcde")
    assert client.status == 413
    assert finished(diary) == "a"


def test_a_body_is_read_for_a_policy_that_looks_at_it_later_only() -> None:
    class Looking(Policy):
        needs_request_body = True

        def on_response(self, exchange: Exchange, response: Response) -> Awaitable[None] | None:
            response.headers.set(b"X-Length", b"%d" % len(exchange.request.body))  # type: ignore[arg-type]
            return None

    body = Body(b"abc")
    body.finish()
    answer = Line([], Looking(None, runtime())).serve(exchange("POST", body=body))
    assert answer.headers.get(b"x-length") == b"3"


def test_a_call_that_becomes_a_job_has_no_timeout_and_all_else() -> None:
    diary: Diary = []
    action = Answering(diary)
    pipeline = JobPipeline(
        RouteConfig("r", path="*", timeout=5.0), [Recording("a", diary)], action, Gate(None)
    )
    of_jobs = pipeline.of_jobs
    assert (pipeline.timeout, of_jobs.timeout) == (5.0, None)
    assert of_jobs.of_jobs is of_jobs
    assert (of_jobs.name, of_jobs.action, of_jobs.dresses) == ("r", action, True)


def test_an_answer_that_was_kept_is_not_dressed_again() -> None:
    diary: Diary = []
    kept = KeptResponse(200)
    line = Line(diary)
    line.pipeline = JobPipeline(
        RouteConfig("r", path="*"), [Recording("a", diary)], Answering(diary, kept, Response(201)), Gate(None)
    )
    line.gateway.routes = RouteTable([(Rule((), "*", (), (), 0), line.pipeline)])
    assert [line.begin(exchange()).status, line.begin(exchange()).status] == [200, 201]
    assert [entry for entry in diary if "dresses" in entry] == ["a dresses 201"]
