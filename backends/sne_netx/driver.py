"""The script that runs a student's ``.net`` file without this package, for constant input."""

from __future__ import annotations

from pathlib import Path

from sne_deploy.ir.program import Program

_TEMPLATE = Path(__file__).with_name("driver_template.py")


def driver_script(program: Program) -> str:
    """The text of ``NAME_driver.py``: everything that it needs else is in ``NAME.net`` beside it.

    Parameters
    ----------
    program : Program
        With constant input.
    """
    shape = "".join(f", {size}" for size in program.input.shape)
    text = _TEMPLATE.read_text(encoding="utf-8").replace("@SHAPE@", shape)
    return text.replace("@DRIVER@", f"{program.name}_driver.py").replace("@NAME@", program.name)
