"""What all tests share."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sne_deploy import stopping
from sne_lava.child import Worker
from tests.warm_lava import LavaServer, WarmWorker

if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker per core: threads of their own would only get in each other's way. Read at import, so here.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# onnxruntime reports to its maker unless this is set before it is imported, which some tests do themselves.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Tables are as wide as the command makes them, not as the terminal that the tests are started from.
os.environ.pop("COLUMNS", None)

# A shell that starts the tests in the background makes them ignore Ctrl-C; their children must not.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, and no time limit for one of them: the machine may be busy.
settings.register_profile(
    "sne", derandomize=True, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sne")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is loaded now stays: the collector of garbage need not look at it again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(autouse=True)
def no_unexpected_fallback(request: pytest.FixtureRequest) -> Iterator[None]:
    """A simulator that falls back to a slower way fails the test, unless it is marked ``falls_back``."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("sne_loihi")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield
    log.removeHandler(handler)
    expected = request.node.get_closest_marker("falls_back") is not None
    assert bool(found) == expected, found or "no fallback was taken"


@pytest.fixture(autouse=True)
def no_word_of_another_test() -> Iterator[None]:
    """What a command would say of an interrupt stays said when one unwinds, and this process goes on."""
    said = len(stopping._words)
    yield
    del stopping._words[said:]


@pytest.fixture(scope="session")
def lava_server() -> Iterator[LavaServer]:
    """One process with Lava loaded, for all that ask for ``warm_lava``."""
    with LavaServer() as server:
        yield server


@pytest.fixture(scope="module")
def warm_lava(lava_server: LavaServer) -> Iterator[None]:
    """Lava's workers are forks of a process that has loaded it: for tests of what Lava computes."""

    def start(worker: Worker, lifeline: int, result: int) -> WarmWorker:
        return lava_server.start_worker(worker, lifeline, result)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_start", start)
        yield
