"""Makes a whole configuration of the part that a page shows.

A snippet stands for itself; what it leaves out is put in as shortly as can be: a listener if there is none,
an upstream or a policy that is named, files and variables that an option wants.  Nothing in it is changed.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

LISTENER = "[listener:docs]\nendpoint = tcp:0:interface=127.0.0.1\n"
CERTIFICATES = ("tls_certificate", "tls_ca")
SECRET = "whsec_ZXhhbXBsZS1zZWNyZXQtbmV2ZXItdXNlLXRoaXM=\n"
"""One that every option takes which wants a secret."""

_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)\}")
_NAME = re.compile(r"[a-z-]+:[A-Za-z0-9._-]+")


def completed(text: str) -> str:
    """Return the text with the sections that it leaves out."""
    shown = _read(text)
    missing = dict.fromkeys(name for name in _named(shown) if name not in shown)
    added = [f"[{name}]\n{_TARGETS if name.startswith('upstream:') else ''}" for name in missing]
    if not any(section.startswith("listener:") for section in shown):
        added.append(LISTENER)
    return "\n".join([text, *added])


_TARGETS = "targets = http://127.0.0.1:9\n"


def variables(text: str) -> dict[str, str]:
    """Return a value for each variable without a fallback."""
    return dict.fromkeys(_VARIABLE.findall(text), "value")


def write_files(text: str, folder: Path, certificate: str, key: str) -> None:
    """Write the files that the options of the text name: copies of a certificate, of its key, of a secret."""
    for options in _read(text).values():
        for name, value in options.items():
            if name in CERTIFICATES:
                _copy(certificate, folder / value)
            elif name == "tls_key":
                _copy(key, folder / value)
            elif value.startswith("file:"):
                (folder / value.removeprefix("file:")).write_text(SECRET)


def _copy(source: str, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_bytes(Path(source).read_bytes())


def _read(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#", ";"), default_section="\0", interpolation=None
    )
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _named(shown: dict[str, dict[str, str]]) -> Iterator[str]:
    for section, options in shown.items():
        if section.startswith("route:") and "upstream" in options:
            yield f"upstream:{options['upstream']}"
        yield from _NAME.findall(options.get("policies", ""))
