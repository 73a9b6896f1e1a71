from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.actions.asking import ALICE, BOB, KEYS, Scene, document_of, field_of
from tests.background.begun import result_of
from twistedgate.jobs.job import INLINE, State
from twistedgate.stores.memory import MemoryStore
from twistedgate.testing import Answer, Client

ROUTE = "[route:reports]\npath = /reports/*\nupstream = u\nasync = optional\nasync_max_wait = 20s\n"
OWNED = f"{KEYS}{ROUTE}policies = key-auth:k\n"
NOBODYS = f"{KEYS}{ROUTE}"


def problem(answer: Answer) -> tuple[int, str]:
    assert field_of(answer.headers, b"content-type") == "application/problem+json"
    return answer.status, answer.reason


class Asking:
    """Alice has a job, and somebody asks about it."""

    def __init__(self, text: str = OWNED) -> None:
        self.scene = Scene(text)
        self.where = self.scene.submit(ALICE)

    def get(self, below: str = "", who: dict[str, str] = ALICE, **fields: str) -> Answer:
        """Ask about the job."""
        return self.ask(
            "GET", below, {**who, **{name.replace("_", "-"): text for name, text in fields.items()}}
        )

    def ask(self, method: str, below: str = "", headers: dict[str, str] = ALICE) -> Answer:
        """Ask something else of it."""
        return self.scene.ask(method, f"{self.where}{below}", headers)

    def begin(self, below: str = "", headers: dict[str, str] = ALICE) -> Client:
        """Ask for what may take a while."""
        return self.scene.begin("GET", f"{self.where}{below}", headers)

    @property
    def state(self) -> State:
        """How the job stands."""
        return self.scene.job().state


# who may ask


def unknown(asking: Asking) -> list[tuple[str, str, dict[str, str]]]:
    """Return ways to ask that find nothing."""
    job, none = asking.where, "/_jobs/AAAAAAAAAAAAAAAAAAAAAAAAAAA"
    return [
        ("another's", job, BOB),
        ("nobody", job, {}),
        ("a wrong key", job, {"X-API-Key": "wrong"}),
        ("an unknown id", none, ALICE),
        ("an unknown id and nobody", none, {}),
        ("an id that cannot be", "/_jobs/a.b~c", ALICE),
        ("none of the resources", f"{job}/request", ALICE),
        ("a resource of a resource", f"{job}/result/x", ALICE),
    ]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("below", ["", "/result", "/events"])
def test_what_one_may_not_know_is_not_there_by_any_method(method: str, below: str) -> None:
    asking = Asking()
    answers = [asking.scene.ask(method, f"{url}{below}", who) for _, url, who in unknown(asking)]
    assert {problem(answer) for answer in answers} == {(404, "unknown-job")}
    assert len({(answer.body, tuple(answer.headers.fields)) for answer in answers}) == 1
    assert asking.state is State.RUNNING


@pytest.mark.parametrize("spelled", ["{job}/", "/_jobs/", "/_jobs/result", "{job}/result/"])
def test_a_slash_too_many_is_another_resource(spelled: str) -> None:
    asking = Asking()
    answer = asking.scene.ask("GET", spelled.format(job=asking.where), ALICE)
    assert problem(answer) == (404, "unknown-job")


def test_nobody_has_a_list() -> None:
    asking = Asking()
    for method in ("GET", "POST", "OPTIONS"):
        for who in ({}, {"X-API-Key": "wrong"}):
            assert problem(asking.scene.ask(method, "/_jobs", who)) == (404, "unknown-job")


def test_a_job_of_nobody_is_known_to_whoever_knows_its_id() -> None:
    asking = Asking(NOBODYS)
    for who in ({}, ALICE, {"X-API-Key": "wrong"}):
        assert asking.get(who=who).status == 200
    assert problem(asking.scene.ask("GET", "/_jobs")) == (404, "unknown-job")


def test_the_named_policies_stand_before_jobs() -> None:
    route = OWNED.replace("policies = key-auth:k", "policies = key-auth:k, key-auth:other")
    scene = Scene(f"[gateway]\njobs_policies = key-auth:k\n[key-auth:other]\nheader = X-Other\n{route}")
    where = scene.submit({**ALICE, "X-Other": "bob-key"})
    assert scene.ask("GET", where, {"X-Other": "alice-key"}).status == 404
    assert scene.ask("GET", where, ALICE).status == 200


