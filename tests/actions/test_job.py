from __future__ import annotations

import json

import pytest

from tests.actions.asking import ALICE, BOB, KEYS, WALL, Scene, document_of, field_of
from twistedgate.actions.job import JobAction
from twistedgate.actions.proxy import Proxy
from twistedgate.jobs.job import INLINE, State
from twistedgate.jobs.store import REQUEST
from twistedgate.testing import Answer, Body

ASYNC = {"Prefer": "respond-async"}

ROUTE = "[route:reports]\npath = /reports/*\nupstream = u\n"


def optional(text: str = "", policies: str = "") -> Scene:
    return Scene(f"{KEYS}{ROUTE}async = optional\n{text}\n{policies}")


def always(text: str = "") -> Scene:
    return Scene(f"{KEYS}{ROUTE}async = always\n{text}\n")


def reason(answer: Answer) -> tuple[int, str]:
    assert field_of(answer.headers, b"content-type") == "application/problem+json"
    assert json.loads(answer.body)["reason"] == answer.reason
    return answer.status, answer.reason


# who asks


@pytest.mark.parametrize(
    "prefer", [None, "", "wait=5", "return=minimal", "respond-async=1", "xrespond-async"]
)
def test_who_does_not_ask_is_answered_as_ever(prefer: str | None) -> None:
    scene = optional()
    answer = scene.ask("POST", "/reports/7", {} if prefer is None else {"Prefer": prefer}, b"in")
    assert (answer.status, scene.kept, len(scene.upstream.sent)) == (200, 0, 1)
    assert scene.upstream.sent[0].headers.get(b"prefer") == (None if prefer is None else prefer.encode())


@pytest.mark.parametrize(
    "prefer", ["respond-async", "Respond-Async, wait=0", "return=minimal, respond-async"]
)
def test_who_asks_gets_202_and_where_to_ask_again(prefer: str) -> None:
    scene = optional()
    answer = scene.ask("POST", "/reports/7?a=1", {"Prefer": prefer}, b"in")
    (claim,) = scene.claims
    where = f"/_jobs/{claim.job.id}"
    assert (answer.status, scene.upstream.sent) == (202, [])
    assert field_of(answer.headers, b"location") == where
    assert field_of(answer.headers, b"retry-after") == "1"
    assert field_of(answer.headers, b"preference-applied") == "respond-async"
    assert field_of(answer.headers, b"vary") == "Prefer"
    assert field_of(answer.headers, b"content-type") == "application/json"
    document = document_of(answer)
    assert (document["id"], document["state"], document["links"]["self"]) == (claim.job.id, "running", where)
    assert (document["route"], document["method"], document["path"]) == ("reports", "POST", "/reports/7")


def test_of_an_always_route_every_call_is_a_job() -> None:
    scene = always()
    assert (scene.ask("GET", "/reports").status, scene.kept) == (202, 1)


def test_what_policies_refuse_is_no_job() -> None:
    scene = optional("policies = key-auth:k")
    answer = scene.ask("POST", "/reports/7", ASYNC, b"in")
    assert (reason(answer), scene.kept) == ((401, "no-credentials"), 0)


# what is recorded


def test_the_call_is_recorded_as_it_would_be_sent() -> None:
    scene = optional("policies = key-auth:k\nasync_retries = 2\nasync_delivery = at-least-once\n")
    headers = {
        "Prefer": "respond-async, handling=lenient, wait=0",
        "Accept": "text/plain",
        "Authorization": "Basic eA==",
        "Cookie": "a=b",
        "Job-Id": "mine",
        **ALICE,
    }
    scene.ask("POST", "https://api.example.com/reports/7?a=1", headers, b"in")
    job = scene.claims[0].job
    call = job.call
    assert (call.method, call.path, call.query, call.authority) == (
        "POST",
        "/reports/7",
        "?a=1",
        "api.example.com",
    )
    assert (call.scheme, call.client, call.listener, call.request_id) == (
        "https",
        "192.0.2.1",
        "memory",
        "request-1",
    )
    assert (call.consumer, call.length, scene.claims[0].body) == ("alice", 2, b"in")
    assert [pair for pair in call.headers if pair[0] != b"Host"] == [
        (b"Accept", b"text/plain"),
        (b"X-Consumer", b"alice"),
        (b"Prefer", b"handling=lenient"),
    ]
    assert (job.route, job.owner, job.caller) == ("reports", "key-auth:k/alice", "key-auth:k/alice")
    assert (job.terms.ttl, job.terms.queue_timeout, job.terms.retries) == (3600.0, 3600.0, 2)
    assert (job.terms.delivery, job.submitted) == ("at-least-once", WALL)


