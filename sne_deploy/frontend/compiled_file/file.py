"""A compiled ensemble as one file that NumPy alone can read, and back; see ``docs/compiled.md``.

The file is an uncompressed ``.npz``: ``document``, a JSON text as bytes, and the arrays that it names.
Reading takes nothing else from it and runs nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sne_deploy.chips.chip import Chip, chip_of_table
from sne_deploy.errors import CheckpointError, DataError, InputError, SneError, VerificationError
from sne_deploy.files import temporary_folder, write_whole
from sne_deploy.frontend.compiled_file.check import check_program
from sne_deploy.frontend.compiled_file.codec import Arrays, decode, encode
from sne_deploy.frontend.compiled_file.container import read_container, write_container
from sne_deploy.frontend.nir.file import nir_bytes, read_nir
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, MadeFor, Student
from sne_deploy.model.parts import MAX_STUDENTS

if TYPE_CHECKING:
    import nir

FORMAT, VERSION = "sne-deploy/compiled", 1
SUFFIX = ".sne"
_REMEDY = "write one with compiled.save(PATH)"


@dataclass(frozen=True, eq=False)
class CompiledFile:
    """What a file holds beside the chip and the graphs.

    Attributes
    ----------
    target : str
    seed : int
        Of random encoders.
    programs : tuple of Program
        One per student, in the registers of the chip; ``graph`` is what each was compiled from.
    input_shape, timesteps, encoder, head, policy, provenance
        As those of :class:`sne_deploy.model.ensemble.Ensemble`.
    """

    target: str
    seed: int
    programs: tuple[Program, ...]
    input_shape: tuple[int, ...]
    timesteps: int
    encoder: Encoder
    head: Head
    policy: ActivationPolicy
    provenance: Mapping[str, Any]

    def ensemble(self, chip: Chip) -> Ensemble:
        """The ensemble, whose students are the Programs as they are, and the chip those of the file."""
        return Ensemble(
            tuple(Student(program.name, program, program.readout) for program in self.programs),
            self.input_shape,
            self.timesteps,
            self.encoder,
            self.head,
            self.policy,
            self.provenance,
            MadeFor(chip, self.seed),
        )


def write_compiled(path: str | os.PathLike[str], content: CompiledFile, chip: Chip) -> None:
    """Write a file; the same content gives the same bytes.

    Raises
    ------
    InputError
        The Programs are in floating point.
    OutputError
        The file cannot be written.
    """
    if any(program.precision != "fixed" for program in content.programs):
        raise InputError(f"{path}: only registers are kept; compile with precision='fixed'")
    arrays: Arrays = {}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "chip": chip.model_dump(mode="json", by_alias=True, exclude_none=True),
        "content": encode(content, "content", arrays),
    }
    for index, program in enumerate(content.programs):
        arrays[f"graphs/{index}"] = np.frombuffer(nir_bytes(program.graph), dtype=np.uint8)
    write_container(path, document, arrays, sort_keys=True)


def read_compiled(path: str | os.PathLike[str]) -> tuple[CompiledFile, Chip]:
    """Read and check a file.

    Raises
    ------
    CheckpointError
        Missing, damaged, of another format or a newer version, or registers that their chip does not have.
    """
    where = os.fspath(path)
    try:
        document, arrays = read_container(Path(path), FORMAT, VERSION, ("chip", "content"), _REMEDY)
        if not isinstance(document["chip"], dict):
            raise CheckpointError("chip is no object")
        chip = chip_of_table(document["chip"], "chip")
        content: CompiledFile = decode(CompiledFile, document["content"], "content", arrays)
        if not 1 <= len(content.programs) <= MAX_STUDENTS:
            raise CheckpointError(f"{len(content.programs)} students; there must be 1 to {MAX_STUDENTS}")
        programs = tuple(
            _complete(program, chip, arrays.get(f"graphs/{index}"))
            for index, program in enumerate(content.programs)
        )
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}; {_REMEDY}") from None
    except DataError as error:  # it names the file
        raise CheckpointError(str(error)) from None
    except SneError as error:
        raise CheckpointError(f"{where}: {error}") from None
    return replace(content, programs=programs), chip


def _complete(program: Program, chip: Chip, graph: Any) -> Program:
    """The Program with its graph and the formats of its chip, verified."""
    if graph is None:
        raise CheckpointError(f"student {program.name[:100]!r} has no graph")
    check_program(program)
    complete = replace(program, graph=_graph_of(graph.tobytes()), formats=chip.registers, layers=())
    try:
        verify(complete, after="reading")
    except VerificationError as error:
        raise CheckpointError(str(error).removesuffix("; please report this as a bug")) from None
    return complete


def _graph_of(data: bytes) -> nir.NIRGraph:
    with temporary_folder() as folder:
        return read_nir(write_whole(folder / "graph.nir", data))
