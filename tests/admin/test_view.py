from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred, succeed

from twistedgate.admin.view import AdminView
from twistedgate.observers.exposition import Families


class SmallestView:
    """As little as the port asks for."""

    is_draining = False

    @property
    def credential_names(self) -> list[str]:
        return []

    def unready_reasons(self) -> list[str]:
        return []

    def status(self) -> Mapping[str, object]:
        return {}

    def families(self) -> Deferred[Families]:
        return succeed(())


def test_plain_attributes_and_methods_make_a_view() -> None:
    view: AdminView = SmallestView()
    assert (view.is_draining, view.unready_reasons(), view.status()) == (False, [], {})
    assert view.families().result == ()
