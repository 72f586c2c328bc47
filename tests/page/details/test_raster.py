"""The raster is what was recorded: every spike of the neurons that are kept, and no other."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.data.encode import encode
from sne_deploy.page.details import raster as rasters
from tests.effort import examples
from tests.page.runs import SAMPLES, digits, drawn

SEEDS = st.integers(0, 2**32 - 1)


@cache
def recorded():
    _, _, x, y = digits_split()
    with sne.compile(sne.load("examples/digits/model.pt"), target="loihi", fidelity=False) as compiled:
        return compiled.run(x[:SAMPLES], y[:SAMPLES], record="spikes")


def spikes_of(layer, train):
    """As a raster has them, walked one by one."""
    flat = train.reshape(len(train), -1)
    assert flat.shape[1] == layer.neurons
    return [
        (step, neuron)
        for step in range(len(flat))
        for neuron in range(0, layer.neurons, layer.every)
        if flat[step, neuron]
    ]


@settings(max_examples=examples(4), deadline=None)
@given(seed=SEEDS)
def test_it_has_the_recorded_spikes_of_the_students_that_ran(seed):
    source = drawn(seed, SAMPLES, 10)
    found = rasters.raster(source)
    k = found.sample
    ran = [student for student in recorded().students if source.run.active[k][student_index(student)]]
    assert [student.name for student in found.students] == [student.name for student in ran]
    for ours, theirs in zip(found.students, ran, strict=True):
        assert ours.predicted == theirs.alone[k]
        assert [layer.name for layer in ours.layers] == [
            group.name for group in theirs.program.groups if group.spiking
        ]
        for layer in ours.layers:
            assert list(layer.spikes) == spikes_of(layer, theirs.spikes[layer.name][k])
    assert (found.label, found.predicted) == (source.run.labels[k], source.run.predictions[k])
    assert (found.steps, found.all_steps, found.left_out) == (16, 16, 0)


def student_index(student):
    return [each.name for each in recorded().students].index(student.name)


@settings(max_examples=examples(20), deadline=None)
@given(seed=SEEDS)
def test_the_sample_is_the_first_with_the_mean_number_of_students(seed):
    run = drawn(seed, SAMPLES, 4).run
    numbers = run.active.sum(axis=1).tolist()
    mean = sum(numbers) / SAMPLES
    best = min(range(SAMPLES), key=lambda k: (abs(numbers[k] - mean), numbers[k], k))
    assert rasters.typical_sample(run) == best


@settings(max_examples=examples(30), deadline=None)
@given(seed=SEEDS, neurons=st.integers(1, 1300), steps=st.integers(1, 12), budget=st.integers(12, 300))
def test_as_many_neurons_are_kept_as_the_bounds_allow(seed, neurons, steps, budget):
    rng = np.random.default_rng(seed)
    train = rng.random((steps, neurons)) < rng.random()
    layer = rasters._layer("layer", train, budget)
    assert list(layer.spikes) == spikes_of(layer, train)
    assert len(layer.spikes) <= budget
    assert -(-neurons // layer.every) <= rasters.MAX_NEURONS
    fewer = layer.every - 1
    if fewer:
        many = -(-neurons // fewer) > rasters.MAX_NEURONS
        assert many or train[:, ::fewer].sum() > budget


def test_many_layers_and_steps_are_bounded_and_named(monkeypatch):
    monkeypatch.setattr(rasters, "MAX_LAYERS", 5)
    monkeypatch.setattr(rasters, "MAX_SPIKES", 60)
    found = rasters.raster(digits().source)
    kept = [layer for student in found.students for layer in student.layers]
    assert (len(kept), found.left_out) == (5, 2)
    assert found.steps == 12
    assert sum(len(layer.spikes) for layer in kept) <= 60
    assert max(step for layer in kept for step, _ in layer.spikes) < 12
    assert [len(student.layers) for student in found.students] == [2, 2, 1, 0]


def spiking_input():
    """Two neurons that hear three inputs, the second twice as loud."""
    graph = nir.NIRGraph(
        nodes={
            "input": nir.Input({"input": np.array([3])}),
            "map": nir.Linear(np.array([[0.5, 0.25, 1.0], [1.0, 0.5, 2.0]])),
            "cells": nir.LIF(
                tau=np.full(2, 4e-3), r=np.full(2, 4.0), v_leak=np.zeros(2), v_threshold=np.full(2, 0.9)
            ),
            "output": nir.Output({"output": np.array([2])}),
        },
        edges=[("input", "map"), ("map", "cells"), ("cells", "output")],
    )
    return sne.load(graph, timesteps=9, dt_s=1e-3)


@pytest.mark.parametrize("ragged", [False, True])
def test_input_spikes_are_a_layer_of_their_own_for_the_sample_s_own_steps(ragged):
    rng = np.random.default_rng(3)
    lengths = rng.integers(2, 9, size=6) if ragged else np.full(6, 9)
    x = [rng.integers(2, size=(steps, 3), dtype=np.uint8) for steps in lengths]
    with sne.compile(spiking_input(), target="loihi", fidelity=False) as compiled:
        result = compiled.run(x if ragged else np.stack(x), record="spikes")
    found = rasters.raster(result.source)
    assert (found.sample, found.label, found.steps) == (0, None, lengths[0])
    entering, cells = found.students[0].layers
    assert (entering.name, cells.name) == (result.students[0].program.input.name, "cells")
    assert list(entering.spikes) == spikes_of(entering, x[0])
    assert cells.spikes
    assert list(cells.spikes) == spikes_of(cells, result.students[0].spikes["cells"][0][: lengths[0]])


def test_random_encoders_draw_the_same_spikes_again(monkeypatch):
    ensemble = replace(spiking_input(), encoder=sne.Encoder("bernoulli"))
    x = np.random.default_rng(4).random((5, 3))
    with sne.compile(ensemble, target="loihi", fidelity=False, seed=7) as compiled:
        result = compiled.run(x, record="spikes")
    monkeypatch.setattr(rasters, "typical_sample", lambda run: 3)
    entering, cells = rasters.raster(result.source).students[0].layers
    assert list(entering.spikes) == spikes_of(entering, encode(ensemble.encoder, x, 9, seed=7)[3])
    assert cells.spikes
    assert list(cells.spikes) == spikes_of(cells, result.students[0].spikes["cells"][3])
