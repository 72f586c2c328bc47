"""The Program: one compiled student, as every backend gets it.

A Program is a directed graph of neuron groups joined by synapses, with self-loops and marked cycles.
``precision="fixed"`` holds register values (integers) of the :class:`RegisterFormats` that it names;
``precision="float"`` the same network with real numbers in the same places.

Time
----
A synapse delivers one step late, plus its ``delay``. The input is at depth 0; a group at depth d
works on step t of sample n (both from 0) at machine step ``n * timesteps + d + t + 1`` (from 1).

Fixed-point update of a group, per step (bit for bit Lava's ``PyLifModelBitAcc``), with the formats'
D = decay_bits, L = 2^state_bits and S = state_shift::

    u <- sign(u) (|u| (2^D - du - 1) >> D) + (a_in << S)        one correction by 2 L outside (-L, L]
    v <- clip(sign(v) (|v| (2^D - dv) >> D) + u + (bias_mant << bias_exp), +-(L - 1))
    spike if v > (vth_mant << S), then v <- 0, or with a soft reset v <- v - (vsub_mant << S)

Float update: ``u <- (1 - du) u + a_in``, ``v <- (1 - dv) v + u + bias_mant``, spike if ``v > vth_mant``, then
``v <- 0`` or ``v <- v - vsub_mant``.

A delayed reset to 0 leaves v as the spike found it; in the next step a v above the threshold becomes 0,
whatever enters, and u goes on: Loihi's refractory delay of one step.

The state is stored less ``v_reset``: the student's membrane is ``v / scale + v_reset``.

Several inputs of a graph are one here: their values flattened (C order) and joined in the order of their
names. Several outputs are read in the order of their names and joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.brief import briefly
from sne_deploy.chips.registers import RegisterFormats, ResetKind, SignMode
from sne_deploy.errors import VerificationError
from sne_deploy.ir.clipping import clips_harmlessly
from sne_deploy.ir.readout import Readout
from sne_deploy.ir.weights import Weights
from sne_deploy.neurons.table import MODELS

if TYPE_CHECKING:
    import nir

Array = npt.NDArray[Any]
Precision = Literal["fixed", "float"]
InputKind = Literal["spikes", "current", "graded"]
Sends = Literal["binary", "graded"]
"""What a spike carries: nothing more, or a signed integer (as on Loihi 2), which nothing implements yet."""

ALWAYS_ON = "always_on"
"""Source of synapses that carry a bias into a group with synaptic current: one axon, one spike a step."""


def reset_kind(subtracted: Array | None, *, delayed: bool) -> ResetKind | None:
    """The kind of reset that takes this from v, or, where it is None, sets v; None where it takes nothing."""
    if subtracted is None:
        return "value_delayed" if delayed else "value"
    return "subtract" if bool(np.any(subtracted)) else None


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class HostAffine:
    """The current of an input into one group, computed on the host: c = matrix @ x + bias.

    A constant input has one for each sample, a graded one one for each of its steps.

    Attributes
    ----------
    target : str
        The neuron group whose ``a_in`` gets c, without a synapse: at every step, or each at its own.
    matrix : float64 CSR of shape (n, n_in)
    bias : float64 array of shape (n,)
    register_scale : float, or float array of shape (n,), or None
        Fixed point: c becomes rint(c * register_scale), clipped to ``register_limit``. None in float.
    register_limit : int or None
        Largest magnitude of the integer; None in float.
    per_step_messages : bool
        True where the input is graded or the target has synaptic current: n graded messages per step instead
        of one bias write.
    """

    target: str
    matrix: sparse.csr_matrix
    bias: Array
    register_scale: float | Array | None = None
    register_limit: int | None = None
    per_step_messages: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one c: existing taps only."""
        return int(self.matrix.nnz)

    def drive(self, x: Array) -> tuple[Array, int]:
        """The value that every neuron of the target receives, for each row of inputs.

        Each row depends on its own input alone, bit for bit: sums run in the matrix's order.

        Parameters
        ----------
        x : float array of shape (R, ...)
            Samples, or steps of samples.

        Returns
        -------
        c : int32 (fixed) or float64 (float) array of shape (R, n)
        saturated : int
            Values clipped to the register's range.
        """
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        c = np.asarray(self.matrix @ flat.T).T + self.bias
        if self.register_scale is None or self.register_limit is None:
            return np.ascontiguousarray(c), 0
        c = np.rint(c * self.register_scale)
        clipped = np.clip(c, -self.register_limit, self.register_limit)
        return np.ascontiguousarray(clipped.astype(np.int32)), int(np.count_nonzero(clipped != c))


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class NeuronGroup:
    """Neurons of one model that are updated together.

    Attributes
    ----------
    name : str
        The NIR node it came from.
    kind : str
        Its model's name in :data:`sne_deploy.neurons.table.MODELS`.
    shape : tuple of int
    du, dv : int or float array of shape () or (n,)
        Decays: registers (see the module), or fractions in [0, 1].
    vth_mant : int or float array of shape () or (n,)
        Threshold: mantissa, or a number. Ignored by readouts.
    bias_mant : int or float array of shape () or (n,)
        Signed mantissa, or a number.
    bias_exp : int
        0 in float.
    v_init : int or float array of shape () or (n,)
        State at a sample's first step, relative to v_reset: v register, or a number.
    depth : int
        Steps by which the group runs behind the input.
    scale : float, or float array of shape (n,)
        Register units of v per unit of the student's membrane; 1.0 in float. An array where neurons have
        scales of their own.
    v_reset : float64 array of shape () or (n,)
        What the stored state is relative to, in the student's units.
    vsub_mant : int or float array of shape () or (n,), or None
        Soft reset: what a spike subtracts from v, in the threshold's units (a mantissa, or a number).
        None: a spike sets v to 0.
    reset_delayed : bool
        A spike sets v to 0 a step later, in place of that step's update.
    sends : Sends
        What a spike carries to its synapses; a readout sends nothing.
    own : mapping of str to int or float array of shape () or (n,)
        Registers that only this model has, by name.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    du: Array
    dv: Array
    vth_mant: Array
    bias_mant: Array
    bias_exp: int
    v_init: Array
    depth: int
    scale: float | Array
    v_reset: Array
    vsub_mant: Array | None = None
    reset_delayed: bool = False
    sends: Sends = "binary"
    own: Mapping[str, Array] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def spiking(self) -> bool:
        """False for readouts, which have no threshold."""
        return MODELS[self.kind].spiking

    @property
    def reset(self) -> ResetKind | None:
        """What a spike does to v; None where there is no spike, or where it leaves v as it is."""
        return reset_kind(self.vsub_mant, delayed=self.reset_delayed) if self.spiking else None

    @property
    def has_current(self) -> bool:
        """True where the group keeps a synaptic current from step to step."""
        return MODELS[self.kind].has_current


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Synapse:
    """One connection between two groups, or from the input or the always-on axon into a group.

    Attributes
    ----------
    name : str
    source : str
        A group, the input's name, or :data:`ALWAYS_ON` (then n_in is 1).
    target : str
    weights : Weights
        Fixed point: already clipped and truncated integers; the synaptic input of a step is
        ``a_in = (weights @ spikes) << weight_exp``.
    weight_exp : int
        At least 0; 0 in float.
    sign_mode : SignMode
    delay : int
        Steps beyond the one that every synapse takes.
    within_sample : bool
        On a cycle, or delayed within the sample: what was sent in another sample is dropped before it is
        delivered or counted. A synapse that is not delivers at its target's step t of the sample what
        its source sent at its own step t.
    late : int
        Steps by which it delivers later than the source graph does, where a cycle leaves no room for the
        step that every synapse takes.
    saturated_weights : int
        Weights that quantisation clipped.
    quantisation_snr_db : float or None
        10 log10(sum w^2 / sum (w - w_q)^2); None in float; inf where exact.
    """

    name: str
    source: str
    target: str
    weights: Weights
    weight_exp: int = 0
    sign_mode: SignMode = "mixed"
    delay: int = 0
    within_sample: bool = False
    late: int = 0
    saturated_weights: int = 0
    quantisation_snr_db: float | None = None


@dataclass(frozen=True)
class ProgramInput:
    """Where samples enter.

    ``kind`` is "spikes" ([N, T, *shape] of 0 and 1), "current" ([N, *shape] of real numbers, the same at
    every step) or "graded" ([N, T, *shape] of real numbers).
    """

    name: str
    shape: tuple[int, ...]
    kind: InputKind
    range: tuple[float, float] = (0.0, 1.0)

    @property
    def size(self) -> int:
        """Number of input values."""
        return int(np.prod(self.shape))


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """One compiled student. See the module's text for time and arithmetic.

    Attributes
    ----------
    name : str
    precision : Precision
    timesteps : int
    input : ProgramInput
    groups : tuple of NeuronGroup
        In an order in which every source of a synapse that is not ``within_sample`` comes before its targets.
    synapses : tuple of Synapse
    outputs : tuple of str
        The groups that are read out, in order: at least one.
    readout : Readout
        Of the groups that integrate; spiking ones are counted, see :meth:`readout_of`.
    hosts : tuple of HostAffine
        One per group that hears the input; empty where the input is spikes.
    graph : nir.NIRGraph
        What it was compiled from.
    dt_s : float
    warnings : tuple of str
        What the compiler found and could not make exact: overflow, saturation, rounding to nothing.
    formats : RegisterFormats or None
        The registers that the integers are for; None in float.
    layers : tuple of sne_deploy.model.ensemble.Layer
        In float: the layers that the network came from, whose cells are the groups in order; empty where it
        came from a graph.
    """

    name: str
    precision: Precision
    timesteps: int
    input: ProgramInput
    groups: tuple[NeuronGroup, ...]
    synapses: tuple[Synapse, ...]
    outputs: tuple[str, ...]
    readout: Readout
    hosts: tuple[HostAffine, ...]
    graph: nir.NIRGraph
    dt_s: float
    warnings: tuple[str, ...] = ()
    formats: RegisterFormats | None = None
    layers: tuple[Any, ...] = ()

    @property
    def registers(self) -> RegisterFormats:
        """The formats of a fixed-point Program."""
        if self.formats is None:
            raise VerificationError(f"student {self.name!r} has no registers; please report this as a bug")
        return self.formats

    def group(self, name: str) -> NeuronGroup:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    def synapses_into(self, name: str) -> tuple[Synapse, ...]:
        """The synapses that end on a group, in the Program's order."""
        return tuple(synapse for synapse in self.synapses if synapse.target == name)

    def host_of(self, name: str) -> HostAffine | None:
        """What the host sends to a group, if anything."""
        return next((host for host in self.hosts if host.target == name), None)

    @property
    def constant_input(self) -> bool:
        """Whether samples are currents, without a time axis."""
        return self.input.kind == "current"

    @property
    def spike_input(self) -> bool:
        """Whether samples enter as spikes, through synapses; else the host computes what they cause."""
        return self.input.kind == "spikes"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of an encoded sample: with a time axis, unless it is a constant current."""
        return self.input.shape if self.constant_input else (self.timesteps, *self.input.shape)

    def driven(self, inputs: Array) -> tuple[dict[str, Array], int]:
        """What the host sends to each of its targets.

        Parameters
        ----------
        inputs : array of shape (N, *sample_shape)

        Returns
        -------
        c : dict of group name to int32 (fixed) or float64 (float) array
            (N, n), the same at every step; or (N, T, n) where the input is graded.
        saturated : int
            Values clipped to the register's range, where that may change a spike.
        """
        steps = () if self.constant_input else (self.timesteps,)
        found, saturated = {}, 0
        for host in self.hosts:
            c, clipped = host.drive(inputs.reshape(-1, self.input.size))
            found[host.target] = c.reshape(len(inputs), *steps, -1)
            saturated += 0 if self.clips_harmlessly(host) else clipped
        return found, saturated

    def clips_harmlessly(self, host: HostAffine) -> bool:
        """Whether no spike depends on the part of a host's currents that its registers do not hold."""
        group = self.group(host.target)
        holds = host.register_limit is None or host.register_limit > int(np.max(group.vth_mant))
        return holds and clips_harmlessly(group, self.synapses_into(group.name), self.input.kind)

    @property
    def host_macs(self) -> int:
        """Multiply-accumulates per sample on the host."""
        once = sum(host.macs for host in self.hosts)
        return once if self.constant_input else once * self.timesteps

    @property
    def steady_messages(self) -> int:
        """Messages that enter at every step whatever the sample: graded host currents, the always-on axon."""
        graded = sum(self.group(host.target).size for host in self.hosts if host.per_step_messages)
        return graded + any(synapse.source == ALWAYS_ON for synapse in self.synapses)

    @property
    def output_groups(self) -> tuple[NeuronGroup, ...]:
        """The groups that are read out."""
        return tuple(self.group(name) for name in self.outputs)

    @property
    def output_size(self) -> int:
        """Values that are read out per sample."""
        return sum(group.size for group in self.output_groups)

    def readout_of(self, group: NeuronGroup) -> Readout:
        """How an output group is read: spiking ones are counted."""
        return "count" if group.spiking else self.readout

    def lag(self, synapse: Synapse) -> int:
        """Steps within the sample from sending to delivery: 0 where the synapse is not ``within_sample``."""
        if synapse.source == ALWAYS_ON:
            return 0
        sent = 0 if synapse.source == self.input.name else self.group(synapse.source).depth
        return sent + 1 + synapse.delay - self.group(synapse.target).depth

    def compartments(self, group: NeuronGroup) -> int:
        """Compartments that each neuron of a group takes on the chip; 1 in float."""
        return 1 if self.formats is None else self.formats.compartments(group.reset) or 1

    @property
    def max_depth(self) -> int:
        """Steps by which the last group runs behind the input."""
        return max(group.depth for group in self.groups)

    def readout_in_units(self, raw: Array) -> Array:
        """Convert a backend's raw readout to the student's units.

        Parameters
        ----------
        raw : array of shape (N, output_size)
            As :attr:`sne_deploy.runtime.trace.Trace.raw_outputs`: spike counts; v at the last step or its
            maximum; or the sum of v over the sample for ``v_mean``.

        Returns
        -------
        float64 array of shape (N, output_size)
        """
        parts, start = [], 0
        for group in self.output_groups:
            part = np.asarray(raw[:, start : start + group.size], dtype=np.float64)
            start += group.size
            readout = self.readout_of(group)
            if readout == "v_mean":
                part = part / self.timesteps
            parts.append(part if readout == "count" else part / group.scale + group.v_reset)
        return np.concatenate(parts, axis=1)
