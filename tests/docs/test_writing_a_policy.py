"""The page about writing a policy works: its files are written, its commands run, its requests served."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from twistedgate import testing
from twistedgate.policy import Policy, Stage

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "writing-a-policy.md").read_text(encoding="utf-8")

FILES = dict(
    re.findall(r"`([\w./]+)`:\n\n```(?:python|cfg|toml)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
)
"""The files that the page shows, by the name that stands before each."""

TWISTEDGATE = "from twistedgate.cli import main; raise SystemExit(main())"
BUILD = "from setuptools import build_meta; build_meta.build_wheel('wheel')"
SERVE = """
import json, pathlib
from twistedgate.testing import exchange, gateway
orders = gateway(pathlib.Path("gateway.ini").read_text())
answers = [orders.serve(exchange(headers={"X-API-Key": "foo"})) for _ in range(3)]
answers.append(orders.serve(exchange()))
print(json.dumps([[answer.status, answer.reason] for answer in answers]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page."""
    made = tmp_path_factory.mktemp("distribution")
    for name, text in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


def run(folder: Path, *arguments: str) -> str:
    """Run Python where the distribution is installed, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown() -> dict[str, str]:
    """Return what the page shows of each command."""
    consoles = re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(consoles), re.MULTILINE))


def test_the_page_shows_what_a_distribution_is_made_of() -> None:
    assert list(FILES) == [
        "example_policies/call_quota.py",
        "gateway.ini",
        "test_call_quota.py",
        "twisted/plugins/example_policies_plugin.py",
        "pyproject.toml",
    ]
    assert [command.split()[0] for command in shown()] == ["python", "twistedgate", "twistedgate"]


def test_its_tests_are_green(folder: Path) -> None:
    (command,) = (command for command in shown() if command.startswith("python "))
    assert "3 passed" in run(folder, *command.split()[1:], "-p", "no:cacheprovider")


@pytest.mark.parametrize("command", [command for command in shown() if command.startswith("twistedgate ")])
def test_its_commands_print_what_is_shown(folder: Path, command: str) -> None:
    assert run(folder, "-c", TWISTEDGATE, *command.split()[1:]) == shown()[command]


def test_the_published_policy_serves(folder: Path) -> None:
    assert json.loads(run(folder, "-c", SERVE)) == [
        [200, ""],
        [200, ""],
        [429, "quota-used-up"],
        [401, "no-credentials"],
    ]


def test_what_is_installed_is_the_policy_and_its_marker(folder: Path) -> None:
    run(folder, "-W", "ignore", "-c", BUILD)
    (wheel,) = (folder / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        modules = {name for name in archive.namelist() if name.endswith(".py")}
    assert modules == {"example_policies/call_quota.py", "twisted/plugins/example_policies_plugin.py"}


def test_everything_of_the_kit_is_in_its_table() -> None:
    table = PAGE[PAGE.index("| name | gives |") : PAGE.index("## Publishing it")]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(testing.__all__)


def test_the_stages_and_hooks_are_those_of_a_policy() -> None:
    table = PAGE[PAGE.index("| stage | asks |") :]
    assert re.findall(r"^\| `([A-Z]+)`", table, re.MULTILINE) == [stage.name for stage in Stage]
    assert set(re.findall(r"`(on_\w+)`", table)) == {name for name in vars(Policy) if name.startswith("on_")}
    assert Policy.stage is Stage.TRANSFORM
