from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from twistedgate.config.certificates import check_certificates, check_key, check_pair

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(LONG_AGO)
    made = builder.not_valid_after(LONG_AGO + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, str]:
    key = make_key()
    (tmp_path / "a.pem").write_bytes(certificate_of(key))
    (tmp_path / "a.key").write_bytes(pem(key))
    return str(tmp_path / "a.pem"), str(tmp_path / "a.key")


def test_a_certificate_and_its_key_are_fine(paths: tuple[str, str]) -> None:
    check_certificates(paths[0])
    check_key(paths[1])
    check_pair(*paths)


def test_both_may_lie_in_one_file(tmp_path: Path, paths: tuple[str, str]) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(Path(paths[1]).read_bytes() + Path(paths[0]).read_bytes())
    check_pair(str(both), str(both))


def test_anothers_key_is_refused(tmp_path: Path, paths: tuple[str, str]) -> None:
    (tmp_path / "b.key").write_bytes(pem(make_key()))
    with pytest.raises(ValueError, match="does not belong to the certificate"):
        check_pair(paths[0], str(tmp_path / "b.key"))


def test_a_key_with_a_password_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.key").write_bytes(pem(make_key(), b"hush"))
    with pytest.raises(ValueError, match="wants a password"):
        check_key(str(tmp_path / "b.key"))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_pem_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="accepted: certificates in PEM form"):
        check_certificates(str(path))
    with pytest.raises(ValueError, match="accepted: a private key in PEM form"):
        check_key(str(path))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for check in (check_certificates, check_key):
        with pytest.raises(ValueError, match=r"cannot be read \(No such file or directory\)$"):
            check(str(tmp_path / "none"))
        with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)$"):
            check(str(tmp_path))
