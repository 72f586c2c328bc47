"""The order of the passes, on one screen, with the verifier between them."""

from __future__ import annotations

from sne_deploy.ensembles import Encoder, Student
from sne_deploy.ir.program import Precision, Program, ProgramInput
from sne_deploy.ir.verify import verify_network, verify_program
from sne_deploy.passes.build_program import BuildProgram
from sne_deploy.passes.compose_linear import ComposeLinear
from sne_deploy.passes.fuse_thresholds import FuseThresholds
from sne_deploy.passes.lower_nir import LowerNir
from sne_deploy.passes.quantise import Quantise


def compile_student(
    student: Student, *, input_shape: tuple[int, ...], timesteps: int, encoder: Encoder, precision: Precision
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

    Raises
    ------
    UnsupportedError, GraphError
        The student cannot be compiled; everything found is listed.
    VerificationError
        A pass broke an invariant.
    """
    from sne_deploy.frontend.export import export_student

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
    if precision == "fixed":
        program = Quantise().apply(program)
        verify_program(program, after="quantise")
    return program
