"""How another process of this program is started: the same Python, and modules from the same places.

``python -m`` looks for modules in the working directory first, which twistd does not: a file ``json.py`` that
happens to lie there would be imported by each worker, though not by the supervisor.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def run_module(module: str, paths: Sequence[str] = sys.path) -> list[str]:
    """Return the command that runs a module; the working directory is on its path if it is on ``paths``."""
    try:
        is_here = bool({"", str(Path.cwd())} & set(paths))
    except OSError:
        # the working directory is gone
        is_here = False
    return [sys.executable, *([] if is_here else ["-P"]), "-m", module]
