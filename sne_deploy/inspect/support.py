"""What each target supports: the student is compiled for it, never run."""

from __future__ import annotations

from collections.abc import Callable

from sne_deploy.backend import Backend, RunOptions, backend_names, load_backend
from sne_deploy.errors import SneError, TargetError, UnsupportedError
from sne_deploy.inspect.views import SupportView
from sne_deploy.ir.program import Precision, Program
from sne_deploy.ir.registers import RegisterFormat

Outcome = Program | SneError
"""A compiled student, or why it could not be compiled."""


def target_support(
    compiled: Callable[[Precision, RegisterFormat], Outcome], weight_bits: int
) -> tuple[SupportView, ...]:
    """Try every installed target in every precision that it has.

    Parameters
    ----------
    compiled : callable
        The student in a precision and a target's registers.
    weight_bits : int
    """
    found: list[SupportView] = []
    for name in backend_names():
        try:
            backend = load_backend(name)
        except TargetError as error:
            found.append(SupportView(name, "-", supported=False, reasons=(str(error),)))
            continue
        has = backend.capabilities()
        form = RegisterFormat(weight_bits, has.weight_exp_max, has.bias_exp)
        found += [_try(backend, precision, compiled(precision, form)) for precision in has.precisions]
    return tuple(found)


def reasons_of(error: SneError) -> tuple[str, ...]:
    """Every reason that an error lists."""
    return error.problems if isinstance(error, UnsupportedError) else (str(error),)


def _try(backend: Backend, precision: Precision, outcome: Outcome) -> SupportView:
    if isinstance(outcome, SneError):
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(outcome))
    try:
        with backend.compile(outcome, RunOptions()):
            return SupportView(backend.name, precision, supported=True)
    except SneError as error:
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(error))
