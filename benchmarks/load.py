"""What makes the load: wrk as fast as it goes, h2load or hey at a fixed rate, and how they are read."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
RATE_CONNECTIONS = 50


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator saw: times in seconds."""

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float


class Unreadable(Exception):
    """A load generator said something else than expected."""


def duration(text: str) -> float:
    """Read ``1.13ms`` as wrk writes it."""
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise Unreadable(f"not a duration: {text!r}")
    return float(found[1]) * UNITS[found[2]]


def read_wrk(text: str) -> Load:
    """Read what ``wrk --latency`` prints."""
    total = re.search(r"(\d+) requests in ([\d.]+\w+),", text)
    shares = dict(re.findall(r"^ +(\d+)% +([\d.]+\w+) *$", text, re.MULTILINE))
    if total is None or not {"50", "99"} <= shares.keys():
        raise Unreadable(text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = sum(map(int, sockets.groups())) if sockets else 0
    errors += int(refused[1]) if refused else 0
    return Load(int(total[1]), duration(total[2]), errors, duration(shares["50"]), duration(shares["99"]))


def quantile(times: Sequence[float], share: float) -> float:
    """Return the time that ``share`` of the sorted times do not pass; 0 where there are none."""
    return times[min(int(len(times) * share), len(times) - 1)] if times else 0.0


def read_h2load(log: str, seconds: float) -> Load:
    """Read h2load's log: the start, the status and the microseconds of each request."""
    rows = [line.split("\t") for line in log.splitlines()]
    times = sorted(int(row[2]) / 1e6 for row in rows if row[1].startswith("2"))
    return Load(len(rows), seconds, len(rows) - len(times), quantile(times, 0.5), quantile(times, 0.99))


def read_hey(table: str, seconds: float) -> Load:
    """Read hey's CSV: the first column is the response time, the seventh the status."""
    rows = [line.split(",") for line in table.splitlines()[1:]]
    times = sorted(float(row[0]) for row in rows if row[6].startswith("2"))
    return Load(len(rows), seconds, len(rows) - len(times), quantile(times, 0.5), quantile(times, 0.99))


def run(command: Sequence[str], core: int | None, seconds: float) -> str:
    """Run a load generator on its core and return what it printed."""
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    done = subprocess.run(
        [*pinned, *command], capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    if done.returncode != 0:
        raise Unreadable(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Shape:
    """What a load asks for, and over how many connections."""

    path: str = "/"
    connections: int = 64
    options: tuple[str, ...] = ()


def wrk(port: int, shape: Shape, seconds: float, core: int | None) -> Load:
    """Ask as fast as the connections allow."""
    connections = str(shape.connections)
    command = ["wrk", "-t1", "-c", connections, "-d", f"{seconds:g}s", "--timeout", "10s", "--latency"]
    return read_wrk(run([*command, *shape.options, f"http://127.0.0.1:{port}{shape.path}"], core, seconds))


def at_rate(port: int, rate: int, seconds: float, core: int | None, folder: Path) -> Load:
    """Ask ``rate`` times a second, whatever the answers take."""
    each = rate // RATE_CONNECTIONS
    url = f"http://127.0.0.1:{port}/"
    if shutil.which("h2load"):
        log = folder / "h2load.log"
        log.unlink(missing_ok=True)
        connections = ["-c", str(RATE_CONNECTIONS), "-t", "1", "--rps", str(each)]
        timing = ["-D", f"{seconds:g}", "--log-file", str(log)]
        run(["h2load", "--h1", *connections, *timing, url], core, seconds)
        return read_h2load(log.read_text(), seconds)
    if shutil.which("hey"):
        connections = ["-c", str(RATE_CONNECTIONS), "-q", str(each), "-z", f"{seconds:g}s", "-o", "csv"]
        return read_hey(run(["hey", *connections, url], core, seconds), seconds)
    raise Unreadable("a fixed rate needs h2load (apt-get install nghttp2-client) or hey")
