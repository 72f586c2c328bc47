"""What does not fit is refused in one line, and what the line advises fits."""

from __future__ import annotations

import gc
import re
import tracemalloc
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from norse.torch import LIFCell, SequentialState

import sne_deploy as sne
from sne_deploy.energy.time import StepRates
from sne_deploy.errors import InputError, MappingError, RunError
from sne_deploy.mapping import mapper
from sne_deploy.mapping.wiring import Wiring
from sne_deploy.memory import available_bytes
from sne_deploy.runtime import sizes
from sne_deploy.runtime.compile_size import bytes_of, values_of, weights_of
from sne_deploy.runtime.placing import Placer
from sne_deploy.runtime.sizes import RunSize, check_run, mapping_bytes, within_memory
from sne_deploy.runtime.slices import sample_slices

MIB = 2**20


@pytest.fixture(scope="module")
def ensemble() -> sne.Ensemble:
    torch.manual_seed(0)
    network = SequentialState(torch.nn.Linear(10, 30), LIFCell(), torch.nn.Linear(30, 4), LIFCell())
    return sne.ensemble(network, input_shape=10, timesteps=100)


@pytest.fixture(scope="module")
def size(ensemble: sne.Ensemble) -> RunSize:
    with sne.compile(ensemble, "loihi") as compiled:
        return RunSize(compiled.programs, 100_000, 100, "counts", reference=True)


