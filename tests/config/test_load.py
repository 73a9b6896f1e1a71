from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.load import default_path, load
from twistedgate.config.model import Configuration
from twistedgate.policies.headers import Headers
from twistedgate.policies.key_auth import KeyAuth
from twistedgate.routing.routes import unreachable

LISTENER = "[listener:public]\nendpoint = tcp:0\n"
VARIABLES = {"LINES": "a\nb"}


class TwoKinds:
    """Two kinds of policies, whatever others there are; a third that cannot be imported."""

    def names(self) -> Sequence[str]:
        return ["headers", "key-auth"]

    def options(self, kind: str) -> type[Any] | None:
        if kind == "broken":
            raise ValueError("the policy 'broken' cannot be had")
        return {"headers": Headers.Config, "key-auth": KeyAuth.Config}.get(kind)


def _cases() -> list[Any]:
    text = (Path(__file__).parent / "broken.txt").read_text(encoding="utf-8")
    return [_case(*case.split("\n", 1)) for case in text.split("\n## ")[1:]]


def _case(name: str, body: str) -> Any:
    ini, *errors = body.rstrip("\n").split("\n> ")
    return pytest.param(f"{ini}\n", errors, id=name)


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, **variables: str) -> Configuration:
    """Load a file that holds the text and a listener."""
    Path("gate.ini").write_text(text + LISTENER, encoding="utf-8")
    return load("gate.ini", TwoKinds(), [unreachable], VARIABLES | variables)


def errors_of(text: str, **variables: str) -> list[str]:
    """Return every error of a file that holds the text and a listener."""
    with pytest.raises(ConfigurationErrors) as raised:
        loaded(text, **variables)
    return [str(error) for error in raised.value.errors]


@pytest.mark.parametrize(("text", "errors"), _cases())
def test_says_where_what_is_wrong_and_what_is_accepted(text: str, errors: list[str]) -> None:
    assert errors_of(text) == errors


def test_the_broken_cases_name_their_lines_and_are_many() -> None:
    cases = _cases()
    assert len(cases) >= 40
    for case in cases:
        assert all(re.match(r"gate\.ini:[1-9][0-9]*: ", error) for error in case.values[1]), case.id


def test_tells_every_error_at_once_in_the_order_of_the_lines() -> None:
    found = errors_of(
        "[route:a]\npath = orders\nupstream = b\n\n[upstream:b]\ntargets = a:1, http://c:x\nretries = many\n"
        "\n[gateway]\nworkers = 64\npolicies = headers:h\n"
    )
    assert [error.partition(": ")[0] for error in found] == [f"gate.ini:{line}" for line in (2, 6, 7, 10, 11)]
    assert "'a:1' is not a target; 'x' is not a port" in found[1]


def test_reads_what_is_right() -> None:
    configuration = loaded(
        "[gateway]\ndrain_timeout = 1m\npolicies = headers:h\n[headers:h]\nrequest_set = X-A: b\n"
        "[upstream:u]\ntargets = http://a\n[route:r]\npath = /r/*\nupstream = u\npolicies = key-auth:k\n"
        "[key-auth:k]\n[consumer:c]\ngroups = x\n"
    )
    assert configuration.gateway.drain_timeout == 60.0
    assert configuration.upstreams["u"].targets[0].port == 80
    assert configuration.routes["r"].policies == ("key-auth:k",)
    assert configuration.consumers["c"].groups == ("x",)
    assert configuration.policies["headers:h"] == Headers.Config("h", request_set=((b"X-A", b"b"),))
    assert list(configuration.policies) == ["headers:h", "key-auth:k"]


def test_equal_text_makes_equal_values() -> None:
    text = "[upstream:u]\ntargets = http://a, http://b weight=2\n"
    assert loaded(text).upstreams == loaded(text).upstreams


def test_a_gateway_without_a_listener_is_none() -> None:
    Path("gate.ini").write_text("\n")
    with pytest.raises(ConfigurationErrors, match=r"^gate\.ini:1: there is no section \[listener:NAME\]"):
        load("gate.ini", TwoKinds())


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigurationErrors, match=r"^gate\.ini: cannot be read: No such file or directory$"):
        load("gate.ini", TwoKinds())


def test_a_policy_that_cannot_be_had_is_told_at_its_section() -> None:
    assert errors_of("[broken:b]\nx = 1\n") == ["gate.ini:1: [broken:b]: the policy 'broken' cannot be had"]


def test_a_wrong_upstream_is_not_called_missing() -> None:
    found = errors_of("[route:a]\npath = *\nupstream = b\n[upstream:b]\ntargets = ftp://c\n")
    assert len(found) == 1
    assert "[upstream:b] targets" in found[0]


