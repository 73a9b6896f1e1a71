from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.web.client import Agent

from tests.admin.conftest import Answer, Conversation, Converse, MakeSite, Orders
from tests.admin.keeping import AwayStore, Jobs
from tests.admin.test_job_result import LARGE
from tests.admin.test_site import To, real_site
from twistedgate.jobs.job import End, State
from twistedgate.jobs.store import StoreFull
from twistedgate.stores.memory import MemoryStore

TIMED_OUT = End(State.FAILED, reason="timeout")
DOING = ["/jobs/ID/cancel", "/jobs/ID/retry", "/jobs/purge?all=yes"]
READING = ["/jobs", "/jobs/ID", "/jobs/ID/result"]


@pytest.fixture
def jobs(operations: Orders) -> Jobs:
    made = Jobs()
    operations.store = made.store
    return made


@pytest.fixture
def conversation(jobs: Jobs, converse: Converse) -> Conversation:
    talk: Conversation = converse()
    return talk


def problem(answer: Answer, status: int, reason: str) -> str:
    """Return the detail of a refusal."""
    assert (answer.status, answer.document["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"
    detail: str = answer.document["detail"]
    return detail


# reading


def test_a_list_has_everybodys_jobs_and_a_cursor(conversation: Conversation, jobs: Jobs) -> None:
    made = [jobs.failed(), jobs.queued(caller="key-auth:staff/bob"), jobs.running()][::-1]
    answer = conversation.ask("/jobs?limit=2")
    assert answer.status == 200
    assert [job["id"] for job in answer.document["jobs"]] == made[:2]
    assert [job["owner"] for job in answer.document["jobs"]] == [
        "key-auth:staff/alice",
        "key-auth:staff/bob",
    ]
    rest = conversation.ask(f"/jobs?limit=2&cursor={answer.document['cursor']}")
    assert [job["id"] for job in rest.document["jobs"]] == made[2:]
    assert rest.document["cursor"] is None


def test_a_list_may_be_of_some(conversation: Conversation, jobs: Jobs) -> None:
    failed, _, other = jobs.failed(), jobs.queued(), jobs.failed(route="other")

    def listed(query: str) -> list[str]:
        return [job["id"] for job in conversation.ask(f"/jobs?{query}").document["jobs"]]

    assert listed("state=failed") == [other, failed]
    assert listed("state=failed&route=other") == [other]
    assert listed("owner=nobody") == []


@pytest.mark.parametrize("query", ["sate=failed", "state=", "state=done", "limit=x", "cursor=x", "route"])
def test_a_query_that_means_nothing_is_refused(query: str, conversation: Conversation) -> None:
    assert problem(conversation.ask(f"/jobs?{query}"), 400, "bad-query")


def test_a_cursor_of_nobody_is_refused_with_what_to_do(conversation: Conversation) -> None:
    assert problem(conversation.ask("/jobs?cursor=x"), 400, "bad-query").endswith("a list begins anew")


def test_a_job_is_shown_without_its_credentials(
    jobs: Jobs, make_site: MakeSite, converse: Converse, view: Any
) -> None:
    view.credential_names = ["X-Acme"]
    fields = ((b"Authorization", b"Bearer s3cret"), (b"Cookie", b"s3cret"), (b"X-Acme", b"s3cret"))
    job = jobs.queued(headers=(*fields, (b"Accept", b"*/*")), query="?api_key=s3cret&x-acme=s3cret")
    conversation = converse(make_site())
    for path in (f"/jobs/{job}", "/jobs"):
        assert b"s3cret" not in conversation.ask(path).body
    shown = conversation.ask(f"/jobs/{job}").document
    assert (shown["id"], shown["state"], shown["request"]["kept"]) == (job, "queued", True)
    assert dict(shown["request"]["headers"]) == {
        "Authorization": "***",
        "Cookie": "***",
        "X-Acme": "***",
        "Accept": "*/*",
    }


@pytest.mark.parametrize("path", ["/jobs/ID", "/jobs/ID/result", "/jobs/ID/cancel", "/jobs/ID/retry"])
@pytest.mark.parametrize("job", ["x", "A" * 27, "A" * 200, "%41", "a.b", "\N{LATIN SMALL LETTER U}"])
def test_a_job_that_nobody_knows_is_not_found(path: str, job: str, conversation: Conversation) -> None:
    method = "GET" if path in READING else "POST"
    answer = conversation.ask(path.replace("ID", job), method)
    assert "no job of this id" in problem(answer, 404, "unknown-job")


@pytest.mark.parametrize("path", ["/jobs/ID", "/jobs/ID/result", "/jobs/ID/cancel", "/jobs/ID/retry"])
def test_one_that_is_past_its_time_is_gone(path: str, conversation: Conversation, jobs: Jobs) -> None:
    jobs.moment -= 120.0
    job = jobs.failed()
    answer = conversation.ask(path.replace("ID", job), "GET" if path in READING else "POST")
    detail = problem(answer, 410, "job-gone")
    assert re.search(r"over at \d{4}-.*Z: nothing is kept but that it failed \(reset\) at ", detail)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("queued", "it is queued since 2.*Z: there is no result yet"),
        ("running", "it is running since 2.*Z: there is no result yet"),
        ("failed", r"it failed \(reset\) at 2.*Z: there is no result"),
        ("cancelled", "it was cancelled at 2.*Z: there is no result"),
    ],
)
def test_what_has_no_result_says_how_it_stands(
    state: str, told: str, conversation: Conversation, jobs: Jobs
) -> None:
    job: str = getattr(jobs, state)()
    assert re.fullmatch(told, problem(conversation.ask(f"/jobs/{job}/result"), 409, "wrong-state"))