def test_a_job_of_nobody_is_an_addresses() -> None:
    scene = optional()
    scene.submit()
    assert (scene.claims[0].job.owner, scene.claims[0].job.caller) == ("", "/reports/192.0.2.1")


def test_credentials_are_kept_where_the_route_says_so() -> None:
    scene = optional("async_keep_headers = authorization, Cookie")
    scene.submit({"Authorization": "Basic eA==", "Cookie": "a=b"})
    names = {name for name, _ in scene.claims[0].job.call.headers}
    assert {b"Authorization", b"Cookie"} <= names


def test_the_body_is_read_whole_first() -> None:
    scene, body = optional(), Body(b"half ")
    client = scene.begin("POST", "/reports/7", ASYNC, body)
    assert (client.is_done, scene.kept) == (False, 0)
    client.send(b"of it")
    client.finish()
    assert (client.status, scene.claims[0].body) == (202, b"half of it")


def test_a_large_body_goes_into_the_store_in_pieces() -> None:
    scene, body = optional(), Body(b"x" * INLINE, b"y" * INLINE)
    client = scene.begin("POST", "/reports/7", ASYNC, body)
    client.send(b"z")
    client.finish()
    (claim,) = scene.claims
    pieces = scene.store.memory.ledger.pieces
    assert (client.status, claim.body, claim.job.call.length) == (202, None, 2 * INLINE + 1)
    assert [pieces.get(claim.job.id, REQUEST, number) for number in (0, 1, 2)] == [
        b"x" * INLINE,
        b"y" * INLINE,
        b"z",
    ]


@pytest.mark.parametrize("size", [10, INLINE + 10])
def test_a_client_that_leaves_before_its_body_is_complete_leaves_nothing(size: int) -> None:
    scene, body = optional(), Body(b"x" * size)
    client = scene.begin("POST", "/reports/7", ASYNC, body)
    client.leave()
    assert (client.is_done, client.answer, scene.kept) == (True, None, 0)
    assert scene.store.memory.ledger.used == 0


def test_a_client_that_waits_to_be_told_to_send_is_told() -> None:
    scene, body = optional(), Body()
    client = scene.begin("POST", "/reports/7", {**ASYNC, "Expect": "100-continue"}, body)
    assert [interim.status for interim in client.interims] == [100]
    client.send(b"in")
    client.finish()
    assert client.status == 202


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def test_an_upgrade_is_no_job() -> None:
    scene = optional()
    assert scene.ask("GET", "/reports/7", {**ASYNC, **WEBSOCKET}).status == 200
    assert (scene.kept, len(scene.upstream.sent)) == (0, 1)


def test_an_upgrade_is_refused_where_every_call_is_a_job() -> None:
    scene = always()
    assert reason(scene.ask("GET", "/reports/7", WEBSOCKET)) == (400, "no-upgrade")
    assert scene.kept == 0


@pytest.mark.parametrize("fields", [{}, {**ASYNC, **WEBSOCKET}])
def test_a_call_that_is_no_job_cannot_say_that_it_is_one(fields: dict[str, str]) -> None:
    scene = optional()
    assert scene.ask("GET", "/reports/7", {"Job-Id": "forged", **fields}).status == 200
    assert scene.upstream.sent[0].headers.get(b"job-id") is None


# refused


def test_too_large_a_body_is_refused() -> None:
    scene = optional("max_body = 4")
    assert reason(scene.ask("POST", "/reports/7", ASYNC, b"12345")) == (413, "body-too-large")
    body = Body(b"123")
    client = scene.begin("POST", "/reports/7", ASYNC, body)
    client.send(b"45")
    assert (client.status, scene.kept) == (413, 0)