def test_jobs_are_asked_for_before_all_routes_and_elsewhere_if_so_configured() -> None:
    every = '[route:all]\npath = *\nrespond = 200 "all"\npriority = 9\n'
    route = NOBODYS.replace("path = /reports/*", "path = /reports/*\npriority = 10")
    scene = Scene(f"[gateway]\njobs_path = /a/tasks\n{route}{every}")
    where = scene.submit()
    assert where.startswith("/a/tasks/")
    answer = scene.ask("GET", where)
    assert document_of(answer)["links"]["result"] == f"{where}/result"
    assert scene.ask("GET", "/_jobs/x").body == b"all"
    assert scene.made.observed[-2].route == "_jobs"


# how a job stands


def test_tells_how_a_job_stands() -> None:
    asking = Asking()
    answer = asking.get()
    document = document_of(answer)
    assert (answer.status, field_of(answer.headers, b"content-type")) == (200, "application/json")
    assert (document["state"], document["attempts"], document["status"]) == ("running", 1, None)
    assert (field_of(answer.headers, b"location"), field_of(answer.headers, b"retry-after")) == (
        asking.where,
        "1",
    )
    asking.scene.finish(status=201)
    answer = asking.get()
    document = document_of(answer)
    assert (document["state"], document["status"]) == ("succeeded", 201)
    assert not answer.headers.has(b"location")
    assert not answer.headers.has(b"retry-after")


def test_who_knows_how_it_stands_gets_304() -> None:
    asking = Asking()
    tag = field_of(asking.get().headers, b"etag")
    known = asking.get(If_None_Match=f'"other", W/{tag}')
    assert (known.status, known.body, field_of(known.headers, b"etag")) == (304, b"", tag)
    assert field_of(known.headers, b"location") == asking.where
    assert field_of(known.headers, b"retry-after") == "1"
    asking.scene.finish()
    assert asking.get(If_None_Match=tag).status == 200


def test_a_head_has_the_fields_of_a_get() -> None:
    asking = Asking()
    head, get = asking.ask("HEAD"), asking.get()
    assert (head.status, head.body, head.headers.fields) == (200, b"", get.headers.fields)


@pytest.mark.parametrize(
    ("below", "allowed"),
    [
        ("", "GET, HEAD, DELETE, OPTIONS"),
        ("/result", "GET, HEAD, OPTIONS"),
        ("/events", "GET, HEAD, OPTIONS"),
    ],
)
def test_what_there_is_says_how_it_may_be_asked_for(below: str, allowed: str) -> None:
    asking = Asking()
    options, post = asking.ask("OPTIONS", below), asking.ask("POST", below)
    assert (options.status, field_of(options.headers, b"allow")) == (204, allowed)
    assert problem(post) == (405, "method-not-allowed")
    assert field_of(post.headers, b"allow") == allowed
    location = field_of(asking.get().headers, b"location")
    assert location
    assert [field_of(answer.headers, b"location") for answer in (options, post)] == [location] * 2


@pytest.mark.parametrize("below", ["", "/result"])
def test_who_waits_is_told_when_it_is_finished(below: str) -> None:
    asking = Asking()
    client = asking.begin(below, {**ALICE, "Prefer": "wait=5"})
    asking.scene.advance(4.0)
    assert not client.is_done
    asking.scene.finish()
    assert client.answer is not None
    assert client.answer.status == 200
    assert client.answer.body == b"out" if below else document_of(client.answer)["state"] == "succeeded"
    assert (asking.scene.clock.getDelayedCalls(), asking.scene.store.memory.watches) == ([], {})


@pytest.mark.parametrize(("below", "status"), [("", 200), ("/result", 409)])
@pytest.mark.parametrize(("wait", "held"), [(5, 5.0), (600, 20.0)])
def test_nobody_waits_for_longer_than_he_may(below: str, status: int, wait: int, held: float) -> None:
    asking = Asking()
    client = asking.begin(below, {**ALICE, "Prefer": f"wait={wait}"})
    asking.scene.advance(held - 0.1)
    assert not client.is_done
    asking.scene.advance(0.1)
    assert client.status == status


