"""What a Program says and netx does not: names, units, the host's part. A group of its own in the file.

Other tools read ``layer`` alone. Reading the file back gives the same Program; without this group, or with
one that does not fit the layers, the network is the same but these are defaults, or the file is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.registers import SignMode
from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.facts import facts_of
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import DenseWeights, SparseWeights
from sne_deploy.model.ensemble import READOUTS, Encoder, EncoderKind
from sne_deploy.neurons.table import MODELS
from sne_netx.format.fields import Fields
from sne_netx.format.layers import FORMATS, NEURON_KINDS

Array = npt.NDArray[Any]
Tree = dict[str, Any]

GROUP = "sne_deploy"
VERSION = 1
_PER_NEURON = ("du", "dv", "vth_mant", "bias_mant", "v_init")
_MOST = 2**31 - 1
Role = tuple[int, str, SignMode, int]
"""A synapse in the file: position of its target, the field it is stored in, its weights' sign, its delay."""


def extra_tree(program: Program, roles: Mapping[str, Role]) -> Tree:
    """The group's content.

    Parameters
    ----------
    program : Program
    roles : mapping of synapse name to Role
        Of the synapses that are read back one for one.
    """
    entry = program.input
    tree: Tree = {
        "version": VERSION,
        "student": program.name,
        "readout": program.readout,
        "timesteps": program.timesteps,
        "dt_s": program.dt_s,
        "warnings": list(program.warnings),
        "input": {"name": entry.name, "shape": np.asarray(entry.shape), "range": np.asarray(entry.range)},
        "encoder": _encoder(program),
        "groups": {str(index): _group_tree(group) for index, group in enumerate(program.groups)},
        "synapses": {
            str(index): _synapse_tree(synapse, roles[synapse.name])
            for index, synapse in enumerate(s for s in program.synapses if s.name in roles)
        },
    }
    if program.hosts:
        tree["host"] = _host_tree(program.hosts[0])
    return tree


def _encoder(program: Program) -> str:
    """What the input is, in the encoder's terms; spikes may be drawn from probabilities."""
    if program.constant_input:
        return "constant"
    stated = facts_of(program.graph).encoder if program.graph is not None else None
    return "spikes" if stated is None else stated.kind


def _group_tree(group: NeuronGroup) -> Tree:
    whole = [name for name in _PER_NEURON if np.ndim(getattr(group, name)) == 1]
    return {
        "name": group.name,
        "kind": group.kind,
        "shape": np.asarray(group.shape),
        "scale": group.scale,
        "v_reset": np.asarray(group.v_reset, dtype=np.float64),
        "per_neuron": whole,
    }


def _synapse_tree(synapse: Synapse, role: Role) -> Tree:
    snr = synapse.quantisation_snr_db
    return {
        "name": synapse.name,
        "target": role[0],
        "field": role[1],
        "sign_mode": role[2],
        **({"delay": role[3]} if role[3] else {}),
        "form": "sparse" if isinstance(synapse.weights, SparseWeights) else "full",
        "saturated": synapse.saturated_weights,
        **({} if snr is None else {"snr_db": snr}),
    }


def _host_tree(host: HostAffine) -> Tree:
    matrix = sparse.csr_matrix(host.matrix)
    return {
        "data": matrix.data.astype(np.float64),
        "indices": matrix.indices.astype(np.int32),
        "indptr": matrix.indptr.astype(np.int32),
        "bias": np.asarray(host.bias, dtype=np.float64),
        "register_scale": host.register_scale,
        "register_limit": host.register_limit,
        "per_step_messages": int(host.per_step_messages),
    }


# --- reading ----------------------------------------------------------------------------------------


