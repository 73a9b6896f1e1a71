from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.ended import document_of, ended_job
from twistedgate.jobs.webhook import CallbackRules, identity_of, message_of, parse_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_800_000_100.9


def headers_of(now: float = NOW, **changes: Any) -> dict[str, str]:
    job = ended_job(**changes)
    message = message_of(job, document_of(job), parse_secret(SECRET), now)
    return {name.decode(): value.decode() for name, value in message.headers}


def test_signs_as_the_reference_implementations_of_standard_webhooks() -> None:
    signature = sign(
        parse_secret(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=200), st.integers(0, 1 << 40))
def test_a_receiver_can_verify_every_signature(key: bytes, body: bytes, timestamp: int) -> None:
    secret = parse_secret("whsec_" + base64.b64encode(key).decode())
    version, _, signature = sign(secret, "id", timestamp, body).partition(",")
    expected = hmac.new(key, b"id.%d.%s" % (timestamp, body), hashlib.sha256).digest()
    assert (version, base64.b64decode(signature)) == ("v1", expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        SECRET.upper(),
        f" {SECRET}",
        f"{SECRET} {SECRET}",
        SECRET[:-1],
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_" + "\xff" * 32,
        "whsec_" + "-_" * 16,
    ],
)
def test_refuses_what_is_no_secret_and_does_not_repeat_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not a secret of Standard Webhooks") as caught:
        parse_secret(text)
    assert text in {"", "whsec_"} or text not in str(caught.value)


def test_the_body_is_a_cloud_event_around_the_status() -> None:
    job = ended_job()
    message = message_of(job, document_of(job), parse_secret(SECRET), NOW)
    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": identity_of(job),
        "source": "/_jobs/abc",
        "type": "com.twistedgate.job.succeeded",
        "time": "2027-01-15T08:00:00.000Z",
        "datacontenttype": "application/json",
        "data": document_of(job),
    }


def test_the_fields_are_those_of_standard_webhooks() -> None:
    job = ended_job()
    message = message_of(job, document_of(job), parse_secret(SECRET), NOW)
    signature = sign(parse_secret(SECRET), identity_of(job), 1_800_000_100, message.body)
    assert headers_of() == {
        "Content-Type": "application/cloudevents+json",
        "User-Agent": "twistedgate-callback",
        "webhook-id": "abc-1800000000000",
        "webhook-timestamp": "1800000100",
        "webhook-signature": signature,
    }


def test_the_id_is_that_of_the_end_and_not_of_the_try() -> None:
    first, again = headers_of(), headers_of(now=NOW + 300, version=9)
    assert first["webhook-id"] == again["webhook-id"]
    assert first["webhook-timestamp"] != again["webhook-timestamp"]
    assert headers_of(finished=1_800_000_700.0)["webhook-id"] != first["webhook-id"]


def test_an_id_holds_no_full_stop_for_that_parts_what_is_signed() -> None:
    assert "." not in identity_of(ended_job(finished=1_800_000_000.123456))


def test_the_rules_of_a_route_do_not_show_its_secret() -> None:
    rules = CallbackRules.of(("hooks.example.com",), SECRET)
    assert rules.secret == parse_secret(SECRET)
    assert "secret" not in repr(rules)
    assert dataclasses.replace(rules) == rules


@pytest.mark.parametrize(("hosts", "secret"), [(("*",), SECRET), (("hooks.example.com",), "hunter2")])
def test_rules_that_cannot_be_kept_are_refused(hosts: tuple[str, ...], secret: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (host|secret)"):
        CallbackRules.of(hosts, secret)
