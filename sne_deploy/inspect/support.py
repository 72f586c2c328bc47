"""What each target supports: the student is compiled for it, never run."""

from __future__ import annotations

from collections.abc import Callable

from sne_deploy.backend import Backend, Checker, RunOptions, backend_names, load_backend
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import SneError, TargetError, UnsupportedError
from sne_deploy.inspect.views import SupportView
from sne_deploy.ir.program import Precision, Program

Outcome = Program | SneError
"""A compiled student, or why it could not be compiled."""


def target_support(
    compiled: Callable[[Precision, RegisterFormats], Outcome],
    registers: RegisterFormats,
    weight_bits: int | None,
) -> tuple[SupportView, ...]:
    """Try every installed target in every precision that it has.

    Parameters
    ----------
    compiled : callable
        The student in a precision and a target's registers.
    registers : RegisterFormats
        The chip's.
    weight_bits : int or None
    """
    found: list[SupportView] = []
    for name in backend_names():
        try:
            backend = load_backend(name)
        except TargetError as error:
            found.append(SupportView(name, "-", supported=False, reasons=(str(error),)))
            continue
        has = backend.capabilities()
        formats = has.formats(registers, weight_bits)
        found += [_try(backend, precision, compiled(precision, formats)) for precision in has.precisions]
    return tuple(found)


def reasons_of(error: SneError) -> tuple[str, ...]:
    """Every reason that an error lists."""
    return error.problems if isinstance(error, UnsupportedError) else (str(error),)


def _try(backend: Backend, precision: Precision, outcome: Outcome) -> SupportView:
    if isinstance(outcome, SneError):
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(outcome))
    try:
        if isinstance(backend, Checker):
            backend.check(outcome)
        else:
            with backend.compile(outcome, RunOptions()):
                pass
        return SupportView(backend.name, precision, supported=True)
    except SneError as error:
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(error))
