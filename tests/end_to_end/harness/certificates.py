"""Who a server says it is, and what its clients must trust, for both ends of TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority


@dataclass(frozen=True)
class Identity:
    """A certificate in a file, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path

    def server_side(self) -> ssl.SSLContext:
        """Return what a server that shows this certificate needs."""
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings.load_cert_chain(self.certificate, self.key)
        return settings

    def client_side(self) -> ssl.SSLContext:
        """Return what a client that trusts this certificate's authority alone needs."""
        return ssl.create_default_context(cafile=str(self.authority))


def new_identity(folder: Path, *hosts: str) -> Identity:
    """Make an authority of its own, and have it sign a certificate for ``hosts`` (localhost by default).

    Made a second time in the same folder, it takes the place of the first.
    """
    authority = Authority(folder)
    pair = authority.issue(*(hosts or ("localhost", "127.0.0.1")))
    certificate = Path(pair.certificate).rename(folder / "server.crt")
    key = Path(pair.key).rename(folder / "server.key")
    return Identity(certificate, key, Path(authority.path))