def test_a_full_queue_is_503() -> None:
    scene = optional("policies = key-auth:k\nasync_concurrency = 1\nasync_max_queued = 2")
    for headers in (ALICE, ALICE, BOB):
        scene.submit(headers)
    refused = scene.ask("POST", "/reports/7", {**ASYNC, **BOB}, b"in")
    assert reason(refused) == (503, "queue-full")
    assert field_of(refused.headers, b"retry-after") == "1"
    assert (len(scene.claims), scene.kept) == (1, 3)


def test_a_callers_full_share_is_429() -> None:
    scene = optional("policies = key-auth:k\nasync_concurrency = 1\nasync_max_queued_per_caller = 1")
    for headers in (ALICE, ALICE, BOB):
        scene.submit(headers)
    refused = scene.ask("POST", "/reports/7", {**ASYNC, **ALICE}, b"in")
    assert reason(refused) == (429, "caller-full")
    assert field_of(refused.headers, b"retry-after") == "1"
    assert scene.kept == 3


def test_what_is_refused_leaves_no_pieces() -> None:
    scene = optional("async_concurrency = 1\nasync_max_queued = 1")
    scene.submit()
    scene.submit()
    used = scene.store.memory.ledger.used
    assert scene.ask("POST", "/reports/7", ASYNC, b"x" * (INLINE + 1)).status == 503
    assert scene.store.memory.ledger.used == used


def test_a_full_memory_is_503() -> None:
    scene = Scene(f"{ROUTE}async = optional\n", state_max=4000)
    scene.submit()
    assert reason(scene.ask("POST", "/reports/7", ASYNC, b"in")) == (503, "store-full")
    assert reason(scene.ask("POST", "/reports/7", ASYNC, b"x" * (INLINE + 1))) == (503, "store-full")


@pytest.mark.parametrize("size", [2, INLINE + 1])
def test_a_store_that_is_away_is_503(size: int) -> None:
    scene = optional()
    scene.store.is_away = True
    answer = scene.ask("POST", "/reports/7", ASYNC, b"x" * size)
    assert (reason(answer), scene.kept) == ((503, "store-away"), 0)
    assert field_of(answer.headers, b"retry-after") == "1"


# held


def test_who_is_held_gets_the_upstreams_own_answer() -> None:
    scene = optional()
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.advance(4.0)
    assert not client.is_done
    scene.finish(
        b"out", status=201, headers=((b"Content-Type", b"text/plain"), (b"X-A", b"1")), phrase=b"Made"
    )
    answer = client.answer
    assert answer is not None
    assert (answer.status, answer.body) == (201, b"out")
    assert field_of(answer.headers, b"preference-applied") == "respond-async, wait=5"
    assert field_of(answer.headers, b"x-a") == "1"
    assert field_of(answer.headers, b"job-id") == scene.job().id
    assert (len(scene.claims), scene.clock.getDelayedCalls()) == (1, [])


def test_who_was_held_long_enough_gets_202() -> None:
    scene = optional()
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.advance(5.0)
    assert (client.status, client.answer and document_of(client.answer)["state"]) == (202, "running")
    assert scene.store.memory.watches == {}
    scene.finish()
    assert len(scene.claims) == 1


def test_nobody_is_held_for_longer_than_the_route_says() -> None:
    scene = optional("async_max_wait = 2s")
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=60"}, b"in")
    scene.advance(1.9)
    assert not client.is_done
    scene.advance(0.1)
    assert client.status == 202


def test_a_route_may_hold_who_says_nothing_of_it() -> None:
    scene = always("async_wait = 3s")
    client = scene.begin("POST", "/reports/7", (), b"in")
    scene.advance(2.0)
    scene.finish()
    assert client.answer is not None
    assert (client.answer.status, client.answer.body) == (200, b"out")
    assert field_of(client.answer.headers, b"preference-applied") == "respond-async"
    impatient = scene.ask("POST", "/reports/7", {"Prefer": "wait=0"}, b"in")
    assert impatient.status == 202


def test_a_large_answer_is_streamed_to_who_is_held() -> None:
    scene, whole = optional(), b"x" * INLINE + b"y" * INLINE + b"z"
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.finish(whole)
    assert client.answer is not None
    assert (client.answer.body, client.answer.is_whole) == (whole, True)


