from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from twistedgate.published import PublishedPolicy, all_units, published_policies

MARKER = """
from twistedgate.published import PublishedPolicy
quota = PublishedPolicy("call-quota", "their_quota")
"""
ROOT = Path(__file__).parents[1]


def test_a_marker_in_a_plugin_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "their_plugins"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "quota.py").write_text(MARKER)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = published_policies(importlib.import_module("their_plugins"))
    assert found == [PublishedPolicy("call-quota", "their_quota")]
    assert "their_quota" not in sys.modules


def test_without_other_distributions_there_are_our_own_kinds() -> None:
    assert {"headers", "key-auth"} <= set(all_units().names())


def test_another_distribution_on_the_path_brings_its_policy(tmp_path: Path) -> None:
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "their_quota_plugin.py").write_text(MARKER)
    told = subprocess.run(
        [sys.executable, "-c", "from twistedgate.published import all_units; print(all_units().names())"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'call-quota'" in told.stdout
