"""A gateway with a recording upstream behind it, and the questions that every case asks of the two.

Nothing is taken for granted that an answer says: what has reached the upstream is read from the upstream,
after a probe of our own has gone the whole way behind the case.
"""

from __future__ import annotations

import json

from tests.end_to_end.harness.answers import Answer
from tests.end_to_end.harness.client import HOST
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.link import Link
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import happens
from tests.end_to_end.safety.case import Expected
from twistedgate.errors import TITLES

_MEMBERS = {"type", "title", "status", "detail", "instance", "reason", "request_id", "errors"}


class Bench:
    """The gateway and the upstream of one case; what came before it is forgotten."""

    def __init__(self, gateway: Daemon, recorder: Recorder) -> None:
        self.gateway = gateway
        self.recorder = recorder
        self._mark = recorder.mark()
        self._visits = len(recorder.visits)

    def probe(self) -> None:
        """Send a request of our own all the way: whatever the case sent before it has arrived as well."""
        with self.gateway.connect() as client:
            answer = client.get("/probe")
        assert (answer.status, answer.value("X-Target"), answer.body) == (200, "/probe", b"ok\n")

    def visits(self) -> list[Visit]:
        """Return the requests that have reached the upstream, probes left out."""
        return [visit for visit in self.recorder.visits[self._visits :] if visit.path != "/probe"]

    def assert_nothing_arrived(self) -> None:
        """Not one byte of the case has reached the upstream."""
        self.probe()
        assert self._strange_links() == {}

    def assert_nothing_complete(self, count: int = 0) -> None:
        """Nothing but ``count`` requests is complete at the upstream, and what is not is given up."""
        self.probe()
        complete = [visit for visit in self.visits() if visit.is_complete.is_set()]
        for link in self._strange_links():
            if all(visit.link is not link for visit in complete):
                happens(link.ended, f"connection {link.number} of a broken request is closed")
        complete = [visit for visit in self.visits() if visit.is_complete.is_set()]
        assert len(complete) == count, [bytes(visit.head) for visit in complete]

    def _strange_links(self) -> dict[Link, bytes]:
        """Return what connections received besides clean probes."""
        new = self.recorder.since(self._mark)
        return {
            self.recorder.links[number]: raw for number, raw in new.items() if _without_probes(raw) != b""
        }


def _without_probes(raw: bytes) -> bytes:
    while raw.startswith(b"GET /probe HTTP/1.1\r\n"):
        raw = raw.partition(b"\r\n\r\n")[2]
    return raw


def assert_problem(answer: Answer, data: bytes = b"") -> None:
    """The answer is a problem document of the gateway that repeats nothing of ``data`` (RFC 9457)."""
    assert answer.value("Content-Type") == "application/problem+json"
    assert answer.value("X-Content-Type-Options") == "nosniff"
    problem = json.loads(answer.body)
    assert set(problem) <= _MEMBERS, problem
    assert problem["status"] == answer.status
    assert problem["title"] == TITLES[problem["reason"]]
    assert problem["request_id"]
    for word in (HOST.encode(), b"/case", b"X-Injected", b"script", b"evil"):
        assert word not in answer.body, answer.body


def assert_reason(answer: Answer, reasons: list[str]) -> None:
    """The problem document gives one of these reasons, if any is expected."""
    if reasons:
        assert json.loads(answer.body)["reason"] in reasons


def assert_fields(answer: Answer, fields: list[str], never: list[str]) -> None:
    """The answer has these lines, or names, and nowhere any of ``never``."""
    lines = [f"{name.decode()}: {value.decode('latin-1')}" for name, value in answer.fields]
    for wanted in fields:
        if ": " in wanted:
            assert wanted in lines, lines
        else:
            assert answer.values(wanted), lines
    whole = "\n".join(lines).encode("latin-1") + answer.phrase + answer.body
    for unwanted in never:
        assert unwanted.encode("latin-1") not in whole, whole


def assert_as_expected(visit: Visit, expected: Expected) -> None:
    """The request at the upstream is the expected one."""
    lines = visit.head.decode("latin-1").split("\r\n")
    assert lines[0] == expected.line
    for line in expected.present:
        assert line in lines[1:], lines
    for name in expected.named:
        assert visit.values(name), lines
    for name in expected.absent:
        assert not visit.values(name), lines
    for text in expected.never:
        assert text not in visit.head.decode("latin-1"), lines
    if expected.body is not None:
        assert visit.body == expected.body.encode("latin-1")
