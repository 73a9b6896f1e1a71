"""What an installation brings: twistd finds the plugin, the archives hold what they must."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import twistedgate
from twistedgate import cli

ROOT = Path(__file__).resolve().parent.parent

LIST_PLUGINS = """
import json, sys
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
found = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "twistedgate"]
loaded = sorted(name for name in sys.modules if name.partition(".")[0] == "twistedgate")
print(json.dumps([[[one.module, one.description] for one in found], loaded]))
"""

BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2])
"""

NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", ".*_cache")


def _run(program: str, *arguments: str, folder: Path) -> str:
    """Run a program of Python's in another process; its reactor and modules are not ours."""
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in a source archive (without its first folder) and in a wheel, both built anew."""
    copy = tmp_path_factory.mktemp("copy") / "twistedgate"
    shutil.copytree(ROOT, copy, ignore=NOT_SOURCE)
    output = tmp_path_factory.mktemp("output")
    for kind in ("sdist", "wheel"):
        _run(BUILD, kind, str(output), folder=copy)
    with tarfile.open(next(output.glob("*.tar.gz"))) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(next(output.glob("*.whl"))) as archive:
        wheel = set(archive.namelist())
    return source, wheel


def test_twistd_finds_the_plugin_once_and_loads_nothing_for_it(tmp_path: Path) -> None:
    plugins, loaded = json.loads(_run(LIST_PLUGINS, folder=tmp_path))
    assert plugins == [["twistedgate.tap", "An API gateway and HTTP proxy."]]
    assert loaded == []


def test_nothing_under_twisted_hides_twisteds_own_package() -> None:
    assert list((ROOT / "twisted").rglob("__init__.py")) == []
    assert [path.name for path in (ROOT / "twisted").rglob("*.py")] == ["twistedgate_plugin.py"]


def test_the_wheel_holds_the_package_and_the_plugin_only(archives: tuple[set[str], set[str]]) -> None:
    wheel = archives[1]
    tops = {name.partition("/")[0] for name in wheel}
    assert tops == {"twisted", "twistedgate", f"twistedgate-{twistedgate.__version__}.dist-info"}
    assert {name for name in wheel if name.startswith("twisted/")} == {
        "twisted/plugins/twistedgate_plugin.py"
    }
    assert "twistedgate/py.typed" in wheel


def test_the_wheel_holds_every_module(archives: tuple[set[str], set[str]]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "twistedgate").rglob("*.py")}
    scripts = {path.relative_to(ROOT).as_posix() for path in (ROOT / "twistedgate").rglob("*.lua")}
    assert modules | scripts <= archives[1]
    assert scripts <= archives[0]


def test_the_source_archive_holds_what_a_stranger_needs(archives: tuple[set[str], set[str]]) -> None:
    needed = {"LICENSE", "README.md", "setup.cfg", "pyproject.toml", "etc/twistedgate.ini", "scripts/demo"}
    assert needed <= archives[0]
    assert "tests/test_packaging.py" in archives[0]
    assert {"contrib/grafana/twistedgate.json", "contrib/prometheus/alerts.yml"} <= archives[0]
    assert "twisted/plugins/twistedgate_plugin.py" in archives[0]
    assert not [name for name in archives[0] if name.endswith(("dropin.cache", ".pyc"))]


def test_the_readmes_configuration_is_sound(tmp_path: Path) -> None:
    found = re.search(r"```ini\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    settings = tmp_path / "readme.ini"
    settings.write_text(found[1])
    assert cli.main(["check", "--config", str(settings)]) == 0


def test_the_shipped_configuration_is_sound() -> None:
    assert cli.main(["check", "--config", str(ROOT / "etc" / "twistedgate.ini")]) == 0


def test_what_the_demo_prints_has_a_route(capsys: pytest.CaptureFixture[str]) -> None:
    settings = str(ROOT / "etc" / "twistedgate.ini")
    paths = re.findall(
        r"curl .*http://127.0.0.1:\$gateway_port(/\S+)", (ROOT / "scripts" / "demo").read_text()
    )
    assert len(paths) == 4
    for path in paths:
        assert cli.main(["explain", "--config", settings, "GET", f"http://127.0.0.1:8080{path}"]) == 0


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text()):
            assert (ROOT / link).exists(), link
