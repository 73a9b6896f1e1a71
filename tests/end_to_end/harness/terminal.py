"""Commands that run to their end, as an operator types them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.harness.daemon import command, environment
from tests.end_to_end.harness.waiting import PATIENCE


@dataclass(frozen=True)
class Output:
    """What a command left."""

    code: int
    text: str


def daemon(folder: Path, *arguments: str, **variables: str) -> Output:
    """Run the daemon's command line in ``folder`` until it ends by itself."""
    return _run(command(*arguments), folder, variables)


def operator(folder: Path, *arguments: str, **variables: str) -> Output:
    """Run the command ``twistedgate`` in ``folder``."""
    return _run([str(Path(sys.executable).with_name("twistedgate")), *arguments], folder, variables)


def _run(line: list[str], folder: Path, variables: dict[str, str]) -> Output:
    done = subprocess.run(
        line,
        cwd=folder,
        env=environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
        text=True,
    )
    return Output(done.returncode, done.stdout)