def left(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for module in ("compile_size", "sizes", "slices"):
        monkeypatch.setattr(f"sne_deploy.runtime.{module}.available_bytes", lambda: count)


@pytest.mark.parametrize("workers", [1, 7])
@pytest.mark.parametrize("record", ["counts", "spikes", "all"])
def test_every_remedy_fits(size: RunSize, record: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = replace(size, record=record, workers=workers)  # type: ignore[arg-type]
    told = 0
    for count in (MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB, 1536 * MIB):
        left(monkeypatch, count)
        if size.need <= count:
            check_run(size)
            continue
        with pytest.raises(InputError) as refused:
            check_run(size)
        (line,) = refused.value.lines
        assert line.startswith("running 100000 samples of 100 steps needs about ")
        for pattern, change in {
            r'record="counts"': lambda _: {"record": "counts"},
            r"--no-fidelity": lambda _: {"reference": False},
            r"at most (\d+) workers? \(--workers \1\)": lambda n: {"workers": int(n)},
            r"at most (\d+) samples at a time \(--samples \1\)": lambda n: {"samples": int(n)},
            r"at most (\d+) steps": lambda n: {"timesteps": int(n)},
        }.items():
            for found in re.finditer(pattern, line):
                check_run(replace(size, **change(found[1] if found.groups() else None)))  # type: ignore[no-untyped-call]
        told += "--workers" in line
    if record != "all":  # whose recordings alone are more
        assert (told > 0) == (workers > 1)


def test_results_that_are_joined_without_a_copy_are_counted_once(size: RunSize) -> None:
    def grows(record: str) -> int:
        two = (replace(size, record=record, samples=n).need for n in (200_000, 200_001))  # type: ignore[arg-type]
        return -next(two) + next(two)

    packed, spikes = 6 * 2 + 20 * 4 + 16, 100 * (30 + 4)
    assert grows("counts") == packed
    assert grows("spikes") == packed + 2 * spikes


def test_the_processes_that_a_run_starts_are_in_its_size(
    ensemble: sne.Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(monkeypatch, 2 * sizes.WORKER_BYTES)
    with (
        sne.compile(ensemble, "loihi", fidelity=False, workers=4) as compiled,  # none is started yet
        pytest.raises(InputError, match=r"at most 1 worker \(--workers 1\)"),
    ):
        compiled.run(np.zeros((3, 100, 10), np.uint8))


def test_no_circle_keeps_what_was_compiled(ensemble: sne.Ensemble) -> None:
    sne.compile(ensemble, "loihi")  # what is imported on the way makes circles of its own
    gc.collect()
    gc.disable()
    try:
        compiled = sne.compile(ensemble, "loihi")
        held = [weakref.ref(each.weights.values) for each in compiled.programs[0].synapses]
        del compiled
        assert all(each() is None for each in held)
    finally:
        gc.enable()


def test_nothing_is_refused_where_nothing_is_known(size: RunSize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sne_deploy.runtime.sizes.available_bytes", lambda: None)
    check_run(replace(size, samples=10**12))


def test_two_samples_are_not_told_to_be_fewer(size: RunSize, monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 64 * MIB)
    with pytest.raises(InputError, match=r"at most \d+ steps$") as refused:
        check_run(replace(size, samples=1, timesteps=10**6))
    assert "--samples" not in str(refused.value)


def test_what_counting_on_cores_takes_is_refused_before_it_is_taken(
    ensemble: sne.Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "PLACED_BYTES", 2**50)
    monkeypatch.setattr(Wiring, "of", lambda *_: pytest.fail("it was begun"))
    with (
        sne.compile(ensemble, "loihi") as compiled,
        pytest.raises(InputError, match=r"^running 3 samples .* needs"),
    ):
        compiled.run(np.zeros((3, 100, 10), np.uint8))


@pytest.mark.parametrize("channels", [32, 96])
def test_counting_on_cores_takes_no_more_than_is_said(channels: int) -> None:
    torch.manual_seed(0)
    layers = (
        torch.nn.Conv2d(2, channels, 3),
        LIFCell(),
        torch.nn.Conv2d(channels, 64, 3, stride=2),
        LIFCell(),
    )
    network = sne.ensemble(SequentialState(*layers), input_shape=(2, 24, 24), timesteps=2)
    with sne.compile(network, "loihi") as compiled:
        placement, rates = compiled.mapping, StepRates.of(compiled.hardware)
        sent = sum(core.uses["out_axons"].used for core in placement.cores)
        tracemalloc.start()
        try:
            Placer(Wiring.of(compiled.programs[0], placement, compiled.hardware), rates)
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert sizes.PLACED_BYTES * sent / 4 < taken < sizes.PLACED_BYTES * sent + sizes.PLACING_BYTES


@pytest.mark.parametrize("hardware", ["loihi1", "loihi2"])
@pytest.mark.parametrize("layers", ["maps", "dense"])
def test_finding_cores_takes_no_more_than_is_said(layers: str, hardware: str) -> None:
    torch.manual_seed(0)
    shape, maps = {
        "maps": ((8, 16, 16), (torch.nn.Conv2d(8, 96, 3), torch.nn.Conv2d(96, 64, 3))),
        "dense": ((3000,), (torch.nn.Linear(3000, 1500), torch.nn.Linear(1500, 9))),
    }[layers]
    each = [module for one in maps for module in (one, LIFCell())]
    network = sne.ensemble(SequentialState(*each), input_shape=shape, timesteps=2)
    with sne.compile(network, "loihi", hardware=hardware, fidelity=False) as compiled:
        said = mapping_bytes(compiled.programs, compiled.hardware)
        tracemalloc.start()
        try:
            assert compiled.mapping.cores
            taken = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert MIB < taken < said


def test_a_layer_that_is_refused_at_once_needs_no_memory_for_its_cores() -> None:
    torch.manual_seed(0)

    def need(inputs: int) -> int:
        network = SequentialState(torch.nn.Linear(inputs, 400, bias=False), LIFCell())
        with sne.compile(sne.ensemble(network, input_shape=inputs, timesteps=1), "loihi") as compiled:
            return mapping_bytes(compiled.programs, compiled.hardware)

    most = sizes.MAPPING_BYTES + 400 * (sizes.MAPPED_BYTES + 4000 * sizes.MAPPED_WEIGHT_BYTES)
    assert 0.9 * most < need(4000) < most  # some weights are 0 in integers
    assert need(5000) == sizes.MAPPING_BYTES


def test_a_run_asks_for_what_finding_cores_takes(
    ensemble: sne.Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "MAPPING_BYTES", 2**50)
    with sne.compile(ensemble, "loihi") as compiled:
        with pytest.raises(InputError, match=r"^running 3 samples of 100 steps needs about 1048576 GiB"):
            compiled.run(np.zeros((3, 100, 10), np.uint8))
        assert compiled.mapping.cores
        compiled.run(np.zeros((3, 100, 10), np.uint8))  # they are found


def test_finding_no_cores_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = SequentialState(torch.nn.Linear(5000, 3), LIFCell())
    calls: list[int] = []
    real = mapper.map_programs
    monkeypatch.setattr(mapper, "map_programs", lambda *args: (calls.append(1), real(*args))[1])
    with sne.compile(sne.ensemble(network, input_shape=5000, timesteps=2), "loihi") as compiled:
        for _ in range(2):
            assert compiled.run(np.zeros((1, 2, 5000), np.uint8)).report.mapping is None
            with pytest.raises(MappingError, match="in-axons"):
                _ = compiled.mapping
    assert calls == [1]


def test_slices_fit_what_is_left(size: RunSize, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for count in (MIB, 64 * MIB):
        left(monkeypatch, count)
        counts.append(len(list(sample_slices(size.programs, 1000, recorded=True))))
    assert counts[0] > 8 * counts[1]


def test_memory_that_ends_is_one_line(size: RunSize) -> None:
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):
        line = r"^out of memory: running 100000 samples .* at most \d+ samples"
        with pytest.raises(RunError, match=line), within_memory(size):
            raise error
    with pytest.raises(RuntimeError, match="another"), within_memory(size):
        raise RuntimeError("another")


def test_a_run_and_a_compilation_ask_before_they_begin(
    ensemble: sne.Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert weights_of(ensemble) == 10 * 30 + 30 * 4
    assert values_of(ensemble) == 2 * (30 + 4)  # of maps and neurons
    with sne.compile(ensemble, "loihi") as compiled:
        left(monkeypatch, 1000)
        with pytest.raises(InputError, match=r"^running 3 samples of 100 steps needs about"):
            compiled.run(np.zeros((3, 100, 10), np.uint8))
    refused = partial(pytest.raises, InputError)
    with refused(match=r"^compiling 420 weights needs about .* are left: split the model"):
        sne.compile(ensemble, "loihi")
    left(monkeypatch, bytes_of(400, values_of(ensemble), reference=True))
    with refused(match=r"prune or split the model to 400 weights, or use a larger machine$"):
        sne.compile(ensemble, "loihi")
    left(monkeypatch, bytes_of(420, values_of(ensemble), reference=False))
    with refused(match=r"leave the reference out \(sne compile --no-fidelity; in Python: fidelity=False\)"):
        sne.compile(ensemble, "loihi")
    sne.compile(ensemble, "loihi", fidelity=False)
    assert (available_bytes() or MIB) > 1000
