"""lava-dl's PilotNet, read from its file, against its recording: every spike, u and v of every layer.

The recording is one continuous run. Layer L (the input layer is 0) works L steps behind the input and is
reset at steps L and L + 17: so from step L on, the recording is the Program's samples of 17 steps, back to
back. Before that, each layer runs on its biases and on what the layer before it makes of its own: that is the
Program with every layer at the same time, without a delay of the pipeline, from zero.

v of a neuron that has just spiked was recorded as 128: the refractory delay of one step, which Loihi keeps in
the same register; a Program's v is 0 there. The last layer (fc-3) was recorded in another run, of 25 steps,
reset at steps L - 1 and L + 15.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_netx.format.file import read_net
from tests.shared_data import shared

pytestmark = pytest.mark.usefixtures("warm_lava")

LAYERS = ("input", "conv-0", "conv-1", "conv-2", "conv-3", "conv-4", "fc-0", "fc-1", "fc-2", "fc-3")
"""The recording's names, in the order of the Program's groups."""
STEPS, PERIOD, LAST_PERIOD = 24, 17, 16
REFRACTORY = 128


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    """Arrays of shape (c, h, w, time) or (n, time), int64; the image (c, h, w)."""
    with np.load(shared("models", "pilotnet", "recorded.npz")) as file:
        arrays = {name: file[name].astype(np.int64) for name in file}
    return {name: a.transpose(2, 1, 0, *range(3, a.ndim)) if a.ndim > 2 else a for name, a in arrays.items()}


@pytest.fixture(scope="module")
def image(recorded: dict[str, np.ndarray]) -> np.ndarray:
    """What the input layer takes: the recording has it after ``40 x + 36``."""
    return (recorded["image"] - 36) / 40.0


def run(program: Program, inputs: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Spikes, u and v of every group of target loihi: each [N, T, ...]."""
    with load_backend("loihi").compile(program, RunOptions()) as executable:
        trace = executable.run(inputs, "all")
    return [{"": t.recorded_spikes, "-u": t.recorded_u, "-v": t.recorded_v} for t in trace.layers]


def joined(array: np.ndarray) -> np.ndarray:
    """Samples back to back, time last."""
    return np.moveaxis(array.reshape(-1, *array.shape[2:]), 0, -1).astype(np.int64)


def at_once(program: Program) -> Program:
    """The same network, every group at the input layer's time: what is sent at a step arrives at the next."""
    groups = tuple(replace(group, depth=0) for group in program.groups)
    synapses = tuple(replace(synapse, within_sample=True) for synapse in program.synapses)
    changed = replace(program, groups=groups, synapses=synapses, timesteps=len(LAYERS))
    verify(changed, "setting depths")
    return changed


@pytest.fixture(scope="module")
def network() -> Path:
    return shared("models", "pilotnet", "network.net")


@pytest.fixture(scope="module")
def program(network: Path) -> Program:
    return replace(read_net(network), timesteps=PERIOD)


@pytest.fixture(scope="module")
def before(program: Program, image: np.ndarray) -> list[dict[str, np.ndarray]]:
    """What the layers do before their first sample."""
    return run(at_once(program), image[None])


def test_every_recorded_spike_u_and_v(
    program: Program, recorded: dict[str, np.ndarray], image: np.ndarray, before: list[dict[str, np.ndarray]]
) -> None:
    after = run(program, np.stack([image, image]))
    compared = []
    for depth, name in enumerate(LAYERS[:-1]):
        for what in ("", "-u", "-v"):
            if name + what not in recorded:
                continue
            wanted = recorded[name + what].reshape(*program.groups[depth].shape, STEPS)
            got = joined(after[depth][what])[..., : STEPS - depth]
            got = np.concatenate([joined(before[depth][what])[..., :depth], got], axis=-1)
            if what == "-v":
                spikes = recorded[name].reshape(wanted.shape) == 1
                assert np.all(got[spikes] == 0)
                got = np.where(spikes, REFRACTORY, got)
            np.testing.assert_array_equal(got, wanted, err_msg=name + what)
            compared.append(name + what)
    assert sorted(compared) == sorted(k for k in recorded if k != "image" and not k.startswith("fc-3"))


def test_the_last_layer_from_spikes(
    network: Path, recorded: dict[str, np.ndarray], before: list[dict[str, np.ndarray]]
) -> None:
    """Its run began inside a sample: the input was silent at that sample's first step."""
    program = replace(read_net(network, skip_input_neurons=True), timesteps=LAST_PERIOD)
    assert program.input.kind == "spikes"
    sent = np.moveaxis(recorded["input"], -1, 0)[:LAST_PERIOD].astype(np.uint8)
    first = np.concatenate([np.zeros_like(sent[:1]), sent[:-1]])
    depth = len(LAYERS) - 2
    last = run(program, np.stack([first, sent]))[-1]
    for what in ("-u", "-v"):
        got = np.concatenate([joined(before[-1][what])[..., :depth], joined(last[what])], axis=-1)
        np.testing.assert_array_equal(got[..., :25], recorded["fc-3" + what])
    assert program.groups[-1].kind == "li"
    assert not recorded["fc-3-s"].any()


def test_lava_gives_the_same(program: Program, image: np.ndarray) -> None:
    """Of all layers, on a few steps: Lava takes its time."""
    short = replace(program, timesteps=3)
    traces: list[Any] = []
    for target in ("loihi", "lava"):
        with load_backend(target).compile(short, RunOptions()) as executable:
            traces.append(executable.run(image[None], "all"))
    for ours, theirs in zip(traces[0].layers, traces[1].layers, strict=True):
        for field in ("recorded_u", "recorded_v", "recorded_spikes", "synops", "updates_active"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field), err_msg=ours.name)
    assert traces[0].layers[5].spikes[0] > 0
