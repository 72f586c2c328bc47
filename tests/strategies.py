"""Hypothesis strategies for Programs and their inputs: all layer forms, neuron kinds, registers, readouts."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from sne_deploy.ir.program import (
    ALWAYS_ON,
    HostAffine,
    NeuronGroup,
    Precision,
    Program,
    ProgramInput,
    SignMode,
    Synapse,
)
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from tests.chip_registers import LOIHI1

RANGES = {"mixed": (-128, 128, 2), "excitatory": (0, 256, 1), "inhibitory": (-255, 1, 1)}
SPIKING_KINDS = ("lif", "cuba_lif", "if")
READOUT_KINDS = ("li", "cuba_li")
Shape = tuple[int, ...]


@st.composite
def programs(draw: Any, precision: Precision | None = None) -> Program:
    """A small random Program: up to three groups, skips, cycles, delays, biases, any readout.

    In floating point, weights, currents and biases are multiples of 1/64, so that every order of adding
    them gives the same sum.
    """
    precision = draw(st.sampled_from(("fixed", "float"))) if precision is None else precision
    builder = _Builder(draw, precision)
    return builder.program()


@st.composite
def inputs_for(draw: Any, program: Program, samples: int | None = None) -> np.ndarray:
    """Samples for a Program: spikes of a random rate, or real numbers that are multiples of 1/8."""
    count = draw(st.integers(1, 5)) if samples is None else samples
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    entry = program.input
    if entry.kind != "spikes":
        return rng.integers(0, 9, (count, *program.sample_shape)) / 8
    rate = draw(st.sampled_from((0.05, 0.3, 0.7, 1.0)))
    return (rng.random((count, program.timesteps, *entry.shape)) < rate).astype(np.uint8)


class _Builder:
    def __init__(self, draw: Any, precision: Precision) -> None:
        self.draw, self.precision, self.fixed = draw, precision, precision == "fixed"
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.groups: list[NeuronGroup] = []
        self.synapses: list[Synapse] = []

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def program(self) -> Program:
        kind = self.pick("spikes", "current", "graded")
        shape = self.pick((5,), (2, 4, 3), (1, 5, 5), (4, 1, 6))
        entry = ProgramInput("input", shape, kind)
        readout = self.pick("count", "v_last", "v_mean", "v_max")
        count, hosts = self.draw(st.integers(1, 3)), ()
        for index in range(count):
            last = index == count - 1
            if kind != "spikes" and index == 0:
                self.group("g0", self.pick((4,), (2, 3, 3)), depth=0, last=last, readout=readout)
            else:
                self.feedforward(entry, index, last=last, readout=readout)
        self.gated(entry)
        if kind != "spikes":
            extra = [group for group in self.groups[1:] if self.pick(False, False, True)]
            hosts = tuple(self.host(entry, group) for group in (self.groups[0], *extra))
        outputs = [group.name for group in self.groups[:-1] if self.pick(False, False, True)]
        return Program(
            name="random",
            precision=self.precision,
            timesteps=self.draw(st.integers(1, 7)),
            input=entry,
            groups=tuple(self.groups),
            synapses=tuple(self.synapses),
            outputs=(*outputs, self.groups[-1].name),
            readout=readout,
            hosts=hosts,
            graph=None,  # type: ignore[arg-type]
            dt_s=1e-3,
            formats=LOIHI1 if self.fixed else None,
        )

    def host(self, entry: ProgramInput, group: NeuronGroup) -> HostAffine:
        matrix = sparse.random(group.size, entry.size, density=0.5, random_state=self.rng, format="csr")
        matrix.data = np.rint(matrix.data * 128 - 64) / 64
        scale = self.pick(16.0, 300.0, 4000.0) if self.fixed else None
        bias = self.rng.integers(-64, 65, group.size) / 64
        return HostAffine(
            group.name,
            matrix,
            bias,
            scale,
            LOIHI1.bias_mant_max if self.fixed else None,
            entry.kind == "graded" or group.has_current,
        )

    def feedforward(self, entry: ProgramInput, index: int, *, last: bool, readout: str) -> None:
        previous = self.groups[-1] if self.groups else None
        source, shape, depth = (
            (entry.name, entry.shape, 0)
            if previous is None
            else (previous.name, previous.shape, previous.depth)
        )
        weights, out_shape, mode = self.weights(shape)
        delay = self.pick(0, 0, 1, 2)
        group = self.group(f"g{index}", out_shape, depth=depth + 1 + delay, last=last, readout=readout)
        self.connect(source, group, weights, mode, delay)
        if index >= 2 and self.pick(False, True):
            earlier = self.groups[0]
            values, mode = self.values((group.size, earlier.size))
            self.connect(earlier.name, group, DenseWeights(values), mode, group.depth - earlier.depth - 1)
        if self.pick(False, True):
            values, mode = self.values((group.size, 1))
            self.connect(ALWAYS_ON, group, DenseWeights(values), mode, 0)

    def gated(self, entry: ProgramInput) -> None:
        """Synapses on cycles, and forward ones that are delayed within the sample."""
        sources = [(g.name, g.size, g.depth, index) for index, g in enumerate(self.groups) if g.spiking]
        if entry.kind == "spikes":
            sources.append((entry.name, entry.size, 0, -1))
        for _ in range(self.pick(0, 0, 1, 2) if sources else 0):
            name, size, depth, index = self.draw(st.sampled_from(sources))
            target = self.draw(st.sampled_from(self.groups))
            least = max(0, target.depth - depth) if self.groups.index(target) > index else 0
            values, mode = self.values((target.size, size))
            delay = max(least, target.depth - depth - 1) + self.pick(0, 1, 3)
            self.connect(name, target, DenseWeights(values), mode, delay, within_sample=True)

    def connect(
        self,
        source: str,
        target: NeuronGroup,
        weights: Weights,
        mode: SignMode,
        delay: int,
        *,
        within_sample: bool = False,
    ) -> None:
        exponent = self.pick(0, 0, 1, 4, 7) if self.fixed else 0
        name = f"s{len(self.synapses)}"
        self.synapses.append(
            Synapse(
                name, source, target.name, weights, exponent, mode, delay=delay, within_sample=within_sample
            )
        )

    def group(self, name: str, shape: Shape, *, depth: int, last: bool, readout: str) -> NeuronGroup:
        size = int(np.prod(shape))
        kind = self.pick(*READOUT_KINDS) if last and readout != "count" else self.pick(*SPIKING_KINDS)
        make = self.registers if self.fixed else self.reals
        reset = self.pick("value", "subtract", "later") if kind in SPIKING_KINDS else "value"
        group = NeuronGroup(
            name=name,
            kind=kind,
            shape=shape,
            depth=depth,
            scale=self.pick(1.0, 64.0, 12.5) if self.fixed else 1.0,
            v_reset=np.asarray(self.pick(0.0, -0.25)),
            vsub_mant=self.soft_reset(size) if reset == "subtract" else None,
            reset_delayed=reset == "later",
            **make(size),
        )
        self.groups.append(group)
        return group

    def registers(self, size: int) -> dict[str, Any]:
        exponent = self.pick(0, 0, 3, 7)
        return {
            "du": self.integers(size, *self.pick((0, 4095), (4095, 4095), (0, 0), (100, 600))),
            "dv": self.integers(size, *self.pick((0, 4095), (4095, 4095), (0, 0), (100, 600))),
            "vth_mant": self.integers(size, *self.pick((0, 131071), (10, 3000), (0, 10))),
            "bias_mant": self.integers(size, *self.pick((0, 0), (-4096, 4095), (-20, 20))),
            "bias_exp": exponent,
            "v_init": self.integers(size, *self.pick((0, 0), (-8388607, 8388607), (-500, 500))),
        }

    def soft_reset(self, size: int) -> np.ndarray:
        if self.fixed:
            return self.integers(size, *self.pick((0, 131071), (10, 3000), (0, 0)))
        return self.per_neuron(self.rng.random(size) * self.pick(0.2, 2.0))

    def reals(self, size: int) -> dict[str, Any]:
        return {
            "du": self.per_neuron(self.rng.random(size)) if self.pick(False, True) else np.asarray(1.0),
            "dv": self.per_neuron(self.rng.random(size)) if self.pick(False, True) else np.asarray(0.0),
            "vth_mant": self.per_neuron(self.rng.random(size) * self.pick(0.2, 2.0)),
            "bias_mant": self.per_neuron(self.rng.integers(-16, 17, size) / 64),
            "bias_exp": 0,
            "v_init": self.per_neuron(self.rng.integers(-64, 65, size) / 64) * self.pick(0, 1),
        }

    def integers(self, size: int, low: int, high: int) -> np.ndarray:
        return self.per_neuron(self.rng.integers(low, high + 1, size).astype(np.int32))

    def per_neuron(self, values: np.ndarray) -> np.ndarray:
        """The values, or one of them for the whole group."""
        return values if self.pick(False, True) else np.asarray(values[0])

    def values(self, shape: Shape) -> tuple[np.ndarray, SignMode]:
        """Weights of a shape, a part of them zero."""
        mode: SignMode = self.pick("mixed", "excitatory", "inhibitory")
        low, high, factor = RANGES[mode]
        kept = self.rng.random(shape) < self.pick(0.4, 1.0)
        integers = self.rng.integers(low, high, shape) * kept
        if self.fixed:
            return (integers * factor).astype(np.int32), mode
        return integers / 64.0, mode

    def weights(self, shape: Shape) -> tuple[Weights, Shape, SignMode]:
        """A synapse of any form from a source of this shape, and its target's shape."""
        size = int(np.prod(shape))
        form = (
            self.pick("dense", "sparse", "conv", "conv") if len(shape) == 3 else self.pick("dense", "sparse")
        )
        if form == "conv":
            return self.convolution(shape)
        out_shape = self.pick((3,), (6,), (2, 3, 2))
        values, mode = self.values((int(np.prod(out_shape)), size))
        return (
            (DenseWeights(values) if form == "dense" else SparseWeights(sparse.csr_matrix(values))),
            out_shape,
            mode,
        )

    def convolution(self, shape: Shape) -> tuple[Weights, Shape, SignMode]:
        c_in, height, width = shape
        groups = self.pick(*(g for g in (1, 2, c_in) if c_in % g == 0))
        c_out = groups * self.pick(1, 2)
        stride, padding, dilation = (
            (self.pick(1, 2), self.pick(1, 2)),
            (self.pick(0, 1, 2), self.pick(0, 1)),
            (self.pick(1, 2), 1),
        )
        k_h = self.pick(*(k for k in (1, 2, 3) if dilation[0] * (k - 1) < height + 2 * padding[0]))
        k_w = self.pick(*(k for k in (1, 2, 3) if dilation[1] * (k - 1) < width + 2 * padding[1]))
        out_h = (height + 2 * padding[0] - dilation[0] * (k_h - 1) - 1) // stride[0] + 1
        out_w = (width + 2 * padding[1] - dilation[1] * (k_w - 1) - 1) // stride[1] + 1
        kernel, mode = self.values((c_out, c_in // groups, k_h, k_w))
        out_shape = (c_out, out_h, out_w)
        conv = ConvWeights(kernel, (c_in, height, width), out_shape, stride, padding, dilation, groups)
        return conv, out_shape, mode
