"""From a Program to the layers of a ``.net`` file, or what keeps it from being one.

netx runs a chain: an optional input layer of neurons, then convolutions and dense layers, each dense one with
synapses to itself or without. What netx would compute otherwise than the Program says is a problem, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.registers import ResetKind
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.bounds import host_range, state_bounds, synaptic_range
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.registers import sign_mode_of
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights
from sne_netx.format.extra import Role, extra_tree
from sne_netx.format.layers import (
    BIAS_EXP,
    FORMATS,
    NEVER_THRESHOLD,
    SILENT_THRESHOLD,
    NetFile,
    NetLayer,
    NetNeuron,
    Shape,
    laid_out,
)
from sne_netx.format.synapses import check_conv, delay_parts, sign_parts
from sne_netx.format.weights import netx_dense

Array = npt.NDArray[Any]

DENSE_LIMIT = 2**26
"""Largest number of weights of a sparse map that is written out in full: netx has no sparse one."""
_SUM_LIMIT = (2**31 - FORMATS.state_limit) >> FORMATS.state_shift
"""Above this, ``u + (a_in << 6)`` would wrap in Lava's 32-bit integers."""
_INT8_MAX = 127
"""Lava's convolution keeps stride, padding, dilation and groups in 8 bits."""


def plan_net(program: Program) -> NetFile:
    """Lay out a Program as layers.

    Raises
    ------
    UnsupportedError
        Lists everything, by name, that keeps it from being a ``.net`` file of the same spikes in netx.
    """
    problems = list(_structure_problems(program))
    if not problems:
        planner = _Planner(program)
        problems = [problem for group in program.groups for problem in planner.add(group)]
        if not problems:
            return planner.file()
    raise UnsupportedError(f"student {program.name!r} on target netx", problems)


def _structure_problems(program: Program) -> Iterator[str]:
    """A chain of groups, each with the one before it and itself as sources, read at its end."""
    if program.precision != "fixed":
        yield f"precision {program.precision!r}; netx holds registers: --precision fixed"
        return
    names = [group.name for group in program.groups]
    if program.outputs != (names[-1],):
        shown = ", ".join(program.outputs)
        yield f"outputs {shown}; netx reads the last group of a chain alone, here {names[-1]!r}"
    first = 0 if program.hosts else 1
    if program.hosts and not program.constant_input:
        yield (
            "graded input, which differs from step to step; netx takes spikes or one constant current per "
            "sample: use --target loihi or lava"
        )
    for host in program.hosts:
        if host.target != names[0]:
            yield f"constant input into group {host.target!r}; netx takes one into the first group alone"
    for index, group in enumerate(program.groups):
        before = names[index - 1] if index else program.input.name
        expected = {before, group.name} if index or not program.hosts else set()
        for synapse in program.synapses_into(group.name):
            yield from _synapse_problems(program, synapse, expected)
        sources = {synapse.source for synapse in program.synapses_into(group.name)}
        if expected and before not in sources:
            yield f"group {group.name!r} has no synapse from {before!r}; netx runs chains"
        if group.depth != index + first:
            where = f"{group.depth} steps behind the input, in a chain {index + first}"
            yield f"group {group.name!r} runs {where}"
        yield from _neuron_problems(group, constant=bool(program.hosts) and index == 0)


def _synapse_problems(program: Program, synapse: Synapse, expected: set[str]) -> Iterator[str]:
    name = f"synapse {synapse.name!r}"
    if synapse.source == ALWAYS_ON:
        yield f"{name}: a bias behind the synaptic current (always-on axon); netx has biases of v alone"
        return
    if synapse.source not in expected:
        yield f"{name} from {synapse.source!r} to {synapse.target!r}; netx runs chains of groups"
        return
    loop = synapse.source == synapse.target
    if loop and not program.group(synapse.target).spiking:
        yield f"{name}: from a readout to itself, which never spikes; leave it out"
    loops = any(each.source == each.target for each in program.synapses_into(synapse.target))
    if synapse.delay and loops:
        what = f"a delay of {synapse.delay} steps in a recurrent layer"
        yield f"{name}: {what}, whose weights netx then misreads"
    elif program.lag(synapse) != (1 if loop else synapse.delay):
        lag = program.lag(synapse)
        yield f"{name} delivers {lag} steps after it was sent, in netx's chain {synapse.delay}"
    if loop and isinstance(synapse.weights, ConvWeights):
        yield f"{name}: a convolution from a group to itself; netx has dense ones"


