"""The order of the passes, on one screen, with the verifier between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sne_deploy.chips.registers import TWO_SYNAPSES, RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.program import InputKind, Precision, Program, ProgramInput
from sne_deploy.ir.verify import register_problems, verify
from sne_deploy.model.ensemble import Encoder, EncoderKind, Ensemble, Student
from sne_deploy.model.layers.skips import SKIPS
from sne_deploy.passes.build_program import BuildProgram
from sne_deploy.passes.compose_linear import ComposeLinear
from sne_deploy.passes.fuse_thresholds import FuseThresholds
from sne_deploy.passes.lower_nir import LowerNir
from sne_deploy.passes.quantise import Quantise
from sne_deploy.passes.scale_search import register_context

_INPUT_KINDS: Mapping[EncoderKind, InputKind] = {
    "constant": "current",
    "bernoulli": "spikes",
    "spikes": "spikes",
    "graded": "graded",
}


def compile_member(
    ensemble: Ensemble, student: Student, precision: Precision, formats: RegisterFormats
) -> Program:
    """Compile a student with its ensemble's input, encoder and steps; see :func:`compile_student`."""
    return compile_student(
        student,
        input_shape=ensemble.input_shape,
        timesteps=ensemble.timesteps,
        encoder=ensemble.encoder,
        precision=precision,
        formats=formats,
    )


def compile_student(
    student: Student,
    *,
    input_shape: tuple[int, ...],
    timesteps: int,
    encoder: Encoder,
    precision: Precision,
    formats: RegisterFormats,
) -> Program:
    """Compile one student to a Program.

    Parameters
    ----------
    student : Student
    input_shape : tuple of int
        One sample at one step.
    timesteps : int
    encoder : Encoder
        ``constant`` and ``graded`` are folded into the first layer; the others become input spikes.
    precision : {"fixed", "float"}
    formats : RegisterFormats
        What fixed point may use of a chip's registers; its delays and resets limit floating point too.

    A student that is a Program already, read from a file of registers, is verified and returned; in floating
    point, the graph of its registers is compiled. It is refused where its weights have more bits than the
    formats use, or these ask for two synapses per weight: what was rounded is not rounded again.

    Raises
    ------
    UnsupportedError, GraphError
        The student cannot be compiled; everything found is listed.
    VerificationError
        A pass broke an invariant.
    """
    from sne_deploy.frontend.nir.facts import with_facts
    from sne_deploy.frontend.norse.export import export_student

    if isinstance(student.network, Program):
        if precision == "fixed":
            told = with_facts(student.network.graph, student.readout, encoder, timesteps)
            return _as_read(student, replace(student.network, graph=told), timesteps, formats)
        student = replace(student, network=student.network.graph)
    graph = with_facts(export_student(student, input_shape), student.readout, encoder, timesteps)
    program_input = ProgramInput(
        name="input",
        shape=input_shape,
        kind=_INPUT_KINDS[encoder.kind],
        range=encoder.input_range,
    )

    network = LowerNir(student.name, program_input, student.readout, timesteps).apply(graph)
    verify(network, after="lower-nir")
    network = FuseThresholds().apply(network)
    verify(network, after="fuse-thresholds")
    network = ComposeLinear().apply(network)
    verify(network, after="compose-linear")
    program = BuildProgram(formats).apply(network)
    verify(program, after="build-program")
    stack = student.network if isinstance(student.network, tuple) else ()
    layers = () if any(layer.kind in SKIPS for layer in stack) else stack  # no stack but for its graph
    program = replace(program, warnings=(*student.notes, *program.warnings), layers=layers)
    return quantised(program, formats) if precision == "fixed" else program


def quantised(program: Program, formats: RegisterFormats) -> Program:
    """A student compiled in floating point with the same formats, in fixed point; errors as there."""
    fixed = Quantise(formats).apply(replace(program, layers=()))
    verify(fixed, after="quantise")
    return fixed


def _as_read(student: Student, network: Program, timesteps: int, formats: RegisterFormats) -> Program:
    program = replace(network, name=student.name, readout=student.readout, timesteps=timesteps)
    verify(program, after="reading")
    problems = [f"{text}; give another chip with --hardware" for text in register_problems(program, formats)]
    if problems:
        raise UnsupportedError(register_context(student.name, formats), problems)
    check_read_bits(student, formats)
    return replace(program, formats=formats)


def check_read_bits(student: Student, formats: RegisterFormats) -> None:
    """Refuse weight bits that a student whose registers were read cannot have.

    Parameters
    ----------
    student : Student
    formats : RegisterFormats
        Those of the weight bits that were asked for.

    Raises
    ------
    UnsupportedError
        It names the student, the bits asked for and those that its weights have.
    """
    if not isinstance(student.network, Program):
        return
    two = formats.synapses_per_weight > 1
    if not two and formats.used_weight_bits == formats.weight_bits:
        return
    found = read_bits(student.network, formats)
    if two or found > formats.used_weight_bits:
        asked = f"{TWO_SYNAPSES} (two synapses per weight)" if two else formats.used_weight_bits
        problem = f"not the {asked} asked for; leave --weight-bits (or --bits) out, or compile from the model"
        raise UnsupportedError(
            f"student {student.name!r}: its weights were read as integers of {found} bits", [problem]
        )


def read_bits(program: Program, formats: RegisterFormats) -> int:
    """The fewest weight bits, from 2, that hold every weight of a fixed-point Program."""
    fewest = min(2, formats.weight_bits)
    for synapse in program.synapses:
        stored, values = formats.stored_range(synapse.sign_mode), synapse.weights.values
        while stored is not None and fewest < formats.weight_bits:
            if not np.any(values % stored.of_bits(fewest, formats.weight_bits).step):
                break
            fewest += 1
    return fewest
