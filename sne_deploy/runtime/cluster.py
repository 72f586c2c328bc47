"""A Dask cluster to run on (distributed): its workers and its scheduler may be lost at any time."""

from __future__ import annotations

import logging
import socket
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from sne_deploy.errors import InputError, RunError, TargetError
from sne_deploy.runtime.engine import Engine, as_it_is, lost_worker
from sne_deploy.runtime.same_packages import refuse_other_packages

CLUSTER_REMEDY = 'pip install "sne-deploy[cluster]"'
PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
CONNECT_TIMEOUT_S = 10
MOST_BYTES = 2**40
"""Dask advises against graphs above 10 MB; ours are one slice's samples, which are bounded already."""
ANSWER_TIMEOUT_S = 3.0
"""A scheduler that takes longer to say who its workers are counts as one without workers."""
SAY_AFTER_S = 4.0
"""Workers that are gone for less, as when a nanny starts one again, are not spoken of."""

_LOGGERS = ("distributed", "tornado")

_log = logging.getLogger(__name__)


class Watch:
    """Looks after the workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
    address : str
        The scheduler's.
    timeout_s : float or None
        How long to be without any worker before giving up; None: for ever.
    targets : sequence of str
        Which every worker must be able to run, also one that comes later.
    """

    def __init__(self, client: Any, address: str, timeout_s: float | None, targets: Sequence[str]) -> None:
        self._client, self._address, self._timeout_s, self._targets = client, address, timeout_s, targets
        self._known: frozenset[str] = frozenset()
        self._alone_since: float | None = None
        self._said = False

    def threads(self) -> int:
        """How many units of work run at a time."""
        found = self._threads() or {}
        self._meet(found)
        return sum(found.values())

    def check(self) -> None:
        """Look who is there; say so once where nobody is, and give up after the time that was given."""
        if self._client.status != "running":
            raise self._no_scheduler()
        threads = self._threads()
        if threads:
            self._meet(threads)
            if self._said:
                _log.warning("the Dask scheduler at %s has workers again; going on", self._address)
            self._alone_since, self._said = None, False
            return
        what = "does not answer" if threads is None else "has no workers left"
        self._wait(f"the Dask scheduler at {self._address} {what}")

    def _wait(self, what: str) -> None:
        now = time.monotonic()
        self._alone_since = now if self._alone_since is None else self._alone_since
        alone_s = now - self._alone_since
        if self._timeout_s is not None and alone_s >= self._timeout_s:
            remedy = f"start workers with `dask worker {self._address}` and run it again"
            raise RunError(f"{what}, for the {self._timeout_s:g} s of --timeout; {remedy}")
        if not self._said and alone_s >= SAY_AFTER_S:
            until = "for ever" if self._timeout_s is None else f"up to the {self._timeout_s:g} s of --timeout"
            _log.warning("%s; waiting %s: `dask worker %s` starts one", what, until, self._address)
            self._said = True

    def lost(self, error: Exception) -> RunError | None:
        """Name what was lost: the scheduler with all it knew, or worker after worker by the same work."""
        if type(error).__name__ == "KilledWorker":
            died = getattr(error, "allowed_failures", 0) + 1
            return RunError(
                f"{died} workers at {self._address} died one after the other of the same work; see in their "
                "logs whether they had the memory for it, and give fewer samples with --samples if not"
            )
        return self._no_scheduler() if lost_worker(error) is not None else None

    def _no_scheduler(self) -> RunError:
        return RunError(
            f"the Dask scheduler at {self._address} was lost; start it again, with workers, and run it again"
        )

    def _threads(self) -> dict[str, int] | None:
        """Of every worker; None where nobody says."""
        try:
            asked = self._client.scheduler.ncores
            found: dict[str, int] = self._client.sync(asked, callback_timeout=ANSWER_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  its transports raise whatever they do, and a timeout is one
            _log.info("%s: %s: %s", self._address, type(error).__name__, error)
            return None
        return found

    def _meet(self, threads: dict[str, int]) -> None:
        """Refuse workers that came and cannot do the same as this process."""
        new = frozenset(threads) - self._known
        try:
            if new:
                refuse_other_packages(self._client, sorted(new), self._targets)
        except InputError as error:
            if self._client.status != "running":
                raise self._no_scheduler() from error
            raise
        self._known = frozenset(threads)


@contextmanager
def dask_cluster(scheduler: str, timeout_s: float | None, targets: Sequence[str]) -> Iterator[Engine]:
    """Connect to a Dask scheduler.

    Raises
    ------
    InputError
        The scheduler does not answer, has no workers, or some that have other packages than this process.
    TargetError
        distributed is not installed.
    """
    with ExitStack() as stack:
        try:
            import dask
            from distributed import Client
        except ImportError:
            raise TargetError(
                f"--scheduler needs distributed, which is not installed: {CLUSTER_REMEDY}"
            ) from None
        _check_address(scheduler)
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": MOST_BYTES}))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other versions: they are looked at below
                client = Client(scheduler, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except Exception as error:  # its transports raise whatever they do
            raise _no_answer(scheduler, error) from error
        stack.callback(client.close)
        watch = Watch(client, scheduler, timeout_s, targets)
        workers = watch.threads()
        if not workers:
            raise InputError(
                f"the Dask scheduler at {scheduler!r} has no workers; start some with `dask worker ADDRESS`"
            )

        def share(data: bytes) -> Any:
            """A task, not scattered data: it is run again where all workers that have its result are lost."""
            return client.submit(as_it_is, data, pure=False)

        yield Engine(client.get_executor(pure=False), workers, watch.check, watch.lost, share)


def _check_address(scheduler: str) -> None:
    """Refuse what is no address, and where nobody listens, before a client is made, which is hard to stop."""
    try:
        parts = urlsplit(scheduler)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if not host or not port or scheme not in PROTOCOLS:
        raise InputError(
            f"--scheduler {scheduler!r} is no address of a Dask scheduler; give one such as tcp://host:8786"
        )
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise _no_answer(scheduler, error) from error


def _no_answer(scheduler: str, error: Exception) -> InputError:
    return InputError(
        f"no Dask scheduler answers at {scheduler!r} within {CONNECT_TIMEOUT_S} s "
        f"({type(error).__name__}); start one with `dask scheduler`"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what distributed logs of lost connections to itself, unless this project's INFO is shown too."""
    if _log.isEnabledFor(logging.INFO):
        yield
        return
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    before = {name: logging.getLogger(name).level for name in (*_LOGGERS, *names)}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
