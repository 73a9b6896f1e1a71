from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.config.test_certificates import certificate_of, make_key
from twistedgate import __version__, cli
from twistedgate.cli import check, main
from twistedgate.published import all_units

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "etc" / "examples").glob("*.ini"))
SOUND = """[listener:a]
endpoint = tcp:0
[upstream:u]
targets = http://a, http://b
[route:r]
path = /r
respond = 200
"""


@pytest.fixture
def sound(tmp_path: Path) -> str:
    (tmp_path / "a.ini").write_text(SOUND)
    return str(tmp_path / "a.ini")


@pytest.fixture
def broken(tmp_path: Path) -> str:
    (tmp_path / "b.ini").write_text(SOUND + "path = /b\n[gateway]\nstate_password = x\n")
    return str(tmp_path / "b.ini")


Output = pytest.CaptureFixture[str]


def test_a_sound_configuration_is_summed_up(sound: str, capsys: Output) -> None:
    assert main(["check", "--config", sound]) == 0
    assert capsys.readouterr().out == (
        f"{sound} is sound:\n  listener a: proxy at tcp:0\n  upstream u: 2 targets, round-robin\n"
        "  1 route, 0 consumers, 0 policy sections\n  remark: no route uses [upstream:u]\n"
    )


def test_a_broken_configuration_is_told_in_full(broken: str, capsys: Output) -> None:
    assert main(["check", "-c", broken]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"{broken}:8: [route:r] path: stands at {broken}:6 already; remove one of them\n"
        f"{broken}:10: [gateway] state_password: is of no use for memory:; leave it out, "
        "or use a redis:// state\n2 errors\n"
    )


def test_the_daemon_checks_by_the_same_function(sound: str, broken: str, capsys: Output) -> None:
    assert check(sound) == 0
    assert check(broken) == 1
    assert "2 errors" in capsys.readouterr().err


def test_every_command_tells_what_is_wrong(broken: str, capsys: Output) -> None:
    for command in (["routes"], ["explain", "GET", "/"]):
        assert main([*command, "--config", broken]) == 1
        assert capsys.readouterr().err.endswith("2 errors\n")


def test_without_a_file_the_defaults_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "etc/twistedgate.ini: is not there, and neither is /etc/twistedgate/" in capsys.readouterr().err


def test_routes_are_printed_as_a_table(sound: str, capsys: Output) -> None:
    assert main(["routes", "--config", sound]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "0",
        "any",
        "/r",
        "any",
        "-",
        "r",
        "respond",
        "200",
        "-",
    ]


def test_a_request_is_explained(sound: str, capsys: Output) -> None:
    assert main(["explain", "--config", sound, "GET", "http://a/r", "-H", "X-A: b"]) == 0
    assert "answered by [route:r]" in capsys.readouterr().out
    assert main(["explain", "--config", sound, "GET", "/none"]) == 1
    assert "no route answers: 404" in capsys.readouterr().out
    assert main(["explain", "--config", sound, "GET", "ftp://a"]) == 2
    assert "is not a URL" in capsys.readouterr().err


def test_a_key_and_its_line_are_printed(capsys: Output) -> None:
    assert main(["keys", "new"]) == 0
    key, line = capsys.readouterr().out.splitlines()
    assert len(key) >= 43
    assert line == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert main(["keys", "new"]) == 0
    assert key not in capsys.readouterr().out


def test_options_are_printed_for_one_kind_or_all(capsys: Output) -> None:
    assert main(["options", "key-auth"]) == 0
    assert capsys.readouterr().out.startswith("[key-auth:NAME]\n")
    assert main(["options"]) == 0
    said = capsys.readouterr().out
    assert all(
        title in said for title in ("[gateway]\n", "[listener:NAME]\n", "[route:NAME]\n", "[headers:NAME]\n")
    )
    assert main(["options", "rout"]) == 2
    assert "did you mean 'route'?" in capsys.readouterr().err


def test_the_version_is_printed(capsys: Output) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"twistedgate {__version__}\n"


ASKING = [
    *(["status"], ["reload"], ["upgrade"], ["targets"], ["top"]),
    *(["jobs", "list"], ["jobs", "show", "x"], ["jobs", "result", "x"], ["jobs", "cancel", "x", "y"]),
    *(["jobs", "retry", "x"], ["jobs", "purge", "--all"]),
]


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_a_gateway_that_cannot_be_asked_is_a_sentence(words: list[str], sound: str, capsys: Output) -> None:
    assert main([*words, "-c", sound]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"twistedgate {words[0]}: {sound} has no admin listener")
    assert said.out == ""


def test_who_types_ctrl_c_is_not_shown_a_traceback(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(units: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "kinds", interrupted)
    assert main(["options"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [[], ["frobnicate"], ["explain", "GET"], ["check", "--cofnig"], ["keys", "old"], ["jobs"], ["jobs", "x"]],
)
def test_what_is_not_understood_ends_with_two(arguments: list[str], capsys: Output) -> None:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().err


def test_the_installed_command_survives_a_reader_that_has_seen_enough(sound: str) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from twistedgate.cli import main; sys.exit(main())",
        "options",
    ]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_the_shipped_configuration_is_sound() -> None:
    configuration = all_units().load(str(ROOT / "etc" / "twistedgate.ini"), {})
    assert [target.url for target in configuration.upstreams["orders"].targets] == [
        "http://127.0.0.1:9001",
        "http://127.0.0.1:9002",
        "http://127.0.0.1:9003",
    ]
    assert {listener.serve for listener in configuration.listeners.values()} == {"proxy", "admin"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_sound(path: Path, tmp_path: Path) -> None:
    key = make_key()
    (tmp_path / "server.pem").write_bytes(certificate_of(key))
    (tmp_path / "authority.pem").write_bytes(certificate_of(key))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    configuration = all_units().load(str(path), {"CERTIFICATES": str(tmp_path)})
    assert configuration.routes
    used = {route.upstream for route in configuration.routes.values()} - {""}
    assert used == set(configuration.upstreams)


def test_there_is_an_example_for_each_capability() -> None:
    assert len(EXAMPLES) >= 12