def test_a_wrong_route_takes_nothing_from_others() -> None:
    found = errors_of(
        "[route:a]\npath = *\nhost = a:1\nrespond = 200\npriority = 1\n[route:b]\npath = /b\nrespond = 200\n"
    )
    assert len(found) == 1
    assert "[route:a] host" in found[0]


def test_a_default_written_out_is_accepted() -> None:
    loaded(
        "[gateway]\nworkers = 1\nstate = memory:\nstate_max = 256m\nstate_password =\njobs_path = /_jobs\n"
        "jobs_policies =\n[route:a]\npath = *\nrespond = 200\nasync = off\n"
    )


def test_errors_of_included_files_name_the_included_file() -> None:
    Path("conf.d").mkdir()
    Path("conf.d/b.ini").write_text("[route:a]\npath = x\nrespond = 200\n")
    Path("conf.d/a.ini").write_text("[upstream:u]\n")
    found = errors_of("[gateway]\ninclude = conf.d/*.ini\nworkers = 64\n")
    assert [error.partition(": [")[0] for error in found] == [
        "gate.ini:3",
        "conf.d/a.ini:1",
        "conf.d/b.ini:2",
    ]


def test_a_section_in_two_files_names_both_places() -> None:
    Path("more.ini").write_text("\n[upstream:u]\ntargets = http://b\n")
    found = errors_of("[gateway]\ninclude = more.ini\n[upstream:u]\ntargets = http://a\n")
    assert found == ["more.ini:2: [upstream:u]: stands at gate.ini:3 already; put the two together"]


def test_a_variable_never_makes_another_list_member() -> None:
    configuration = loaded("[gateway]\nredact_query = a, ${MORE}\n", MORE="b")
    assert configuration.gateway.redact_query == ("a", "b")
    found = errors_of("[gateway]\npolicies = ${MORE}\n", MORE="headers:a, headers:b")
    assert found[0].startswith("gate.ini:2: [gateway] policies: 'headers:a, headers:b' is not a policy")


def test_a_variable_never_makes_another_option_or_section() -> None:
    found = errors_of("[gateway]\nredact_query = ${MORE}\n", MORE="a\nworkers = 2\n[route:x]")
    assert len(found) == 1
    assert "redact_query" in found[0]


def test_a_secret_never_stands_in_an_error_or_in_a_repr() -> None:
    assert "hush-hush" not in repr(loaded("[gateway]\nadmin_token = hush-hush\n"))
    for text in (
        "[gateway]\nadmin_token: hush-hush\n",
        "[consumer:c]\nkeys = hush-hush\n",
        "[gateway]\nadmin_token = ${LINES}hush-hush\n",
    ):
        assert "hush-hush" not in "".join(errors_of(text))


def test_without_a_path_the_first_default_that_is_there_is_read() -> None:
    with pytest.raises(ConfigurationErrors, match="--config"):
        default_path()
    Path("etc").mkdir()
    Path("etc/twistedgate.ini").touch()
    assert default_path() == "etc/twistedgate.ini"


@given(st.text(max_size=300))
def test_no_text_makes_the_reading_fail_otherwise(text: str) -> None:
    _load_or_refuse(text)


LINES = st.sampled_from(
    [
        "[gateway]",
        "[listener:a]",
        "[upstream:b]",
        "[route:c]",
        "[headers:d]",
        "[key-auth:e]",
        "[consumer:f]",
        "[",
        "]",
        "=",
        "path = *",
        "path = /a/{b}/*",
        "upstream = b",
        "targets =",
        "  http://a:1 weight=2",
        "  [route:c]",
        "workers = 1",
        'respond = 200 "a',
        '  b"',
        "endpoint = tcp:0",
        "# a",
        "",
        "request_set = A: {route}",
        " X: y",
        "policies = headers:d, key-auth:e",
        "include = *.ini",
        "${A}",
        "admin_token = ${A:-x}",
        "host = *.a",
        "\ufeff",
    ]
)


@given(st.lists(LINES, max_size=25))
def test_no_order_of_lines_makes_the_reading_fail_otherwise(lines: list[str]) -> None:
    _load_or_refuse("\n".join(lines))


def _load_or_refuse(text: str) -> None:
    Path("gate.ini").write_bytes(text.encode("utf-8", "surrogatepass"))
    errors = _errors_of_file("gate.ini")
    assert all(error.startswith("gate.ini") for error in errors)


def _errors_of_file(path: str) -> list[str]:
    try:
        load(path, TwoKinds(), [unreachable], {})
    except ConfigurationErrors as errors:
        return str(errors).split("\n")
    return []