def _neuron_problems(group: NeuronGroup, *, constant: bool) -> Iterator[str]:
    name = f"group {group.name!r}"
    if bool(np.any(group.v_init)):
        yield f"{name}: starts a sample at v other than the reset value; netx starts at 0"
    if group.spiking and group.reset != "value":
        yield f"{name}: {_OTHER_RESETS[group.reset]}; use target loihi"
    if not bool(np.any(group.bias_mant)):
        return
    if constant:
        yield f"{name}: a bias beside the constant input; netx's input layer has none"
    elif _bias(group) is None:
        lowest = 2**BIAS_EXP
        yield (
            f"{name}: biases with the exponent {group.bias_exp}; netx has the exponent {BIAS_EXP}: multiples "
            f"of {lowest} of v, up to {FORMATS.bias_mant_max * lowest}"
        )


_OTHER_RESETS: Mapping[ResetKind | None, str] = {
    None: "spikes that reset nothing; netx resets v to 0",
    "subtract": "soft reset; netx resets v to 0",
    "value_delayed": "a reset a step later; netx resets v at once, and reads no refractory delay",
}


def _uniform(value: Array) -> bool:
    flat = np.asarray(value).reshape(-1)
    return bool(np.all(flat == flat[0]))


def _bias(group: NeuronGroup) -> Array | None:
    """Mantissas at netx's exponent, () or (n,); None where there are none."""
    whole = np.asarray(group.bias_mant, dtype=np.int64) << group.bias_exp
    mantissa = whole >> BIAS_EXP
    in_range = bool(np.all((mantissa >= FORMATS.bias_mant_min) & (mantissa <= FORMATS.bias_mant_max)))
    return mantissa.astype(np.int32) if in_range and bool(np.all(mantissa << BIAS_EXP == whole)) else None


def _full_bias(group: NeuronGroup, shape: Shape) -> Array | None:
    """As netx has it; None where all are 0."""
    bias = _bias(group)
    return laid_out(bias, shape) if bias is not None and bool(np.any(bias)) else None


def _neuron(program: Program, group: NeuronGroup, shape: Shape) -> NetNeuron:
    """One number of each register for the layer, where one is enough."""
    threshold = group.vth_mant if group.spiking else np.asarray(_silent_threshold(program, group))
    decays = np.asarray(group.du) + 1, np.asarray(group.dv)
    return NetNeuron(*(int(v.flat[0]) if _uniform(v) else laid_out(v, shape) for v in (*decays, threshold)))


def _silent_threshold(program: Program, group: NeuronGroup) -> int:
    """The register's largest, which netx reads; or, where v might pass that, lava-dl's own beyond it."""
    low, high = _inputs(program, group)
    bounds = state_bounds(group, low, high, program.timesteps, FORMATS)
    fits = not bounds.u_may_wrap(FORMATS) and bounds.v_max <= FORMATS.vth_max
    return SILENT_THRESHOLD if fits else NEVER_THRESHOLD


def _transform(host: HostAffine) -> tuple[int, int]:
    """``weight`` and ``bias`` of an input layer: those of the host's map where it is so plain, else 1, 0."""
    coo = host.matrix.tocoo()
    same = coo.nnz == host.matrix.shape[0] == host.matrix.shape[1] and bool(np.array_equal(coo.row, coo.col))
    if same and np.all(host.register_scale == np.asarray(1.0)) and _uniform(coo.data) and _uniform(host.bias):
        gain, offset = float(coo.data[0]), float(host.bias[0])
        if gain.is_integer() and offset.is_integer() and max(abs(gain), abs(offset)) <= FORMATS.bias_mant_max:
            return int(gain), int(offset)
    return 1, 0


