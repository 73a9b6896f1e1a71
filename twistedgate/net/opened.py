"""Listening sockets that are opened here and served elsewhere: by other processes, or by this one anew.

A socket keeps its queue of connections as long as any process holds it.  The path of a unix socket belongs
to whoever opened it, and only that process takes it away.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.python.lockfile import FilesystemLock

from twistedgate.config.model import ListenerConfig


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket that listens."""

    socket: socket.socket
    path: str = ""
    """Of a unix socket that this process made."""

    @property
    def is_unix(self) -> bool:
        """Whether it has a path instead of a port."""
        return self.socket.family == socket.AF_UNIX

    @property
    def port(self) -> int:
        """The port's number, 0 for a unix socket."""
        number: int = 0 if self.is_unix else self.socket.getsockname()[1]
        return number

    @property
    def address(self) -> str:
        """As it can be connected to, such as ``tcp:127.0.0.1:8080``."""
        name = self.socket.getsockname()
        if self.is_unix:
            return f"unix:{os.fsdecode(name)}"
        shown = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"tcp:{shown}:{name[1]}"

    def close(self) -> None:
        """Listen no more, unless another process does; a path of our own is taken away."""
        self.socket.close()
        if self.path:
            for path in (self.path, f"{self.path}.lock"):
                with suppress(OSError):
                    os.unlink(path)  # noqa: PTH108 -- a link may lead nowhere


@dataclass(frozen=True, slots=True)
class User:
    """Numbers of a user and a group; -1 for the present one."""

    user: int
    group: int

    def take(self, path: str) -> None:
        """Have the unix socket at ``path``, and be able to take it away; raises ``OSError``."""
        for one in (path, f"{path}.lock"):
            with suppress(FileNotFoundError):
                self._own(one)

    def _own(self, path: str) -> None:
        # the lock is a link that leads nowhere
        os.lchown(path, self.user, self.group)


def open_listening(config: ListenerConfig, reactor: Any = None) -> Opened:
    """Open the address of ``config``; raises ``CannotListenError``."""
    endpoint = config.endpoint
    if endpoint.scheme == "systemd":
        opened = _take_from_systemd(endpoint.text, reactor)
    elif endpoint.scheme == "unix":
        opened = _open_path(endpoint.path, config.mode)
    else:
        opened = _open_port(endpoint.scheme, endpoint.interface, endpoint.port)
    opened.socket.setblocking(False)
    try:
        opened.socket.listen(config.backlog)
        if not opened.is_unix:
            prepare(opened.socket)
    except OSError as error:
        opened.close()
        raise CannotListenError(endpoint.interface, endpoint.port or endpoint.text, error) from None
    return opened


def prepare(listening: socket.socket) -> None:
    """Set what every socket that a TCP port accepts inherits: no system calls for each connection."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _open_port(scheme: str, interface: str, port: int) -> Opened:
    is_six = scheme == "tcp6"
    made = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # as Twisted's own: the queue of a process that ended does not keep the address
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((interface or ("::" if is_six else ""), port))
    except OSError as error:
        made.close()
        raise CannotListenError(interface, port, error) from None
    return Opened(made)


def _open_path(path: str, mode: int) -> Opened:
    lock = FilesystemLock(f"{path}.lock")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not lock.lock():
            raise OSError("another process listens there")
        if not lock.clean:
            _remove_stale(path)
        made.bind(path)
        # nobody can connect before the socket listens
        os.chmod(path, mode)  # noqa: PTH101 -- beside bind
    except OSError as error:
        made.close()
        if lock.locked:
            lock.unlock()
        raise CannotListenError(None, path, error) from None
    return Opened(made, path)


def _remove_stale(path: str) -> None:
    """Take away the socket of a process that is gone; anything that is no socket stays."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 -- beside unlink
            os.unlink(path)  # noqa: PTH108


def _take_from_systemd(text: str, reactor: Any) -> Opened:
    try:
        endpoint: Any = serverFromString(reactor, text)
        return Opened(socket.socket(fileno=os.dup(endpoint.fileno)))
    except (LookupError, ValueError, OSError) as error:
        raise CannotListenError("systemd", text, OSError(f"no such socket: {error}")) from None
