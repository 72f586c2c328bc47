"""The order of the passes, on one screen, with the verifier between them."""

from __future__ import annotations

from dataclasses import replace

from sne_deploy.ir.program import Precision, Program, ProgramInput
from sne_deploy.ir.registers import ALL_REGISTERS, RegisterFormat
from sne_deploy.ir.verify import verify_network, verify_program
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.build_program import BuildProgram
from sne_deploy.passes.compose_linear import ComposeLinear
from sne_deploy.passes.fuse_thresholds import FuseThresholds
from sne_deploy.passes.lower_nir import LowerNir
from sne_deploy.passes.quantise import Quantise


def compile_student(
    student: Student,
    *,
    input_shape: tuple[int, ...],
    timesteps: int,
    encoder: Encoder,
    precision: Precision,
    form: RegisterFormat | None = None,
) -> Program:
    """Compile one student to a Program.

    Parameters
    ----------
    student : Student
    input_shape : tuple of int
        One sample at one step.
    timesteps : int
    encoder : Encoder
        ``constant`` is folded into the first layer; the others become input spikes.
    precision : {"fixed", "float"}
    form : RegisterFormat or None
        What fixed point may use of the registers; None: 8-bit weights, and all else that the chip has.

    A student that is a Program already, read from a file of registers, is verified and returned; in floating
    point, the graph of its registers is compiled.

    Raises
    ------
    UnsupportedError, GraphError
        The student cannot be compiled; everything found is listed.
    VerificationError
        A pass broke an invariant.
    """
    from sne_deploy.frontend.norse.export import export_student

    if isinstance(student.network, Program):
        if precision == "fixed":
            return _as_read(student, student.network, timesteps)
        student = replace(student, network=student.network.graph)
    graph = export_student(student, input_shape)
    program_input = ProgramInput(
        name="input",
        shape=input_shape,
        kind="current" if encoder.kind == "constant" else "spikes",
        range=encoder.input_range,
    )

    network = LowerNir(student.name, program_input, student.readout, timesteps).apply(graph)
    verify_network(network, after="lower-nir")
    network = FuseThresholds().apply(network)
    verify_network(network, after="fuse-thresholds")
    network = ComposeLinear().apply(network)
    verify_network(network, after="compose-linear")
    program = BuildProgram().apply(network)
    verify_program(program, after="build-program")
    program = replace(program, warnings=(*student.notes, *program.warnings))
    if precision == "fixed":
        program = Quantise(form or ALL_REGISTERS).apply(program)
        verify_program(program, after="quantise")
    return program


def _as_read(student: Student, network: Program, timesteps: int) -> Program:
    program = replace(network, name=student.name, readout=student.readout, timesteps=timesteps)
    verify_program(program, after="reading")
    return program