def _inputs(program: Program, group: NeuronGroup) -> tuple[Array, Array]:
    """Smallest and largest ``a_in`` of every neuron in one step."""
    low, high = synaptic_range(program.synapses_into(group.name), group.size)
    host = program.host_of(group.name)
    if host is not None:
        limit = float(host.register_limit or 0)
        unit = 1.0 if host.register_scale is None else host.register_scale
        ends = [np.clip(np.rint(end * unit), -limit, limit) for end in host_range(host, program.input)]
        low, high = low + ends[0], high + ends[1]
    return low, high


def _sum_problems(program: Program, group: NeuronGroup) -> Iterator[str]:
    """What holds in a Program and could overflow, or be taken for a readout, in netx."""
    name = f"group {group.name!r}"
    low, high = _inputs(program, group)
    largest = float(max(high.max(), -low.min()))
    if largest > _SUM_LIMIT:
        yield f"{name}: its inputs reach {largest:.0f}, and Lava's 32-bit integers wrap above {_SUM_LIMIT}"
    elif group.spiking and group.name in program.outputs and np.min(group.vth_mant) == SILENT_THRESHOLD:
        yield f"{name}: a last threshold of {SILENT_THRESHOLD} marks a readout in a .net file; use less"


def _same_geometry(a: ConvWeights, b: Weights) -> bool:
    what = ("in_shape", "out_shape", "stride", "padding", "dilation", "groups")
    return isinstance(b, ConvWeights) and all(getattr(a, name) == getattr(b, name) for name in what)


def _whole(synapse: Synapse) -> Array:
    """Weights with their exponent, int64."""
    return np.asarray(synapse.weights.values, dtype=np.int64) << synapse.weight_exp


def _delays(synapses: list[Synapse]) -> Array | None:
    """Of parallel synapses, (n_out, n_in); None where none delays.

    Raises
    ------
    ValueError
        Two of one pair of neurons differ.
    """
    if not any(synapse.delay for synapse in synapses):
        return None
    delays = np.full(synapses[0].weights.shape, -1, dtype=np.int32)
    for synapse in synapses:
        here = synapse.weights.matrix().toarray() != 0
        if bool(np.any(here & (delays >= 0) & (delays != synapse.delay))):
            raise ValueError("two neurons with synapses of several delays, and netx has one for each pair")
        delays[here] = synapse.delay
    return np.maximum(delays, 0)


def _dense(synapses: list[Synapse]) -> Array:
    """Parallel synapses as one int32 matrix of shape (n_out, n_in)."""
    rows, columns = synapses[0].weights.shape
    if rows * columns > DENSE_LIMIT and not all(isinstance(s.weights, DenseWeights) for s in synapses):
        raise ValueError(
            f"{rows} x {columns} sparse weights, and netx has dense layers alone; written out, they would "
            f"exceed {DENSE_LIMIT}"
        )
    total = np.zeros((rows, columns), dtype=np.int32)
    for synapse in synapses:
        weights = synapse.weights
        array = weights.array if isinstance(weights, DenseWeights) else weights.matrix().toarray()
        total += array.astype(np.int32) << synapse.weight_exp
    return total


