"""What must hold of a Program from a file before the verifier, which trusts classes and shapes, sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import CheckpointError
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights
from sne_deploy.model.layers.geometry import check_size, window_sizes
from sne_deploy.model.parts import MAX_TIMESTEPS
from sne_deploy.neurons.table import MODELS

Array = npt.NDArray[Any]
MAX_DEPTH = 100_000


def check_program(program: Program) -> None:
    """Check kinds, ranks and sizes.

    Raises
    ------
    CheckpointError
        Names the first thing that is wrong.
    """
    problem = next(_problems(program), None)
    if problem is not None:
        raise CheckpointError(f"student {program.name[:100]!r}: {problem}")


def _problems(program: Program) -> Iterator[str]:
    if not 1 <= program.timesteps <= MAX_TIMESTEPS:
        yield f"timesteps {program.timesteps} must be from 1 to {MAX_TIMESTEPS}"
    if not 0 < program.dt_s < np.inf:
        yield f"dt_s {program.dt_s} must be a positive number of seconds"
    yield from _shape_problems("input", program.input.shape)
    if program.precision != "fixed":
        yield "it holds no registers"
    for group in program.groups:
        yield from _group_problems(group)
    for synapse in program.synapses:
        yield from _synapse_problems(synapse)
    for host in program.hosts:
        yield from _host_problems(host)


def _group_problems(group: NeuronGroup) -> Iterator[str]:
    where = f"group {group.name[:100]!r}"
    model = MODELS.get(group.kind)
    if model is None:
        yield f"{where}: kind {group.kind[:100]!r} is unknown; known: {', '.join(MODELS)}"
        return
    if {*group.own} != {*model.own}:
        yield f"{where}: registers of its own {sorted(group.own)}, a {group.kind} has {sorted(model.own)}"
    yield from _shape_problems(where, group.shape)
    if not 0 <= group.depth <= MAX_DEPTH:
        yield f"{where}: depth {group.depth} must be from 0 to {MAX_DEPTH}"
    for name in ("v_reset", "scale"):
        value = np.asarray(getattr(group, name))
        if value.shape not in ((), (group.size,)) or not np.isfinite(value).all():
            yield f"{where}: {name} has shape {value.shape} or is not finite"


def _synapse_problems(synapse: Synapse) -> Iterator[str]:
    where, weights = f"synapse {synapse.name[:100]!r}", synapse.weights
    if weights.values.dtype.kind != "i":
        yield f"{where}: weights of dtype {weights.values.dtype} are no registers"
    axes = 2 if isinstance(weights, DenseWeights) else 4 if isinstance(weights, ConvWeights) else 1
    if weights.values.ndim != axes or 0 in weights.values.shape[: axes - 1]:
        yield f"{where}: weights have shape {weights.values.shape}, must have {axes} axes"
    elif isinstance(weights, ConvWeights):
        yield from (f"{where}: {problem}" for problem in _conv_problems(weights))
    else:
        yield from _shape_problems(where, _ends(weights))


def _ends(weights: Weights) -> tuple[int, ...]:
    return (max(weights.shape),)


def _conv_problems(conv: ConvWeights) -> Iterator[str]:
    c_out, per_group, *kernel = conv.kernel.shape
    pairs = (*conv.stride, *conv.dilation, conv.groups)
    if min(*conv.in_shape, *conv.out_shape, *pairs, *conv.kernel.shape) < 1 or min(conv.padding) < 0:
        yield "a size of the convolution is not above 0"
        return
    if c_out % conv.groups or per_group * conv.groups != conv.in_shape[0]:
        yield f"{conv.groups} groups do not fit {conv.in_shape[0]} channels and {c_out}"
    try:
        check_size(conv.in_shape)
        sizes = window_sizes(conv.in_shape, tuple(kernel), conv.stride, conv.padding, conv.dilation)
    except ValueError as error:
        yield str(error)
        return
    if conv.out_shape != (c_out, *sizes):
        yield f"the convolution gives shape {(c_out, *sizes)}, not {conv.out_shape}"


def _host_problems(host: HostAffine) -> Iterator[str]:
    where = f"the host's part for {host.target[:100]!r}"
    if host.matrix.dtype.kind not in "if" or host.bias.dtype.kind != "f" or host.bias.ndim != 1:
        yield f"{where}: matrix of {host.matrix.dtype}, bias of {host.bias.dtype} {host.bias.shape}"
    elif not (np.isfinite(host.matrix.data).all() and np.isfinite(host.bias).all()):
        yield f"{where}: values are not finite"
    scale = np.asarray(np.nan if host.register_scale is None else host.register_scale)
    if scale.shape not in ((), host.bias.shape) or scale.dtype.kind != "f":
        yield f"{where}: register_scale of {scale.dtype} {scale.shape}"
    elif host.register_limit is None or not bool(np.all((scale > 0) & (scale < np.inf))):
        yield f"{where}: register_scale {scale.reshape(-1)[:1]} and limit {host.register_limit}"


def _shape_problems(where: str, shape: tuple[int, ...]) -> Iterator[str]:
    if not shape or min(shape) < 1:
        yield f"{where}: shape {shape} must have sizes above 0"
        return
    try:
        check_size(shape)
    except ValueError as error:
        yield f"{where}: {error}"
