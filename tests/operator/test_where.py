from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from twistedgate.operator.address import CannotAsk
from twistedgate.operator.where import add_where, address_of


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_where(parser)
    return parser.parse_args(words)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "gate.ini"
    admin = "[listener:admin]\nendpoint = unix:/run/a.sock\nserve = admin\n"
    path.write_text(f"[gateway]\nadmin_token = configured\n{admin}")
    (tmp_path / "token").write_text("s3cret\n")
    return str(path)


def test_the_configuration_says_where_and_with_which_token(file: str) -> None:
    found = address_of(parse("-c", file))
    assert (found.path, found.token) == ("/run/a.sock", "configured")


def test_a_file_with_the_token_takes_the_place_of_the_configurations(file: str, tmp_path: Path) -> None:
    token = str(tmp_path / "token")
    for where in (("-c", file), ("--socket", "/run/a.sock"), ("--url", "http://127.0.0.1:1")):
        assert address_of(parse(*where, "--token-file", token)).token == "s3cret"


def test_a_socket_and_a_url_need_no_configuration() -> None:
    assert address_of(parse("--socket", "/run/b.sock")).path == "/run/b.sock"
    found = address_of(parse("--url", "http://127.0.0.1:8081"))
    assert (found.host, found.port, found.token) == ("127.0.0.1", 8081, "")


def test_what_leads_nowhere_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotAsk, match="cannot be read"):
        address_of(parse("--socket", "a", "--token-file", str(tmp_path / "none")))


def test_only_one_of_them_is_said() -> None:
    with pytest.raises(SystemExit):
        parse("--socket", "a", "--url", "b")
