"""Policies that another distribution brings, in a folder for ``PYTHONPATH``."""

from __future__ import annotations

from pathlib import Path

_PLUGIN = """\
from twistedgate.published import PublishedPolicy

published = PublishedPolicy("{kind}", "{module}")
"""


def distribute(root: Path, kind: str, rules: str) -> Path:
    """Publish a policy of that kind and return the file in which its rules are."""
    plugins = root / "twisted" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    module = f"{kind.replace('-', '_')}_rules"
    (plugins / f"{module}_plugin.py").write_text(_PLUGIN.format(kind=kind, module=module))
    file = root / f"{module}.py"
    file.write_text(rules)
    return file
