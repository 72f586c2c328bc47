"""What is handed out and never given back is found, though what is resident forgives far more."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

import pytest

from tests.torture.parts import soak

C = ctypes.CDLL(None)
C.malloc.restype = ctypes.c_void_p
held: list[object] = []


def nothing() -> None: ...


def objects() -> None:
    held.extend(object() for _ in range(200))


def memory_of_c() -> None:
    address = C.malloc(65536)  # untouched: no page of it is resident
    held.append(address)


@pytest.mark.parametrize(
    ("use", "growing"), [(nothing, set()), (objects, {"blocks"}), (memory_of_c, {"allocated"})]
)
def test_what_is_not_given_back_is_found(
    use: Callable[[], None], growing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "LEAST_ROUNDS", 40)
    monkeypatch.setattr(soak, "_uses", lambda _: ([use], []))
    gc.collect()
    gc.freeze()  # what other tests have loaded need not be gone through in each round
    found = {trial.case for trial in soak._run([], 0) if trial.found}
    for address in held:
        if isinstance(address, int):
            C.free(ctypes.c_void_p(address))
    held.clear()
    assert found >= growing
    assert growing or not found