def apply_extra(program: Program, tree: Mapping[str, Any]) -> Program:
    """The Program with what the group says; the integers of its layers stay.

    Parameters
    ----------
    program : Program
        As the layers alone give it.
    tree : mapping
        The group, as read.

    Raises
    ------
    GraphError
        Something is missing or wrong, or does not fit the layers.
    """
    fields = Fields(tree, f"group {GROUP!r}")
    if fields.integer("version", 0, _MOST) != VERSION:
        raise fields.wrong("version", f"is not {VERSION}, the one that is known; use a newer sne-deploy")
    readout = fields.text("readout")
    if readout not in READOUTS:
        raise fields.wrong("readout", f"is {readout!r:.60}, not one of {', '.join(READOUTS)}")
    if (readout == "count") != program.output_groups[0].spiking:
        raise fields.wrong("readout", f"is {readout!r}, which does not fit the last layer's threshold")
    groups = _groups(program, fields)
    names = {program.input.name: fields.group("input").text("name")} | {
        old.name: new.name for old, new in zip(program.groups, groups, strict=True)
    }
    if len(set(names.values())) != len(names) or "" in names.values():
        raise fields.wrong("groups", "names a group twice, or by nothing")
    return replace(
        program,
        name=fields.text("student"),
        readout=readout,
        timesteps=fields.integer("timesteps", 1, 1_000_000),
        dt_s=float(_scale(fields, "dt_s", 1)),
        warnings=tuple(fields.texts("warnings")),
        input=_input(program, fields.group("input")),
        groups=groups,
        synapses=_synapses(program, fields, names),
        outputs=(groups[-1].name,),
        hosts=tuple(_host(host, fields, names, program) for host in program.hosts),
    )


def encoder_of(program: Program, tree: Mapping[str, Any]) -> Encoder:
    """The encoder that the group names; where it is of an earlier version, the one that the layers take.

    Raises
    ------
    GraphError
        It does not fit the layers.
    """
    fields = Fields(tree, f"group {GROUP!r}")
    fits: tuple[EncoderKind, ...] = ("constant",) if program.constant_input else ("spikes", "bernoulli")
    kind = fields.text("encoder") if "encoder" in fields else fits[0]
    if kind not in fits:
        raise fields.wrong("encoder", f"is {kind!r:.60}; the layers take {' or '.join(fits)}")
    return Encoder(kind, program.input.range)


def _numbered(fields: Fields, name: str, count: int | None = None) -> Sequence[Fields]:
    """Groups 0, 1, 2, ... in a group."""
    if name not in fields and not count:
        return ()
    inner = fields.group(name)
    found = inner.names()
    if found != {str(index) for index in range(len(found))} or (count is not None and len(found) != count):
        wanted = "0, 1, 2, ..." if count is None else f"{count}, one for each layer of neurons"
        raise fields.wrong(name, f"holds {len(found)} groups; it must hold {wanted}")
    return [inner.group(str(index)) for index in range(len(found))]


def _groups(program: Program, fields: Fields) -> tuple[NeuronGroup, ...]:
    found = _numbered(fields, "groups", len(program.groups))
    return tuple(_group(group, inner) for group, inner in zip(program.groups, found, strict=True))


def _group(group: NeuronGroup, fields: Fields) -> NeuronGroup:
    kind = fields.text("kind")
    if kind not in NEURON_KINDS or MODELS[kind].spiking != group.spiking:
        raise fields.wrong("kind", f"is {kind!r:.60}, which the layer's neurons are not")
    shape = fields.sizes("shape", range(1, 9))
    if math.prod(shape) != group.size:
        raise fields.wrong("shape", f"is {shape}, the layer has {group.size} neurons")
    v_reset = fields.reals("v_reset")
    if v_reset.shape not in ((), (group.size,)):
        raise fields.wrong("v_reset", f"has shape {v_reset.shape} for {group.size} neurons")
    whole = fields.texts("per_neuron")
    if not set(whole) <= set(_PER_NEURON):
        raise fields.wrong("per_neuron", f"names a field that is none of {', '.join(_PER_NEURON)}")
    spread = {name: np.broadcast_to(getattr(group, name), (group.size,)).copy() for name in whole}
    return replace(
        group,
        name=fields.text("name"),
        kind=kind,
        shape=shape,
        scale=_scale(fields, "scale", group.size),
        v_reset=v_reset,
        **spread,  # type: ignore[arg-type]  # arrays, by name
    )


