"""The access log: one line for each exchange, no secret in it, and nothing that stops the line."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness.client import get, request
from tests.end_to_end.harness.configuration import everything_to
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.waiting import PATIENCE, until

MEMBERS = {
    "time",
    "request_id",
    "client",
    "method",
    "host",
    "path",
    "status",
    "bytes_in",
    "bytes_out",
    "route",
    "upstream",
    "target",
    "attempts",
    "reason",
    "consumer",
}


def test_an_exchange_is_one_line_that_says_all(gateway: Daemon, recorder: Recorder) -> None:
    with gateway.connect() as client:
        answer = client.ask("POST", "/logged?a=1", body=b"hello")
    record = gateway.record(path="/logged")
    assert record.keys() >= MEMBERS
    assert record["request_id"] == answer.value("X-Request-Id")
    assert (record["client"], record["method"], record["host"]) == ("127.0.0.1", "POST", "gateway.test")
    assert (record["status"], record["bytes_in"], record["bytes_out"]) == (200, 5, 5)
    assert (record["route"], record["upstream"], record["attempts"]) == ("main", "main", 1)
    assert record["target"].endswith(f":{recorder.port}")
    assert (record["reason"], record["consumer"]) == ("", "")
    times = [value for name, value in record.items() if "seconds" in name]
    assert len(times) >= 3
    assert all(value >= 0 for value in times)


def test_one_exchange_is_one_line(gateway: Daemon) -> None:
    with gateway.connect() as client:
        for _ in range(5):
            client.get("/logged/five")
        client.get("/logged/last")
    gateway.record(path="/logged/last")
    assert len(gateway.all_records(5, path="/logged/five")) == 5


def test_a_refusal_before_any_route_is_logged_as_well(gateway: Daemon) -> None:
    before = len(gateway.records)
    with gateway.connect() as client:
        target = "/logged/./bad?token=s3cret"
        client.send(request("POST", target, "Content-Length: 5", "Transfer-Encoding: chunked"))
        request_id = client.answer().value("X-Request-Id")
    record = gateway.record(request_id=request_id)
    assert (record["status"], record["client"]) == (400, "127.0.0.1")
    assert record["reason"] in ("bad-framing", "bad-request")
    assert (record["method"], record["host"], record["path"]) == ("POST", "gateway.test", "/logged/bad")
    assert record["query"] == "token=***"
    assert gateway.records.index(record) >= before


def test_credentials_are_never_in_a_log(gateway: Daemon) -> None:
    secret = "s3cr3t-that-nobody-may-read"
    with gateway.connect() as client:
        client.get(
            f"/logged/secret?token={secret}&api_key={secret}&%6Bey={secret}&Password={secret}&open=1",
            f"Authorization: Bearer {secret}",
            f"Cookie: session={secret}",
            f"Proxy-Authorization: Basic {secret}",
        )
    record = gateway.record(path="/logged/secret")
    assert "open=1" in json.dumps(record)
    assert secret not in json.dumps(gateway.records)
    assert secret not in "\n".join(gateway.log)


def test_control_characters_do_not_reach_the_log(gateway: Daemon) -> None:
    with gateway.connect() as client:
        client.get("/logged/%1B%5B2J%0A%7F?a=%0d%0a")
    record = gateway.record(path="/logged/%1B%5B2J%0A%7F")
    assert all(" " <= char <= "~" for char in json.dumps(record))


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_file_is_reopened_when_it_was_moved(start: Start, tmp_path: Path, own_recorder: Recorder) -> None:
    file = tmp_path / "access.log"
    daemon = start(f"[gateway]\naccess_log = {file}\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.get("/before")
        until(lambda: len(lines(file)) == 1, "the first line is written")
        moved = file.rename(tmp_path / "access.log.1")
        daemon.signal(signal.SIGUSR1)
        until(file.exists, "the file is opened anew")
        client.get("/after")
        until(lambda: len(lines(file)) == 1, "the second line is written")
    assert [json.loads(line)["path"] for line in lines(moved) + lines(file)] == ["/before", "/after"]


def test_what_is_held_is_written_when_the_daemon_ends(
    start: Start, tmp_path: Path, own_recorder: Recorder
) -> None:
    file = tmp_path / "access.log"
    daemon = start(f"[gateway]\naccess_log = {file}\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        client.send(b"".join(get(f"/{number}") for number in range(50)))
        for _ in range(50):
            client.answer()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert len(lines(file)) == 50


def test_the_combined_form(start: Start, tmp_path: Path, own_recorder: Recorder) -> None:
    file = tmp_path / "access.log"
    daemon = start(
        f"[gateway]\naccess_log = {file}\naccess_log_format = combined\n", everything_to(own_recorder.port)
    )
    with daemon.connect() as client:
        client.get("/combined?token=secret", "User-Agent: tests", 'Referer: http://a.test/?key=x"y')
        until(lambda: lines(file), "the line is written")
    line = lines(file)[0]
    assert line.startswith("127.0.0.1 - - [")
    assert '"GET /combined?token=' in line
    assert ' HTTP/1.1" 200 3 "' in line
    assert line.endswith('"tests"')
    assert "secret" not in line


def test_a_full_disk_stops_nothing(start: Start, own_recorder: Recorder) -> None:
    daemon = start("[gateway]\naccess_log = /dev/full\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert [client.get(f"/{number}").status for number in range(20)] == [200] * 20
        assert daemon.wait_for_log("access log")
        assert client.get("/after").status == 200


def test_no_log_is_written_where_none_is_wanted(start: Start, own_recorder: Recorder) -> None:
    daemon = start("[gateway]\naccess_log = off\n", everything_to(own_recorder.port))
    with daemon.connect() as client:
        assert client.get("/x").status == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.records == []


def test_a_closed_standard_output_stops_nothing(start: Start, own_recorder: Recorder) -> None:
    daemon = start(everything_to(own_recorder.port))
    with daemon.connect() as client:
        listening = daemon.stop_listening()
        assert client.get("/the-last-line").status == 200
        listening.join(PATIENCE)
        for number in range(20):
            assert client.get(f"/{number}").status == 200
        daemon.signal(signal.SIGHUP)
        for number in range(20):
            assert client.get(f"/{number}").status == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