def test_who_leaves_while_he_waits_changes_nothing() -> None:
    asking = Asking()
    asking.begin("", {**ALICE, "Prefer": "wait=5"}).leave()
    assert (asking.state, asking.scene.store.memory.watches) == (State.RUNNING, {})


# its result


def test_the_result_is_the_upstreams_answer_as_it_was() -> None:
    asking = Asking()
    headers = ((b"Content-Type", b"text/csv"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))
    asking.scene.finish(b"out", status=422, headers=headers, phrase=b"No")
    for _ in range(2):
        answer = asking.get("/result")
        assert (answer.status, answer.body, answer.reason) == (422, b"out", "")
        assert answer.headers.get_all(b"set-cookie") == [b"a=1", b"b=2"]
        assert field_of(answer.headers, b"job-id") == asking.where.rpartition("/")[2]


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 3 * INLINE])
def test_a_result_of_any_size_is_given_as_it_was(size: int) -> None:
    asking = Asking()
    whole = bytes(range(256)) * (size // 256 + 1)
    asking.scene.finish(whole[:size])
    answer = asking.get("/result")
    assert (answer.status, answer.body == whole[:size], answer.is_whole) == (200, True, True)
    assert asking.ask("HEAD", "/result").body == b""


def test_there_is_no_result_before_the_end() -> None:
    asking = Asking()
    answer = asking.get("/result")
    assert problem(answer) == (409, "job-unfinished")
    assert field_of(answer.headers, b"retry-after") == "1"
    assert field_of(answer.headers, b"location") == asking.where


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("connect-failed", 502),
        ("no-target", 502),
        ("too-many", 502),
        ("reset", 502),
        ("bad-response", 502),
        ("result-too-large", 502),
        ("interrupted", 502),
        ("route-gone", 502),
        ("timeout", 504),
        ("expired-in-queue", 504),
    ],
)
def test_the_result_of_a_failed_job_is_its_reason(reason: str, status: int) -> None:
    asking = Asking()
    asking.scene.fail(reason)
    answer = asking.get("/result")
    assert problem(answer) == (status, reason)
    assert json.loads(answer.body)["reason"] == reason


def test_a_cancelled_or_forgotten_result_is_gone() -> None:
    cancelled, forgotten = Asking(), Asking()
    cancelled.ask("DELETE")
    assert problem(cancelled.get("/result")) == (410, "job-cancelled")
    forgotten.scene.finish()
    forgotten.ask("DELETE")
    assert problem(forgotten.get("/result")) == (410, "job-gone")
    assert document_of(forgotten.get())["state"] == "succeeded"


def test_past_its_ttl_a_job_is_gone_and_later_was_never_there() -> None:
    asking = Asking()
    asking.scene.finish()
    asking.scene.advance(3600.0)
    for method, below in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")):
        assert problem(asking.ask(method, below)) == (410, "job-gone")
    assert asking.get(who=BOB).status == 404
    asking.scene.advance(3600.0)
    assert problem(asking.get()) == (404, "unknown-job")


def test_a_result_that_is_forgotten_on_its_way_is_cut_short() -> None:
    asking = Asking()
    asking.scene.finish(b"x" * (3 * INLINE))
    client = asking.begin("/result")
    assert client.answer is not None
    assert client.answer.is_whole
    asking.scene.store.memory.ledger.pieces.drop(asking.scene.job().id, "result")
    assert problem(asking.get("/result")) == (410, "job-gone")


# its end


def test_a_job_that_waits_is_cancelled_and_never_run() -> None:
    asking = Asking(f"{OWNED}async_concurrency = 1\n")
    queued = asking.scene.submit(ALICE)
    assert asking.scene.ask("DELETE", queued, ALICE).status == 204
    assert document_of(asking.scene.ask("GET", queued, ALICE))["state"] == "cancelled"
    assert len(asking.scene.claims) == 1


