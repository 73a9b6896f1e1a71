"""A reload from the wish to the word that it is done: read, compare, wait for names, use.

Of two reloads the later one counts: one that waits for names is given up for it, one that is being put to use
is waited for.  Whatever is wrong, the present configuration stays, and every reason is told, in the log and
to whoever asked.  This module does not know how a configuration is put to use.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedgate.admin.view import Outcome
from twistedgate.config.difference import check_reload, differences, summary
from twistedgate.config.errors import ConfigurationErrors
from twistedgate.config.model import Configuration
from twistedgate.downstream.listeners import CannotListen
from twistedgate.serving import CannotServe, fault
from twistedgate.upstream.settling import Settling

_log = Logger()


class Reloading:
    """Reloads one file."""

    def __init__(
        self,
        path: str,
        settling: Settling,
        load: Callable[[], Configuration],
        present: Callable[[], Configuration],
        use: Callable[[Configuration], object],
    ) -> None:
        """``use`` may return a Deferred; what it raises leaves the ``present`` configuration in use."""
        self._path = path
        self._settling = settling
        self._load = load
        self._present = present
        self._use = use
        self._using = DeferredLock()
        self._waiting: Deferred[Outcome] | None = None

    def __repr__(self) -> str:
        return f"<Reloading {self._path}, waits for {', '.join(self._settling.names) or 'nothing'}>"

    def ask(self) -> Deferred[Outcome]:
        """Begin a reload, and tell what became of it; never fails."""
        self.stop("there is another")
        asked: Deferred[Outcome] = Deferred()
        try:
            configuration = self._load()
            check_reload(self._path, self._present(), configuration)
        except Exception:  # noqa: BLE001 -- a third party's policy may raise anything where it is read
            asked.callback(_refused(Failure()))
            return asked
        self._waiting = asked
        self._settling.wait(names_of(configuration), lambda: self._go_on(configuration))
        if names := self._settling.names:
            _log.info("the reload waits until it is known where {names} is", names=", ".join(names))
        return asked

    @property
    def is_under_way(self) -> bool:
        """Whether a reload waits for names, or is being put to use."""
        return self._waiting is not None or bool(self._using.locked)

    def stop(self, reason: str) -> None:
        """Give up a reload that waits for names."""
        waiting, self._waiting = self._waiting, None
        self._settling.stop()
        if waiting is not None:
            _log.warn("the reload that waits for names is given up: {reason}", reason=reason)
            waiting.callback(Outcome(errors=(f"given up while it waited for names: {reason}",)))

    def _go_on(self, configuration: Configuration) -> Deferred[Outcome]:
        asked, self._waiting = self._waiting, None
        assert asked is not None

        def tell(outcome: Outcome) -> Outcome:
            asked.callback(outcome)
            return outcome

        # what is returned is waited for by whoever keeps the names known
        return self._using.run(self._put_to_use, configuration).addErrback(_refused).addCallback(tell)

    def _put_to_use(self, configuration: Configuration) -> Deferred[Outcome]:
        before = self._present()
        used = maybeDeferred(self._use, configuration)
        return used.addCallback(lambda _: self._done(before, configuration))

    def _done(self, before: Configuration, after: Configuration) -> Outcome:
        changes = differences(before, after)
        said = summary(changes)
        _log.info("reloaded {path}: {said}", path=self._path, said=said)
        return Outcome(said, changes)


def names_of(configuration: Configuration) -> set[str]:
    """Return the hosts of all targets."""
    return {target.host for upstream in configuration.upstreams.values() for target in upstream.targets}


def _refused(failure: Failure) -> Outcome:
    """Say what is wrong: all of it in the log, and nothing of an unknown exception to whoever asked."""
    error = failure.value
    if isinstance(error, ConfigurationErrors):
        errors = tuple(str(one) for one in error.errors)
    elif isinstance(error, CannotListen):
        errors = (str(error),)
    elif isinstance(error, CannotServe):
        errors = error.errors
    else:
        assert error is not None
        cause, told = fault(error)
        _log.failure("reload refused: what it asks for cannot be made", cause)
        errors = (told,)
    for one in errors:
        _log.error("reload refused: {error}", error=one)
    what = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    _log.error("the configuration stays as it was: {what}", what=what)
    return Outcome(errors=errors)
