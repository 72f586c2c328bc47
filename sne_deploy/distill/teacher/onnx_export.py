"""A teacher's ONNX file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.errors import InputError, RunError
from sne_deploy.files import write_whole
from sne_deploy.teacher.half import without_spare_bits

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import onnx

    from sne_deploy.distill.teacher.network import Teacher


def save_teacher_onnx(teacher: Teacher, path: str | os.PathLike[str], input_shape: Sequence[int]) -> None:
    """Write a teacher as one self-contained ONNX file, atomically; the same teacher gives the same bytes.

    Input ``image`` of shape (N, *input_shape), output ``logits`` of shape (N, classes), N free. Weights whose
    values have 16 bits, as :func:`sne_deploy.distill.teacher.half.half_teacher` makes them, are stored so.

    Raises
    ------
    OutputError
        The file cannot be written.
    InputError
        ``onnxscript``, which torch exports with, is missing.
    """
    import onnx

    model = without_spare_bits(_without_traces(export_teacher(teacher, input_shape)))
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString(deterministic=True))


def export_teacher(teacher: Teacher, input_shape: Sequence[int]) -> onnx.ModelProto:
    """A teacher as ONNX, as torch exports it; see :func:`save_teacher_onnx`."""
    example = torch.zeros(2, *input_shape)
    with evaluating(teacher), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own deprecations
        try:
            program = torch.onnx.export(
                teacher,
                (example,),
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                dynamo=True,
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise InputError(f"cannot export the teacher: {error}; pip install onnxscript") from error
    if program is None:
        raise RunError("torch.onnx.export returned nothing; use a released version of torch, 2.10 or newer")
    model: onnx.ModelProto = program.model_proto
    return model


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without the exporter's notes, which name folders of the machine that exported it."""
    import onnx

    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    graph = clean.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for item in (clean, graph, *graph.node, *values):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    return clean