@pytest.mark.parametrize("end", [lambda asking: None, lambda asking: asking.scene.finish()])
def test_to_remove_a_job_twice_is_no_error(end: Callable[[Asking], None]) -> None:
    asking = Asking()
    end(asking)
    for _ in range(2):
        answer = asking.ask("DELETE")
        assert (answer.status, answer.body) == (204, b"")


def test_a_job_that_ends_before_it_is_cancelled_is_forgotten() -> None:
    asking = Asking()
    asking.scene.store.before_cancel = asking.scene.finish
    assert asking.ask("DELETE").status == 204
    assert (asking.state, asking.scene.job().is_forgotten) == (State.SUCCEEDED, True)


@pytest.mark.parametrize("below", ["", "/result", "/events"])
@pytest.mark.parametrize("is_here", [True, False])
def test_a_process_that_ends_holds_nobody_for_what_it_does_not_run(below: str, is_here: bool) -> None:
    asking = Asking()
    headers = {**ALICE, "Prefer": "wait=5"}
    before = asking.begin(below, headers)
    assert not before.is_done
    asking.scene.jobs.end_waits(lambda job: is_here)
    after = asking.begin(below, headers)
    for client in (before, after):
        assert client.is_done is not is_here
        assert client.answer is not None or is_here
    if is_here:
        asking.scene.finish()
    elif below == "/events":
        assert before.answer is not None
        assert before.answer.is_whole
        assert before.answer.body.count(b"event: running") == 1
    assert asking.scene.store.memory.watches == {}


# its events


def test_events_are_told_as_they_come_and_end_with_the_job() -> None:
    asking = Asking(f"{OWNED}async_concurrency = 1\n")
    queued = asking.scene.submit(ALICE)
    client = asking.scene.begin("GET", f"{queued}/events", ALICE)
    answer = client.answer
    assert answer is not None
    assert field_of(answer.headers, b"content-type") == "text/event-stream"
    assert field_of(answer.headers, b"cache-control") == "no-store"
    assert b"event: queued\n" in answer.body
    asking.scene.ask("DELETE", queued, ALICE)
    assert answer.body.count(b"\nevent: ") == 2
    assert b'"state":"cancelled"' in answer.body
    assert (answer.is_whole, client.is_done) == (True, True)
    assert asking.scene.store.memory.watches == {}


def test_silence_is_broken_every_quarter_of_a_minute() -> None:
    asking = Asking()
    client = asking.begin("/events")
    assert client.answer is not None
    before = client.answer.body
    for _ in range(2):
        asking.scene.advance(15.0)
    assert client.answer.body.removeprefix(before).count(b": ") == 2
    client.leave()
    assert (asking.scene.clock.getDelayedCalls(), asking.scene.store.memory.watches) == ([], {})


def test_who_comes_back_is_told_what_is_new() -> None:
    asking = Asking()
    first = asking.begin("/events")
    assert first.answer is not None
    (version,) = [line[4:] for line in first.answer.body.split(b"\n") if line.startswith(b"id: ")]
    first.leave()
    again = asking.begin("/events", {**ALICE, "Last-Event-ID": version.decode()})
    assert again.answer is not None
    assert b"event: " not in again.answer.body
    asking.scene.finish()
    assert again.answer.body.count(b"event: succeeded\n") == 1
    assert again.answer.is_whole


def test_who_knows_the_end_is_not_asked_to_come_back() -> None:
    asking = Asking()
    asking.scene.finish()
    told = asking.get("/events")
    (version,) = [line[4:] for line in told.body.split(b"\n") if line.startswith(b"id: ")]
    assert asking.get("/events", Last_Event_ID=version.decode()).status == 204
    assert asking.get("/events", Last_Event_ID="nonsense").body == told.body


def test_events_wait_for_who_takes_them() -> None:
    asking = Asking()
    client = asking.begin("/events")
    source = client._source
    assert client.answer is not None
    assert source is not None
    source.pause()
    before = client.answer.body
    asking.scene.advance(15.0)
    asking.scene.advance(15.0)
    asking.scene.finish()
    assert client.answer.body.count(b": still") <= before.count(b": still") + 1
    source.resume()
    assert client.answer.body.endswith(b"\n\n")
    assert (b"event: succeeded" in client.answer.body, client.answer.is_whole) == (True, True)


