"""``twistd twistedgate``: options, and the service that they make.

The first statement of ``Options.__init__`` installs the reactor, unless one is there, and what more than
``--help`` needs is imported only then: a library that imports the global reactor would install Twisted's own
in silence.
"""

from __future__ import annotations

import os
import pwd
import signal
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import Logger
from twisted.python import usage

if TYPE_CHECKING:
    from twisted.application.service import IService

    from twistedgate.net.opened import User


_log = Logger()


def install_reactor() -> str:
    """Install ours unless a reactor is there already; return the name of the class that runs."""
    if "twisted.internet.reactor" not in sys.modules:
        from twistedgate.net.reactor import install
        from twistedgate.net.streams import take_closed_streams

        take_closed_streams()
        install()
    return type(sys.modules["twisted.internet.reactor"]).__name__


class Options(usage.Options):
    """The daemon's command line."""

    synopsis = "[--config FILE] [--check]"
    longdesc = "An API gateway and HTTP proxy, configured by one INI file."

    optParameters: ClassVar = [
        ["config", "c", None, "The configuration; etc/twistedgate.ini or /etc/twistedgate/twistedgate.ini."]
    ]
    optFlags: ClassVar = [["check", "t", "Check the configuration, print a summary, and end."]]

    def __init__(self) -> None:
        self.reactor_name = install_reactor()
        super().__init__()

    def postOptions(self) -> None:
        """Load the configuration; with ``--check``, say what it is and end."""
        from twistedgate import cli
        from twistedgate.config.errors import ConfigurationErrors
        from twistedgate.config.load import default_path
        from twistedgate.published import all_units

        if self["check"]:
            raise SystemExit(cli.check(self["config"]))
        self.units = all_units()
        try:
            self.path = self["config"] or default_path()
            self.configuration = self.units.load(self.path)
        except ConfigurationErrors as errors:
            sys.stderr.write(f"{errors}\n")
            raise SystemExit(1) from None

    def foreground(self) -> tuple[bool, str]:
        """Return whether twistd stays in the foreground, and the path of its pidfile, if it writes one."""
        daemon = getattr(self, "parent", None) or {}
        return bool(daemon.get("nodaemon")), daemon.get("pidfile") or ""

    def user(self) -> User | None:
        """Return who twistd makes of this process, once its addresses are open."""
        from twistedgate.net.opened import User
        from twistedgate.workers.handover import VARIABLE

        daemon: Any = getattr(self, "parent", None) or {}
        uid, gid = daemon.get("uid"), daemon.get("gid")
        if uid is None and gid is None:
            return None
        if VARIABLE in os.environ:
            # the program before became that user, who may not become anybody again
            daemon["uid"] = daemon["gid"] = None
            return None
        if gid is None:
            gid = pwd.getpwuid(uid).pw_gid
        return User(-1 if uid is None else uid, gid)


def makeService(options: Options) -> IService:
    """Return the gateway, not started."""
    from twisted.internet import reactor

    from twistedgate.net.allocator import keep_memory
    from twistedgate.service import GatewayService
    from twistedgate.upgrading import Program
    from twistedgate.workers.handover import VARIABLE

    keep_memory()
    if VARIABLE not in os.environ:
        # a reload that is asked for before there is anything to reload: the default would end the process;
        # in an upgrade it is held back, and would be forgotten if it was ignored
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _log.info("the reactor is {name}", name=options.reactor_name)
    running: Any = reactor
    program = Program.of_this_process(*options.foreground(), options.user())
    return GatewayService(running, options.path, options.configuration, options.units, program)