# doing


def test_a_job_is_cancelled(conversation: Conversation, jobs: Jobs, operations: Orders) -> None:
    waiting, running, again = jobs.queued(), jobs.running(), jobs.begin()
    assert Deferred.fromCoroutine(jobs.store.put_back(again, jobs.moment, jobs.moment)).result
    for job, said in (
        (waiting, "cancelled: it was never sent"),
        (running, "cancelled: its call is cut off"),
        (again.job.id, "cancelled: it is not run again"),
    ):
        with capturedLogs() as events:
            answer = conversation.ask(f"/jobs/{job}/cancel", "POST")
        assert (answer.status, answer.document["done"], answer.document["said"]) == (200, True, said)
        assert (answer.document["job"]["id"], answer.document["job"]["state"]) == (job, "cancelled")
        assert jobs.find(job).state is State.CANCELLED
        assert [event["job"] for event in events] == [job]
    assert operations.observer.ends() == ["cancelled"] * 3


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_is_finished_is_not_cancelled(state: str, conversation: Conversation, jobs: Jobs) -> None:
    job: str = getattr(jobs, state)()
    before = jobs.find(job)
    detail = problem(conversation.ask(f"/jobs/{job}/cancel", "POST"), 409, "wrong-state")
    assert state in detail
    assert "nothing to cancel" in detail
    assert jobs.find(job) == before


def test_a_job_is_sent_again_and_what_to_mind_is_said(conversation: Conversation, jobs: Jobs) -> None:
    fields = ((b"Authorization", b"Bearer s3cret"), (b"Accept", b"*/*"))
    failed, cancelled = jobs.failed(headers=fields), jobs.cancelled(headers=fields)
    bare = "queued again; it goes out without Authorization and Cookie, which are erased when a job ends"
    for job, said in ((failed, f"{bare}; its upstream may have had it before"), (cancelled, bare)):
        with capturedLogs() as events:
            answer = conversation.ask(f"/jobs/{job}/retry", "POST")
        assert (answer.status, answer.document["said"]) == (200, said)
        assert answer.document["job"]["state"] == "queued"
        found = jobs.find(job)
        assert (found.state, found.call.headers) == (State.QUEUED, ((b"Accept", b"*/*"),))
        assert [event["job"] for event in events] == [job]


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
def test_only_what_came_to_nothing_is_sent_again(state: str, conversation: Conversation, jobs: Jobs) -> None:
    job: str = getattr(jobs, state)()
    before = jobs.find(job)
    detail = problem(conversation.ask(f"/jobs/{job}/retry", "POST"), 409, "wrong-state")
    assert state in detail
    assert jobs.find(job) == before


def test_what_was_forgotten_is_neither_sent_again_nor_shown(conversation: Conversation, jobs: Jobs) -> None:
    failed, succeeded = jobs.failed(), jobs.succeeded()
    assert conversation.ask("/jobs/purge?all=yes", "POST").document["purged"] == 2
    assert "request was forgotten" in problem(
        conversation.ask(f"/jobs/{failed}/retry", "POST"), 410, "job-gone"
    )
    assert "result was forgotten" in problem(conversation.ask(f"/jobs/{succeeded}/result"), 410, "job-gone")
    shown = conversation.ask(f"/jobs/{failed}").document
    assert (shown["state"], shown["forgotten"], shown["request"]["kept"]) == ("failed", True, False)