# the list


def test_the_list_is_the_callers_own_newest_first() -> None:
    asking = Asking()
    second = asking.scene.submit(ALICE)
    asking.scene.submit(BOB)
    answer = asking.scene.ask("GET", "/_jobs", ALICE)
    listed = document_of(answer)
    assert [job["links"]["self"] for job in listed["jobs"]] == [second, asking.where]
    assert listed["cursor"] is None
    assert asking.scene.ask("HEAD", "/_jobs", ALICE).headers.fields == answer.headers.fields


def test_a_list_has_pages_and_may_be_of_one_state() -> None:
    asking = Asking()
    asking.scene.finish()
    urls = [asking.where, *(asking.scene.submit(ALICE) for _ in range(4))]
    first = asking.scene.ask("GET", "/_jobs?limit=2&state=running", ALICE)
    link = field_of(first.headers, b"link")
    rest = asking.scene.ask("GET", link[1:].partition(">")[0], ALICE)
    found = [job["links"]["self"] for page in (first, rest) for job in document_of(page)["jobs"]]
    assert found == urls[:0:-1]
    assert not rest.headers.has(b"link")
    done = document_of(asking.scene.ask("GET", "/_jobs?state=succeeded", ALICE))
    assert [job["links"]["self"] for job in done["jobs"]] == [asking.where]


@pytest.mark.parametrize(
    "query",
    ["state=done", "limit=0", "limit=101", "limit=x", "limit=", "limit=-1", "cursor=%00x", "limit=1&limit=2"],
)
def test_a_list_of_nonsense_is_refused(query: str) -> None:
    asking = Asking()
    answer = asking.scene.ask("GET", f"/_jobs?{query}", ALICE)
    assert problem(answer) == (400, "bad-query")
    assert "state, limit (1 to 100), cursor" in document_of(answer)["title"]


def test_what_else_is_in_the_query_is_somebody_elses() -> None:
    assert Asking().scene.ask("GET", "/_jobs?a=1&a=2&state=", ALICE).status == 200


def test_the_list_says_how_it_may_be_asked_for() -> None:
    asking = Asking()
    options, post = (asking.scene.ask(method, "/_jobs", ALICE) for method in ("OPTIONS", "POST"))
    assert (options.status, field_of(options.headers, b"allow")) == (204, "GET, HEAD, OPTIONS")
    assert problem(post) == (405, "method-not-allowed")


# the store


@pytest.mark.parametrize(
    ("method", "url"), [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", ""), ("GET", None)]
)
def test_a_store_that_is_away_is_503(method: str, url: str | None) -> None:
    asking = Asking()
    asking.scene.store.is_away = True
    answer = asking.scene.ask(method, "/_jobs" if url is None else f"{asking.where}{url}", ALICE)
    assert problem(answer) == (503, "store-away")
    assert field_of(answer.headers, b"retry-after") == "1"


def test_events_end_where_the_store_goes_away() -> None:
    asking = Asking()
    client = asking.begin("/events")
    asking.scene.store.is_away = True
    asking.scene.advance(15.0)
    assert client.is_cut


# what is told, and written down


@pytest.mark.parametrize("below", ["", "/result", "/events"])
def test_who_asks_for_a_job_is_written_down_by_its_id(below: str) -> None:
    asking = Asking()
    asking.scene.finish()
    asking.get(below)
    asking.get(below, BOB)
    identity = asking.scene.claims[0].job.id
    assert [exchange.job for exchange in asking.scene.made.observed] == [identity, identity, ""]


def test_a_job_that_is_cancelled_ends_once() -> None:
    asking = Asking()
    for _ in range(2):
        asking.ask("DELETE")
    assert asking.scene.listener.ends() == ["cancelled"]


def test_a_job_that_somebody_else_cancels_just_before_is_his() -> None:
    asking = Asking()
    store, identity = asking.scene.store, asking.scene.claims[0].job.id
    others = MemoryStore("another", 1 << 20, store.memory)
    store.before_cancel = lambda: result_of(others.cancel(identity, asking.scene.wall()))
    asking.ask("DELETE")
    assert (asking.state, asking.scene.listener.ends()) == (State.CANCELLED, [])
