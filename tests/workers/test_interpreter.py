from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from twistedgate.workers.interpreter import run_module


def said(*paths: str) -> str:
    """Run a module of the working directory, if it is found there."""
    command = run_module("found_here", paths)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which has a module."""
    (tmp_path / "found_here.py").write_text("print('here')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_modules_of_the_working_directory_are_not_found() -> None:
    assert said("/usr/lib/python") == ""


def test_unless_this_program_finds_them_too(here: Path) -> None:
    assert said(str(here)) == said("") == "here\n"


def test_a_working_directory_that_is_gone_is_none(here: Path) -> None:
    (here / "found_here.py").unlink()
    here.rmdir()
    assert "-P" in run_module("found_here")
