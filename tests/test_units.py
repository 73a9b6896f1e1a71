from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from twistedgate.config.errors import ConfigurationErrors
from twistedgate.policies.headers import Headers
from twistedgate.policies.key_auth import KeyAuth
from twistedgate.units import Units, class_name

POLICY = """
from dataclasses import dataclass
from twistedgate.config.schema import option
from twistedgate.config.values import count
from twistedgate.policy import Policy, Stage

class CallQuota(Policy):
    '''Counts calls.'''
    @dataclass(frozen=True, slots=True)
    class Config:
        name: str
        calls: int = option(count, "10", "How many.")

class WhoCalls(CallQuota):
    stage = Stage.IDENTIFY

class WholeBody(CallQuota):
    needs_request_body = True

class NoConfig(Policy):
    pass

class NoPolicy:
    pass
"""


@dataclass(frozen=True)
class Marker:
    name: str
    module: str


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of another distribution's module, which can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_policies.py").write_text(POLICY)
    (tmp_path / "their_mistake.py").write_text("import nothing_of_that_name\n")
    yield "their_policies"
    for name in ("their_policies", "their_mistake"):
        sys.modules.pop(name, None)


def test_a_kind_is_a_module_and_a_class() -> None:
    assert class_name("rate-limit") == "RateLimit"
    assert Units().find("headers") is Headers
    assert Units().find("key-auth") is KeyAuth
    assert Units().options("key-auth") is KeyAuth.Config


def test_every_module_of_policies_holds_its_policy() -> None:
    units = Units()
    assert {"headers", "key-auth"} <= set(units.names())
    for name in units.names():
        policy = units.find(name)
        assert policy is not None
        assert policy.__doc__


def test_there_is_no_other_kind() -> None:
    assert Units().find("quota") is None
    assert Units().options("__init__") is None


def test_a_published_policy_is_imported_when_it_is_asked_for(module: str) -> None:
    units = Units([Marker("call-quota", module)])
    assert "call-quota" in units.names()
    assert module not in sys.modules
    policy = units.find("call-quota")
    assert policy is not None
    assert policy.__name__ == "CallQuota"


@pytest.mark.parametrize(
    ("kind", "where", "why"),
    [
        ("headers", "their_policies", "is taken"),
        ("route", "their_policies", "is taken"),
        ("Call_Quota", "their_policies", "no name for a kind"),
        ("call-quota", "their_mistake", "nothing_of_that_name"),
        ("call-quota", "their_nothing", "their_nothing"),
        ("no-class", "their_policies", "NoClass"),
        ("no-config", "their_policies", "not a Policy with a dataclass Config"),
        ("no-policy", "their_policies", "not a Policy with a dataclass Config"),
    ],
)
@pytest.mark.usefixtures("module")
def test_a_published_policy_that_cannot_be_used_says_why(kind: str, where: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Units([Marker(kind, where)]).find(kind)


def test_a_configuration_with_a_published_policy_is_loaded(module: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ini"
    file.write_text("[listener:a]\nendpoint = tcp:0\n[call-quota:q]\ncalls = 7\n")
    configuration = Units([Marker("call-quota", module)]).load(str(file), {})
    assert configuration.policies["call-quota:q"].calls == 7


def test_routes_that_can_never_answer_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "a.ini"
    file.write_text(
        "[listener:a]\nendpoint = tcp:0\n[route:a]\npath = *\npriority = 1\nrespond = 200\n"
        "[route:b]\npath = /b\nrespond = 200\n"
    )
    with pytest.raises(ConfigurationErrors, match=r"a\.ini:8: \[route:b\] path: can never answer"):
        Units().load(str(file), {})


@pytest.mark.parametrize("where", ["gateway", "route:a"])
def test_a_body_that_a_policy_holds_must_have_a_bound(module: str, tmp_path: Path, where: str) -> None:
    file = tmp_path / "a.ini"
    sections = {"gateway": "", "route:a": "path = /a\nmax_body = 0\nrespond = 200\n"}
    sections[where] += "policies = whole-body:w\n"
    file.write_text(
        "[listener:a]\nendpoint = tcp:0\n[route:a]\n"
        f"{sections['route:a']}[whole-body:w]\n[gateway]\n{sections['gateway']}"
    )
    units = Units([Marker("whole-body", module)])
    with pytest.raises(
        ConfigurationErrors, match=r"a\.ini:5: \[route:a\] max_body: is no limit, and whole-body:w"
    ):
        units.load(str(file), {})
    file.write_text(file.read_text().replace("max_body = 0", "max_body = 1k"))
    assert units.load(str(file), {}).routes["a"].max_body == 1024


JOBS = "[listener:a]\nendpoint = tcp:0\n[key-auth:k]\n[key-auth:l]\nheader = X-L\n[headers:h]\n"
ROUTE = "path = *\nrespond = 200\nasync = optional\n"


def loading(text: str, folder: Path, units: Units | None = None) -> str:
    """Return what is wrong with a file, without its name."""
    file = folder / "a.ini"
    file.write_text(JOBS + text)
    try:
        (units or Units()).load(str(file), {})
    except ConfigurationErrors as errors:
        return str(errors).replace(str(file), "a.ini")
    return ""


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        (f"[route:r]\n{ROUTE}", ()),
        (f"[route:r]\n{ROUTE}policies = headers:h, key-auth:l\n", ("key-auth:l",)),
        (
            f"[gateway]\npolicies = key-auth:l\n[route:r]\n{ROUTE}policies = key-auth:k\n",
            ("key-auth:l", "key-auth:k"),
        ),
        (f"[gateway]\njobs_policies = key-auth:k\n[route:r]\n{ROUTE}", ("key-auth:k",)),
        ("[route:r]\npath = *\nrespond = 200\npolicies = key-auth:k\n", ()),
    ],
)
def test_before_jobs_stand_the_policies_that_know_their_callers(
    text: str, titles: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "b.ini").write_text(JOBS + text)
    units = Units()
    assert units.identifying(units.load(str(tmp_path / "b.ini"), {})) == titles


def test_a_policy_before_jobs_tells_who_calls(tmp_path: Path) -> None:
    assert loading("[gateway]\njobs_policies = headers:h\n", tmp_path) == (
        "a.ini:8: [gateway] jobs_policies: 'headers:h' does not tell who calls; "
        "accepted: policies of the stage IDENTIFY"
    )


def test_somebody_can_ask_for_each_job(tmp_path: Path) -> None:
    text = f"[gateway]\njobs_policies = key-auth:k\n[route:r]\n{ROUTE}policies = key-auth:l\n"
    assert loading(text, tmp_path) == (
        "a.ini:8: [gateway] jobs_policies: no policy of [route:r] is there, "
        "so nobody could ask for its jobs; add key-auth:l"
    )


@pytest.mark.usefixtures("module")
def test_a_policy_that_cannot_tell_whether_credentials_are_there_is_no_owner_of_jobs(tmp_path: Path) -> None:
    text = f"[who-calls:w]\n[route:r]\n{ROUTE}policies = who-calls:w\n"
    units = Units([Marker("who-calls", "their_policies")])
    assert loading(text, tmp_path, units) == (
        "a.ini:11: [route:r] async: who-calls:w cannot tell whether credentials are there, "
        "so nobody could ask for a job; accepted: off, or another policy"
    )