class Hasty(MemoryStore):
    """A store in which a job changes between two questions."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    async def cancel(self, job: str, now: float) -> Any:
        self.meanwhile()
        return await super().cancel(job, now)

    async def retry(self, job: str, now: float) -> Any:
        self.meanwhile()
        return await super().retry(job, now)


def test_what_ended_just_before_is_not_called_cancelled(operations: Orders, converse: Converse) -> None:
    operations.store = store = Hasty("here", 2**30)
    jobs = Jobs(store)
    claim = jobs.begin()
    store.meanwhile = lambda: jobs.end(claim, TIMED_OUT)
    answer = converse().ask(f"/jobs/{claim.job.id}/cancel", "POST")
    assert problem(answer, 409, "wrong-state").startswith("it failed (timeout)")


def test_nor_what_was_forgotten_just_before_queued(operations: Orders, converse: Converse) -> None:
    operations.store = store = Hasty("here", 2**30)
    job = Jobs(store).failed()
    ledger = store.memory.ledger
    store.meanwhile = lambda: ledger.forget(ledger.records[job])
    assert "just now" in problem(converse().ask(f"/jobs/{job}/retry", "POST"), 410, "job-gone")
    store.meanwhile = lambda: ledger.records.pop(job)
    other = Jobs(store).failed()
    job = other
    assert problem(converse().ask(f"/jobs/{other}/retry", "POST"), 404, "unknown-job")


def test_a_purge_says_how_many(conversation: Conversation, jobs: Jobs) -> None:
    made = [jobs.failed(), jobs.failed(), jobs.succeeded()]
    with capturedLogs() as events:
        answer = conversation.ask("/jobs/purge?state=failed", "POST")
        again = conversation.ask("/jobs/purge?state=failed", "POST")
    assert answer.document == {"done": True, "said": "2 jobs forgotten", "purged": 2, "cursor": None}
    assert again.document["said"] == "0 jobs forgotten"
    assert [jobs.find(job).is_forgotten for job in made] == [True, True, False]
    assert [event["jobs"] for event in events] == ["2 jobs"]
    assert conversation.ask("/jobs/purge?older-than=0s", "POST").document["said"] == "1 job forgotten"


@pytest.mark.parametrize(
    "query", ["", "?", "?cursor=1", "?all", "?all=no", "?route", "?route=&all=yes", "?all=yes&stat=failed"]
)
def test_a_purge_of_nobody_knows_what_does_nothing(
    query: str, conversation: Conversation, jobs: Jobs
) -> None:
    job = jobs.failed()
    assert problem(conversation.ask(f"/jobs/purge{query}", "POST"), 400, "bad-query")
    assert not jobs.find(job).is_forgotten


def test_a_long_purge_leaves_the_reactor_its_turns(
    conversation: Conversation, jobs: Jobs, clock: Clock
) -> None:
    for _ in range(250):
        jobs.failed()
    conversation.begin("/jobs/purge?all=yes")
    assert conversation.transport.value() == b""
    clock.advance(0)
    assert conversation.answered().document["purged"] == 250


# what cannot be done


def test_a_store_that_is_away_is_a_sentence(operations: Orders, converse: Converse) -> None:
    for path, method in [("ID", "GET"), ("ID/result", "GET"), ("ID/cancel", "POST"), ("ID/retry", "POST")]:
        operations.store = AwayStore(find=0)
        answer = converse().ask(f"/jobs/{path.replace('ID', 'A' * 27)}", method)
        assert problem(answer, 503, "store-away") == (
            "the store of jobs is away (connection refused); what was asked for may have been done, or not: "
            "ask again when it is back"
        )
    operations.store = AwayStore(list_jobs=0)
    assert problem(converse().ask("/jobs"), 503, "store-away")


def test_it_may_go_away_in_the_middle(operations: Orders, converse: Converse) -> None:
    store = operations.store = AwayStore(cancel=0, retry=0, forget=1)
    jobs = Jobs(store)
    queued, failed, _ = jobs.queued(), jobs.failed(), jobs.failed()
    for path in (f"/jobs/{queued}/cancel", f"/jobs/{failed}/retry"):
        assert problem(converse().ask(path, "POST"), 503, "store-away")
    answer = converse().ask("/jobs/purge?all=yes", "POST")
    assert "1 job forgotten before" in problem(answer, 503, "store-away")


class Full(MemoryStore):
    """A store without room."""

    async def retry(self, job: str, now: float) -> Any:
        raise StoreFull


def test_a_store_without_room_is_a_sentence(operations: Orders, converse: Converse) -> None:
    operations.store = store = Full("here", 2**30)
    answer = converse().ask(f"/jobs/{Jobs(store).failed()}/retry", "POST")
    assert problem(answer, 503, "store-full")


@pytest.mark.parametrize("path", ["/jobs/", "//jobs", "/jobs/ID/", "/jobs/ID/stop", "/jobs//cancel", "/Jobs"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_nothing_else(path: str, method: str, conversation: Conversation, jobs: Jobs) -> None:
    answer = conversation.ask(path.replace("ID", jobs.queued()), method)
    assert (answer.status, answer.document["reason"]) == (404, "no-route")


# who may


@pytest.mark.parametrize("path", [*READING, *DOING])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_each_is_for_its_own_methods(path: str, method: str, conversation: Conversation, jobs: Jobs) -> None:
    job = jobs.queued()
    answer = conversation.ask(path.replace("ID", job), method)
    allowed = ("GET", "HEAD") if path in READING else ("POST",)
    if method not in allowed:
        assert (answer.status, answer.headers["allow"]) == (405, ", ".join(allowed).lower())
        assert jobs.find(job).state is State.QUEUED
    else:
        assert answer.status != 405


@pytest.mark.parametrize("path", DOING)
@pytest.mark.parametrize(
    "field",
    [
        "Origin: http://localhost",
        "Origin: null",
        "Sec-Fetch-Site: same-origin",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: text/plain",
        "Content-Type: multipart/form-data; boundary=x",
    ],
)
def test_a_web_page_has_nothing_done(path: str, field: str, conversation: Conversation, jobs: Jobs) -> None:
    made = [jobs.queued(), jobs.failed()]
    before = [jobs.find(job) for job in made]
    for job in made:
        conversation.begin(path.replace("ID", job), field, "Content-Length: 0")
        answer = conversation.answered()
        assert (answer.status, answer.document["reason"]) == (403, "cross-site")
    assert [jobs.find(job) for job in made] == before


@pytest.mark.parametrize("path", [*READING, *DOING])
def test_nobody_is_told_or_has_anything_done_without_the_token(
    path: str, converse: Converse, make_site: MakeSite, jobs: Jobs
) -> None:
    job = jobs.failed()
    before = jobs.find(job)
    method = "GET" if path in READING else "POST"
    conversation = converse(make_site("s3cret"))
    target = path.replace("ID", job)
    assert conversation.ask(target, method).status == 401
    assert conversation.ask(target, method, Authorization="Bearer wrong").status == 401
    foreign = conversation.ask(target, method, host="evil.example", Authorization="Bearer s3cret")
    assert foreign.status == 421
    assert jobs.find(job) == before


@pytest.fixture
def served(tmp_path: Path, view: Any, reactor: Any, jobs: Jobs, operations: Orders) -> Iterator[Any]:
    """A real site on a unix socket, and how to ask it."""
    path = str(tmp_path / "admin.sock")
    port = reactor.listenUNIX(path, real_site(view, reactor, operations))
    agent = Agent.usingEndpointFactory(reactor, To(UNIXClientEndpoint(reactor, path)))

    async def ask(method: str, target: str) -> tuple[int, bytes]:
        response = await agent.request(method.encode(), f"http://localhost{target}".encode())
        return response.code, await treq.content(response)

    yield ask
    port.stopListening()


async def test_all_of_it_over_a_real_socket(served: Any, jobs: Jobs) -> None:
    large = jobs.succeeded(LARGE * 8)
    failed = jobs.failed()
    assert await served("GET", f"/jobs/{large}/result") == (200, LARGE * 8)
    status, body = await served("POST", f"/jobs/{failed}/retry")
    assert (status, json.loads(body)["job"]["state"]) == (200, "queued")
    status, body = await served("POST", "/jobs/purge?all=yes")
    assert (status, json.loads(body)["purged"]) == (200, 1)
    status, body = await served("GET", "/jobs?state=queued")
    assert [job["id"] for job in json.loads(body)["jobs"]] == [failed]
