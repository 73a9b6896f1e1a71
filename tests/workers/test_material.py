"""What arrives at a worker is what the supervisor loaded, files included."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from twistedgate.config.model import Configuration, Secret
from twistedgate.net.tls import ServerTLS, UpstreamTLS
from twistedgate.published import all_units
from twistedgate.workers.material import Material, collect, pack, unpack

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "etc" / "twistedgate.ini", *sorted((ROOT / "etc" / "examples").rglob("*.ini"))]

EVERYTHING = """\
[gateway]
trusted_proxies = 10.0.0.0/8, 2001:db8::/32
admin_token = hidden
access_log = off
[listener:public]
endpoint = tcp6:8080
[listener:admin]
endpoint = unix:/tmp/admin.sock
serve = admin
[upstream:orders]
targets = https://orders.example.com:8443 weight=3, http://192.0.2.1:80
health_path = /health
health_status = 200-299, 404
[route:orders]
path = /orders/{id}/*
headers = X-Version=2
methods = GET, POST
upstream = orders
policies = key-auth:k, headers:h
timeout = 3s
[route:away]
path = /away
redirect = 301 https://example.com/
[consumer:someone]
keys = sha256:0000000000000000000000000000000000000000000000000000000000000000
groups = a, b
[key-auth:k]
[headers:h]
request_set = X-From: {client}
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what ``etc/examples/tls.ini`` wants."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    pair = authority.issue("orders.internal")
    Path(pair.certificate).rename(folder / "server.pem")
    Path(pair.key).rename(folder / "server.key")
    return folder


def load(path: Path, certificates: Path) -> Configuration:
    return all_units().load(str(path), {"CERTIFICATES": str(certificates)})


@pytest.fixture
def secure(certificates: Path) -> Configuration:
    return load(ROOT / "etc" / "examples" / "tls.ini", certificates)


def types_in(value: Any) -> set[type]:
    """Return the type of everything within dataclasses, mappings and sequences."""
    found = {type(value)}
    if isinstance(value, dict):
        parts: list[Any] = [*value, *value.values()]
    elif isinstance(value, tuple | list):
        parts = [*value]
    else:
        parts = [getattr(value, name) for name in getattr(value, "__dataclass_fields__", ())]
    return found.union(*map(types_in, parts))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_arrives_as_it_was(path: Path, certificates: Path) -> None:
    if path.parent.name == "conf.d":  # a part of another
        path = path.parents[1] / "includes.ini"
    configuration = load(path, certificates)
    material = collect(configuration)
    arrived, with_it = unpack(pack(configuration, material))
    assert arrived == configuration
    assert with_it == material
    assert types_in(arrived) == types_in(configuration)


def test_every_kind_of_value_arrives_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "all.ini").write_text(EVERYTHING)
    configuration = load(tmp_path / "all.ini", tmp_path)
    arrived, _ = unpack(pack(configuration, Material()))
    assert arrived == configuration
    assert types_in(arrived) == types_in(configuration)
    assert isinstance(arrived.gateway.admin_token, Secret)
    assert repr(arrived.gateway.admin_token) == "Secret('...')"
    assert list(arrived.policies) == ["key-auth:k", "headers:h"]


def test_another_process_understands_it(secure: Configuration) -> None:
    program = (
        "import sys; from twistedgate.workers.material import unpack; "
        "print(*unpack(sys.stdin.buffer.read())[0].listeners)"
    )
    packed = pack(secure, collect(secure))
    done = subprocess.run([sys.executable, "-c", program], input=packed, capture_output=True, check=True)
    assert done.stdout.decode().split() == list(secure.listeners)


def test_holds_the_content_of_every_file_for_tls(secure: Configuration, certificates: Path) -> None:
    material = collect(secure)
    names = ("server.pem", "server.key", "authority.pem")
    assert material.contents == {
        str(certificates / name): (certificates / name).read_bytes() for name in names
    }


def test_reads_each_file_once(secure: Configuration) -> None:
    twice = replace(secure, listeners={**secure.listeners, "again": secure.listeners["secure"]})
    read: list[str] = []

    def remember(path: str) -> bytes:
        read.append(path)
        return b""

    collect(twice, remember)
    assert len(read) == len(set(read)) == 3


def test_tls_is_made_without_the_files(certificates: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(certificates, tmp_path / "certificates")
    loaded = load(ROOT / "etc" / "examples" / "tls.ini", folder)
    configuration, material = unpack(pack(loaded, collect(loaded)))
    shutil.rmtree(folder)
    assert ServerTLS.of(configuration.listeners["secure"], material.read) is not None
    upstream = configuration.upstreams["orders"]
    assert UpstreamTLS(material.read).creator(upstream, upstream.targets[0]) is not None


def test_a_file_that_is_missing_is_named(secure: Configuration) -> None:
    def fail(path: str) -> bytes:
        raise ValueError(f"the file '{path}' cannot be read")

    with pytest.raises(ValueError, match=r"server\.pem' cannot be read"):
        collect(secure, fail)
    with pytest.raises(ValueError, match=r"other\.pem' was not given"):
        collect(secure).read("other.pem")


def test_keys_are_not_shown(secure: Configuration) -> None:
    assert repr(collect(secure)) == "Material()"


@dataclass(frozen=True)
class Stubborn:
    """Options that cannot be pickled."""

    name: str

    def __reduce__(self) -> Any:
        raise TypeError("not for others")


def test_a_policy_that_cannot_be_given_away_is_named(secure: Configuration) -> None:
    stubborn = replace(secure, policies={**secure.policies, "their-policy:x": Stubborn("x")})
    with pytest.raises(ValueError, match=r"^\[their-policy:x\] cannot be given to workers: not for others"):
        pack(stubborn, Material())
