"""Maps are cut by boxes where memory leaves room for few neurons, in a search that stays short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.chips.chip import load_chip
from sne_deploy.ir.weights import ConvWeights
from sne_deploy.mapping import cutting
from sne_deploy.mapping.layer import Layer
from tests.small_programs import one_layer


def convolution(channels: int, side: int) -> ConvWeights:
    rng = np.random.default_rng(0)
    kernel = (rng.integers(-100, 100, (channels, channels, 3, 3)) * 2).astype(np.int32)
    shape = (channels, side, side)
    return ConvWeights(kernel, shape, shape, padding=(1, 1))


def test_a_map_that_memory_binds_is_cut_by_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, chip = convolution(96, 8), load_chip("loihi1")
    program = one_layer([[1]], "mixed")
    group = replace(program.groups[0], shape=weights.out_shape)
    synapse = replace(program.synapses[0], weights=weights)
    program = replace(program, groups=(group,), synapses=(synapse,))
    tried = []
    pieces = Layer.pieces
    monkeypatch.setattr(Layer, "pieces", lambda *given: tried.append(1) or pieces(*given))
    found = cutting.cut(Layer(program, group, np.zeros(group.size, np.int64), chip))
    assert found.found.ratio.max() <= 1
    bits = found.found.uses["synapse_memory_bits"]
    assert found.pieces <= 1.75 * bits.sum() / chip.limits.synapse_memory_per_core.value
    assert len(tried) < 60
    for piece in range(found.pieces):
        held = np.nonzero(found.piece_of.reshape(group.shape) == piece)
        assert np.prod([np.ptp(each) + 1 for each in held]) == len(held[0])


def test_on_many_chips_a_map_is_cut_so_that_few_cores_hear_a_neuron() -> None:
    """By positions, all channels together, where by channels two cores less would do."""
    weights, chip = convolution(64, 8), load_chip("loihi1")
    kernel = weights.kernel * (np.random.default_rng(1).random(weights.kernel.shape) < 0.25)
    weights = replace(weights, kernel=kernel)
    program = one_layer([[1]], "mixed")
    group = replace(program.groups[0], shape=weights.out_shape)
    program = replace(program, groups=(group,), synapses=(replace(program.synapses[0], weights=weights),))
    layers = [
        Layer(program, group, np.zeros(group.size, np.int64), chip, many_chips=many) for many in (False, True)
    ]
    few, near = (cutting.cut(layer) for layer in layers)
    assert few.pieces <= near.pieces
    messages = [int(each.found.uses["in_axons"].sum()) for each in (few, near)]
    assert messages[1] < 0.8 * messages[0]
    most = chip.limits.out_axons_across_chips_per_core.value
    assert near.pieces + messages[1] / most < few.pieces + messages[0] / most
    assert max(each.found.ratio.max() for each in (few, near)) <= 1
