"""The operator's commands, as they are typed, against a gateway that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.end_to_end.conftest import Start
from tests.end_to_end.harness import terminal
from tests.end_to_end.harness.client import Client, request
from tests.end_to_end.harness.configuration import PROCESSES, ini, listener, route, section, upstream
from tests.end_to_end.harness.daemon import Daemon
from tests.end_to_end.harness.recorder import Recorder
from tests.end_to_end.harness.terminal import Output
from tests.end_to_end.harness.waiting import PATIENCE

HELLO = route("hello", "/hello", respond='200 "hello"')


class Operated:
    """A gateway with an admin listener on a unix socket, and its operator."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self._folder = folder

    def __call__(self, *words: str) -> Output:
        """Type a command."""
        return terminal.operator(self._folder, *words, "--config", str(self.daemon.file))

    def json(self, *words: str) -> Any:
        """Type a command that is done, and read what it prints."""
        output = self(*words, "--json")
        assert output.code == 0, output.text
        return json.loads(output.text)

    def rewrite(self, *sections: str) -> None:
        """Write another configuration."""
        self.daemon.file.write_text(ini(admin(self._folder), *sections))


def admin(folder: Path, **options: object) -> str:
    return section("listener:admin", endpoint=f"unix:{folder}/admin.sock", serve="admin", **options)


@pytest.fixture
def operate(start: Start, tmp_path: Path, own_recorder: Recorder) -> Operated:
    both = upstream("main", own_recorder.port) + route("main", "*")
    return Operated(start(admin(tmp_path), both, HELLO), tmp_path)


def test_the_status_shows_processes_upstreams_and_targets(operate: Operated, own_recorder: Recorder) -> None:
    with operate.daemon.connect() as client:
        for path in ("/x", "/hello"):
            assert client.get(path).status == 200
        output = operate("status")
    assert output.code == 0
    lines = [line.split() for line in output.text.splitlines()]
    assert lines[0][0] == "twistedgate"
    served = [line for line in lines if line[1:2] == ["serving"]]
    assert sorted(line[2:4] for line in served) == [["0", "0"]] * (PROCESSES - 1) + [["1", "2"]]
    assert (str(operate.daemon.pid) in [line[0] for line in served]) == (PROCESSES == 1)
    assert ["127.0.0.1:" + str(own_recorder.port), "up"] in [line[:2] for line in lines]


def test_everything_is_told_as_json_too(operate: Operated, own_recorder: Recorder) -> None:
    told = operate.json("status")
    assert told["requests_per_second"] == 0
    assert len(told["workers"]) == PROCESSES
    assert (told["workers"][0]["pid"] == operate.daemon.pid) == (PROCESSES == 1)
    (target,) = operate.json("targets")["main"]
    assert target["name"] == f"127.0.0.1:{own_recorder.port}"
    lines = operate("top", "--count", "2", "--json").text.splitlines()
    assert [json.loads(line)["version"] for line in lines] == [told["version"]] * 2


def test_a_reload_tells_what_changed(operate: Operated, own_recorder: Recorder) -> None:
    changed = upstream("main", own_recorder.port, retries=3) + route("main", "*")
    operate.rewrite(changed, HELLO.replace("hello", "again"))
    output = operate("reload")
    expected = "changed upstream:main (retries), added route:again, removed route:hello"
    assert (output.code, output.text) == (0, f"{expected}\n")
    with operate.daemon.connect() as client:
        assert client.get("/again").body.strip() == b"again"
    operate.daemon.wait_for_log("reloaded .*: changed upstream:main")
    assert operate("reload").text == "nothing changed\n"
    assert operate.json("reload") == {"done": True, "said": "nothing changed", "changes": []}


def test_a_refused_reload_tells_every_error_and_changes_nothing(operate: Operated) -> None:
    operate.rewrite(HELLO, "[route:x]\npath = x\nrespond = 700 text\n")
    output = operate("reload")
    assert output.code == 1
    assert "[route:x] path" in output.text
    assert "[route:x] respond" in output.text
    told = json.loads(operate("reload", "--json").text)
    assert (told["reason"], len(told["errors"])) == ("command-refused", 2)
    with operate.daemon.connect() as client:
        assert client.get("/main").value("X-Target") == "/main"


def test_a_reload_on_the_socket_that_it_closes_is_answered(operate: Operated, tmp_path: Path) -> None:
    operate.rewrite(HELLO)
    text = operate.daemon.file.read_text().replace("admin.sock", "other.sock")
    operate.daemon.file.write_text(text)
    output = terminal.operator(tmp_path, "reload", "--socket", str(tmp_path / "admin.sock"))
    assert output.code == 0, output.text
    assert "changed listener:admin (endpoint)" in output.text
    assert operate("status").code == 0


