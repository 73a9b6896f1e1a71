"""Tells twistd that the subcommand ``twistedgate`` exists.

Loaded for every ``twistd --help``: it names the package and never imports it.
"""

from twisted.application.service import ServiceMaker

twistedgate = ServiceMaker("twistedgate", "twistedgate.tap", "An API gateway and HTTP proxy.", "twistedgate")
