from __future__ import annotations

from pathlib import Path

import pytest

from twistedgate.config.errors import ConfigurationErrors
from twistedgate.operator.address import (
    Address,
    CannotAsk,
    from_configuration,
    from_socket,
    from_url,
    read_token,
)

FRONT = "[listener:public]\nendpoint = tcp:8080\n"


@pytest.fixture
def find(tmp_path: Path) -> Find:
    return Find(tmp_path)


class Find:
    """Looks for the admin listener of a configuration."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gateway.ini"

    def __call__(self, *sections: str, **variables: str) -> Address:
        self.file.write_text("".join(sections))
        return from_configuration(str(self.file), None, variables)


def admin(endpoint: str, *options: str) -> str:
    lines = (f"endpoint = {endpoint}", "serve = admin", *options)
    return "[listener:admin]\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("tcp:8081:interface=127.0.0.1", "127.0.0.1", 8081),
        ("tcp:8081", "127.0.0.1", 8081),
        ("tcp:8081:interface=0.0.0.0", "127.0.0.1", 8081),
        ("tcp:8081:interface=192.0.2.7", "192.0.2.7", 8081),
        ("tcp6:8081", "::1", 8081),
        ("tcp6:8081:interface=2001\\:db8\\:\\:1", "2001:db8::1", 8081),
    ],
)
def test_what_listens_on_a_port_is_asked_there(find: Find, endpoint: str, host: str, port: int) -> None:
    found = find(FRONT, admin(endpoint))
    assert (found.host, found.port, found.path, found.is_secure) == (host, port, "", False)
    assert found.shown == endpoint


def test_a_unix_socket_is_asked_at_its_path(find: Find) -> None:
    found = find(FRONT, admin("unix:/run/twistedgate/admin.sock"))
    assert (found.path, found.shown) == ("/run/twistedgate/admin.sock", "unix:/run/twistedgate/admin.sock")
    assert from_socket("/run/a.sock") == Address("unix:/run/a.sock", path="/run/a.sock")


def test_the_first_of_several_is_asked(find: Find) -> None:
    second = admin("tcp:8082").replace(":admin]", ":other]")
    assert find(FRONT, admin("tcp:8081"), second).port == 8081


def test_a_listener_with_tls_is_known_by_its_certificate(find: Find, tmp_path: Path) -> None:
    found = find(admin("tcp:8081", "tls_certificate = a.pem", "tls_key = a.key"))
    assert (found.is_secure, found.certificate) == (True, str(tmp_path / "a.pem"))


def test_whatever_else_is_wrong_with_the_file_is_not_asked_here(find: Find) -> None:
    nonsense = "nonsense\n[route:x]\npath = x\n[nothing]\n[gateway]\nworkers = many\n"
    assert find("before = all\n", admin("tcp:8081", "backlog = none"), nonsense).port == 8081


def test_the_token_is_that_of_the_configuration(find: Find, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert find("[gateway]\nadmin_token = ${TOKEN}\n", admin("tcp:8081"), TOKEN="s3cret").token == "s3cret"
    found = find("[gateway]\nadmin_token = file:token\n", admin("tcp:8081"))
    assert found.token == "s3cret"
    assert "s3cret" not in repr(found)


def test_a_token_that_cannot_be_read_from_here_may_be_told(find: Find, tmp_path: Path) -> None:
    with pytest.raises(CannotAsk, match=r"gateway.ini:2: admin_token cannot be had.*--token-file FILE"):
        find("[gateway]\nadmin_token = file:credential\n", admin("tcp:8081"))
    assert from_configuration(str(find.file), "told", {}).token == "told"
    (tmp_path / "token").write_text("told\n")
    assert read_token(str(tmp_path / "token")) == "told"
    with pytest.raises(CannotAsk, match="No such file"):
        read_token(str(tmp_path / "none"))


def test_without_an_admin_listener_the_lines_that_add_one_are_shown(find: Find) -> None:
    with pytest.raises(CannotAsk) as raised:
        find(FRONT)
    shown = "".join(line.strip() + "\n" for line in str(raised.value).splitlines() if line.startswith("    "))
    assert find(FRONT, shown).path == "/run/twistedgate/admin.sock"


@pytest.mark.parametrize("endpoint", ["tcp:0:interface=127.0.0.1", "systemd:domain=UNIX:name=admin"])
def test_an_address_that_the_file_does_not_know_must_be_told(find: Find, endpoint: str) -> None:
    with pytest.raises(CannotAsk, match="--socket PATH or --url URL"):
        find(FRONT, admin(endpoint))


def test_an_endpoint_that_is_wrong_is_an_error_of_the_file(find: Find) -> None:
    with pytest.raises(ConfigurationErrors, match="is not a port"):
        find(FRONT, admin("tcp:none"))


def test_so_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationErrors):
        from_configuration(str(tmp_path / "none.ini"))


@pytest.mark.parametrize(
    ("url", "host", "port", "is_secure"),
    [
        ("http://127.0.0.1:8081", "127.0.0.1", 8081, False),
        ("http://[::1]:8081/", "::1", 8081, False),
        ("https://gateway.internal", "gateway.internal", 443, True),
        ("http://localhost", "localhost", 80, False),
    ],
)
def test_a_url_says_all(url: str, host: str, port: int, is_secure: bool) -> None:
    found = from_url(url)
    assert (found.host, found.port, found.is_secure, found.certificate) == (host, port, is_secure, "")


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8081", "ftp://a", "http://", "http://a:b", "http://a/status", "http://u@a", "http://[x"],
)
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(CannotAsk, match="is not "):
        from_url(url)
