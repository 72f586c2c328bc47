"""Every register of a Program is held to its formats, its own and another chip's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sne_deploy.errors import VerificationError
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import register_problems, verify
from sne_deploy.ir.weights import DenseWeights
from tests.chip_registers import LOIHI1
from tests.small_programs import one_layer


def of_group(name: str, value: Any) -> Callable[[Program], Program]:
    """The Program with another register."""
    new = value if name == "bias_exp" else np.asarray(value, np.int32)
    return lambda program: replace(program, groups=(replace(program.groups[0], **{name: new}),))


def of_synapse(**changes: Any) -> Callable[[Program], Program]:
    return lambda program: replace(program, synapses=(replace(program.synapses[0], **changes),))


WRONG = {
    "du": (of_group("du", 4096), r"'g': du 4096 is outside 0\.\.4095"),
    "dv": (of_group("dv", [0, -1]), r"'g': dv reaches -1\.\.0, which is outside 0\.\.4095"),
    "threshold": (of_group("vth_mant", 131072), r"vth_mant 131072 is outside 0\.\.131071"),
    "bias": (of_group("bias_mant", -4097), r"bias_mant -4097 is outside -4096\.\.4095"),
    "bias's exponent": (of_group("bias_exp", 8), r"bias_exp 8 is outside 0\.\.7"),
    "soft reset": (of_group("vsub_mant", 131072), r"vsub_mant 131072 is outside 0\.\.131071"),
    "start": (of_group("v_init", 2**23), r"v_init 8388608 is outside -8388607\.\.8388607"),
    "odd weight": (of_synapse(sign_mode="mixed"), r"weights outside -256\.\.254 in steps of 2 \(mixed\)"),
    "sign": (of_synapse(sign_mode="inhibitory"), r"weights outside -255\.\.0 in steps of 1 \(inhibitory\)"),
    "large weight": (
        of_synapse(weights=DenseWeights(np.full((2, 3), 256, np.int32))),
        r"weights outside 0\.\.255 in steps of 1",
    ),
    "exponent": (of_synapse(weight_exp=8), r"weight_exp 8 is outside 0\.\.7"),
    "right shift": (of_synapse(weight_exp=-1), r"weight_exp -1 is outside 0\.\.7"),
    "delay": (of_synapse(delay=63, within_sample=True), r"delay 63 is outside 0\.\.62"),
    "no formats": (lambda program: replace(program, formats=None), r"precision 'fixed' with formats None"),
}  # fmt: skip


def program() -> Program:
    return one_layer([[1, 2, 3], [4, 0, 255]], "excitatory")


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_register_out_of_range_is_the_compilers_fault(change: Any, message: str) -> None:
    verify(program(), "the test")
    with pytest.raises(VerificationError, match=message) as caught:
        verify(change(program()), "the test")
    assert str(caught.value).startswith("student 'tiny', after the test: ")


def test_another_chips_formats_are_held_against_it() -> None:
    small = replace(
        LOIHI1, chip="small", state_bits=20, threshold_bits=5, resets=(("subtract", 1),),
        weight_ranges=tuple(w for w in LOIHI1.weight_ranges if w.mode == "mixed"),
    )  # fmt: skip
    assert list(register_problems(program(), LOIHI1)) == []
    assert list(register_problems(program(), small)) == [
        "state_bits is 23; small has 20",
        "'g': vth_mant 100 is outside 0..31",
        "'g': small has no reset of kind 'value'",
        "synapse 's': small has no weights of sign mode 'excitatory'",
    ]


def test_a_target_that_has_less_narrows_the_formats() -> None:
    """netx: no exponents of weights, one of a bias, which a bias of 0 need not have."""
    narrow = LOIHI1.narrowed(16, weight_exp_max=0, bias_exp=6)
    assert (narrow.weight_exp_max, narrow.bias_exp_min, narrow.bias_exp_max) == (0, 6, 6)
    assert (narrow.used_weight_bits, narrow.synapses_per_weight) == (8, 2)
    assert list(register_problems(program(), narrow)) == []
    changed = of_group("bias_mant", 3)(of_synapse(weight_exp=1)(program()))
    assert list(register_problems(changed, narrow)) == [
        "'g': bias_exp 0 is outside 6..6", "synapse 's': weight_exp 1 is outside 0..0",
    ]  # fmt: skip
    assert LOIHI1.narrowed(4, weight_exp_max=9).weight_exp_max == 7
