from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admin.keeping import Jobs
from twistedgate.admin.job_documents import Discretion, everything, is_kept, summary
from twistedgate.jobs.document import document

DISCRETION = Discretion(("token",), ("X-Acme", "clé"))

SECRET = [
    *("Authorization", "AUTHORIZATION", "Proxy-Authorization", "X-Auth", "Cookie", "Set-Cookie", "cookie2"),
    *("X-API-Key", "x_api_key", "ApiKey", "X-Amz-Security-Token", "X-CSRF-Token", "X-Session-Id"),
    *("X-Client-Secret", "X-Hub-Signature-256", "Password", "X-Client-Cert", "x-acme"),
]
PLAIN = ["Accept", "Content-Type", "Idempotency-Key", "User-Agent", "X-Consumer", "X-Forwarded-For", "ETag"]


@pytest.mark.parametrize("name", SECRET)
def test_credentials_are_never_shown(name: str) -> None:
    assert DISCRETION.fields([(name.encode(), b"s3cret")]) == [(name, "***")]


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_none_is_shown(name: str) -> None:
    assert DISCRETION.fields([(name.encode(), b"caf\xe9")]) == [(name, "café")]


@pytest.mark.parametrize("name", ["Referer", "Location", "Link", "refresh"])
def test_nor_are_they_shown_in_urls(name: str) -> None:
    value = b"https://a.test/?a=1&token=s3cret&x-acme=s3cret"
    assert DISCRETION.fields([(name.encode(), value)]) == [(name, "https://a.test/?a=1&token=***&x-acme=***")]


@given(st.sampled_from(SECRET), st.text("\t !~abc", max_size=9))
def test_whatever_they_are(name: str, value: str) -> None:
    assert DISCRETION.fields([(name.encode(), value.encode())]) == [(name, "***")]


def told(job: str, jobs: Jobs) -> Any:
    """Return what an operator is told, as JSON has it."""
    return json.loads(json.dumps(everything(jobs.find(job), DISCRETION)))


def test_a_summary_is_what_clients_read_and_whose_it_is() -> None:
    jobs = Jobs()
    job = jobs.failed()
    found = jobs.find(job)
    assert summary(found) == {
        **document(found, "/jobs"),
        "owner": "key-auth:staff/alice",
        "forgotten": False,
        "links": {"self": f"/jobs/{job}", "result": f"/jobs/{job}/result"},
    }
    assert summary(replace(found, owner=""))["owner"] is None


def test_everything_else_is_told_too() -> None:
    jobs = Jobs()
    job = jobs.queued(
        query="?a=1&token=s3cret",
        headers=((b"Accept", b"*/*"), (b"Authorization", b"Bearer s3cret"), (b"Cookie", b"id=s3cret")),
        key="k-1",
        callback="https://user:s3cret@client.example:8443/hooks/s3cret?token=s3cret",
        priority=7,
    )
    whole = told(job, jobs)
    assert whole.items() >= json.loads(json.dumps(summary(jobs.find(job)))).items()
    assert whole["caller"] == "key-auth:staff/alice"
    assert (whole["idempotency_key"], whole["callback"]) == ("k-1", "https://client.example:8443")
    assert (whole["runner"], whole["result"]) == (None, None)
    assert whole["due"] == whole["submitted"] < whole["queue_ends"]
    assert whole["terms"] == {
        "delivery": "at-most-once",
        "ttl": 95.0,
        "queue_timeout": 45.0,
        "retries": 3,
        "priority": 7,
        "hold": 0.0,
    }
    assert whole["request"] == {
        "kept": True,
        "method": "POST",
        "scheme": "https",
        "authority": "example.com",
        "path": "/reports/7",
        "query": "?a=1&token=***",
        "headers": [["Accept", "*/*"], ["Authorization", "***"], ["Cookie", "***"]],
        "length": 5,
        "client": "192.0.2.1",
        "listener": "public",
        "request_id": "r-1",
        "consumer": "alice",
        "groups": ["staff", "night"],
    }
    assert "s3cret" not in json.dumps(whole)


def test_who_runs_it_is_told() -> None:
    jobs = Jobs()
    whole = told(jobs.running(), jobs)
    assert (whole["runner"], whole["attempts"]) == ("here", 1)
    assert (whole["due"], whole["queue_ends"], whole["callback"]) == (None, None, None)


def test_the_head_of_the_result_is_told_without_credentials() -> None:
    jobs = Jobs()
    job = jobs.succeeded(b"answer", (b"Content-Type", b"text/plain"), (b"Set-Cookie", b"id=s3cret"))
    assert told(job, jobs)["result"] == {
        "status": 200,
        "phrase": "Fine",
        "headers": [["Content-Type", "text/plain"], ["Set-Cookie", "***"]],
        "length": 6,
    }


def test_a_request_is_kept_until_it_is_answered_or_forgotten() -> None:
    jobs = Jobs()
    made = [jobs.queued(), jobs.running(), jobs.failed(), jobs.cancelled(), jobs.succeeded()]
    found = [jobs.find(job) for job in made]
    assert [is_kept(job) for job in found] == [True, True, True, True, False]
    assert not any(is_kept(replace(job, is_forgotten=True)) for job in found)
    assert not any(is_kept(replace(job, is_gone=True)) for job in found)
