"""The clients that the pages show: each gets the answer of a slow call from the real daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.configuration import ini, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.held import Held
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.servers import accepts, free_port
from tests.end_to_end.harness.visit import Visit
from tests.end_to_end.harness.waiting import PATIENCE, until

CLIENTS = Path(__file__).resolve().parents[2] / "examples" / "clients"
JOBS = sorted(path.name for path in CLIENTS.glob("job*"))
RECEIVERS = sorted(path.name for path in CLIENTS.glob("receiver*"))
TRY_AGAIN = sorted({*JOBS} - {"job_treq.py"})
PROGRAMS = {".sh": "bash", ".py": sys.executable, ".mjs": "node"}

DIGEST = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
KEY = "X-API-Key: foo"
SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtbmV2ZXItdXNlLXRoaXM="


@pytest.fixture(scope="module")
def origin() -> Iterator[Recorder]:
    """What is slow."""
    with Recorder() as recorder:
        yield recorder
    assert recorder.complaints == []


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, origin: Recorder) -> Iterator[Daemon]:
    """A gateway that has slow calls made as jobs, for those who have a key."""
    jobs = {"upstream": "reports", "policies": "key-auth:k", "async": "optional"}
    callbacks = {"async_callback_hosts": "127.0.0.1", "async_callback_secret": SECRET}
    text = ini(
        "[gateway]\naccess_log = -\nworkers = 1\n",
        section("key-auth:k"),
        section("consumer:acme", keys=[DIGEST]),
        upstream("reports", origin.port, eject_after=0),
        route("reports", "/reports/*", **jobs, **callbacks),
        # nobody is held: what is not finished is asked for again
        route("later", "/later/*", **jobs, async_max_wait="0s"),
        route("full", "/full/*", **jobs, async_concurrency=1, async_max_queued_per_caller=1),
    )
    with Daemon(tmp_path_factory.mktemp("clients"), text) as daemon:
        yield daemon


def command(name: str, *arguments: str) -> list[str]:
    """Return what is typed to run a client."""
    program = shutil.which(PROGRAMS[Path(name).suffix])
    assert program is not None, f"{PROGRAMS[Path(name).suffix]} is needed for these tests"
    return [program, str(CLIENTS / name), *arguments]


@contextmanager
def begun(name: str, url: str, *body: str) -> Iterator[subprocess.Popen[str]]:
    """Let a client ask for a URL; at the end it is gone."""
    with subprocess.Popen(
        command(name, url, *body),
        env={"PATH": os.environ["PATH"], "API_KEY": "foo"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return how a client ended, what it printed, and what it complained of."""
    printed, complaints = process.communicate(timeout=PATIENCE)
    return process.returncode, printed.strip(), complaints


def answer(status: int, body: bytes, *fields: str) -> Callable[[Visit], None]:
    """Return a script that answers so."""

    def script(visit: Visit) -> None:
        visit.read_body()
        visit.answer(status, body, *fields)

    return script


def wait_for_record(gateway: Daemon, since: int, **wanted: object) -> None:
    """Return when the access log has such a line after the first so many."""

    def is_there() -> bool:
        return any(wanted.items() <= record.items() for record in gateway.records[since:])

    until(is_there, f"{wanted} is logged")


def test_there_is_a_client_for_each_language() -> None:
    assert {Path(name).suffix for name in JOBS} == PROGRAMS.keys()
    assert {Path(name).suffix for name in RECEIVERS} == {".py", ".mjs"}


@pytest.mark.parametrize("name", JOBS)
def test_what_is_answered_soon_is_the_answer(name: str, gateway: Daemon, origin: Recorder) -> None:
    path = f"/reports/{name}/soon"
    origin.on(path, answer(202, b"in hand", "Location: /elsewhere"))
    with begun(name, f"http://127.0.0.1:{gateway.port}{path}") as process:
        assert said(process) == (0, "in hand", "")
    assert origin.visit(path).method == "GET"


@pytest.mark.parametrize("name", JOBS)
def test_what_is_answered_late_is_waited_for(name: str, gateway: Daemon, origin: Recorder) -> None:
    path, held, before = f"/later/{name}", Held(b"at last"), len(gateway.records)
    origin.on(path, held)
    with begun(name, f"http://127.0.0.1:{gateway.port}{path}", "the body") as process:
        wait_for_record(gateway, before, route="_jobs", status=200)
        held.go_on.set()
        assert said(process) == (0, "at last", "")
    (visit,) = origin.visits_to(path)
    assert (visit.method, visit.body) == ("POST", b"the body")


@pytest.mark.parametrize("name", JOBS)
def test_what_is_not_answered_is_told(name: str, gateway: Daemon, origin: Recorder) -> None:
    path = f"/reports/{name}/gone"

    def leave(visit: Visit) -> None:
        visit.read_body()
        visit.close()

    origin.on(path, leave)
    with begun(name, f"http://127.0.0.1:{gateway.port}{path}", "the body") as process:
        status, printed, complaints = said(process)
    assert status != 0
    assert "reset" in printed + complaints
    assert len(origin.visits_to(path)) == 1


@pytest.mark.parametrize("name", TRY_AGAIN)
def test_what_is_refused_for_now_is_asked_again(name: str, gateway: Daemon, origin: Recorder) -> None:
    path, held, before = f"/full/{name}", Held(), len(gateway.records)
    origin.on(f"{path}/held", held)
    with gateway.connect() as client:
        for _ in range(2):
            assert client.get(f"{path}/held", KEY, "Prefer: respond-async").status == 202
    with begun(name, f"http://127.0.0.1:{gateway.port}{path}") as process:
        wait_for_record(gateway, before, path=path, status=429)
        held.go_on.set()
        assert said(process) == (0, "ok", "")


@pytest.mark.parametrize("name", RECEIVERS)
def test_a_receiver_believes_what_is_signed(name: str, gateway: Daemon, tmp_path: Path) -> None:
    port, printed = free_port(), tmp_path / "printed"
    with printed.open("w") as output:
        process = subprocess.Popen(
            command(name, str(port)),
            env={"PATH": os.environ["PATH"], "SECRET": SECRET},
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        until(lambda: accepts(port), "the receiver accepts")
        hook = f"Callback-URL: http://127.0.0.1:{port}/"
        with gateway.connect() as client:
            accepted = client.get(f"/reports/{name}", KEY, "Prefer: respond-async", hook)
        job = (accepted.value("location") or "").rpartition("/")[2]
        until(lambda: printed.read_text() == f"{job} succeeded 200\n", "the receiver hears of the end")
        with Client(port) as client:
            client.send(request("POST", "/", "webhook-id: a", "webhook-timestamp: 1", body=b"{}"))
            assert b" 401 " in client.reader.take_until(b"\r\n")
    finally:
        process.kill()
        process.wait(PATIENCE)
