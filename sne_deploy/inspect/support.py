"""What each target supports: the student is compiled for it, never run."""

from __future__ import annotations

from collections.abc import Callable

from sne_deploy.backend import Backend, Checker, RunOptions, backend_names, load_backend
from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import SneError, TargetError, UnsupportedError
from sne_deploy.inspect.views import SupportView
from sne_deploy.ir.program import Precision, Program
from sne_deploy.passes.narrowing import what_narrowing_costs

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
        for precision in has.precisions:
            outcome = compiled(precision, formats)
            whole = compiled(precision, registers.narrowed(weight_bits))
            found.append(_try(backend, precision, outcome, whole))
    return tuple(found)


def reasons_of(error: SneError) -> tuple[str, ...]:
    """Every reason that an error lists."""
    return error.problems if isinstance(error, UnsupportedError) else (str(error),)


def _try(backend: Backend, precision: Precision, outcome: Outcome, whole: Outcome) -> SupportView:
    if isinstance(outcome, SneError):
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(outcome))
    try:
        if isinstance(backend, Checker):
            backend.check(outcome)
        else:
            with backend.compile(outcome, RunOptions()):
                pass
        return SupportView(backend.name, precision, supported=True, reasons=_costs(outcome, whole))
    except SneError as error:
        return SupportView(backend.name, precision, supported=False, reasons=reasons_of(error))


def _costs(made: Program, whole: Outcome) -> tuple[str, ...]:
    """How far a target's registers are from those of the whole chip."""
    if not isinstance(whole, Program) or made.formats is None or made.formats == whole.formats:
        return ()
    return what_narrowing_costs(made, whole)
