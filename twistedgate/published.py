"""Third parties' policies, found as Twisted plugins.

Another distribution publishes a policy by a module in ``twisted/plugins`` (without an ``__init__.py``)::

    from twistedgate.published import PublishedPolicy

    quota = PublishedPolicy("quota", "example_policies.quota")

The class is ``Quota`` in that module, of the same shape as ours.  Only the marker is read here; the module is
imported when a configuration has a section ``[quota:NAME]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from twisted.plugin import IPlugin, getPlugins
from zope.interface import Attribute, implementer

from twisted import plugins
from twistedgate.units import Units


class IPublishedPolicy(IPlugin):
    """A policy that another distribution brings."""

    name: str = Attribute("The kind of its sections.")
    module: str = Attribute("The name of the module that holds the class.")


@implementer(IPublishedPolicy)
@dataclass(frozen=True)
class PublishedPolicy:
    """The marker: a kind, and the module where its class is."""

    name: str
    module: str


def published_policies(package: ModuleType = plugins) -> list[PublishedPolicy]:
    """Return every policy that is published, in the order of their names."""
    found = (PublishedPolicy(plugin.name, plugin.module) for plugin in getPlugins(IPublishedPolicy, package))
    return sorted(found, key=lambda policy: (policy.name, policy.module))


def all_units() -> Units:
    """Return our own policies and the published ones."""
    return Units(published_policies())
