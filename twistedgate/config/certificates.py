"""Whether the PEM files that an option names can be read, and belong together.

Nothing is kept: whoever speaks TLS reads the files again.  Whether a chain is trusted or a certificate
has expired is not judged here, which knows no time.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

_LARGEST_PEM = 4 * 1024 * 1024


def check_certificates(path: str) -> None:
    """Raise ``ValueError`` unless the file holds certificates."""
    _certificates(path)


def check_pair(certificate: str, key: str) -> None:
    """Raise ``ValueError`` unless the key is the one of the first certificate."""
    first = _certificates(certificate)[0]
    if _public_key(key) != first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise ValueError(f"the key in '{key}' does not belong to the certificate in '{certificate}'")


def check_key(path: str) -> None:
    """Raise ``ValueError`` unless the file holds a private key without a password."""
    _public_key(path)


def _certificates(path: str) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise _unusable(path, error, "certificates in PEM form, the server's own first") from None


def _public_key(path: str) -> bytes:
    try:
        key = load_pem_private_key(_read(path), None)
    except TypeError:
        raise ValueError(f"the key in '{path}' wants a password; accepted: a key without one") from None
    except ValueError as error:
        raise _unusable(path, error, "a private key in PEM form") from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class _Unreadable(ValueError):
    """The file cannot be read at all; its text is complete."""


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            return stream.read(_LARGEST_PEM)
    except OSError as error:
        raise _Unreadable(f"the file '{path}' cannot be read ({error.strerror})") from None


def _unusable(path: str, error: ValueError, accepted: str) -> ValueError:
    if isinstance(error, _Unreadable):
        return error
    return ValueError(f"the file '{path}' holds none that can be used; accepted: {accepted}")
