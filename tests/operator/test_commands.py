from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.operator.conftest import House
from tests.operator.statuses import status, target, upstream
from twistedgate.cli import main

Output = pytest.CaptureFixture[str]

TOLD = status(
    10.0,
    requests=5,
    upstreams={"orders": upstream(target(requests=5), target("192.0.2.2:80", state="drained"))},
)


def later(seconds: float, requests: int) -> dict[str, Any]:
    return {**TOLD, "clock": TOLD["clock"] + seconds, "requests": requests}


def test_the_status_is_a_page_with_rates(house: House, capsys: Output) -> None:
    file = house.configure()
    house.spokesman.say(TOLD)
    house.spokesman.say(later(0.5, 10))
    assert main(["status", "-c", file]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].endswith("0 connections, 10 requests/s")
    assert "192.0.2.2:80  drained" in said
    assert house.spokesman.asked == [("GET", "/status")] * 2


def test_the_status_as_json_is_what_the_gateway_says_and_the_rates(house: House, capsys: Output) -> None:
    file = house.configure()
    house.spokesman.say(TOLD)
    house.spokesman.say(later(0.5, 10))
    assert main(["status", "-c", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requests_per_second"] == 10.0
    assert (
        told.items() >= {**later(0.5, 10), "workers": told["workers"], "upstreams": told["upstreams"]}.items()
    )


def test_without_a_terminal_top_prints_one_page_after_the_other(house: House, capsys: Output) -> None:
    house.spokesman.say(TOLD)
    assert main(["top", "-c", house.configure(), "--count", "1"]) == 0
    assert capsys.readouterr().out.count("twistedgate 1.2.3") == 1


def test_top_as_json_prints_a_line_for_each_reading(house: House, capsys: Output) -> None:
    file = house.configure()
    for reading in (TOLD, later(0.5, 10), later(1.5, 40)):
        house.spokesman.say(reading)
    assert main(["top", "-c", file, "--json", "--count", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["requests_per_second"] for line in lines] == [10.0, 30.0]


def test_targets_are_listed(house: House, capsys: Output) -> None:
    house.spokesman.say(TOLD)
    assert main(["targets", "-c", house.configure()]) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["orders", "192.0.2.1:80", "up"],
        ["orders", "192.0.2.2:80", "drained"],
    ]
    assert main(["targets", "-c", house.configure(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"orders": TOLD["upstreams"]["orders"]["targets"]}


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["reload"], "/reload"),
        (["upgrade"], "/upgrade"),
        (["targets", "drain", "orders", "192.0.2.1:80"], "/upstreams/orders/targets/192.0.2.1%3A80/drain"),
        (["targets", "enable", "a.b", "http://x/"], "/upstreams/a.b/targets/http%3A%2F%2Fx%2F/enable"),
    ],
)
def test_a_command_is_one_post_and_a_line(house: House, capsys: Output, words: list[str], path: str) -> None:
    house.spokesman.say({"done": True, "said": "added route:x", "changes": []})
    assert main([*words, "-c", house.configure()]) == 0
    assert house.spokesman.asked == [("POST", path)]
    assert capsys.readouterr().out == "added route:x\n"
    assert main([*words, "-c", house.configure(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": True, "said": "added route:x", "changes": []}


@pytest.mark.parametrize(
    ("document", "status", "errors"),
    [
        ({"reason": "command-refused", "errors": ["a:1: no", "a:2: no"]}, 409, "a:1: no\na:2: no"),
        ({"reason": "unknown-name", "detail": "there is no x"}, 404, "there is no x"),
        ({"reason": "command-refused"}, 409, "refused"),
    ],
)
def test_a_refusal_says_why(house: House, capsys: Output, document: Any, status: int, errors: str) -> None:
    house.spokesman.say(document, status)
    assert main(["reload", "-c", house.configure()]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"{errors}\nNothing was changed.\n")
    assert main(["reload", "-c", house.configure(), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == document


def test_a_gateway_may_be_named_by_its_socket_or_url(house: House, capsys: Output, tmp_path: Path) -> None:
    house.spokesman.say({"said": "nothing changed"})
    house.configure()
    (tmp_path / "token").write_text("s3cret\n")
    port = house.listen()
    for where in (["--socket", str(tmp_path / "admin.sock")], ["--url", f"http://127.0.0.1:{port}"]):
        assert main(["reload", *where, "--token-file", str(tmp_path / "token")]) == 0
    assert [fields["authorization"] for fields in house.spokesman.fields] == ["Bearer s3cret"] * 2
    assert capsys.readouterr().out == "nothing changed\n" * 2


def test_the_token_of_the_configuration_is_shown(house: House, capsys: Output) -> None:
    house.spokesman.say({"said": "nothing changed"})
    assert main(["reload", "-c", house.configure("[gateway]\nadmin_token = s3cret\n")]) == 0
    assert house.spokesman.fields[0]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in "".join(capsys.readouterr())


def test_another_version_is_not_misunderstood(house: House, capsys: Output) -> None:
    house.spokesman.say({"version": "0.1"})
    assert main(["status", "-c", house.configure()]) == 1
    assert "of another version" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["reload"], ["upgrade", "--json"], ["targets", "drain", "u", "t"]])
def test_who_says_200_to_anything_has_carried_nothing_out(
    words: list[str], house: House, capsys: Output
) -> None:
    house.spokesman.say({"server": "behind the public listener"})
    assert main([*words, "-c", house.configure()]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "it is no admin listener (serve = admin)" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["targets", "stop"],
        ["targets", "drain"],
        ["targets", "drain", "orders"],
        ["top", "--count", "x"],
        ["reload", "now"],
        ["status", "--url", "http://a", "--socket", "b"],
    ],
)
def test_what_is_not_understood_ends_with_two(words: list[str], capsys: Output) -> None:
    try:
        ended = main(words)
    except SystemExit as exit_:
        ended = int(exit_.code or 0)
    assert ended == 2
    assert capsys.readouterr().err