class _Planner:
    """Collects layers along the chain."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._layers: list[NetLayer] = []
        self._roles: dict[str, Role] = {}
        self._maps: Shape | None = None
        """(c, h, w) of the layer before, where it keeps maps."""
        if not program.hosts:
            self._maps = self._entering(program.input.name)
            self._layer("input", self._maps or (program.input.size,))

    def _entering(self, source: str) -> Shape | None:
        """The maps that a convolution takes from a source without synapses of its own in the file."""
        convs = [s.weights for s in self._program.synapses if s.source == source]
        first = convs[0] if convs and all(isinstance(w, ConvWeights) for w in convs) else None
        return first.in_shape if isinstance(first, ConvWeights) else None

    def _layer(self, kind: Any, shape: Shape, **fields: Any) -> None:
        self._layers.append(NetLayer(len(self._layers), kind, shape, **fields))

    def file(self) -> NetFile:
        """The whole file."""
        return NetFile(tuple(self._layers), self._program.timesteps, extra_tree(self._program, self._roles))

    def add(self, group: NeuronGroup) -> list[str]:
        """Append the layers of the next group; what is wrong with them."""
        program, position = self._program, self._program.groups.index(group)
        problems = list(_sum_problems(program, group))
        host = program.host_of(group.name)
        if host is not None:
            self._maps = self._entering(group.name)
            gain, offset = _transform(host)
            shape = self._maps or (group.size,)
            neuron = _neuron(program, group, shape)
            self._layer("input", shape, neuron=neuron, gain=gain, offset=offset)
            return problems
        incoming = program.synapses_into(group.name)
        forward = [synapse for synapse in incoming if synapse.source != group.name]
        loops = [synapse for synapse in incoming if synapse.source == group.name]
        try:
            if not loops and self._takes_maps(forward):
                self._add_conv(group, position, forward)
            else:
                self._add_dense(group, position, forward, loops)
        except ValueError as error:
            problems.append(f"weights into group {group.name!r}: {error}")
        return problems

    def _takes_maps(self, forward: list[Synapse]) -> bool:
        convs = [synapse.weights for synapse in forward]
        return not any(synapse.delay for synapse in forward) and all(
            isinstance(conv, ConvWeights) and conv.in_shape == self._maps and _same_geometry(conv, convs[0])
            for conv in convs
        )

    def _add_conv(self, group: NeuronGroup, position: int, forward: list[Synapse]) -> None:
        conv = forward[0].weights
        assert isinstance(conv, ConvWeights)  # noqa: S101  by _takes_maps
        kernel = np.asarray(sum(_whole(synapse) for synapse in forward), dtype=np.int32)
        if max(*conv.stride, *conv.padding, *conv.dilation, *kernel.shape[2:], conv.groups) > _INT8_MAX:
            raise ValueError(f"stride, padding, dilation, kernel size or groups above {_INT8_MAX}")
        check_conv(kernel)
        self._note(position, "weight", [(0, conv.with_values(kernel))], forward)
        self._layer(
            "conv",
            conv.out_shape,
            neuron=_neuron(self._program, group, conv.out_shape),
            weight=kernel,
            bias=_full_bias(group, conv.out_shape),
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
        )
        self._maps = conv.out_shape

    def _add_dense(
        self, group: NeuronGroup, position: int, forward: list[Synapse], loops: list[Synapse]
    ) -> None:
        delay = _delays(forward)
        parts = [_dense(synapses) for synapses in (forward, loops) if synapses]
        effective, changed = netx_dense(parts)
        if changed:
            pairs = [(a[a != b], b[a != b]) for a, b in zip(parts, effective, strict=True)]
            given, taken = (np.concatenate(side)[0] for side in zip(*pairs, strict=True))
            raise ValueError(
                f"netx would change {changed} of them, the first from {given} to {taken}; use target loihi"
            )
        for stored, synapses, weights in zip(
            ("weight", "weight_rec"), (forward, loops), effective, strict=False
        ):
            parts_of = delay_parts(DenseWeights(weights), delay if stored == "weight" else None)
            self._note(position, stored, parts_of, synapses)
        if self._maps is not None:
            self._layer("flatten", (int(np.prod(self._maps)),))
        self._layer(
            "dense_rec" if loops else "dense",
            (group.size,),
            neuron=_neuron(self._program, group, (group.size,)),
            weight=effective[0],
            weight_rec=effective[1] if loops else None,
            bias=_full_bias(group, (group.size,)),
            delay=delay,
        )
        self._maps = None

    def _note(
        self, position: int, stored: str, parts: list[tuple[int, Weights]], synapses: list[Synapse]
    ) -> None:
        """Remember which synapse is which in the file, where reading gives them back one for one."""
        read = [(mode, steps) for steps, weights in parts for mode, _ in sign_parts(weights)]
        found = [(sign_mode_of(np.asarray(s.weights.values), FORMATS), s.delay) for s in synapses]
        if sorted(read) == sorted(found):
            for synapse, (mode, steps) in zip(synapses, found, strict=True):
                self._roles[synapse.name] = (position, stored, mode, steps)
