"""The type of a chip's registers: plain numbers, without units and sources, that code computes with.

A register of b bits that holds a magnitude and a sign holds -2^b to 2^b - 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sne_deploy.errors import InputError

SignMode = Literal["mixed", "excitatory", "inhibitory"]
ResetKind = Literal["value", "value_delayed", "subtract"]
TWO_SYNAPSES = 16
"""The number of weight bits that stands for two synapses of 8 bits per weight."""


@dataclass(frozen=True)
class WeightRange:
    """Smallest and largest stored weight of a sign mode, and the step between weights."""

    mode: SignMode
    low: int
    high: int
    step: int

    def of_bits(self, bits: int, stored_bits: int) -> WeightRange:
        """The range where only the upper ``bits`` of a weight's ``stored_bits`` are used."""
        coarse = self.step * 2 ** (stored_bits - bits)
        return WeightRange(self.mode, -(-self.low // coarse) * coarse, self.high // coarse * coarse, coarse)

    @property
    def limit(self) -> int:
        """The magnitude that every weight of the mode can have."""
        return max(-self.low, self.high) if self.low == 0 or self.high == 0 else self.high


@dataclass(frozen=True)
class Arithmetic:
    """What of the registers a simulator is written for: see :class:`RegisterFormats`."""

    state_bits: int
    state_shift: int
    decay_bits: int


@dataclass(frozen=True)
class RegisterFormats:
    """Register widths and what else limits a fixed-point Program, of a chip or of a target that has less.

    Attributes
    ----------
    chip : str
        Whose registers they are.
    state_bits : int
        Magnitude of u and v: u wraps outside (-2^b, 2^b], v saturates at +-(2^b - 1).
    state_shift : int
        Synaptic input and threshold are shifted left by this before they meet u and v.
    decay_bits : int
        Of du and dv, which count in 1 / 2^b.
    threshold_bits : int
    bias_bits : int
        Magnitude of a bias's mantissa.
    bias_exp_min, bias_exp_max : int
        Exponents that a bias other than 0 may have.
    weight_bits : int
        Of a stored weight.
    weight_ranges : tuple of WeightRange
        One for every sign mode that the chip has.
    weight_exp_min, weight_exp_max : int
    delay_max : int
        Steps beyond the one that every synapse takes.
    resets : tuple of (ResetKind, int)
        The kinds of reset, with the compartments that a neuron then takes.
    used_weight_bits : int
        How many of a weight's bits quantisation uses.
    synapses_per_weight : int
        1; or 2: the second synapse holds what the first leaves.
    thresholds_per_core : int or None
        Distinct thresholds that the neurons of a core can have; None where that is not known, or all.
    """

    chip: str
    state_bits: int
    state_shift: int
    decay_bits: int
    threshold_bits: int
    bias_bits: int
    bias_exp_min: int
    bias_exp_max: int
    weight_bits: int
    weight_ranges: tuple[WeightRange, ...]
    weight_exp_min: int
    weight_exp_max: int
    delay_max: int
    resets: tuple[tuple[ResetKind, int], ...]
    used_weight_bits: int
    synapses_per_weight: int = 1
    thresholds_per_core: int | None = None

    @property
    def arithmetic(self) -> Arithmetic:
        """The widths that a step of a neuron is computed with."""
        return Arithmetic(self.state_bits, self.state_shift, self.decay_bits)

    @property
    def state_limit(self) -> int:
        """U is corrected by twice this outside (-limit, limit]; v saturates at +-(limit - 1)."""
        return int(2**self.state_bits)

    @property
    def decay_unity(self) -> int:
        """A decay register counts in 1 / this."""
        return int(2**self.decay_bits)

    @property
    def decay_max(self) -> int:
        """The largest du and dv."""
        return self.decay_unity - 1

    @property
    def weight_shift_min(self) -> int:
        """The smallest exponent in a Program, which shifts weights to the left only."""
        return max(self.weight_exp_min, 0)

    @property
    def vth_mant_max(self) -> int:
        """The largest mantissa of a threshold."""
        return int(2**self.threshold_bits) - 1

    @property
    def vth_max(self) -> int:
        """The largest threshold in v's units."""
        return self.vth_mant_max << self.state_shift

    @property
    def bias_mant_min(self) -> int:
        """The smallest mantissa of a bias."""
        return -int(2**self.bias_bits)

    @property
    def bias_mant_max(self) -> int:
        """The largest mantissa of a bias."""
        return int(2**self.bias_bits) - 1

    def stored_range(self, mode: SignMode) -> WeightRange | None:
        """What a weight register holds in a sign mode; None where the chip has not got the mode."""
        return next((each for each in self.weight_ranges if each.mode == mode), None)

    def weight_range(self, mode: SignMode) -> WeightRange:
        """What quantisation uses of a sign mode that the chip has."""
        stored = self.stored_range(mode)
        if stored is None:
            raise InputError(f"chip {self.chip} has no weights of sign mode {mode!r}; use 'mixed'")
        return stored.of_bits(self.used_weight_bits, self.weight_bits)

    @property
    def weight_max(self) -> int:
        """The magnitude that every weight of both signs can have."""
        return next(each.limit for each in self.weight_ranges if each.mode == "mixed")

    def compartments(self, reset: ResetKind | None) -> int | None:
        """Compartments of a neuron with this kind of reset, 1 without any; None where the chip lacks it."""
        return 1 if reset is None else dict(self.resets).get(reset)

    def narrowed(
        self,
        weight_bits: int | None = None,
        *,
        weight_exp_max: int | None = None,
        bias_exp: int | None = None,
    ) -> RegisterFormats:
        """The formats of a target that has less of the registers, and of what the user asks for.

        Parameters
        ----------
        weight_bits : int or None
            Of the chip's, from 2; or 16 for two synapses per weight, where it has 8. None: the chip's.
        weight_exp_max : int or None
            The target's largest exponent of a weight, if smaller than the chip's.
        bias_exp : int or None
            The only exponent that a bias may have on the target; None: any.

        Raises
        ------
        InputError
            The chip's weights have fewer bits.
        """
        used, synapses = (self.weight_bits if weight_bits is None else weight_bits), 1
        if used == TWO_SYNAPSES == 2 * self.weight_bits:
            used, synapses = self.weight_bits, 2
        if not min(2, self.weight_bits) <= used <= self.weight_bits:
            two = ", or 16 for two synapses per weight" if 2 * self.weight_bits == TWO_SYNAPSES else ""
            raise InputError(
                f"--weight-bits {weight_bits}: a weight has 2 to {self.weight_bits} bits{two}, on chip "
                f"{self.chip}; give one of these, or another chip with --hardware"
            )
        return replace(
            self,
            used_weight_bits=used,
            synapses_per_weight=synapses,
            weight_exp_max=self.weight_exp_max
            if weight_exp_max is None
            else min(weight_exp_max, self.weight_exp_max),
            bias_exp_min=self.bias_exp_min if bias_exp is None else bias_exp,
            bias_exp_max=self.bias_exp_max if bias_exp is None else min(bias_exp, self.bias_exp_max),
        )
