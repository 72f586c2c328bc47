"""What compiling takes in memory, from sizes alone, and what to do where it is not there.

The figures are upper ones; what a process holds before is not among them.
"""

from __future__ import annotations

import math

from sne_deploy.errors import InputError, SneError
from sne_deploy.frontend.nir.shapes import graph_shapes
from sne_deploy.ir.program import Program
from sne_deploy.memory import available_bytes, in_words
from sne_deploy.model.ensemble import Ensemble, Student
from sne_deploy.model.layers.registry import stack_shapes

COMPILE_BYTES, REFERENCE_BYTES = 22, 20
"""A weight in both precisions while it is compiled; as the simulator and the reference lay it out to run."""
VALUE_BYTES, COMPILING_BYTES = 160, 2**22
"""A value between two layers, as a neuron's registers and their real numbers; whatever is compiled."""
ALONE = "leave the reference out (sne compile --no-fidelity; in Python: fidelity=False)"


def weights_in(program: Program) -> int:
    """How many weights a Program holds; a convolution's kernels once."""
    return sum(synapse.weights.values.size for synapse in program.synapses)


def neurons_in(program: Program) -> int:
    """How many neurons a Program holds."""
    return sum(group.size for group in program.groups)


def weights_of(ensemble: Ensemble) -> int:
    """How many weights all students hold; a convolution's kernels once."""
    found = 0
    for student in ensemble.students:
        network = student.network
        if isinstance(network, Program):
            found += weights_in(network)
        elif isinstance(network, tuple):
            arrays = (array for layer in network for array in layer.tensors.values())
            found += sum(array.size for array in arrays if array.ndim >= 2)
        else:
            nodes = network.nodes.values()
            found += sum(node.weight.size for node in nodes if hasattr(node, "weight"))
    return found


def values_of(ensemble: Ensemble) -> int:
    """How many values leave the layers of all students, of a sample and step; none of a wrong network."""
    return sum(_values(student, ensemble.input_shape) for student in ensemble.students)


def _values(student: Student, input_shape: tuple[int, ...]) -> int:
    network = student.network
    if isinstance(network, Program):
        return neurons_in(network)
    try:
        if isinstance(network, tuple):
            return sum(map(math.prod, stack_shapes(network, input_shape)))
        return sum(map(math.prod, graph_shapes(network, input_shape).values()))
    except SneError:  # compiling refuses it, and says whose it is
        return 0


def check_compile(ensemble: Ensemble, *, reference: bool) -> None:
    """Refuse to compile what there is not enough memory for.

    Raises
    ------
    InputError
        With the need, what is there, and what would fit.
    """
    available, weights, values = available_bytes(), weights_of(ensemble), values_of(ensemble)
    need = bytes_of(weights, values, reference=reference)
    if available is None or need <= available:
        return
    raise InputError(
        f"compiling {weights:,} weights needs about {in_words(need)} of memory, and "
        f"{in_words(available)} are left: {_remedy(weights, values, available, reference=reference)}"
    )


def _remedy(weights: int, values: int, available: int, *, reference: bool) -> str:
    alone = f"{ALONE}; or " if bytes_of(weights, values, reference=False) <= available else ""
    fitting = (available - bytes_of(0, values, reference=reference)) // _weight_bytes(reference=reference)
    smaller = (
        f"prune or split the model to {fitting:,} weights, or " if fitting > 0 else "split the model, or "
    )
    return f"{alone}{smaller}use a larger machine"


def bytes_of(weights: int, values: int, *, reference: bool) -> int:
    """What a model takes where it is compiled and run, with the reference or without."""
    return weights * _weight_bytes(reference=reference) + values * VALUE_BYTES + COMPILING_BYTES


def _weight_bytes(*, reference: bool) -> int:
    return COMPILE_BYTES + (REFERENCE_BYTES if reference else 0)
