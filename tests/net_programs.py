"""Hypothesis strategies for the Programs that netx runs, as a ``.net`` file gives them back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.errors import UnsupportedError
from sne_deploy.frontend.nir.facts import with_facts
from sne_deploy.frontend.nir.raise_program import raise_program
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput, SignMode, Synapse
from sne_deploy.ir.registers import sign_mode_of
from sne_deploy.ir.weights import ConvWeights, DenseWeights, Weights
from sne_deploy.model.ensemble import Encoder
from sne_netx.format.layers import FORMATS
from sne_netx.format.plan import plan_net
from tests.chip_registers import LOIHI1

MAPS = ((1, 5, 4), (2, 4, 5), (3, 3, 3))
VECTORS = ((5,), (7,), (2, 3))


@st.composite
def net_programs(draw: Any, largest: int = 3) -> Program:
    """A chain of up to ``largest`` groups: spikes or a constant current in, dense, recurrent dense, conv."""
    return _Chain(draw, largest).program()


class _Chain:
    def __init__(self, draw: Any, largest: int) -> None:
        self.draw, self.largest = draw, largest
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.groups: list[NeuronGroup] = []
        self.synapses: list[Synapse] = []
        self.timesteps = draw(st.integers(1, 6))

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def program(self) -> Program:
        kind = self.pick("spikes", "current")
        maps = self.pick(False, True, True)
        shape = self.draw(st.sampled_from(MAPS if maps else VECTORS))
        count = self.draw(st.integers(1, self.largest))
        convs = self.draw(st.integers(1, count)) if maps else 0
        readout = self.pick("count", "v_last", "v_mean", "v_max") if count > convs else "count"
        entry = ProgramInput(self.pick("input", "x y/1"), shape, kind, self.pick((0.0, 1.0), (-0.5, 2.25)))
        source, depth, hosts = entry.name, 1, ()
        if kind == "current":
            group = self.group("in", shape, 0, readout=None, biased=False)
            hosts = (self.host(entry, group),)
            source = group.name
        for index in range(count):
            last, conv = index == count - 1, index < convs
            reads = last and readout != "count"
            loops = not conv and not reads and self.pick(False, True)
            weights, out = (
                self.conv(shape) if conv else self.dense(shape, self.pick((3,), (6,), (1, 4)), joined=loops)
            )
            group = self.group(
                f"g{index}", out, depth + index, readout=readout if last else None, per_map=conv
            )
            delays = [0] if conv or loops else self.pick([0], [0], [2], [0, 1, 3])
            self.connect(f"s{index}", source, group, weights, delays)
            if loops:
                loop, _ = self.dense(out, out, joined=True)
                self.connect(f"r{index}", group.name, group, loop, [0], within_sample=True)
            source, shape = group.name, out
        return self.finished(entry, hosts, readout)

    def finished(self, entry: ProgramInput, hosts: tuple[HostAffine, ...], readout: str) -> Program:
        program = Program(
            name=self.pick("random", "Größe 2"),
            precision="fixed",
            timesteps=self.timesteps,
            input=entry,
            groups=tuple(self.groups),
            synapses=tuple(self.synapses),
            outputs=(self.groups[-1].name,),
            readout=readout,
            hosts=hosts,
            graph=None,  # type: ignore[arg-type]
            dt_s=self.pick(1e-3, 0.5),
            warnings=self.pick((), ("a warning", "another")),
            formats=FORMATS,
        )
        raised = raise_program(program)
        kind = "constant" if hosts else self.pick("spikes", "bernoulli")
        graph = with_facts(raised.graph, program.readout, Encoder(kind, entry.range), program.timesteps)
        return replace(program, graph=graph, warnings=(*program.warnings, *raised.warnings))

    def connect(
        self,
        name: str,
        source: str,
        group: NeuronGroup,
        weights: Weights,
        delays: list[int],
        *,
        within_sample: bool = False,
    ) -> None:
        """One synapse for each delay, where it has weights."""
        choice = self.rng.choice(delays, weights.shape) if len(delays) > 1 else None
        for delay in delays:
            part = weights if choice is None else DenseWeights(np.where(choice == delay, weights.values, 0))
            if np.any(part.values):
                self.synapse(f"{name}.{delay}", source, group, part, delay, within_sample or delay > 0)

    def synapse(
        self, name: str, source: str, group: NeuronGroup, weights: Weights, delay: int, within_sample: bool
    ) -> None:
        mode = sign_mode_of(np.asarray(weights.values), LOIHI1)
        if mode == "mixed":
            weights = weights.with_values(np.asarray(weights.values) // 2 * 2)
            mode = sign_mode_of(np.asarray(weights.values), LOIHI1)
        snr, saturated = self.pick(None, 31.5, np.inf), self.pick(0, 3)
        ends = {"source": source, "target": group.name, "within_sample": within_sample}
        self.synapses.append(
            Synapse(
                name,
                weights=weights,
                sign_mode=mode,
                delay=delay,
                saturated_weights=saturated,
                quantisation_snr_db=snr,
                **ends,
            )
        )

    def host(self, entry: ProgramInput, group: NeuronGroup) -> HostAffine:
        matrix = sparse.random(group.size, entry.size, density=0.5, random_state=self.rng, format="csr")
        matrix.data = np.rint(matrix.data * 128 - 64) / 64
        if self.pick(False, True):
            matrix = sparse.csr_matrix(sparse.identity(entry.size) * 40.0)
        matrix.sort_indices()
        bias = self.rng.integers(-64, 65, group.size) / 64
        scale = self.pick(1.0, 16.0, 300.0, 4000.0)
        return HostAffine(group.name, matrix, bias, scale, LOIHI1.bias_mant_max, group.has_current)

    def group(
        self,
        name: str,
        shape: Any,
        depth: int,
        *,
        readout: str | None,
        biased: bool = True,
        per_map: bool = False,
    ) -> NeuronGroup:
        size = int(np.prod(shape))
        reads = readout is not None and readout != "count"
        current = self.pick(False, True)
        du = self.pick(0, 120, 2000) if current else 4095
        bias: Any = 0
        if biased and self.pick(False, True):
            bias = self.rng.integers(-60, 61, shape[0]).repeat(size // shape[0])
            bias = self.rng.integers(-4096, 4096, size) if self.pick(False, not reads) else bias
            bias = bias if self.pick(True, per_map) else bias[0]
        group = NeuronGroup(
            name=name,
            kind=("cuba_li" if current else "li")
            if reads
            else ("cuba_lif" if current else self.pick("lif", "if")),
            shape=shape,
            du=self.register(du, size),
            dv=self.register(self.pick(0, 400, 4095), size),
            vth_mant=self.register(0, 0) if reads else self.register(self.pick(5, 40, 300, 131070), size),
            bias_mant=np.asarray(bias, np.int32),
            bias_exp=6,
            v_init=self.register(0, size),
            depth=depth,
            scale=self.pick(64.0, 12.5),
            v_reset=np.asarray(self.pick(0.0, -0.25)) if self.pick(True, False) else self.rng.random(size),
        )
        self.groups.append(group)
        return group

    def register(self, value: int, size: int) -> np.ndarray:
        """For all neurons, for each the same, or for each its own."""
        how = self.pick("one", "each", "other") if size else "one"
        if how == "other" and 0 < value < 4095:
            return self.rng.integers(value // 2, value + 1, size).astype(np.int32)
        return np.asarray(value, np.int32) if how == "one" else np.full(size, value, np.int32)

    def values(self, shape: tuple[int, ...]) -> np.ndarray:
        """Weights of a shape, some of them zero, not all."""
        mode: SignMode = self.pick("mixed", "excitatory", "inhibitory")
        low, high = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-255, 0)}[mode]
        small = self.pick(1, 4, 32)
        values = self.rng.integers(low // small, high // small + 1, shape) * (
            self.rng.random(shape) < self.pick(0.5, 1.0)
        )
        if mode == "mixed":
            values = values // 2 * 2
        if values.flat[0] in (-1, 0, 1):
            values.flat[0] = -2 if mode == "inhibitory" else 2
        return values.astype(np.int32)

    def dense(self, shape: Any, out: Any, *, joined: bool) -> tuple[Weights, Any]:
        """``joined``: netx may lose bits of one sign beside others; of both signs, and even, never."""
        values = self.values((int(np.prod(out)), int(np.prod(shape))))
        if joined:
            values.flat[:2] = 2, -2
        if joined or values.min() < 0:
            values = values // 2 * 2
        if values.max() <= 0:  # netx shifts -64 to -256, and Lava clips that to -255
            powers = [-(2**k) for k in range(9)]
            values = np.where((values == values.min()) & np.isin(values, powers), np.int32(-66), values)
        return DenseWeights(values), out

    def conv(self, shape: Any) -> tuple[Weights, Any]:
        c_in, height, width = shape
        groups = self.pick(*(g for g in (1, 2, c_in) if c_in % g == 0))
        c_out = groups * self.pick(1, 2)
        stride, padding = (self.pick(1, 2), self.pick(1, 2)), (self.pick(0, 1, 2), self.pick(0, 1))
        dilation = (self.pick(1, 2), 1)
        k_h = self.pick(*(k for k in (1, 2, 3) if dilation[0] * (k - 1) < height + 2 * padding[0]))
        k_w = self.pick(*(k for k in (1, 2, 3) if dilation[1] * (k - 1) < width + 2 * padding[1]))
        out_h = (height + 2 * padding[0] - dilation[0] * (k_h - 1) - 1) // stride[0] + 1
        out_w = (width + 2 * padding[1] - dilation[1] * (k_w - 1) - 1) // stride[1] + 1
        kernel = self.values((c_out, c_in // groups, k_h, k_w))
        out = (c_out, out_h, out_w)
        return ConvWeights(kernel, (c_in, height, width), out, stride, padding, dilation, groups), out


def chain(
    layers: str, kind: str, readout: str, seed: int = 0, shape: tuple[int, int, int] = (2, 6, 5)
) -> tuple[Program, np.ndarray]:
    """A Program whose layers spike, and four samples of 5 steps.

    Parameters
    ----------
    layers : str
        One letter for each: "c"onvolution, "d"ense, "r"ecurrent dense.
    kind : {"spikes", "current"}
    readout : Readout
    seed : int
    shape : (c, h, w)
        Of the input.
    """
    rng = np.random.default_rng(seed)
    entry = ProgramInput("input", shape, kind)
    groups, synapses, hosts = [], [], ()
    source, shape, depth = entry.name, entry.shape, 1
    if kind == "current":
        groups.append(_spiking("in", shape, 0, 40, 0, rng))
        scale = sparse.csr_matrix(sparse.identity(entry.size) * 30.0)
        hosts = (HostAffine("in", scale, np.full(entry.size, 4.0), 1.0, LOIHI1.bias_mant_max, True),)
        source = "in"
    for index, letter in enumerate(layers):
        out = (3, shape[1] - 1, shape[2]) if letter == "c" else (8 if index < len(layers) - 1 else 4,)
        if letter == "c":
            kernel = _even(rng, (3, shape[0], 2, 3))
            weights: Weights = ConvWeights(kernel, shape, out, padding=(0, 1))
        else:
            weights = DenseWeights(_even(rng, (int(np.prod(out)), int(np.prod(shape)))))
        fan_in = weights.matrix().getnnz(axis=1).max()
        reads = readout != "count" and index == len(layers) - 1
        bias = int(rng.integers(5, 20))
        group = _spiking(f"{letter}{index}", out, depth + index, int(12 * np.sqrt(fan_in)), bias, rng)
        if reads:
            group = replace(group, kind="cuba_li", vth_mant=np.asarray(0, np.int32))
        groups.append(group)
        synapses.append(Synapse(f"s{index}", source, group.name, weights))
        if letter == "r":
            loop = DenseWeights(_even(rng, (group.size, group.size)))
            synapses.append(Synapse(f"r{index}", group.name, group.name, loop, within_sample=True))
        source, shape = group.name, out
    last = (groups[-1].name,)
    parts = (tuple(groups), tuple(synapses), last, readout, hosts, None, 1e-3)
    program = Program("chain", "fixed", 5, entry, *parts, formats=FORMATS)  # type: ignore[arg-type]
    if kind == "current":
        return program, rng.integers(-8, 9, (4, *entry.shape)) / 8
    return program, (rng.random((4, 5, *entry.shape)) < 0.4).astype(np.uint8)


def _even(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.integers(-40, 56, shape) * 2).astype(np.int32)


def _spiking(name: str, shape: Any, depth: int, vth: int, bias: int, rng: np.random.Generator) -> NeuronGroup:
    values = {
        "du": int(rng.choice([2000, 3000])),
        "dv": int(rng.choice([0, 500])),
        "vth_mant": vth,
        "bias_mant": bias,
        "v_init": 0,
    }
    registers = {what: np.asarray(value, np.int32) for what, value in values.items()}
    return NeuronGroup(
        name, "cuba_lif", shape, bias_exp=6, depth=depth, scale=64.0, v_reset=np.asarray(0.0), **registers
    )


def problems_of(program: Program) -> list[str]:
    """What keeps a Program from being a ``.net`` file."""
    try:
        plan_net(program)
    except UnsupportedError as error:
        return list(error.problems)
    return []


def same(a: Any, b: Any, where: str = "") -> None:
    """Assert that two values are equal in every array, of its dtype and shape, and in every field."""
    assert type(a) is type(b), f"{where}: {type(a)} and {type(b)}"
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{where}: {a.dtype} {a.shape}, {b.dtype} {b.shape}"
        np.testing.assert_array_equal(a, b, err_msg=where)
    elif sparse.issparse(a):
        for name in ("data", "indices", "indptr"):
            same(getattr(a, name), getattr(b, name), f"{where}.{name}")
        assert a.shape == b.shape
    elif isinstance(a, (tuple, list)):
        assert len(a) == len(b), f"{where}: {len(a)} and {len(b)} entries"
        for index, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{where}[{index}]")
    elif isinstance(a, dict):
        assert list(a) == list(b), f"{where}: {list(a)} and {list(b)}"
        for name, value in a.items():
            same(value, b[name], f"{where}[{name!r}]")
    elif hasattr(a, "__dict__"):
        same(dict(vars(a)), dict(vars(b)), where)
    else:
        assert a == b, f"{where}: {a!r} and {b!r}"
