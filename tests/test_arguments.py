"""What Python callers give: everything reasonable works, everything else is an InputError of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import sne_deploy as sne
from sne_deploy.errors import InputError

N, T, INPUTS, CLASSES = 6, 5, 10, 3
SPIKES = (np.random.default_rng(0).random((N, T, INPUTS)) < 0.4).astype(np.float32)
LABELS = np.arange(N) % CLASSES


def module() -> nn.Module:
    torch.manual_seed(1)
    return norse.SequentialState(nn.Linear(INPUTS, 8), norse.LIFCell(), nn.Linear(8, CLASSES), norse.LICell())


def graph() -> nir.NIRGraph:
    def full(value: float) -> np.ndarray:
        return np.full(CLASSES, value)

    lif = nir.LIF(full(0.01), full(1.0), full(0.0), full(1.0), full(0.0))
    return nir.NIRGraph.from_list(nir.Linear(np.ones((CLASSES, INPUTS))), lif)


MODULE, GRAPH = module(), graph()
SHAPE = {"input_shape": INPUTS, "timesteps": T}
ENSEMBLE = sne.ensemble(MODULE, **SHAPE)


def ran(x: Any = SPIKES, y: Any = LABELS, **options: Any) -> sne.Result:
    with sne.compile(ENSEMBLE, "norse") as compiled:
        return compiled.run(x, y, **options)


def pairs() -> TensorDataset:
    return TensorDataset(torch.tensor(SPIKES), torch.tensor(LABELS))


class Frame:
    """What of a data frame matters here."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(SPIKES, dtype=dtype)


@pytest.mark.parametrize(
    "x",
    [
        SPIKES.tolist(),
        torch.tensor(SPIKES, requires_grad=True),
        torch.tensor(SPIKES).bfloat16(),
        torch.tensor(SPIKES).to_sparse(),
        Frame(),
    ],
    ids=["lists", "gradient", "bfloat16", "sparse", "frame"],
)
def test_samples_of_other_libraries(x: Any) -> None:
    np.testing.assert_array_equal(ran(x).logits, ran().logits)


@pytest.mark.parametrize("x", [pairs(), DataLoader(pairs(), batch_size=4)], ids=["data set", "loader"])
def test_data_sets_and_loaders_of_torch(x: Any) -> None:
    result = ran(x, None)
    np.testing.assert_array_equal(result.logits, ran().logits)
    assert result.accuracy == ran().accuracy
    with pytest.raises(InputError, match="gives labels itself; leave it out"):
        ran(x)


def test_one_module_is_one_student_whatever_it_holds() -> None:
    torch.manual_seed(0)
    blocks = [norse.SequentialState(nn.Linear(INPUTS, INPUTS), norse.LIFCell()) for _ in range(2)]
    chain = norse.SequentialState(*blocks)
    assert [student.name for student in sne.ensemble(chain, **SHAPE).students] == ["student0"]
    assert len(sne.ensemble(nn.ModuleList(blocks), **SHAPE).students) == 2
    assert len(sne.ensemble(blocks, **SHAPE).students) == 2


def test_arguments_in_other_types() -> None:
    made = sne.ensemble(
        MODULE, input_shape=torch.Size([INPUTS]), timesteps=np.int64(T), encoder="constant", names="net"
    )
    assert (made.input_shape, made.timesteps, made.encoder) == ((INPUTS,), T, sne.Encoder("constant"))
    assert type(made.timesteps) is int
    assert made.students[0].name == "net"
    assert sne.load(GRAPH, timesteps=T, dt_s=0.001).input_shape == (INPUTS,)


def test_what_can_be_compiled_at_once(tmp_path: Any) -> None:
    ENSEMBLE.save(tmp_path / "model.pt")
    given: list[tuple[Any, dict[str, Any]]] = [
        (ENSEMBLE, {}),
        (MODULE, SHAPE),
        (str(tmp_path / "model.pt"), {}),
    ]
    for model, options in given:
        with sne.compile(model, "norse", **options) as compiled:
            np.testing.assert_array_equal(compiled.run(SPIKES).logits, ran().logits)
    with sne.compile(GRAPH, "norse", timesteps=T, dt_s=0.001, policy="static") as compiled:
        assert compiled.run(SPIKES).logits.shape == (N, CLASSES)


