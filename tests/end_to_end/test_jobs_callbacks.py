"""Who asked to be told of a job's end is told, signed; and nobody who may not be asked is connected to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.jobs import PREFER, STORES, hand_in, make_place, slow, wait
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit

KEY = bytes(range(32))
CALLBACKS = {"async_callback_secret": f"whsec_{base64.b64encode(KEY).decode()}"}


@pytest.mark.parametrize("kind", STORES)
def test_the_end_of_a_job_is_told_once_and_signed(
    start: Start, own_recorder: Recorder, tmp_path: Path, kind: str
) -> None:
    with ExitStack() as stack:
        place = make_place(kind, tmp_path, stack)
        daemon = start(
            place.gateway(), slow(own_recorder.port, async_callback_hosts="127.0.0.1", **CALLBACKS)
        )
        with daemon.connect() as client:
            hook = f"Callback-URL: http://127.0.0.1:{own_recorder.port}/hook?for=me"
            location = hand_in(client, "/slow/x", hook)
        told = own_recorder.visit("/hook")
        event = json.loads(told.read_body())
        assert event["data"] == wait(daemon, location)
        assert (event["type"], event["specversion"]) == ("com.twistedgate.job.succeeded", "1.0")
        assert signature(told) in (told.value("webhook-signature") or "").split(" ")
        assert (told.method, told.target) == ("POST", "/hook?for=me")
        (called,) = own_recorder.visits_to("/slow/x")
        assert called.value("callback-url") is None
        daemon.end()
    assert len(own_recorder.visits_to("/hook")) == 1


def signature(told: Visit) -> str:
    """Return what Standard Webhooks has a sender sign with."""
    parts = told.value("webhook-id"), told.value("webhook-timestamp"), told.body.decode()
    digest = hmac.digest(KEY, ".".join(map(str, parts)).encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


REFUSED = (
    "https://elsewhere.example/hook",
    "http://localhost/hook",
    "https://127.0.0.1/hook",
    "https://2130706433/hook",
    "https://0x7f.1/hook",
    "https://[::1]/hook",
    "https://localhost.@127.0.0.1/hook",
    "ftp://localhost/hook",
    "/hook",
)


def test_hosts_that_are_not_named_are_refused_at_once(start: Start, own_recorder: Recorder) -> None:
    daemon = start(slow(own_recorder.port, async_callback_hosts="localhost", **CALLBACKS))
    with daemon.connect() as client:
        for url in REFUSED:
            answer = client.ask("POST", "/slow/x", PREFER, f"Callback-URL: {url}")
            assert (answer.status, json.loads(answer.body)["reason"]) == (400, "bad-callback"), url
    assert own_recorder.visits_to("/slow/x") == []


def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    start: Start, own_recorder: Recorder
) -> None:
    daemon = start(slow(own_recorder.port, async_callback_hosts="localhost", **CALLBACKS))
    with daemon.connect() as client:
        hand_in(client, "/slow/x", f"Callback-URL: https://localhost:{own_recorder.port}/hook")
    daemon.wait_for_log("cannot be told to localhost:")
    own_recorder.settle()
    assert len(own_recorder.links) == 1


def test_a_redirect_is_not_followed(start: Start, own_recorder: Recorder) -> None:
    elsewhere = f"Location: http://127.0.0.1:{own_recorder.port}/elsewhere"
    own_recorder.on("/hook", lambda visit: visit.answer(302, b"", elsewhere))
    daemon = start(slow(own_recorder.port, async_callback_hosts="127.0.0.1", **CALLBACKS))
    with daemon.connect() as client:
        hand_in(client, "/slow/x", f"Callback-URL: http://127.0.0.1:{own_recorder.port}/hook")
    daemon.wait_for_log("answered with 302")
    assert own_recorder.visits_to("/elsewhere") == []


def test_without_hosts_nobody_is_told(start: Start, own_recorder: Recorder) -> None:
    daemon = start(slow(own_recorder.port))
    with daemon.connect() as client:
        answer = client.ask("POST", "/slow/x", PREFER, "Callback-URL: https://client.example/hook")
    assert (answer.status, json.loads(answer.body)["reason"]) == (400, "bad-callback")
