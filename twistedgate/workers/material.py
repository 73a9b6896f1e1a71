"""What a worker is given to serve: a configuration, and the content of every file that it names for TLS.

The supervisor reads the files once, when it loads a configuration; workers that are started later serve by
the same certificates and keys, whatever the files hold by then, and need no right to read them.  Pickles
travel from the supervisor to its own workers, over a private pair of sockets, and nowhere else.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from twistedgate.config.model import Configuration
from twistedgate.net.tls import Read, read_file


@dataclass(frozen=True, slots=True)
class Material:
    """The content of files, by their paths."""

    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def read(self, path: str) -> bytes:
        """Return what the file held; raises ``ValueError`` for one that was not asked for."""
        try:
            return self.contents[path]
        except KeyError:
            raise ValueError(f"the file '{path}' was not given to this worker") from None


def collect(configuration: Configuration, read: Read = read_file) -> Material:
    """Return the content of every file that is named for TLS; ``ValueError`` if one cannot be read."""
    return Material({path: read(path) for path in dict.fromkeys(_paths(configuration))})


def _paths(configuration: Configuration) -> Iterator[str]:
    named: list[str | None] = []
    for listener in configuration.listeners.values():
        named += (listener.tls_certificate, listener.tls_key)
    named += (upstream.tls_ca for upstream in configuration.upstreams.values())
    return (path for path in named if path is not None)


def pack(configuration: Configuration, material: Material) -> bytes:
    """Return both as bytes; raises ``ValueError`` if what a third party's policy is told cannot be."""
    try:
        return pickle.dumps((configuration, material), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise ValueError(f"{_culprit(configuration)} cannot be given to workers: {error}") from error


def _culprit(configuration: Configuration) -> str:
    """Return the section that cannot be pickled."""
    for title, options in configuration.policies.items():
        try:
            pickle.dumps(options, pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 -- a third party's options may raise anything
            return f"[{title}]"
    return "the configuration"


def unpack(packed: bytes) -> tuple[Configuration, Material]:
    """Return what was packed."""
    configuration, material = pickle.loads(packed)  # noqa: S301 -- from our own supervisor
    return configuration, material
