"""What a ``.net`` file holds, as plain values: layers in order, in the file's own terms.

Shapes, strides and kernels are as in the file, channels first: (c, h, w). netx turns them round when it loads
the file: it works on (w, h, c).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import load_chip

Array = npt.NDArray[Any]
Pair = tuple[int, int]
Shape = tuple[int, ...]
LayerType = Literal["input", "conv", "dense", "dense_rec", "flatten"]

FORMATS = load_chip("loihi2").registers
"""The registers that a file's integers are for."""
NEURON_KINDS = ("lif", "cuba_lif", "if", "li", "cuba_li")
"""Models of neurons that a file can say."""
NEURON_TYPES = ("LOIHI", "CUBA")
"""Two names of one neuron: what Lava calls LIF."""
SILENT_THRESHOLD = 131071
"""A last neuron with this threshold is read: v can pass it only where it nearly saturates."""
NEVER_THRESHOLD = 262143
"""What lava-dl's ``Affine`` blocks write for neurons that never spike: v cannot reach it."""
THRESHOLD_LIMIT = 2**25 - 1
"""Above this, Lava's 32-bit integers wrap where they shift a threshold."""
BIAS_EXP = 6
"""netx gives every bias this exponent."""
NO_NEURON = (0, 4096, 131072)
"""iDecay, vDecay and vThMant that netx gives a dense layer without a neuron: v is the sum of its inputs."""


@dataclass(frozen=True, eq=False)
class NetNeuron:
    """``iDecay`` (of 4096; Lava's du is one less), ``vDecay`` (of 4096), ``vThMant``.

    Each one number for a layer, or an array: (n,) of dense layers; (c,), or (w, h, c), of maps.
    """

    i_decay: int | Array
    v_decay: int | Array
    v_th_mant: int | Array


@dataclass(frozen=True, eq=False)
class NetLayer:
    """One layer.

    Attributes
    ----------
    index : int
        Its name in the file.
    type : LayerType
    shape : tuple of int
        (c, h, w), or (n,).
    neuron : NetNeuron or None
        None: an ``input`` that only gives a shape, a ``flatten``, or a ``dense`` that integrates.
    weight : int32 array or None
        (n_out, n_in) of dense layers, (c_out, c_in / groups, k_h, k_w) of convolutions.
    weight_rec : int32 array of shape (n, n), or None
    bias : int32 array or None
        (1,) or (n,) of dense layers; (c,), or (w, h, c) for every neuron, of convolutions.
    delay : int32 array of shape (n_out, n_in), or None
        Steps beyond the one that every synapse takes.
    stride, padding, dilation : (h, w)
    groups : int
    gain, offset : int
        Of an ``input`` with a neuron: its a_in is ``gain * x + offset``.
    """

    index: int
    type: LayerType
    shape: Shape
    neuron: NetNeuron | None = None
    weight: Array | None = None
    weight_rec: Array | None = None
    bias: Array | None = None
    delay: Array | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    gain: int = 64
    offset: int = 0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"layer {self.index} ({self.type})"


@dataclass(frozen=True, eq=False)
class NetFile:
    """A whole file.

    Attributes
    ----------
    layers : tuple of NetLayer
    timesteps : int or None
        Steps per sample, from ``simulation``.
    extra : mapping
        The group :data:`sne_netx.format.extra.GROUP`, which other tools do not read.
    """

    layers: tuple[NetLayer, ...]
    timesteps: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def spread(values: Array, shape: Shape) -> Array:
    """A layer's values for its neurons, C order: all of (n,), or one where they are equal.

    ``values``: one, or (n,); of maps also (c,), or (w, h, c), as netx has them.
    """
    if values.ndim > 1:
        values = values.transpose()
    elif len(shape) > 1 and values.size == shape[0]:
        values = np.repeat(values, int(np.prod(shape[1:])))
    flat = values.reshape(-1).astype(np.int32)
    return np.asarray(flat[0]) if bool(np.all(flat == flat[0])) else flat


def laid_out(values: Array, shape: Shape) -> Array:
    """Neurons' values, () or (n,) in C order, as :func:`spread` takes them: of maps (c,) if that will do."""
    each = np.broadcast_to(values, (int(np.prod(shape)),))
    if len(shape) != 3:
        return each
    by_channel = each.reshape(shape[0], -1)
    if bool(np.all(by_channel == by_channel[:, :1])):
        return by_channel[:, 0]
    return each.reshape(shape).transpose(2, 1, 0)
