from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority, Pair
from tests.operator.conftest import House
from twistedgate.operator import asking
from twistedgate.operator.address import Address, CannotAsk, from_socket, from_url
from twistedgate.operator.asking import ask


def at(port: int, scheme: str = "http") -> Address:
    return from_url(f"{scheme}://127.0.0.1:{port}")


def server_tls(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def refusal(address: Address, path: str = "/status") -> str:
    with pytest.raises(CannotAsk) as raised:
        ask(address, path)
    return str(raised.value)


def test_a_question_over_tcp(house: House) -> None:
    house.spokesman.say({"version": "1"})
    reply = ask(at(house.listen()), "/status")
    assert (reply.is_good, reply.document) == (True, {"version": "1"})
    assert house.spokesman.asked == [("GET", "/status")]
    (fields,) = house.spokesman.fields
    assert fields["host"] == "localhost"
    assert "authorization" not in fields
    assert "content-type" not in fields


def test_a_command_over_a_unix_socket_says_that_it_is_none_of_a_form(house: House, tmp_path: Path) -> None:
    house.spokesman.say({"done": True})
    address = from_socket(house.listen_at(tmp_path / "a.sock")).with_token("tökén")
    assert ask(address, "/reload", "POST").is_good
    (fields,) = house.spokesman.fields
    assert fields["content-type"] == "application/json"
    assert fields["content-length"] == "0"
    assert fields["authorization"].encode("latin-1").decode() == "Bearer tökén"


@pytest.mark.parametrize("name", ["localhost", "gateway.example.com"])
def test_a_certificate_of_the_configuration_is_known_whatever_its_name(
    house: House, tmp_path: Path, name: str
) -> None:
    pair = Authority(tmp_path).issue(name)
    house.spokesman.say({})
    port = house.listen(server_tls(pair))
    address = Address("tcp:x", host="127.0.0.1", port=port, is_secure=True, certificate=pair.certificate)
    assert ask(address, "/live").is_good


def test_another_certificate_is_not_and_no_token_is_shown_to_it(house: House, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    served = Authority(tmp_path / "first").issue("localhost")
    known = Authority(tmp_path / "second").issue("localhost")
    port = house.listen(server_tls(served))
    address = Address("tcp:x", host="127.0.0.1", port=port, is_secure=True, certificate=known.certificate)
    assert "SIGHUP" in refusal(address.with_token("s3cret"))
    assert "is not trusted" in refusal(at(port, "https").with_token("s3cret"))
    assert house.spokesman.asked == []


def test_a_refused_command_is_a_reply(house: House) -> None:
    house.spokesman.say({"reason": "command-refused", "errors": ["no"]}, 409)
    reply = ask(at(house.listen()), "/reload", "POST")
    assert (reply.is_good, reply.document["errors"]) == (False, ["no"])


def test_a_wrong_token_is_told(house: House) -> None:
    house.spokesman.say({"reason": "no-credentials"}, 401)
    address = at(house.listen())
    assert "wants its own admin_token" in refusal(address)
    told = refusal(address.with_token("s3cret"))
    assert "wants another admin_token" in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("status", "document", "told"),
    [
        (404, {"reason": "no-route"}, "refuses: 404 no-route"),
        (500, {"reason": "\x1b[2J"}, "refuses: 500"),
        (200, b"<html>", "no admin listener"),
        (200, [1], "no admin listener"),
    ],
)
def test_what_is_no_answer_is_told(house: House, status: int, document: object, told: str) -> None:
    house.spokesman.say(document, status)
    said = refusal(at(house.listen()))
    assert told in said
    assert said.isprintable()


def test_what_speaks_no_http_is_told(house: House) -> None:
    house.spokesman.raw = b"+PONG\r\n"
    assert "does not speak HTTP" in refusal(at(house.listen()))


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert "does the gateway run?" in refusal(at(port))
    assert "does the gateway run?" in refusal(from_socket(str(tmp_path / "none.sock")))
    assert "cannot be asked" in refusal(from_socket(str(tmp_path / ("x" * 200))))


def test_a_socket_of_somebody_else_is_told(tmp_path: Path) -> None:
    assert "sudo" in asking._unreachable(from_socket("/run/a.sock"), PermissionError(13, "Permission denied"))


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer in time" in refusal(at(silent.getsockname()[1]))


def test_no_tls_where_there_should_be_is_told(house: House) -> None:
    house.spokesman.say({})
    assert "no TLS at" in refusal(at(house.listen(), "https"))
