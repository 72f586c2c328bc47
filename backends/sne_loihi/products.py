"""Synapses as products of libraries, each exact: 8-bit or float32, of matrices or of convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.ir.weights import ConvWeights
from sne_loihi import kernels
from sne_loihi.order import NeuronOrder
from sne_loihi.vectors import LANES

Array = npt.NDArray[Any]

FLOAT32_EXACT = 2**24
INT32_EXACT = 2**31
PATCH_BYTES = 2**19
"""Patches that are in memory at once: few enough for a core's own cache."""


@dataclass(frozen=True, eq=False)
class Product:
    """Spikes (R, n_in) times weights, kept as ``w - offset``, or ``w / 2 - offset`` where ``halved``."""

    weights: torch.Tensor
    halved: bool
    offset: int

    @staticmethod
    def of(values: Array, largest_sum: int) -> Product | None:
        """Of weights (n_in, n_out): 8-bit where exact here, else float32 where exact, else None."""
        if int8_is_exact() and largest_sum + 2 * 128 * values.shape[0] < INT32_EXACT:
            halved = bool(np.all(values % 2 == 0))
            values = values // 2 if halved else values
            low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
            offset = low + 128 if low < -128 or high > 127 else 0
            return Product(torch.from_numpy((values - offset).astype(np.int8)), halved, offset)
        if largest_sum < FLOAT32_EXACT:
            return Product(torch.from_numpy(values.astype(np.float32)), False, 0)
        return None

    def apply(self, spikes: Array, out: Array | None = None) -> tuple[Array, int]:
        """Sums of shape (R, n_out), int32, and the left shift that is still missing (0 or 1).

        ``out``: where 8-bit products are written.
        """
        if self.weights.dtype == torch.float32:
            exact = torch.from_numpy(spikes).float() @ self.weights
            return exact.to(torch.int32).numpy(), 0
        written = {} if out is None else {"out": torch.from_numpy(out)}
        products = torch._int_mm(torch.from_numpy(spikes.view(np.int8)), self.weights, **written)  # noqa: SLF001
        sums: Array = products.numpy()
        if self.offset:
            sums += np.int32(self.offset) * spikes.sum(axis=1, dtype=np.int32)[:, None]
        return sums, int(self.halved)


