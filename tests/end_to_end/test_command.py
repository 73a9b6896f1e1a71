"""The command line: the check, what stops a start, and the exit codes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Start
from tests.end_to_end.harness import terminal
from tests.end_to_end.harness.configuration import everything_to, ini, listener, route, section
from tests.end_to_end.harness.daemon import Launch
from tests.end_to_end.harness.recorder import Recorder

HELLO = route("hello", "*", respond='200 "hello"')


def written(folder: Path, *sections: str) -> str:
    """Write a configuration into ``folder`` and return its path."""
    file = folder / "gate.ini"
    file.write_text(ini(*sections))
    return str(file)


def test_a_sound_configuration_passes_the_check_and_opens_no_socket(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        file = written(tmp_path, HELLO, section("listener:public", endpoint=endpoint))
        output = terminal.daemon(tmp_path, "--config", file, "--check")
    assert output.code == 0, output.text
    assert "public" in output.text
    assert "Traceback" not in output.text


BROKEN = """\
[listener:public]
endpoint = tcp:8080
header_timeout = 10

[upstream:main]
targets = http://127.0.0.1:1
retrys = 2

[route:main]
path = *
upstream = mian
"""


def test_a_broken_configuration_shows_every_error_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "gate.ini"
    file.write_text(BROKEN)
    for arguments in (["--check"], []):
        output = terminal.daemon(tmp_path, "--config", str(file), *arguments)
        assert output.code == 1
        assert f"{file}:3: [listener:public] header_timeout" in output.text
        assert f"{file}:7: [upstream:main] retrys" in output.text
        assert f"{file}:11: [route:main] upstream" in output.text
        assert "retries" in output.text
        assert "Traceback" not in output.text


def test_the_operators_command_says_the_same(tmp_path: Path) -> None:
    assert terminal.operator(tmp_path, "check", "--config", written(tmp_path, HELLO)).code == 0
    file = tmp_path / "broken.ini"
    file.write_text(BROKEN)
    output = terminal.operator(tmp_path, "check", "--config", str(file))
    assert (output.code, "retrys" in output.text) == (1, True)


def test_an_answer_is_explained(tmp_path: Path) -> None:
    file = written(tmp_path, HELLO, route("api", "/api/*", respond='200 "api"'))
    output = terminal.operator(tmp_path, "explain", "--config", file, "GET", "http://any.test/api/x")
    assert (output.code, "api" in output.text) == (0, True)
    assert "hello" in terminal.operator(tmp_path, "routes", "--config", file).text


def test_a_missing_configuration_ends_with_one(tmp_path: Path) -> None:
    output = terminal.daemon(tmp_path, "--config", str(tmp_path / "nothing.ini"))
    assert (output.code, "nothing.ini" in output.text) == (1, True)
    assert "Traceback" not in output.text


def test_a_port_that_is_taken_ends_with_one(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        file = written(tmp_path, HELLO, section("listener:public", endpoint=endpoint))
        output = terminal.daemon(tmp_path, "--config", file)
    assert (output.code, str(port) in output.text) == (1, True)


def test_an_open_admin_listener_wants_a_token(tmp_path: Path) -> None:
    admin = section("listener:admin", endpoint="tcp:0:interface=0.0.0.0", serve="admin")
    output = terminal.daemon(tmp_path, "--config", written(tmp_path, HELLO, admin), "--check")
    assert (output.code, "admin_token" in output.text) == (1, True)


def test_a_gateway_does_not_proxy_to_itself(tmp_path: Path) -> None:
    """The admin listener would answer to strangers."""
    sections = [
        section("listener:public", endpoint="tcp:18999:interface=127.0.0.1"),
        section("listener:admin", endpoint="tcp:18998:interface=127.0.0.1", serve="admin"),
    ]
    for port in (18999, 18998):
        file = written(tmp_path, *sections, everything_to(port))
        output = terminal.daemon(tmp_path, "--config", file, "--check")
        assert output.code == 1, output.text
        assert "[upstream:main] targets" in output.text


def test_variables_fill_values_and_never_make_options(tmp_path: Path) -> None:
    file = tmp_path / "gate.ini"
    file.write_text(ini(HELLO.replace('"hello"', '"${WORD}"'), "[gateway]\naccess_log = ${LOG:-off}\n"))
    assert terminal.daemon(tmp_path, "--config", str(file), "--check", WORD="hi").code == 0
    output = terminal.daemon(tmp_path, "--config", str(file), "--check")
    assert (output.code, "WORD" in output.text) == (1, True)
    injected = "x\n[listener:evil]\nendpoint = tcp:1"
    output = terminal.daemon(tmp_path, "--config", str(file), "--check", WORD=injected)
    assert "listener evil" not in output.text


def test_included_files_are_read(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "10-hello.ini").write_text(HELLO)
    daemon = start("[gateway]\ninclude = conf.d/*.ini\naccess_log = -\n")
    with daemon.connect() as client:
        assert client.get("/").body.strip() == b"hello"


def test_the_reactor_is_ours_and_another_works_as_well(start: Start, own_recorder: Recorder) -> None:
    daemon = start(everything_to(own_recorder.port))
    assert daemon.wait_for_log(r"the reactor is (\w+)")[1] not in ("EPollReactor", "SelectReactor")


@pytest.mark.parametrize("reactor", ["epoll", "poll", "select", "asyncio"])
def test_another_reactor_works_as_well(start: Start, own_recorder: Recorder, reactor: str) -> None:
    daemon = start(everything_to(own_recorder.port), launch=Launch(options=(f"--reactor={reactor}",)))
    with daemon.connect() as client:
        for number in range(3):
            body = bytes(200_000)
            assert client.ask("POST", f"/{number}", body=body).body == body
    with daemon.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.answer().status == 400
        assert client.ends()


def test_two_listeners_may_not_have_one_name(tmp_path: Path) -> None:
    file = tmp_path / "gate.ini"
    file.write_text(ini(HELLO, listener("twice"), listener("twice")))
    output = terminal.daemon(tmp_path, "--config", str(file), "--check")
    assert (output.code, output.text.count("listener:twice") >= 1) == (1, True)
