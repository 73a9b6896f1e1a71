"""The units as systemd reads them, and the daemon as they start it: its socket opened by somebody else."""

from __future__ import annotations

import configparser
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.harness.client import Client
from tests.end_to_end.harness.configuration import ini, listener, route, section
from tests.end_to_end.harness.daemon import Daemon, Launch
from tests.end_to_end.harness.waiting import PATIENCE
from twistedgate.config.model import GatewayConfig
from twistedgate.published import all_units

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
NAMES = sorted(path.name for path in UNITS.iterdir() if path.is_file())
DROP_INS = sorted((UNITS / "twistedgate.service.d").iterdir())
PROGRAMS = "/opt/twistedgate/venv/bin/"
EXPOSURE = 16
"""Ten times what ``systemd-analyze security`` may say at most."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units, with the programs where this checkout has them."""
    here = f"{Path(sys.executable).parent}/"
    for name in NAMES:
        (tmp_path / name).write_text((UNITS / name).read_text().replace(PROGRAMS, here))
    return tmp_path


def drop_in(folder: Path, example: Path) -> None:
    """Put an example of a drop-in where systemd looks for it."""
    place = folder / "twistedgate.service.d"
    place.mkdir()
    (place / example.name.removesuffix(".example")).write_text(example.read_text())


def analyze(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run ``systemd-analyze`` in the folder; returns its exit code and everything it says."""
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout


def options(name: str) -> configparser.SectionProxy:
    """Return the options of a unit's own section; of one that stands twice the last."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=False)
    parser.read_string((UNITS / name).read_text())
    return parser["Service" if name.endswith(".service") else "Socket"]


def test_there_are_a_service_its_sockets_and_examples() -> None:
    assert NAMES == ["twistedgate-https.socket", "twistedgate.service", "twistedgate.socket"]
    assert [path.name for path in DROP_INS] == [
        "local.conf.example",
        "plain-http.conf.example",
        "ports.conf.example",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_about_a_unit(folder: Path, name: str) -> None:
    """A key that it does not know is a warning only, and the exit code 0."""
    assert analyze(folder, "verify", "--man=no", f"./{name}") == (0, "")


@pytest.mark.parametrize("example", DROP_INS, ids=lambda path: path.name)
def test_nor_about_a_drop_in(folder: Path, example: Path) -> None:
    drop_in(folder, example)
    assert analyze(folder, "verify", "--man=no", "./twistedgate.service") == (0, "")


@pytest.mark.parametrize("example", [None, *DROP_INS], ids=lambda path: path.name if path else "alone")
def test_little_is_exposed(folder: Path, example: Path | None) -> None:
    if example is not None:
        drop_in(folder, example)
    code, said = analyze(
        folder, "security", "--offline=true", f"--threshold={EXPOSURE}", "./twistedgate.service"
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert (code, float(found[1]) * 10 <= EXPOSURE) == (0, True), said


def test_a_key_that_systemd_does_not_know_would_be_noticed(folder: Path) -> None:
    unit = folder / "twistedgate.service"
    unit.write_text(unit.read_text().replace("[Service]", "[Service]\nProtectEverything=yes"))
    assert "ProtectEverything" in analyze(folder, "verify", "--man=no", "./twistedgate.service")[1]


def test_systemd_waits_longer_than_the_daemon_drains() -> None:
    defaults = GatewayConfig()
    assert float(options("twistedgate.service")["TimeoutStopSec"]) > (
        defaults.drain_timeout + defaults.drain_delay
    )


def test_the_example_of_a_configuration_fits_the_units() -> None:
    configuration = all_units().load(str(ROOT / "etc" / "examples" / "systemd.ini"), {})
    service, opened = options("twistedgate.service"), options("twistedgate.socket")
    public, admin = configuration.listeners["public"], configuration.listeners["admin"]
    assert public.endpoint.text == f"systemd:domain=INET:name={opened['FileDescriptorName']}"
    assert public.backlog == int(opened["Backlog"])
    socket_ = f"/{service['RuntimeDirectory']}/admin.sock"
    assert admin.endpoint.path == f"/run{socket_}"
    assert service["ExecReload"].endswith(f"--socket %t{socket_}")
    gateway = configuration.gateway
    assert float(service["TimeoutStopSec"]) > gateway.drain_timeout + gateway.drain_delay


# the daemon, as the units start it

HELLO = route("hello", "*", respond='200 "hello"')


class Activated:
    """The daemon behind a socket that was open before it."""

    def __init__(self, folder: Path, *sections: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.admin = folder / "twistedgate" / "admin.sock"
        self.admin.parent.mkdir()
        prefix = ("systemd-socket-activate", "-l", f"127.0.0.1:{self.port}", "--fdname=http")
        self.daemon = Daemon(folder, self.configuration(*sections), Launch(prefix=prefix))

    def configuration(self, *sections: str) -> str:
        """Return a configuration as ``etc/examples/systemd.ini`` is one."""
        public = section("listener:public", endpoint="systemd:domain=INET:name=http")
        admin = section("listener:admin", endpoint=f"unix:{self.admin}", serve="admin")
        return ini(public, admin, *sections)

    def first(self) -> Client:
        """Connect before the daemon runs, which is what starts it."""
        self.daemon.wait_for_log("Listening on")
        return Client(self.port)

    def exec_reload(self) -> subprocess.CompletedProcess[str]:
        """Do what ``systemctl reload`` does."""
        command = options("twistedgate.service")["ExecReload"].replace("%t", str(self.daemon.folder))
        words = shlex.split(command.replace(PROGRAMS, f"{Path(sys.executable).parent}/"))
        return subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False, text=True)


@pytest.fixture
def activated(tmp_path: Path) -> Iterator[Activated]:
    made = Activated(tmp_path, HELLO)
    yield made
    made.daemon.end()
    assert made.daemon.faults() == []


def test_a_connection_that_was_there_before_the_daemon_is_served(activated: Activated) -> None:
    with activated.first() as client:
        assert client.get("/").body.strip() == b"hello"
    activated.daemon.wait_until_ready()
    assert activated.daemon.port == activated.port


def test_a_reload_by_the_unit_ends_when_it_is_done(activated: Activated) -> None:
    with activated.first() as client:
        assert client.get("/").body.strip() == b"hello"
        changed = activated.configuration(HELLO.replace("hello", "again"))
        activated.daemon.file.write_text(changed)
        done = activated.exec_reload()
        assert client.get("/").body.strip() == b"again"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "added route:again, removed route:hello\n"


def test_and_fails_with_every_error_if_it_is_refused(activated: Activated) -> None:
    with activated.first() as client:
        assert client.get("/").status == 200
        broken = activated.configuration(HELLO, listener("other", idle_timeout="10", backlog="x"))
        activated.daemon.file.write_text(broken)
        done = activated.exec_reload()
        assert client.get("/").body.strip() == b"hello"
    assert done.returncode == 1
    assert "[listener:other] idle_timeout" in done.stderr
    assert "[listener:other] backlog" in done.stderr


def test_it_stops_in_order_and_leaves_no_socket_of_its_own(activated: Activated) -> None:
    with activated.first() as client:
        assert client.get("/").status == 200
    activated.daemon.process.terminate()
    assert activated.daemon.wait() == 0
    assert not activated.admin.exists()