def test_the_answer_to_a_head_has_no_body() -> None:
    scene = optional()
    client = scene.begin("HEAD", "/reports/7", {"Prefer": "respond-async, wait=5"})
    scene.finish(b"x" * (2 * INLINE))
    assert client.answer is not None
    assert (client.answer.status, client.answer.body, client.is_done) == (200, b"", True)


def test_a_client_that_leaves_while_held_changes_nothing() -> None:
    scene = optional()
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    client.leave()
    assert (client.is_done, client.answer, scene.job().state) == (True, None, State.RUNNING)
    assert (scene.clock.getDelayedCalls(), scene.store.memory.watches) == ([], {})
    scene.finish()
    assert scene.ask("GET", f"/_jobs/{scene.job().id}/result").body == b"out"


def test_a_job_that_fails_while_the_client_is_held_is_asked_for() -> None:
    scene = optional()
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.fail("reset")
    assert client.answer is not None
    assert (client.status, document_of(client.answer)["reason"]) == (202, "reset")


def test_a_store_that_goes_away_while_the_client_is_held_is_asked_later() -> None:
    scene = optional()
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.store.is_away = True
    scene.store.memory.tell(scene.claims[0].job.id)
    assert client.status == 202


def test_the_routes_timeout_is_none_of_a_job() -> None:
    scene = optional("timeout = 1s")
    client = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    assert client.exchange.pipeline is not None
    assert client.exchange.pipeline.timeout is None
    direct = scene.begin("POST", "/reports/7", (), b"in")
    assert direct.exchange.pipeline is not None
    assert direct.exchange.pipeline.timeout == 1.0
    client.leave()


def test_policies_dress_a_202_and_not_what_they_dressed_when_it_was_run() -> None:
    scene = optional("policies = headers:h\n", "[headers:h]\nresponse_add = X-A: 1\n")
    held = scene.begin("POST", "/reports/7", {"Prefer": "respond-async, wait=5"}, b"in")
    scene.finish(headers=((b"X-A", b"1"),))
    later = scene.ask("POST", "/reports/7", ASYNC, b"in")
    assert held.answer is not None
    assert [held.answer.headers.get_all(b"x-a"), later.headers.get_all(b"x-a")] == [[b"1"], [b"1"]]


# one call, made twice


KEY = {"Prefer": "respond-async", "Idempotency-Key": '"k"'}


def test_the_same_key_and_call_are_the_same_job() -> None:
    scene = optional("policies = key-auth:k")
    where = scene.submit({**KEY, **ALICE})
    again = scene.ask("POST", "/reports/7", {**KEY, "Idempotency-Key": "k", **ALICE}, b"in")
    assert (again.status, field_of(again.headers, b"location")) == (202, where)
    assert field_of(again.headers, b"idempotent-replayed") == "true"
    assert scene.submit({**KEY, **BOB}) != where
    assert (scene.kept, len(scene.claims)) == (2, 2)


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [("PUT", "/reports/7", b"in"), ("POST", "/reports/8", b"in"), ("POST", "/reports/7", b"im")],
)
def test_the_same_key_with_another_call_is_a_mistake(method: str, url: str, body: bytes) -> None:
    scene = optional()
    scene.submit(KEY)
    assert reason(scene.ask(method, url, KEY, body)) == (422, "key-mismatch")
    assert scene.kept == 1


def test_who_was_told_where_to_ask_is_told_so_again() -> None:
    scene = optional()
    where = scene.submit(KEY)
    scene.finish()
    again = scene.ask("POST", "/reports/7", {**KEY, "Prefer": "respond-async, wait=5"}, b"in")
    assert (again.status, field_of(again.headers, b"location")) == (202, where)
    assert document_of(again)["state"] == "succeeded"


def test_what_was_answered_while_held_is_answered_again() -> None:
    scene = optional()
    held = {**KEY, "Prefer": "respond-async, wait=5"}
    client = scene.begin("POST", "/reports/7", held, b"in")
    scene.advance(3.0)
    scene.finish()
    assert client.status == 200
    scene.advance(60.0)
    for again in (scene.ask("POST", "/reports/7", KEY, b"in"), scene.ask("POST", "/reports/7", held, b"in")):
        assert (again.status, again.body) == (200, b"out")
        assert field_of(again.headers, b"idempotent-replayed") == "true"