@dataclass(frozen=True, eq=False)
class Patches:
    """A convolution as a product of what it looks at from each place, cut out block by block.

    Attributes
    ----------
    conv : ConvWeights
    product : Product
        Of the kernel as a matrix (taps x channels in, channels out): 8-bit.
    channels_last : bool
        Of the source.
    """

    conv: ConvWeights
    product: Product
    channels_last: bool

    @property
    def inputs(self) -> int:
        """Inputs of all patches of a step, those shared by several counted by each."""
        return self.conv.out_shape[1] * self.conv.out_shape[2] * len(self.product.weights)

    @staticmethod
    def of(conv: ConvWeights, source: NeuronOrder, largest_sum: int) -> Patches | None:
        """Where the convolution has one group and the product is 8-bit."""
        if conv.groups > 1:
            return None
        product = Product.of(conv.kernel.transpose(2, 3, 1, 0).reshape(-1, conv.kernel.shape[0]), largest_sum)
        if product is None or product.weights.dtype != torch.int8:
            return None
        return Patches(conv, product, source.channels == conv.in_shape[0])

    def apply(self, spikes: Array) -> tuple[Array, int]:
        """As :meth:`Product.apply`, of spikes (R, n_in) in the source's order."""
        conv = self.conv
        places, taps = conv.out_shape[1:], conv.kernel.shape[2:]
        border = [size + 2 * pad for size, pad in zip(conv.in_shape[1:], conv.padding, strict=True)]
        block = max(1, PATCH_BYTES // self.inputs)
        padded = np.empty(conv.in_shape[0] * border[0] * border[1] + LANES, np.uint8)
        patches = np.empty(min(block, len(spikes)) * self.inputs + LANES, np.uint8)
        sums = np.empty((len(spikes), conv.shape[0]), np.int32)
        shift = 0
        for first in range(0, len(spikes), block):
            sent = spikes[first : first + block]
            kernels.cut_patches(
                sent, conv.in_shape, conv.padding, taps, conv.stride, conv.dilation, places,
                self.channels_last, padded, patches,
            )  # fmt: skip
            rows = patches[: len(sent) * self.inputs].reshape(-1, len(self.product.weights))
            _, shift = self.product.apply(rows, sums[first : first + block].reshape(len(rows), -1))
        return sums, shift


@dataclass(eq=False)
class Convolution:
    """Float32 convolution with exact integer results; the source has its channels first or last.

    Attributes
    ----------
    probe : int32 (n_out,)
        Odd random numbers. With W the weights, probe . (W s) = (probe W) . s, modulo 2^32.
    probed : int32 (n_in,)
        probe W.
    trusted : bool
        False once a result was wrong.
    """

    conv: ConvWeights
    kernel: torch.Tensor
    channels_last: bool
    probe: Array
    probed: Array
    trusted: bool = True

    @staticmethod
    def of(conv: ConvWeights, source: NeuronOrder, target: NeuronOrder) -> Convolution:
        """Lay the kernel out channels last."""
        kernel = torch.from_numpy(conv.kernel.astype(np.float32))
        last = source.channels == conv.in_shape[0]
        probe = np.random.default_rng(0).integers(-(2**31), 2**31, target.size) | 1
        probed = source.inside(_transposed(conv, target.outside(probe)))
        return Convolution(
            conv,
            kernel.to(memory_format=torch.channels_last),
            last,
            probe.astype(np.int32),
            probed.astype(np.int32),
        )

    def apply(self, spikes: Array) -> Array | None:
        """Sums (R, n_out), int32, of spikes (R, n_in), uint8, both in their inner order; None if wrong."""
        sums = self._sums(spikes)
        if kernels.agree(spikes, self.probed, sums, self.probe):
            return sums
        self.trusted = False
        return None

    def _sums(self, spikes: Array) -> Array:
        conv = self.conv
        c, h, w = conv.in_shape
        sent = torch.from_numpy(spikes)
        maps = sent.view(-1, h, w, c).permute(0, 3, 1, 2) if self.channels_last else sent.view(-1, c, h, w)
        maps = maps.to(torch.float32, memory_format=torch.channels_last)
        sums = torch.nn.functional.conv2d(
            maps,
            self.kernel,
            stride=conv.stride,
            padding=conv.padding,
            dilation=conv.dilation,
            groups=conv.groups,
        )
        flat = sums.permute(0, 2, 3, 1).reshape(len(spikes), -1)
        return flat.to(torch.int32).numpy()


def _transposed(conv: ConvWeights, values: Array) -> Array:
    """int64 (n_in,): the convolution's transpose, W^T values, modulo 2^64; both in the Program's order."""
    per_group = conv.out_shape[0] // conv.groups
    sent = values.reshape(conv.groups, per_group, *conv.out_shape[1:])
    kernel = conv.kernel.astype(np.int64).reshape(conv.groups, per_group, *conv.kernel.shape[1:])
    arrived = np.zeros((conv.groups, kernel.shape[2], *conv.in_shape[1:]), np.int64)
    for i in range(kernel.shape[3]):
        y, y_out = _read_by(conv, 0, i)
        for j in range(kernel.shape[4]):
            x, x_out = _read_by(conv, 1, j)
            part = sent[:, :, y_out[:, None], x_out[None, :]]
            arrived[:, :, y[:, None], x[None, :]] += np.einsum("goc,goyx->gcyx", kernel[..., i, j], part)
    return arrived.reshape(-1)


def _read_by(conv: ConvWeights, axis: int, tap: int) -> tuple[Array, Array]:
    """Input and output positions of one tap along an axis, wherever both exist."""
    position, taps, out = reached(conv, axis)
    return position[taps == tap], out[taps == tap]


def reached(conv: ConvWeights, axis: int) -> tuple[Array, Array, Array]:
    """Input position, tap and output position along one axis, wherever all three exist."""
    out, tap = np.meshgrid(
        np.arange(conv.out_shape[1 + axis]), np.arange(conv.kernel.shape[2 + axis]), indexing="ij"
    )
    position = out * conv.stride[axis] - conv.padding[axis] + tap * conv.dilation[axis]
    inside = (position >= 0) & (position < conv.in_shape[1 + axis])
    return position[inside], tap[inside], out[inside]


def int8_is_exact() -> bool:
    """Whether 8-bit products accumulate in 32 bits here: instructions without 16-bit saturation."""
    check = getattr(torch.cpu, "_is_vnni_supported", None)
    return bool(check is not None and check())