def test_a_drained_target_gets_nothing_until_it_is_enabled(start: Start, tmp_path: Path) -> None:
    with Recorder() as first, Recorder() as second:
        main = upstream("main", first.port, second.port) + route("main", "*")
        operate = Operated(start(admin(tmp_path), main), tmp_path)

        def reached() -> int:
            """Send requests, and return how many targets got some."""
            before = [len(recorder.visits) for recorder in (first, second)]
            with operate.daemon.connect() as client:
                for number in range(8):
                    assert client.get(f"/{number}").status == 200
            after = [len(recorder.visits) for recorder in (first, second)]
            return sum(count > had for had, count in zip(before, after, strict=True))

        name = f"127.0.0.1:{first.port}"
        assert reached() == 2
        output = operate("targets", "drain", "main", name)
        assert (output.code, name in output.text) == (0, True)
        assert reached() == 1
        operate.rewrite(main.replace("[route", "retries = 3\n[route"))
        assert operate("reload").code == 0
        assert reached() == 1
        assert {target["state"] for target in operate.json("targets")["main"]} == {"up", "drained"}
        assert operate("targets", "enable", "main", f"http://{name}").code == 0
        assert reached() == 2


def test_a_name_that_is_not_known_names_those_that_are(operate: Operated) -> None:
    output = operate("targets", "drain", "mian", "127.0.0.1:1")
    assert (output.code, "there is main" in output.text) == (1, True)
    output = operate("targets", "enable", "main", "127.0.0.1:1")
    assert (output.code, "it has 127.0.0.1:" in output.text) == (1, True)


def test_one_process_is_not_upgraded_and_says_what_to_do(start: Start, tmp_path: Path) -> None:
    operate = Operated(start(section("gateway", workers=1), admin(tmp_path), HELLO), tmp_path)
    output = operate("upgrade")
    assert (output.code, "workers = 2" in output.text) == (1, True)


def test_a_listener_with_tls_and_a_token_is_found_by_the_configuration(start: Start, tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("gateway.example.com")
    (tmp_path / "token").write_text("a-long-token-0123456789\n")
    gateway = "[gateway]\naccess_log = -\nadmin_token = file:token\n"
    secure = admin(tmp_path, tls_certificate=pair.certificate, tls_key=pair.key)
    operate = Operated(start(gateway, secure, HELLO), tmp_path)
    assert operate("status").code == 0
    (tmp_path / "token").write_text("another-token-0123456789\n")
    output = operate("status")
    assert (output.code, "another admin_token" in output.text) == (1, True)
    assert "another-token" not in output.text


def test_a_port_is_named_by_its_url(start: Start, tmp_path: Path) -> None:
    daemon = start(HELLO)
    url = f"http://127.0.0.1:{daemon.ports['admin']}"
    assert terminal.operator(tmp_path, "status", "--url", url).code == 0
    output = terminal.operator(tmp_path, "status", "--url", f"http://127.0.0.1:{daemon.port}")
    assert (output.code, "404 no-route" in output.text) == (1, True)


def test_a_web_page_has_nothing_reloaded(start: Start) -> None:
    daemon = start(HELLO)
    host = f"Host: 127.0.0.1:{daemon.ports['admin']}"
    mark = daemon.mark()
    with Client(daemon.ports["admin"]) as client:
        for field in ("Origin: https://evil.test", "Content-Type: text/plain", "Sec-Fetch-Site: cross-site"):
            client.send(request("POST", "/reload", host, field, "Content-Length: 0"))
            assert client.answer("POST").status == 403
        client.send(request("POST", "/reload", host, "Content-Length: 0"))
        assert client.answer("POST").status == 200
        assert client.get("/reload", host).value("Allow") == "POST"
    daemon.wait_for_log("reloaded", mark)
    assert sum("reloaded" in line for line in daemon.log) == 1


def test_a_gateway_that_does_not_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "gate.ini").write_text(ini(admin(tmp_path), HELLO))
    output = terminal.operator(tmp_path, "status", "-c", "gate.ini")
    assert (output.code, "does the gateway run?" in output.text) == (1, True)
    (tmp_path / "gate.ini").write_text(listener("public") + HELLO)
    output = terminal.operator(tmp_path, "reload", "-c", "gate.ini")
    assert (output.code, "serve = admin" in output.text) == (1, True)
    assert "Traceback" not in output.text


def test_top_draws_on_a_terminal_until_q_is_typed(operate: Operated, tmp_path: Path) -> None:
    user, inside = os.openpty()
    program = str(Path(sys.executable).with_name("twistedgate"))
    words = [program, "top", "--config", str(operate.daemon.file)]
    with subprocess.Popen(words, stdin=inside, stdout=inside, stderr=inside, cwd=tmp_path) as process:
        os.close(inside)
        seen = b""
        while b"q ends." not in seen:
            seen += os.read(user, 65536)
        os.write(user, b"q")
        while b"\x1b[?1049l" not in seen:
            seen += os.read(user, 65536)
        assert process.wait(PATIENCE) == 0
    os.close(user)
    assert seen.startswith(b"\x1b[?1049h")
    pids = [row["pid"] for row in operate.json("status")["workers"]]
    assert all(str(pid).encode() in seen for pid in pids)


def test_top_ends_with_ctrl_c(operate: Operated, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("twistedgate"))
    words = [program, "top", "--json", "--config", str(operate.daemon.file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (0, b"")
