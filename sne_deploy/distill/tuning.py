"""``sne.tune(...)``: anybody's own network, trained further on the chip's integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sne_deploy import api
from sne_deploy import arguments as argument
from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.data.arrays import as_samples
from sne_deploy.data.encode import encode
from sne_deploy.data.ragged import joined
from sne_deploy.distill import losses
from sne_deploy.distill.schema.schedule import Schedule
from sne_deploy.distill.students.pruning import KeptZeros
from sne_deploy.distill.students.quantise_aware import QuantisedRun, folded
from sne_deploy.distill.students.student import Learner
from sne_deploy.distill.students.surrogates import Surrogate, SurrogateName
from sne_deploy.distill.training.determinism import open_device
from sne_deploy.distill.training.loop import Terms, Training, fit, split_rows
from sne_deploy.errors import DataError, InputError
from sne_deploy.frontend.given import are_modules, own_options
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.modules import layers_from_module

if TYPE_CHECKING:
    from sne_deploy.distill.training.epochs import Epoch
    from sne_deploy.model.ensemble import Encoder, EncoderKind, Ensemble, Readout

Array = npt.NDArray[Any]
HELD_OUT = 10
"""Where no validation samples are given, every so many-th sample is kept for it."""


@dataclass(frozen=True)
class Accuracy:
    """Of one network on the validation samples, as fractions.

    Attributes
    ----------
    floating_point : float
        In float64, on target ``norse``.
    integers : float
        In the chip's registers, on target ``loihi``.
    """

    floating_point: float
    integers: float

    def __str__(self) -> str:
        return f"{self.integers:.1%} in integers, {self.floating_point:.1%} in floating point"


@dataclass(frozen=True, eq=False, repr=False)
class Tuned:
    """A network that was trained further on the chip's integers.

    Attributes
    ----------
    module : nn.Module
        A ``norse.torch.SequentialState`` of the network's layers in their order, in evaluation mode: batch
        norms folded into the maps before them, dropout left out.
    before, after : Accuracy
        Of the module that was given, and of this one.
    samples : int
        Validation samples that they were measured on; nothing was trained on them.
    weight_bits : int
    losses : tuple of float
        Mean cross-entropy of each epoch, on the chip's integers.
    """

    module: nn.Module
    before: Accuracy
    after: Accuracy
    samples: int
    weight_bits: int
    losses: tuple[float, ...]

    def __repr__(self) -> str:
        how = f"{len(self.losses)} epochs, {self.weight_bits}-bit weights"
        measured = f"{self.samples:,} validation samples"
        return f"Tuned({how}, {measured}\n  before: {self.before}\n  after:  {self.after})"


def tune(
    module: nn.Module,
    x: Any,
    y: Any = None,
    *,
    validation: tuple[Any, Any] | None = None,
    input_shape: int | Sequence[int] | None = None,
    timesteps: int | None = None,
    encoder: Encoder | EncoderKind | None = None,
    input_range: Sequence[float] | None = None,
    readout: Readout | None = None,
    epochs: int = 5,
    learning_rate: float = 5e-4,
    batch_size: int = 64,
    weight_bits: int = 8,
    surrogate: SurrogateName = "superspike",
    surrogate_width: float = 1.0,
    seed: int = 0,
    threads: int = 2,
    device: str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
) -> Tuned:
    """Train a classifier further with surrogate gradients, on the integers that Loihi will compute with.

    The forward pass has the spikes of target ``loihi``, bit for bit: stored weights, registers and the
    rounding of states (see :mod:`sne_deploy.distill.students.register_run`). Weights and biases are trained;
    time constants and thresholds stay. The loss is the cross-entropy of the outputs, times a factor that is
    trained along and not needed afterwards. A weight that is 0 stays 0. The same arguments give the same
    module on a processor.

    Parameters
    ----------
    module : nn.Module
        As for :func:`sne_deploy.ensemble`; its outputs are one per class. It is not changed.
    x, y
        Samples and labels from 0, as for :meth:`Compiled.run`.
    validation : (x, y), optional
        What accuracy is measured on. Without it, every tenth sample is kept for that.
    input_shape, timesteps, encoder, input_range, readout
        As for :func:`sne_deploy.ensemble`; for spikes and graded values, shape and steps are those of x.
    epochs, learning_rate, batch_size
        Of AdamW, whose rate falls as half a cosine to 0.
    weight_bits : int
        2 to 8, or 16: what the network will be compiled with.
    surrogate : {"superspike", "rectangle", "triangle"}
        A spike's gradient, see :mod:`sne_deploy.distill.students.surrogates`; best the one that the network
        was trained with.
    surrogate_width : float
        Half-width of the last two, relative to the way from rest to threshold.
    seed, threads, device
    progress : callable, optional
        Called as progress(epoch from 1, epochs, mean loss).

    Returns
    -------
    Tuned

    Raises
    ------
    InputError, DataError, UnsupportedError
        Something given does not fit, or cannot be trained; names it.
    RunError
        The training diverged.
    """
    if not are_modules(module) or not isinstance(module, nn.Module):
        raise InputError(f"module: give one torch module, not {type(module).__name__}")
    formats = argument.whole("weight_bits", weight_bits, 1)
    load_chip(DEFAULT_CHIP).registers.narrowed(formats)
    gradient = _gradient(surrogate, surrogate_width)
    schedule = Schedule(
        epochs=argument.whole("epochs", epochs, 1),
        batch_size=argument.whole("batch_size", batch_size, 1),
        learning_rate=_above_0("learning_rate", learning_rate),
        weight_decay=0.0,
    )
    if progress is not None:
        argument.function("progress", progress)
    training = Training(
        schedule,
        argument.whole("seed", seed, 0),
        argument.whole("threads", threads, 1),
        "tune",
        None if progress is None else lambda n, done: progress(n + 1, epochs, _loss(done)),
        after_step=KeptZeros(),
    )
    chosen: dict[str, Any] = {"input_shape": input_shape, "timesteps": timesteps, "encoder": encoder}
    chosen |= {"input_range": input_range, "readout": readout}
    learned, held = _split(_samples("x", x, y), validation)
    options = {**own_options(module), **{name: value for name, value in chosen.items() if value is not None}}
    options = api.options_with_shape(learned.x, options)
    ensemble = api.ensemble(module, **options)
    made = _train(ensemble, learned, formats, gradient, training, open_device(device))
    before, after = (_accuracy(one, held, formats, training.seed) for one in (ensemble, made.ensemble))
    return Tuned(made.module, before, after, len(held.x), formats, made.losses)


@dataclass(frozen=True, eq=False)
class _Samples:
    """Samples, labels, and the steps of each series or None."""

    x: Array
    y: Array
    lengths: Array | None

    def rows(self, chosen: Array) -> _Samples:
        lengths = None if self.lengths is None else self.lengths[chosen]
        return _Samples(self.x[chosen], self.y[chosen], lengths)


def _samples(name: str, x: Any, y: Any) -> _Samples:
    given, lengths = joined(x)
    samples, labels = as_samples(given, y)
    if labels is None:
        raise DataError(f"{name}: a network is tuned to labels; give y, one class from 0 for each sample")
    if len(labels) != len(samples) or labels.ndim != 1 or not len(labels):
        raise DataError(f"{name}: {len(samples)} samples have labels of shape {labels.shape}; give one each")
    if labels.dtype.kind not in "iu" or bool(np.any(labels < 0)):
        raise DataError(
            f"{name}: labels must be whole numbers from 0, not {labels.dtype} from {labels.min()}"
        )
    return _Samples(samples, labels.astype(np.int64), lengths)


def _split(given: _Samples, validation: Any) -> tuple[_Samples, _Samples]:
    """What is learned, and what is measured on."""
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise DataError(f"validation: give a pair (x, y), not {type(validation).__name__}")
        return given, _samples("validation", *validation)
    if len(given.x) < HELD_OUT:
        raise DataError(
            f"{len(given.x)} samples are too few to keep a tenth for validation; give validation=(x, y)"
        )
    kept = np.arange(len(given.x)) % HELD_OUT == HELD_OUT - 1
    return given.rows(~kept), given.rows(kept)


def _gradient(kind: Any, width: Any) -> Surrogate:
    known = get_args(SurrogateName)
    if argument.choice("surrogate", kind, known) == "superspike" and width != 1.0:
        raise InputError(
            f"surrogate_width {width} is of 'rectangle' and 'triangle'; give one of them as surrogate"
        )
    return Surrogate(kind, width=_above_0("surrogate_width", width))


def _above_0(name: str, value: Any) -> float:
    found = argument.number(name, value)
    if not 0 < found < float("inf"):
        raise InputError(f"{name} {found:g} must be above 0")
    return found


def _loss(done: Epoch) -> float:
    return float(done.terms["cross_entropy"])


class _Classifier(Learner):
    """A folded network, and the factor from its outputs to logits."""

    def __init__(self, network: nn.Module, spread: float) -> None:
        super().__init__()
        self.network = network
        self.log_factor = nn.Parameter(torch.tensor(-np.log(spread), dtype=torch.float32))

    @property
    def networks(self) -> tuple[nn.Module]:  # type: ignore[override]  # read only
        return (self.network,)

    def logits(self, outputs: Sequence[Tensor]) -> Tensor:
        """The outputs, scaled."""
        return outputs[0] * self.log_factor.exp()


@dataclass(frozen=True, eq=False)
class _Made:
    module: nn.Module
    ensemble: Ensemble
    losses: tuple[float, ...]


def _train(
    ensemble: Ensemble,
    learned: _Samples,
    weight_bits: int,
    surrogate: Surrogate,
    training: Training,
    device: torch.device,
) -> _Made:
    (student,) = ensemble.students
    layers: Any = student.network
    shape, steps, encoder = ensemble.input_shape, ensemble.timesteps, ensemble.encoder
    inputs = torch.from_numpy(encode(encoder, learned.x, steps, training.seed)).float().to(device)
    timed = encoder.kind != "constant"
    lengths = np.full(len(inputs), steps) if learned.lengths is None else learned.lengths
    data = [inputs, torch.from_numpy(learned.y).to(device)]
    data += [torch.from_numpy(lengths.astype(np.int64)).to(device)] if timed else []
    every = len(split_rows(data[1], training.schedule.batch_size))
    run = QuantisedRun(shape, weight_bits, every, surrogate, encoder)
    network = folded(module_from_layers(layers), shape).to(device)
    with torch.no_grad():
        few = [one[:256] for one in data]
        outputs = run(network, few[0], steps, student.readout, *few[2:]).outputs
    classes = outputs.shape[1]
    if int(learned.y.max()) >= classes:
        raise InputError(
            f"label {int(learned.y.max())} is beyond the network's {classes} outputs; it needs one per class"
        )
    spread = float(outputs.std()) or 1.0

    def build() -> _Classifier:
        return _Classifier(folded(module_from_layers(layers), shape), spread)

    def objective(learner: _Classifier, batch: Sequence[Tensor]) -> Terms:
        done = run(learner.network, batch[0], steps, student.readout, *batch[2:])
        return {"cross_entropy": losses.cross_entropy(learner.logits([done.outputs]), batch[1])}

    trained = fit(build, data, objective, training)
    module = trained.module.network.cpu().requires_grad_(False)
    return _Made(
        module, _with_layers(ensemble, module), tuple(terms["cross_entropy"] for terms in trained.log)
    )


def _with_layers(ensemble: Ensemble, module: nn.Module) -> Ensemble:
    """The same ensemble of one, with another module's layers."""
    student = replace(ensemble.students[0], network=layers_from_module(module))
    return replace(ensemble, students=(student,))


def _accuracy(ensemble: Ensemble, held: _Samples, weight_bits: int, seed: int) -> Accuracy:
    def on(target: str, bits: int | None) -> float:
        with api.compile(ensemble, target, seed=seed, fidelity=False, weight_bits=bits) as compiled:
            return float(compiled.run(held.x, held.y, lengths=held.lengths).accuracy or 0.0)

    return Accuracy(on("norse", None), on("loihi", weight_bits))
