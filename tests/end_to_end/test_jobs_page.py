"""The page on jobs tells what happens: its lines are typed one by one, and each answer is compared."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.end_to_end.harness.configuration import ini
from tests.end_to_end.harness.daemon import Daemon, environment
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import PATIENCE, happens, until

PAGE = page("docs/how-to/jobs.md")
LATER = "# three seconds later"
WHATEVER = "..."

_ID = re.compile(r"/_jobs/([A-Za-z0-9_-]{27})")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SECONDS = re.compile(r"Retry-After: [1-5]\b")
_REQUEST = re.compile(r"\b[0-9a-f]{12}-\d+\b")


@dataclass(frozen=True)
class Step:
    """One line to type, and what the page shows of the answer."""

    line: str
    shown: str
    is_later: bool

    def __str__(self) -> str:
        return self.line


def steps() -> list[Step]:
    """Return what the page has typed to the gateway."""
    found = []
    for block in PAGE.blocks("console"):
        for part in re.split(
            r"^(?=\$ )", block.text.replace(f"{LATER}\n$ ", f"$ {LATER}"), flags=re.MULTILINE
        ):
            line, _, shown = part.removeprefix("$ ").partition("\n")
            if line.removeprefix(LATER).startswith("curl "):
                found.append(Step(line.removeprefix(LATER), shown, line.startswith(LATER)))
    return found


class Slow:
    """Answers as the sample server does, once it is let."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def __call__(self, visit: Visit) -> None:
        """Answer one request."""
        visit.read_body()
        if not self.go_on.is_set():
            happens(self.go_on, "a report may be made")
        answer = json.dumps({"server": "sample", "method": visit.method, "path": visit.path})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        visit.send(f"{head}{answer}".encode())


class Reader:
    """Somebody who types what the page shows, with the addresses and ids of here."""

    def __init__(self, gateway: Daemon, slow: Slow) -> None:
        self._gateway = gateway
        self._slow = slow
        self._ids: dict[str, str] = {}
        self._location = ""

    def follow(self, step: Step) -> None:
        """Type a line, and compare its answer with what is shown."""
        if step.is_later:
            self._slow.go_on.set()
            until(self._is_finished, "the report is made")
        if "wait=" in step.line:
            self._slow.go_on.set()
        answer = self._type(self._here(step.line))
        self._slow.go_on.clear()
        self._learn(step.shown, answer)
        compare(self._here(step.shown), answer)

    def _here(self, text: str) -> str:
        for there, here in self._ids.items():
            text = text.replace(there, here)
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{self._gateway.port}")

    def _learn(self, shown: str, answer: str) -> None:
        ids = _ID.search(shown), _ID.search(answer)
        if ids[0] is not None and ids[1] is not None:
            self._location = ids[1][0]
            self._ids[ids[0][1]] = ids[1][1]

    def _is_finished(self) -> bool:
        with self._gateway.connect() as client:
            return b'"succeeded"' in client.get(self._location).body

    def _type(self, line: str) -> str:
        with subprocess.Popen(
            ["bash", "-c", line], env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(PATIENCE, process.kill)
            timer.start()
            pieces = []
            for piece in process.stdout:
                pieces.append(piece.decode())
                if piece == b"event: running\n":
                    self._slow.go_on.set()
            timer.cancel()
        assert process.returncode == 0, (line, pieces)
        return "".join(pieces).replace("\r\n", "\n")


def compare(shown: str, answer: str) -> None:
    """Fail where an answer is not what is shown of it."""
    shown, answer = (_SECONDS.sub("Retry-After: SOME", text) for text in (shown, answer))
    head, _, body = shown.partition("\n\n") if shown.startswith("HTTP/") else ("", "", shown)
    real, _, content = answer.partition("\n\n") if answer.startswith("HTTP/") else ("", "", answer)
    lines = [WHATEVER if line == WHATEVER else re.escape(line) + "\n" for line in head.splitlines()]
    pattern = "".join("(?:.*\n)*" if line == WHATEVER else line for line in lines)
    assert re.fullmatch(pattern, f"{real.rstrip()}\n" if head else ""), (head, real)
    if body.startswith("{"):
        assert levelled(body) == levelled(content)
    else:
        inside = re.escape(body.strip()).replace(re.escape(WHATEVER), ".*")
        assert not body or re.fullmatch(inside, content.strip()), (body, content)


def levelled(text: str) -> str:
    """Return a JSON document in one form, and the same for every time and request."""
    return _REQUEST.sub("REQUEST", _TIME.sub("TIME", json.dumps(json.loads(text))))


@pytest.fixture
def slow(own_recorder: Recorder) -> Iterator[Slow]:
    """The server behind the gateway."""
    slow = Slow()
    own_recorder.otherwise(slow)
    yield slow
    slow.go_on.set()


@pytest.fixture
def reader(slow: Slow, own_recorder: Recorder, tmp_path: Path) -> Iterator[Reader]:
    """Somebody before a gateway with what the page configures."""
    text = "\n".join(block.text for block in PAGE.blocks("ini"))
    text = text.replace("tcp:8080", "tcp:0").replace("127.0.0.1:9001", f"127.0.0.1:{own_recorder.port}")
    with Daemon(tmp_path, ini("[gateway]\nworkers = 1\n", text)) as daemon:
        yield Reader(daemon, slow)
        slow.go_on.set()


def test_every_line_of_the_page_is_answered_as_it_shows(reader: Reader) -> None:
    typed = steps()
    assert len(typed) > 15
    for step in typed:
        reader.follow(step)
