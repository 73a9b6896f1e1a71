"""Programs that are measured: started, waited for, weighed and stopped.

Processor time is user plus system, summed over every live process of a program's tree: the kernel's own
sum over children counts only those that have been reaped.  Only what was started here is ever stopped.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program is started."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """What ``/proc/PID/stat`` says of a process."""

    pid: int
    parent: int
    state: str
    ticks: int


def read_stat(text: str) -> ProcessLine:
    """Read one line of ``/proc/PID/stat``; the name in it may hold blanks and parentheses."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return ProcessLine(int(pid), int(fields[1]), fields[0], int(fields[11]) + int(fields[12]))


def tree_of(root: int, lines: Sequence[ProcessLine]) -> list[ProcessLine]:
    """Return the process ``root`` and all below it."""
    children: dict[int, list[ProcessLine]] = {}
    for line in lines:
        children.setdefault(line.parent, []).append(line)
    found = [line for line in lines if line.pid == root]
    for line in found:
        found.extend(children.get(line.pid, ()))
    return found


def _all_processes() -> list[ProcessLine]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            lines.append(read_stat(path.read_text()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return lines


class Program:
    """A running program, pinned to one core if one is given."""

    def __init__(self, name: str, launch: Launch, folder: Path, core: int | None = None) -> None:
        self.name = name
        self.output = folder / f"{name}.output"
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [*pinned, *launch.command],
                cwd=folder,
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The first process of the tree."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether that process still runs."""
        return self._process.poll() is None

    def processes(self) -> list[int]:
        """The live processes of the tree."""
        return [line.pid for line in tree_of(self.pid, _all_processes()) if line.state != "Z"]

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far."""
        return sum(line.ticks for line in tree_of(self.pid, _all_processes())) / TICKS

    def resident_bytes(self) -> int:
        """Resident memory of the largest process of the tree: the one that serves."""
        return max((resident_bytes(pid) for pid in self.processes()), default=0)

    def descriptors(self) -> int:
        """How many descriptors the first process holds."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the first process."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """End the tree, by force if it does not go, and return the exit status."""
        tree = self.processes()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in {*tree, *self.processes()}:
                _kill(pid)
        return self._process.wait()

    def kill(self) -> None:
        """End the whole tree at once."""
        for pid in self.processes():
            _kill(pid)
        self._process.wait()

    def kill_group(self) -> None:
        """End every process at once, as a machine does that goes down: none sees another one die."""
        left = self.processes()
        os.killpg(self.pid, signal.SIGKILL)
        for pid in left:
            _kill(pid)
        self._process.wait()

    def last_output(self, lines: int = 15) -> str:
        """The end of what the program printed."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 of one that is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def cores() -> tuple[int, int] | tuple[None, None]:
    """Return a core for what is measured and one for the rest, or nothing on a machine of one core."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, program: Program, seconds: float = 20.0) -> None:
    """Return once something accepts on ``port``; raises ``RuntimeError`` if the program ends before."""
    for _ in range(int(seconds / 0.05)):
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if not program.is_running:
            raise RuntimeError(f"{program.name} ended:\n{program.last_output()}")
        time.sleep(0.05)
    raise RuntimeError(f"{program.name} does not accept on port {port}:\n{program.last_output()}")


@contextmanager
def running(programs: Sequence[Program]) -> Iterator[None]:
    """Stop the programs on the way out, whatever happens."""
    try:
        yield
    finally:
        for program in programs:
            program.stop()