def test_an_estimate_is_the_run_of_what_is_compiled() -> None:
    result = sne.estimate(MODULE, SPIKES, LABELS)
    with sne.compile(ENSEMBLE, "loihi") as compiled:
        np.testing.assert_array_equal(result.logits, compiled.run(SPIKES, LABELS).logits)
    assert result.report.target == "loihi"
    assert result.report.fidelity is not None
    images = sne.estimate(MODULE, SPIKES[:, 0], encoder="constant", timesteps=T, target="norse")
    assert images.report.data.timesteps == T


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sne.ensemble(MODULE, timesteps=T), "input_shape is missing"),
        (lambda: sne.ensemble(MODULE, input_shape=INPUTS), "timesteps is missing"),
        (lambda: sne.ensemble([], **SHAPE), "at least one student"),
        (lambda: sne.ensemble(GRAPH, **SHAPE), r"sne\.load\(graph"),
        (lambda: sne.load(MODULE), r"sne\.ensemble\(module"),
        (lambda: sne.load(None), "a NoneType is no model"),
        (lambda: sne.compile(MODULE.state_dict()), "OrderedDict says no network; load it into its module"),
        (
            lambda: sne.estimate(MODULE, SPIKES[0]),
            r'x has shape \(5, 10\) and no time axis.*encoder="constant"',
        ),
        (lambda: sne.compile(ENSEMBLE, "norse", timesteps=T), "timesteps was given, but an Ensemble"),
        (lambda: sne.compile(MODULE, "norse", dt_s=1), "unknown option 'dt_s' for torch modules"),
        (lambda: sne.compile(GRAPH, "norse", head=1), "unknown option 'head' for files"),
        (lambda: sne.compile(ENSEMBLE, "loihi", workers=10**9), "at most 1024"),
        (lambda: ran([[1, 2], [3]]), "no array of numbers"),
        (lambda: ran(np.array(["a", "b"])), "must hold numbers"),
        (lambda: ran(np.where(SPIKES > 0, np.nan, 0)), "every value must be finite"),
        (
            lambda: ran(y=np.eye(CLASSES)[LABELS]),
            r"one label per sample; of one-hot rows, give y\.argmax\(1\)",
        ),
    ],
)
def test_refusals_name_the_remedy(call: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()


ODD: tuple[Any, ...] = (
    None, 5, 2.5, "x", b"x", [], {}, object(), np.array([1.5]), True, float("nan"), -1, 10**30,
    [[1], [2, 3]], torch.tensor(2.0), ENSEMBLE, MODULE, GRAPH, [MODULE, 5], int,
)  # fmt: skip


def _calls() -> dict[str, Callable[[Any], object]]:
    """Every public call, with one argument left open."""

    def with_one(make: Callable[..., object], argument: str, **others: Any) -> Callable[[Any], object]:
        return lambda value: make(**{**others, argument: value})

    linear = {"kind": "linear", "weight": np.ones((3, 3)), "bias": np.zeros(3), "mean": np.zeros(3)}
    calls: dict[str, Callable[[Any], object]] = {}
    for make, others, arguments in (
        (
            sne.ensemble,
            {"modules": MODULE, **SHAPE},
            "modules input_shape timesteps encoder readout head names",
        ),
        (sne.load, {"model": GRAPH, "timesteps": T, "dt_s": 1e-3}, "model timesteps dt_s input_shape reset"),
        (sne.Encoder, {"kind": "constant"}, "kind input_range"),
        (sne.ActivationPolicy, {}, "kind order threshold students measure gate"),
        (sne.Head, linear, "kind weight bias mean subset_bias"),
        (ran, {}, "x y record model data_name teacher verify rate x86 powered command"),
        (
            lambda **given: sne.compile(**given).__exit__(None, None, None),
            {"model": ENSEMBLE, "target": "norse"},
            "model target precision hardware policy seed weight_bits fidelity workers device no_such",
        ),
        (sne.estimate, {"model": MODULE, "x": SPIKES, "y": LABELS, "target": "norse"}, "model x timesteps"),
    ):
        name = getattr(make, "__name__", "call")
        calls |= {f"{name}.{a}": with_one(make, a, **others) for a in arguments.split()}  # type: ignore[arg-type]
    return calls


CALLS = _calls()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_value_breaks_a_call_with_another_error(call: Callable[[Any], object]) -> None:
    said = []
    for value in ODD:
        try:
            call(value)
        except InputError as error:
            said.append(str(error))
    assert not [line for line in said if "\n" in line]
