"""Certificates made in memory, for tests that speak TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """The paths of a certificate (its chain behind it) and of its key."""

    certificate: str
    key: str


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """Signs certificates and writes them into ``folder``."""

    def __init__(self, folder: Path, name: str = "authority", issuer: Authority | None = None) -> None:
        self._folder = folder
        self.name = name
        self.key = generate_private_key(SECP256R1())
        self._issuer = issuer
        self.certificate = self._sign(self, is_authority=True) if issuer is None else issuer._sign(self, True)
        self.path = self._write(f"{name}.pem", self._pem(self.certificate))

    def issue(self, *hosts: str, days: int = 30) -> Pair:
        """Return a new certificate for ``hosts``; one of negative ``days`` has expired."""
        key = generate_private_key(SECP256R1())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            self._builder(hosts[0] if hosts else "nobody", key)
            .not_valid_before(now - 100 * _DAY)
            .not_valid_after(now + days * _DAY)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_subject(host) for host in hosts])
            certificate = certificate.add_extension(names, critical=False)
        chain = self._pem(certificate.sign(self.key, hashes.SHA256()))
        if self._issuer is not None:
            chain += self._pem(self.certificate)
        number = len(list(self._folder.iterdir()))
        return Pair(
            self._write(f"{number}.crt", chain),
            self._write(
                f"{number}.key",
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            ),
        )

    def _builder(self, subject: str, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
        )

    def _sign(self, authority: Authority, is_authority: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            self._builder(authority.name, authority.key)
            .not_valid_before(now - 100 * _DAY)
            .not_valid_after(now + 100 * _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def _pem(self, certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(Encoding.PEM)

    def _write(self, name: str, content: bytes) -> str:
        path = self._folder / name
        path.write_bytes(content)
        return str(path)
