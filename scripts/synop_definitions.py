"""One recorded run counted by several definitions of a synaptic operation.

Ours is the report's: a spike that arrives at a synapse whose stored weight is not zero, which is what Loihi's
own counters count (docs/energy.md). The others are computed here from public statements, on the same spikes:

NeuroBench
    NeuroBench/neurobench e521c28, neurobench/metrics/workload/synaptic_operations.py: for each connection
    layer, products of a non-zero activation and a non-zero weight; accumulates (ACs) where all activations of
    the layer are -1, 0 or 1, else multiply-accumulates (MACs); ``Dense`` has the zeros too. Pooling is no
    layer of its own.
Norse
    norse/norse pull request 444: spikes x out_features of a linear layer, of a convolution
    spikes x out_channels kH kW / groups.
snnTorch
    no such count (jeshraghian/snntorch issue 170); its issue 189: the sum of the recorded spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

import sne_deploy as sne
from sne_deploy.data.digits import digits_split
from sne_deploy.runtime.result import StudentResult

Array = npt.NDArray[Any]
MODEL = "examples/digits/model.pt"
STUDENTS = ("conv", "dense")
SAMPLES = 60


@dataclass(frozen=True)
class Connection:
    """A linear or convolutional layer of a student, and what entered it: (N, T, ...)."""

    kind: str
    weight: Array
    options: dict[str, Any]
    entered: Array

    @property
    def spiking(self) -> bool:
        """Whether only -1, 0 and 1 entered: NeuroBench then counts accumulates."""
        return bool(np.isin(self.entered, (-1, 0, 1)).all())

    def effective(self) -> float:
        """Products of two factors that are not zero, per sample."""
        return self._products((self.entered != 0), (self.weight != 0))

    def dense(self) -> float:
        """All products, per sample."""
        return self._products(np.ones_like(self.entered, bool), np.ones_like(self.weight, bool))

    def taps(self) -> float:
        """What entered x all weights of an input of it, borders and strides or not, per sample: Norse's."""
        fan_out = self.weight.size // self.weight.shape[1] // self.options.get("groups", 1)
        return float(self.entered.sum(dtype=np.float64)) * fan_out / len(self.entered)

    def _products(self, entered: Array, weight: Array) -> float:
        x = torch.from_numpy(entered.reshape(-1, *entered.shape[2:]).astype(np.float64))
        w = torch.from_numpy(weight.astype(np.float64))
        y = functional.linear(x, w) if self.kind == "Linear" else functional.conv2d(x, w, **self.options)
        return float(y.sum()) / len(entered)


@dataclass(frozen=True)
class Counted:
    """A student's counts per sample by each definition.

    Attributes
    ----------
    student : str
    ours : float
        SynOps of the report.
    ours_host : float
        Multiply-accumulates of the first map, on the host, once per sample.
    effective_acs, effective_macs, dense : float
        NeuroBench's.
    taps : float
        Norse's, of the layers that spikes enter, pooled or not.
    spikes : float
        snnTorch's.
    """

    student: str
    ours: float
    ours_host: float
    effective_acs: float
    effective_macs: float
    dense: float
    taps: float
    spikes: float


def connections(student: sne.Student, images: Array, result: StudentResult, steps: int) -> list[Connection]:
    """Every layer with weights, with what entered it in the recorded run."""
    recorded = iter(result.spikes.values())
    signal = np.repeat(images[:, None], steps, axis=1).astype(np.float64)
    found = []
    for layer in student.network:
        if layer.kind in ("Linear", "Conv2d"):
            found.append(Connection(layer.kind, layer.tensors["weight"], dict(layer.options), signal))
        elif layer.kind == "Flatten":
            signal = signal.reshape(*signal.shape[:2], -1)
        elif layer.kind == "AvgPool2d":
            signal = _pooled(signal, layer.options)
        elif layer.kind.endswith("Cell"):
            spikes = next(recorded, None)
            if spikes is None:  # the readout
                break
            signal = np.asarray(spikes, np.float64)
    return found


def _pooled(signal: Array, options: dict[str, Any]) -> Array:
    flat = torch.from_numpy(signal.reshape(-1, *signal.shape[2:]))
    pooled = functional.avg_pool2d(flat, options["kernel_size"], options["stride"]).numpy()
    return pooled.reshape(*signal.shape[:2], *pooled.shape[1:])


def count() -> list[Counted]:
    """Run the committed digits ensemble in fixed point and count its first students by every definition."""
    ensemble = sne.load(MODEL)
    images = digits_split()[2][:SAMPLES].reshape(-1, *ensemble.input_shape)
    with sne.compile(ensemble, target="loihi") as compiled:
        result = compiled.run(images, record="spikes")
    counted = []
    for student, run in zip(ensemble.students, result.students, strict=True):
        if student.name not in STUDENTS:
            continue
        layers = connections(student, images, run, ensemble.timesteps)
        counted.append(
            Counted(
                student.name,
                ours=float(run.synops.mean()),
                ours_host=float(run.host_macs.mean()),
                effective_acs=sum(each.effective() for each in layers if each.spiking),
                effective_macs=sum(each.effective() for each in layers if not each.spiking),
                dense=sum(each.dense() for each in layers),
                taps=sum(each.taps() for each in layers[1:]),
                spikes=run.counts.spikes / run.counts.samples_run,
            )
        )
    return counted


if __name__ == "__main__":
    for each in count():
        print(each)
