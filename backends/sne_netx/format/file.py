"""``.net`` files: lava-dl's HDF5 networks, which netx runs. Read as untrusted, written whole or not at all.

What a file means is said in :mod:`sne_netx.format.program`; what netx runs, and so what can be
written, in :mod:`sne_netx.format.plan`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sne_deploy.files import write_whole
from sne_deploy.frontend.hdf5.file import LIMITS, Limits, Tree, naming, read_hdf5
from sne_deploy.frontend.hdf5.write import hdf5_bytes, write_value
from sne_deploy.frontend.nir.facts import with_facts
from sne_deploy.frontend.nir.raise_program import raise_program
from sne_deploy.ir.program import Program
from sne_netx.format.extra import GROUP, apply_extra, encoder_of
from sne_netx.format.layers import NetLayer, Shape
from sne_netx.format.parse import ROOTS, parse_net
from sne_netx.format.plan import plan_net
from sne_netx.format.program import ReadOptions, build_program

__all__ = ["read_net", "write_net"]


def read_net(
    path: str | os.PathLike[str],
    *,
    skip_input_neurons: bool = False,
    input_shape: Shape | None = None,
    dt_s: float | None = None,
    limits: Limits = LIMITS,
) -> Program:
    """Read a file as a fixed-point Program, in a child process with limits; it runs no code of the file's.

    Parameters
    ----------
    path : path
    skip_input_neurons : bool
        Leave an input layer's neurons out: the Program then takes their spikes instead of an image.
    input_shape : tuple of int or None
        (c, h, w) of the input, for a file that begins with a convolution and has no input layer.
    dt_s : float or None
        Seconds per step: a file says nothing of it, unless :func:`write_net` wrote it. None: 1 ms, which
        names the constants of the graph.
    limits : Limits
        What the file may ask for.

    Returns
    -------
    Program
        ``timesteps`` are those of the file's ``simulation``, 1 where it has none; ``dataclasses.replace``
        sets others.

    Raises
    ------
    GraphError
        The file is missing, damaged, hostile or inconsistent: one line with the layer and the field.
    UnsupportedError
        Lists every layer that has no Program.
    """
    options = ReadOptions(skip_input_neurons, input_shape, 1e-3 if dt_s is None else dt_s)
    tree = read_hdf5(path, ROOTS, limits)
    with naming(path):
        return program_of(tree, Path(path).stem, options)


def program_of(tree: Tree, student: str, options: ReadOptions) -> Program:
    """The Program of a file's tree.

    Raises
    ------
    GraphError, UnsupportedError
        As :func:`read_net`, without the file's name.
    """
    net = parse_net(tree)
    program, encoder = build_program(net, student, options), None
    if net.extra and not (options.skip_input_neurons and net.layers[0].neuron is not None):
        program = apply_extra(program, net.extra)
        encoder = encoder_of(program, net.extra)
    raised = raise_program(program)
    new = tuple(text for text in raised.warnings if text not in program.warnings)
    graph = raised.graph
    if encoder is not None:
        graph = with_facts(graph, program.readout, encoder, program.timesteps)
    return replace(program, graph=graph, warnings=(*program.warnings, *new))


def write_net(path: str | os.PathLike[str], program: Program) -> None:
    """Write a Program; see :func:`net_bytes`.

    Raises
    ------
    UnsupportedError
        Lists everything that netx cannot run.
    OutputError
        The file cannot be written.
    """
    write_whole(path, net_bytes(program))


def net_bytes(program: Program) -> bytes:
    """The bytes of a Program's file; the same Program gives the same bytes.

    Raises
    ------
    UnsupportedError
        Lists everything that netx cannot run.
    """
    net = plan_net(program)
    layers = {str(layer.index): _layer_fields(layer) for layer in net.layers}
    simulation = {"Ts": 1, "tSample": program.timesteps}

    def fill(file: h5py.File) -> None:
        for name, tree in {"layer": layers, "simulation": simulation, GROUP: net.extra}.items():
            write_value(file, name, tree, name)
        for layer in net.layers:  # as lava-dl writes it
            data = np.array([layer.type.encode()], dtype="S10")
            file["layer"][str(layer.index)].create_dataset("type", data=data)

    return hdf5_bytes(fill)


def _layer_fields(layer: NetLayer) -> dict[str, Any]:
    """What lava-dl writes of a layer, and in its terms."""
    fields: dict[str, Any] = {"shape": np.asarray(layer.shape, dtype=np.int64)}
    if layer.neuron is not None:
        fields["neuron"] = {
            "type": np.bytes_("CUBA"),
            "iDecay": layer.neuron.i_decay,
            "vDecay": layer.neuron.v_decay,
            "vThMant": layer.neuron.v_th_mant,
            "refDelay": 1,
            "gradedSpike": False,
        }
    if layer.type == "input" and layer.neuron is not None:
        fields |= {"weight": layer.gain, "bias": layer.offset}
    for name in ("weight", "weight_rec", "bias", "delay"):
        value = getattr(layer, name)
        if value is not None:
            fields[name] = value.astype(np.int16)
    if layer.type == "conv" and layer.weight is not None:
        fields |= {
            "inChannels": layer.weight.shape[1] * layer.groups,
            "outChannels": layer.weight.shape[0],
            "kernelSize": np.asarray(layer.weight.shape[2:]),
            "stride": np.asarray(layer.stride),
            "padding": np.asarray(layer.padding),
            "dilation": np.asarray(layer.dilation),
            "groups": layer.groups,
        }
    elif layer.weight is not None:
        fields |= {"inFeatures": layer.weight.shape[1], "outFeatures": layer.weight.shape[0]}
    return fields