def _synapses(program: Program, fields: Fields, names: Mapping[str, str]) -> tuple[Synapse, ...]:
    """Those of the layers, named, and in the order in which they are listed."""
    position = {group.name: index for index, group in enumerate(program.groups)}
    found: dict[Role, list[Synapse]] = {}
    for synapse in program.synapses:
        stored = "weight_rec" if synapse.source == synapse.target else "weight"
        ends = replace(synapse, source=names[synapse.source], target=names[synapse.target])
        role = (position[synapse.target], stored, synapse.sign_mode, synapse.delay)
        found.setdefault(role, []).append(ends)
    listed: list[tuple[int, Synapse]] = []
    for inner in _numbered(fields, "synapses"):
        role = _role(inner)
        if len(found.get(role, [])) != 1:
            raise GraphError(f"{inner.label}: no such synapse in the layers, or more than one")
        listed.append((role[0], _synapse(found.pop(role)[0], inner)))
    listed += [(role[0], synapse) for role, several in found.items() for synapse in several]
    taken = [synapse.name for _, synapse in listed]
    if len(set(taken)) != len(taken):
        raise fields.wrong("synapses", "names a synapse twice")
    return tuple(synapse for _, synapse in sorted(listed, key=lambda pair: pair[0]))


def _role(fields: Fields) -> Role:
    mode = fields.text("sign_mode")
    if mode not in get_args(SignMode):
        raise fields.wrong("sign_mode", f"is {mode!r:.60}, not one of {', '.join(get_args(SignMode))}")
    delay = fields.integer("delay", 0, _MOST, 0)
    return fields.integer("target", 0, _MOST), fields.text("field"), mode, delay  # type: ignore[return-value]  # checked


def _synapse(synapse: Synapse, fields: Fields) -> Synapse:
    weights = synapse.weights
    form = fields.text("form")
    if form == "sparse" and isinstance(weights, DenseWeights):
        weights = SparseWeights(weights.matrix())
    elif form == "full" and isinstance(weights, SparseWeights):
        weights = DenseWeights(weights.csr.toarray())
    snr = fields.numbers("snr_db") if "snr_db" in fields else None
    if snr is not None and (snr.size != 1 or bool(np.isnan(snr.astype(np.float64)).any())):
        raise fields.wrong("snr_db", "must be one number")
    return replace(
        synapse,
        name=fields.text("name"),
        weights=weights,
        saturated_weights=fields.integer("saturated", 0, _MOST),
        quantisation_snr_db=None if snr is None else float(snr.reshape(())),
    )


def _input(program: Program, fields: Fields) -> ProgramInput:
    shape, ends = fields.sizes("shape", range(1, 9)), fields.reals("range")
    if not program.hosts and math.prod(shape) != program.input.size:
        raise fields.wrong("shape", f"is {shape}, the first layer takes {program.input.size} values")
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise fields.wrong("range", "must be two numbers, low < high")
    return ProgramInput(fields.text("name"), shape, program.input.kind, (float(ends[0]), float(ends[1])))


def _host(host: HostAffine, fields: Fields, names: Mapping[str, str], program: Program) -> HostAffine:
    if "host" not in fields:
        return replace(host, target=names[host.target])
    inner = fields.group("host")
    n_in = math.prod(fields.group("input").sizes("shape", range(1, 9)))
    n = program.group(host.target).size
    bias, data = inner.reals("bias"), _vector(inner, "data", np.float64)
    indices, indptr = _vector(inner, "indices", np.int32), _vector(inner, "indptr", np.int32)
    try:
        matrix = sparse.csr_matrix((data, indices, indptr), shape=(n, n_in))
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise inner.wrong("indices", f"is no sparse matrix of shape ({n}, {n_in}): {error}") from None
    if bias.shape != (n,) or not bool(np.all(np.isfinite(data))):
        raise inner.wrong("bias", f"has shape {bias.shape} for {n} neurons, or the matrix is not finite")
    return HostAffine(
        target=names[host.target],
        matrix=matrix,
        bias=bias,
        register_scale=_scale(inner, "register_scale", n),
        register_limit=inner.integer("register_limit", 1, FORMATS.bias_mant_max),
        per_step_messages=bool(inner.integer("per_step_messages", 0, 1)),
    )


def _vector(fields: Fields, name: str, dtype: type) -> Array:
    """A vector that may be empty."""
    value = fields.raw(name)
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != dtype:
        raise fields.wrong(name, f"must be a vector of {np.dtype(dtype).name}")
    return value


def _scale(fields: Fields, name: str, size: int) -> float | Array:
    """Above 0: one number, or one for every neuron."""
    value = fields.reals(name)
    if value.size != 1 and value.shape != (size,):
        raise fields.wrong(name, f"has shape {value.shape} for {size} neurons")
    if not bool(np.all(value > 0)):
        raise fields.wrong(name, f"is {value.min():g}, must be above 0")
    return float(value.reshape(())) if value.size == 1 else value