def test_who_asks_again_may_be_held_too() -> None:
    scene = optional()
    scene.submit(KEY)
    client = scene.begin("POST", "/reports/7", {**KEY, "Prefer": "respond-async, wait=5"}, b"in")
    assert not client.is_done
    scene.finish()
    assert client.status == 200


@pytest.mark.parametrize("key", ["", '"', "a, b", "x" * 256])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    scene = optional()
    answer = scene.ask("POST", "/reports/7", {**ASYNC, "Idempotency-Key": key}, b"in")
    assert (reason(answer), scene.kept) == ((400, "bad-key"), 0)


# callbacks


HOSTS = (
    "async_callback_hosts = client.example\nasync_callback_secret = whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
)


def test_who_wants_to_be_told_is_kept_with_the_job() -> None:
    scene = optional(HOSTS)
    scene.submit({"Callback-URL": "https://Client.example/hook"})
    job = scene.claims[0].job
    assert job.callback == "https://client.example/hook"
    assert b"Callback-URL" not in {name for name, _ in job.call.headers}


@pytest.mark.parametrize("url", ["https://other.example/", "http://client.example/", "client.example", ""])
def test_who_may_not_be_told_is_refused(url: str) -> None:
    scene = optional(HOSTS)
    answer = scene.ask("POST", "/reports/7", {**ASYNC, "Callback-URL": url}, b"in")
    assert (reason(answer), scene.kept) == ((400, "bad-callback"), 0)


def test_two_are_not_told_and_without_hosts_nobody_is() -> None:
    fields = [("Prefer", "respond-async"), *[("Callback-URL", "https://client.example/")] * 2]
    assert optional(HOSTS).ask("POST", "/reports/7", fields, b"in").reason == "bad-callback"
    assert optional().ask("POST", "/reports/7", fields[:2], b"in").reason == "bad-callback"


def test_any_action_becomes_a_job() -> None:
    scene = Scene('[route:r]\npath = *\nrespond = 200 "a"\nasync = optional\n')
    scene.submit()
    assert len(scene.claims) == 1
    assert scene.ask("GET", "/").body == b"a"


def test_what_the_inner_action_took_is_given_back() -> None:
    scene = optional()
    scene.ask("GET", "/reports/7")
    assert set(scene.upstream.in_flight.values()) == {0}


def test_whoever_runs_jobs_finds_how_they_are_answered() -> None:
    pipeline = optional().made.gateway.jobs["reports"]
    assert isinstance(pipeline.action, JobAction)
    assert isinstance(pipeline.action.inner, Proxy)


# what is told, and written down


def test_a_job_is_told_once_and_its_call_is_written_down_by_its_id() -> None:
    scene = optional()
    for _ in range(2):
        scene.submit({"Idempotency-Key": "k"})
    assert scene.listener.heard == [("submitted", "reports")]
    assert [exchange.job for exchange in scene.made.observed] == [scene.claims[0].job.id] * 2


def test_a_call_that_is_answered_while_held_is_one_too() -> None:
    scene = optional("async_wait = 5s")
    client = scene.begin("POST", "/reports/7", ASYNC, b"in")
    scene.finish()
    assert client.answer is not None
    assert (client.answer.status, scene.made.observed[0].job) == (200, scene.claims[0].job.id)


def test_what_is_refused_is_no_job() -> None:
    scene = optional("async_max_queued = 1\nasync_concurrency = 1")
    scene.submit()
    scene.submit()
    assert scene.ask("POST", "/reports/7", ASYNC, b"in").status == 503
    assert scene.listener.heard == [("submitted", "reports")] * 2
    assert scene.made.observed[2].job == ""


def test_a_call_that_asks_for_no_job_is_none() -> None:
    scene = optional()
    scene.ask("POST", "/reports/7", {}, b"in")
    assert (scene.listener.heard, scene.made.observed[0].job) == ([], "")
