"""Training's forward pass on integers against a plain reference simulator, on random small networks."""

import norse.torch as norse
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.data.encode import encode
from sne_deploy.distill.students.quantise_aware import QuantisedRun, folded
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student
from tests.chip_registers import LOIHI1
from tests.distill.students.on_registers import assert_is_the_programs
from tests.effort import examples

STEPS, SHAPE = 6, (2, 4, 4)
CELLS = ("box", "lif", "if", "recurrent")


def cell(kind: str, size: int) -> nn.Module:
    """Neurons with time constants and thresholds that are drawn."""
    drawn = {name: torch.rand(()) for name in ("tau_mem_inv", "v_th", "v_leak", "tau_syn_inv")}
    values = {"tau_mem_inv": 100 + 800 * drawn["tau_mem_inv"], "v_th": 0.1 + 0.6 * drawn["v_th"]}
    leak = {"v_leak": 0.05 * drawn["v_leak"]}
    if kind == "box":
        return norse.LIFBoxCell(LIFBoxParameters(**values, **leak))
    if kind == "if":
        return norse.IAFCell()
    current = LIFParameters(**values, **leak, tau_syn_inv=200 + 600 * drawn["tau_syn_inv"])
    return norse.LIFCell(current) if kind == "lif" else norse.LIFRecurrentCell(size, size, current)


def network(seed: int, kinds: list[str], end: str) -> nn.Module:
    """A convolution with batch norm, a pool, dense layers; rows of weights that differ in size."""
    torch.manual_seed(seed)
    first = "box" if kinds[0] == "recurrent" else kinds[0]
    parts: list[nn.Module] = [nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), cell(first, 0)]
    parts += [nn.AvgPool2d(2), nn.Flatten()]
    size = 12
    for kind in kinds[1:]:
        parts += [cell(kind, size)] if kind == "recurrent" else [nn.Linear(size, 9), cell(kind, 9)]
        size = size if kind == "recurrent" else 9
    parts += [nn.Linear(size, 4)]
    parts += [{"li": norse.LICell, "li_box": norse.LIBoxCell, "box": lambda: cell("box", 4)}[end]()]
    made = nn.Sequential(*parts)
    with torch.no_grad():
        for layer in made:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.mul_(3.0 * 10.0 ** torch.empty(len(layer.weight)).uniform_(-1, 0.5).view(
                    -1, *(1,) * (layer.weight.ndim - 1)))  # fmt: skip
    return made.eval()


@settings(max_examples=examples(8), deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kinds=st.lists(st.sampled_from(CELLS), min_size=1, max_size=3),
    end=st.sampled_from(["li", "li_box", "box"]),
    kind=st.sampled_from(["constant", "spikes", "graded"]),
    bits=st.sampled_from([2, 4, 8, 16]),
)
def test_spikes_are_those_of_the_program(seed, kinds, end, kind, bits):
    plain = folded(network(seed, kinds, end), SHAPE)
    encoder, readout = Encoder(kind), "count" if end == "box" else "v_mean"
    program = compile_student(
        Student("s", layers_from_module(plain), readout),
        input_shape=SHAPE, timesteps=STEPS, encoder=encoder, precision="fixed", formats=LOIHI1.narrowed(bits),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    x = rng.random((3, *SHAPE) if kind == "constant" else (3, STEPS, *SHAPE))
    x = encode(encoder, (x < 0.3).astype(np.uint8) if kind == "spikes" else x.astype(np.float32), STEPS, 0)
    lengths = None if kind == "constant" else torch.full((3,), STEPS)
    with torch.no_grad():
        run = QuantisedRun(SHAPE, bits, encoder=encoder)
        made = run(plain, torch.from_numpy(x).float(), STEPS, readout, lengths)
    assert_is_the_programs(made, program, x)
