"""Constants as each framework's exporter writes them, against that framework's own step in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.errors import GraphError, InputError
from sne_deploy.frontend.graph_models import ensemble_of_graphs
from sne_deploy.frontend.nir.conventions import MULTI_SPIKE
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.frameworks import CONVENTIONS
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.neurons.resets import reset_of
from tests.effort import examples
from tests.frontend.nir.test_input_shapes import chain
from tests.interop.simulation import Rules, simulate

STEPS, SIZE = 40, 4
DT_S = 2e-3
"""Of tools whose modules are given a step."""


@dataclass(frozen=True)
class Case:
    """What a framework writes for neurons of these time constants, in steps, and how it steps them."""

    convention: str
    node: Callable[[Any, Any], Any]
    step: Callable[..., tuple[Any, Any, Any]]
    explicit: dict[str, Any]
    late: int = 0
    """Steps by which its spikes come later."""


def node(kind: Any, tau: Any, tau_syn: Any = None, r: Any = 1.0, w_in: Any = None, **more: Any) -> Any:
    ones = np.ones(SIZE)
    names = {"tau": tau} if tau_syn is None else {"tau_mem": tau, "tau_syn": tau_syn}
    if w_in is not None:
        names["w_in"] = w_in * ones
    v_reset = {} if kind is nir.LI else {"v_threshold": ones, "v_reset": 0 * ones}
    return kind(**names, r=r * ones, v_leak=0 * ones, **v_reset, **more)


def written_by_sinabs(tau: Any, _: Any) -> Any:
    return node(nir.LIF, tau, metadata={"v_reset": "assumed"})


def sinabs_step(v: Any, i: Any, x: Any, tau: Any, _: Any) -> Any:
    v = np.exp(-1 / tau) * v + (1 - np.exp(-1 / tau)) * x
    s = v >= 1
    return v - s, i, s


def written_by_rockpool(tau: Any, tau_syn: Any) -> Any:
    return node(nir.CubaLIF, tau * DT_S, tau_syn * DT_S, r=tau * np.exp(-1 / tau), w_in=1.0)


def rockpool_step(v: Any, i: Any, x: Any, tau: Any, tau_syn: Any) -> Any:
    i = np.exp(-1 / tau_syn) * (i + x)
    v = np.exp(-1 / tau) * v + i
    s = v >= 1
    return v - s, i, s


def written_by_rockpool_without_current(tau: Any, _: Any) -> Any:
    return node(nir.LIF, tau * DT_S, r=tau * np.exp(-1 / tau))


def rockpool_step_without_current(v: Any, i: Any, x: Any, tau: Any, _: Any) -> Any:
    v = np.exp(-1 / tau) * v + x
    s = v >= 1
    return v - s, i, s


def written_by_spyx(tau: Any, _: Any) -> Any:
    return node(nir.LIF, tau, r=1 - 1 / tau)


def spyx_step(v: Any, i: Any, x: Any, tau: Any, _: Any) -> Any:
    s = v > 1
    return (1 - 1 / tau) * v + x - s, i, s


def written_by_spyx_with_current(tau: Any, tau_syn: Any) -> Any:
    return node(nir.CubaLIF, tau, tau_syn, r=1 - 1 / tau, w_in=1.0)


def spyx_step_with_current(v: Any, i: Any, x: Any, tau: Any, tau_syn: Any) -> Any:
    s = v > 1
    i = (1 - 1 / tau_syn) * i + x
    return (1 - 1 / tau) * (v - s) + i, i, s


def written_by_mlx_snn(tau: Any, tau_syn: Any) -> Any:
    return node(nir.CubaLIF, tau * 1e-4, tau_syn * 1e-4, r=tau, w_in=1.0)


def mlx_snn_step(v: Any, i: Any, x: Any, tau: Any, tau_syn: Any) -> Any:
    i = (1 - 1 / tau_syn) * i + x
    v = (1 - 1 / tau) * v + i
    s = v > 1
    return v - s, i, s


def written_by_norse(tau: Any, tau_syn: Any) -> Any:
    return node(nir.CubaLIF, tau * 1e-3, tau_syn * 1e-3, r=1.0, w_in=1.0)


def norse_step(v: Any, i: Any, x: Any, tau: Any, tau_syn: Any) -> Any:
    i = i + x
    v = v + (i - v) / tau
    s = v > 1
    return np.where(s, 0, v), i * (1 - 1 / tau_syn), s


def written_by_spikingjelly(tau: Any, _: Any) -> Any:
    return node(nir.LIF, tau * 1e-4, r=1.0)


def spikingjelly_step(v: Any, i: Any, x: Any, tau: Any, _: Any) -> Any:
    v = v + (x - v) / tau
    s = v >= 1
    return np.where(s, 0, v), i, s


def written_by_snntorch(tau: Any, tau_syn: Any) -> Any:
    return node(nir.CubaLIF, tau * 1e-4, tau_syn * 1e-4, r=tau, w_in=tau_syn)


FULL = {"gain": "full"}
EXPONENTIAL = {"decay": "exponential"}
CASES = {
    "sinabs": Case("sinabs", written_by_sinabs, sinabs_step, {"dt_s": 1, **EXPONENTIAL, "reset": "subtract"}),
    "rockpool": Case(
        "rockpool",
        written_by_rockpool,
        rockpool_step,
        {"dt_s": DT_S, **FULL, **EXPONENTIAL, "reset": "subtract"},
    ),
    "rockpool without current": Case(
        "rockpool",
        written_by_rockpool_without_current,
        rockpool_step_without_current,
        {"dt_s": DT_S, **FULL, **EXPONENTIAL, "reset": "subtract"},
    ),
    "spyx": Case("spyx", written_by_spyx, spyx_step, {"dt_s": 1, **FULL, "reset": "subtract-delayed"}, 1),
    "spyx with current": Case(
        "spyx",
        written_by_spyx_with_current,
        spyx_step_with_current,
        {"dt_s": 1, **FULL, "reset": "subtract"},
        1,
    ),
    "mlx-snn": Case("mlx-snn", written_by_mlx_snn, mlx_snn_step, {"dt_s": 1e-4, **FULL, "reset": "subtract"}),
    "norse": Case("norse", written_by_norse, norse_step, {"dt_s": 1e-3, "gain": "current"}),
    "norse, full": Case("norse", written_by_norse, norse_step, {"dt_s": 1e-3, **FULL}),
    "spikingjelly": Case("spikingjelly", written_by_spikingjelly, spikingjelly_step, {"dt_s": 1e-4}),
}
TAUS = st.lists(st.floats(2.2, 30), min_size=SIZE, max_size=SIZE, unique=True).map(np.array)


def student(graph: nir.NIRGraph, **options: Any) -> Any:
    (made,) = ensemble_of_graphs([graph], ["net"], ReadOptions(timesteps=STEPS, **options)).students
    return made


def notes_of(graph: nir.NIRGraph, **options: Any) -> list[str]:
    """Those on constants: not what had to be assumed for want of an option."""
    return [note for note in student(graph, **options).notes if not note.startswith("assumed")]


def spikes_of(graph: nir.NIRGraph, x: Any) -> Any:
    reset = reset_of("n0", graph.nodes["n0"])
    mode = "subtract_delayed" if reset.delayed else reset.mode
    return simulate(graph, x, Rules(graph.metadata["dt_s"], mode)).values["n0"]


def own_spikes(case: Case, x: Any, tau: Any, tau_syn: Any) -> Any:
    v, i, spikes = np.zeros(x[:, 0].shape), np.zeros(x[:, 0].shape), []
    for t in range(STEPS):
        v, i, s = case.step(v, i, x[:, t], tau, tau_syn)
        spikes.append(s)
    return np.stack(spikes, axis=1)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=examples(8))
@given(tau=TAUS, tau_syn=TAUS, seed=st.integers(0, 2**32 - 1))
def test_the_options_give_the_frameworks_own_spikes(name: str, tau: Any, tau_syn: Any, seed: int) -> None:
    case = CASES[name]
    x = np.random.default_rng(seed).normal(1.5, 2.0, (3, STEPS, SIZE))
    written = chain(case.node(tau, tau_syn), enters=np.array([SIZE]))
    expected = own_spikes(case, x, tau, tau_syn)[:, case.late :]
    for options in ({"convention": case.convention}, case.explicit):
        spikes = spikes_of(student(written, **options).network, x)
        assert np.array_equal(spikes[:, : STEPS - case.late], expected)
    assert expected.any()


DECLARED = {"sinabs": "--decay exponential", "norse": "--gain current", "mlx-snn": "--gain full"}


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("spikingjelly", "norse, full")])
def test_a_file_is_told_the_convention_whose_signature_it_bears(name: str) -> None:
    case, tau, tau_syn = CASES[name], np.array([3.0, 5.0, 9.0, 20.0]), np.array([2.5, 4.0, 6.0, 8.0])
    options = {key: value for key, value in case.explicit.items() if key in ("dt_s", "reset")}
    written = chain(case.node(tau, tau_syn), enters=np.array([SIZE]))
    notes = " ".join(student(written, **options).notes)
    assert f"--convention {case.convention}" in notes
    for option in ("decay", "gain"):
        assert (f"--{option} " in notes) == (option in case.explicit)
    assert DECLARED.get(name, "") in notes
    after = " ".join(student(written, **case.explicit).notes)
    assert "--convention" not in after
    assert "MultiSpike" in notes or name != "sinabs"


def test_a_sound_file_is_told_nothing() -> None:
    tau = np.array([3.0, 5.0, 9.0, 20.0])
    assert notes_of(chain(written_by_snntorch(tau, tau - 0.5)), convention="snntorch") == []
    assert notes_of(chain(written_by_spikingjelly(tau, tau)), dt_s=1e-4) == []
    assert notes_of(chain(written_by_spikingjelly(tau * 1e4, tau)), dt_s=1.0) == []  # v_reset is written


@pytest.mark.parametrize("name", CASES)
def test_the_constants_are_saved_and_not_replaced_twice(name: str, tmp_path: Any) -> None:
    case, tau, tau_syn = CASES[name], np.array([3.0, 5.0, 9.0, 20.0]), np.array([2.5, 4.0, 6.0, 8.0])
    made = student(chain(case.node(tau, tau_syn)), convention=case.convention).network
    path = tmp_path / "net.nir"
    write_nir(path, made)
    stored = read_nir(path)
    for options in ({}, {"convention": case.convention}):
        again = student(stored, **options)
        assert not [note for note in again.notes if "give --" in note]
        for field in ("tau", "tau_mem", "tau_syn", "r", "w_in"):
            assert np.array_equal(
                getattr(again.network.nodes["n0"], field, 0), getattr(made.nodes["n0"], field, 0)
            )
    for option in ("decay", "gain"):
        if option in made.metadata:
            value = made.metadata[option]
            with pytest.raises(InputError, match=f"{option} {value} was given, but .* already.*leave it out"):
                student(stored, **{option: value})


TAU = np.array([3.0, 5.0, 9.0, 20.0])
CONTRADICTIONS = {
    "another's gains": ("sinabs", written_by_mlx_snn, {}, "convention sinabs writes r = 1, which"),
    "beta": ("norse", written_by_spyx, {}, "convention norse writes r = 1, which"),
    "another step": ("snntorch", written_by_norse, {"w_in": 5 * TAU, "r": TAU}, "imply 0.001 s"),
    "no w_in": ("snntorch", written_by_mlx_snn, {}, "node 'n0' has w_in 1, as mlx-snn, Rockpool and Spyx"),
    "not decayed": ("rockpool", written_by_snntorch, {}, r"writes r = tau exp\(-dt / tau\) / dt, which"),
    "not beta": ("spyx", written_by_rockpool_without_current, {}, "writes r = 1 - dt / tau, which"),
    "unknown": ("brian", written_by_norse, {}, "unknown convention 'brian'; known: snntorch, sinabs"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_convention_that_the_constants_contradict_is_an_error(case: str) -> None:
    convention, write, changed, match = CONTRADICTIONS[case]
    written = write(TAU, TAU)
    for field, value in changed.items():
        setattr(written, field, value)
    with pytest.raises(InputError, match=match):
        student(chain(written), convention=convention)


def test_other_options_come_before_a_conventions() -> None:
    made = student(chain(written_by_sinabs(TAU, TAU)), convention="sinabs", reset="value", dt_s=0.5).network
    assert reset_of("n0", made.nodes["n0"]).mode == "value"
    np.testing.assert_allclose(made.nodes["n0"].tau, 0.5 / (1 - np.exp(-0.5 / TAU)), rtol=1e-12)
    told = chain(written_by_mlx_snn(TAU, TAU))
    told.metadata["dt_s"] = 1e-4
    assert student(told, convention="mlx-snn").network.metadata["dt_s"] == 1e-4
    assert np.allclose(student(told, convention="snntorch", gain="full").network.nodes["n0"].w_in, TAU)


def test_time_in_steps_is_noticed_at_hundreds_of_steps() -> None:
    for tau in (2.0, 10.0, 20.0):
        (note,) = notes_of(chain(written_by_spikingjelly(tau * 1e4 * np.ones(4), None)), dt_s=1e-3)
        assert f"{1000 * tau:.3g} steps of 0.001 s" in note
        assert "--dt-s 1 (--convention sinabs" in note
    assert notes_of(chain(written_by_spikingjelly(np.full(4, 9e3), None)), dt_s=1e-3) == []


@pytest.mark.parametrize("kind", ["decay", "gain"])
def test_an_unknown_mode_names_those_that_are_known(kind: str) -> None:
    with pytest.raises(InputError, match=f"unknown {kind} 'half'; known: (exponential|full, current)"):
        student(chain(written_by_norse(TAU, TAU)), dt_s=1e-3, **{kind: "half"})


def test_an_exponential_decay_may_be_shorter_than_a_step() -> None:
    short = chain(node(nir.LIF, 0.5 * np.ones(SIZE)))
    with pytest.raises(GraphError, match="shorter than dt"):
        student(short, dt_s=1.0)
    tau = student(short, dt_s=1.0, decay="exponential").network.nodes["n0"].tau
    np.testing.assert_allclose(1 - 1 / tau, np.exp(-2.0), rtol=1e-12)


def test_the_help_and_the_table_name_the_same_frameworks() -> None:
    from sne_deploy.cli import options

    for name in CONVENTIONS:
        assert name in str(options._READING["convention"].__metadata__[0].help)


def test_several_spikes_in_a_step_are_named_wherever_sinabs_may_have_written() -> None:
    ones = np.ones(SIZE)
    for metadata, said in (({"v_reset": "assumed"}, True), ({}, False)):
        iaf = nir.IF(r=ones, v_threshold=ones, v_reset=0 * ones, metadata=metadata)
        notes = notes_of(chain(iaf), dt_s=1.0)
        assert [MULTI_SPIKE] * said == notes
        assert (MULTI_SPIKE in notes_of(chain(iaf), convention="sinabs")) is True


def test_a_gain_of_one_stays_also_where_it_counts_in_full() -> None:
    made = student(chain(node(nir.LIF, np.ones(SIZE))), dt_s=1.0, decay="exponential").network.nodes["n0"]
    assert np.array_equal(made.r, np.ones(SIZE))
    np.testing.assert_allclose(made.tau, 1 / (1 - np.exp(-1.0)), rtol=1e-12)


def test_a_readout_of_rockpool_decays_what_arrives_in_the_same_step() -> None:
    """ExpSynTorch: v = exp(-dt / tau) (v + x), which its r says."""
    written = chain(node(nir.LI, TAU * DT_S, r=TAU * np.exp(-1 / TAU)))
    for options in ({"convention": "rockpool"}, {"dt_s": DT_S, **FULL, **EXPONENTIAL}):
        made = student(written, **options).network.nodes["n0"]
        np.testing.assert_allclose(made.r * DT_S / made.tau, np.exp(-1 / TAU), rtol=1e-12)
        np.testing.assert_allclose(1 - DT_S / made.tau, np.exp(-1 / TAU), rtol=1e-12)


def test_a_decay_alone_is_told_the_gain_that_it_lacks() -> None:
    written = chain(written_by_rockpool_without_current(TAU, None))
    notes = notes_of(written, dt_s=DT_S, decay="exponential")
    assert any("node 'n0' (LIF): an input adds exp" in n and "--gain full" in n for n in notes)


def test_a_membrane_that_is_compared_is_told_spyx() -> None:
    ones = np.ones(SIZE)
    written = chain(nir.LI(tau=TAU, r=ones, v_leak=0 * ones), nir.Threshold(ones))
    (note,) = notes_of(written, dt_s=1.0)
    assert "node 'n0' (LI): r is 1" in note
    assert "--gain full (--convention spyx)" in note
    assert notes_of(written, dt_s=1e-2) != notes_of(written, dt_s=1.0)
    made = student(written, convention="spyx").network.nodes["n0"]
    assert np.array_equal(made.r, TAU)


WRONG = {
    "edges": ({"edges": None}, "nodes must be a dict, and edges a list of pairs of names"),
    "nodes": ({"nodes": [1]}, "nodes must be a dict"),
    "a triple": ({"edges": [("a", "b", "c")]}, "is no pair of names"),
    "metadata": ({"metadata of n0": None}, "node 'n0': metadata must be a dict"),
    "no array": ({"r of n0": None}, "field 'r' has dtype object, must be numbers"),
    "infinite": ({"tau_mem of n0": np.full(SIZE, np.inf)}, "'tau_mem' is empty or holds NaN or infinite"),
    "negative": ({"tau_syn of n0": -np.ones(SIZE)}, "'tau_syn' holds values that are not above 0 s"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_graph_in_memory_is_checked_as_a_file_is(case: str) -> None:
    changes, match = WRONG[case]
    made = chain(written_by_norse(TAU, TAU))
    for key, value in changes.items():
        field, _, name = key.partition(" of ")
        setattr(made.nodes[name] if name else made, field, value)
    with pytest.raises(GraphError, match=match):
        student(made, convention="norse")
