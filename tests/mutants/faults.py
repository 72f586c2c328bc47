"""The faults, and the tests that are to notice them.

Those under "by a reader" were chosen from the code alone by somebody who had not seen the tests, and stay as
they were chosen, whatever is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

LOIHI = "tests/backends/sne_loihi"
METHODS = f"{LOIHI}/test_against_reference.py::test_every_method_counts_and_spikes_alike"
RANDOM = f"{LOIHI}/test_against_reference.py::test_registers_of_random_programs"
EDGES = "tests/backends/test_edges.py"


@dataclass(frozen=True)
class Fault:
    """One replacement of a text that occurs once in a file, and where it must be noticed."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


CHOSEN = (
    Fault(
        "convolution-sums",
        "backends/sne_loihi/products.py",
        "flat = sums.permute(0, 2, 3, 1).reshape(len(spikes), -1)",
        "flat = 1 + sums.permute(0, 2, 3, 1).reshape(len(spikes), -1)",
        (f"{METHODS}[convolution]",),
    ),
    Fault(
        "product-offset",
        "backends/sne_loihi/products.py",
        "        if self.offset:\n",
        "        if not self.offset:\n",
        (f"{METHODS}[matrix]",),
    ),
    Fault(
        "late-synapse",
        "backends/sne_loihi/sums.py",
        "moved[:, lag:] = spikes[:, :-lag]",
        "moved[:, :-lag] = spikes[:, lag:]",
        (RANDOM,),
    ),
    Fault(
        "border-of-fan-out",
        "sne_deploy/ir/fan_out.py",
        "read[taps, sources] = 1",
        "read[taps, sources] = sources > 0",
        (f"{METHODS}[events]",),
    ),
    Fault(
        "fired-is-strict",
        "backends/sne_loihi/neurons/leaky.py",
        "    spike = v > registers[VTH, k]\n    return u",
        "    spike = v >= registers[VTH, k]\n    return u",
        (RANDOM, EDGES),
    ),
    Fault(
        "current-at-its-edge",
        "backends/sne_loihi/neurons/leaky.py",
        "    if u > _HALF:\n",
        "    if u >= _HALF:\n",
        (RANDOM, EDGES),
    ),
    Fault(
        "cascade-at-threshold",
        "sne_deploy/runtime/run.py",
        "undecided & (sure < (policy.threshold or 1.0))",
        "undecided & (sure <= (policy.threshold or 1.0))",
        ("tests/runtime/test_run.py",),
    ),
    Fault(
        "weights-round-down",
        "sne_deploy/ir/registers.py",
        "np.rint(values / (to.step * lsb))",
        "np.floor(values / (to.step * lsb))",
        ("tests/passes/test_weight_registers.py", "tests/passes/test_quantise.py"),
    ),
)

BY_A_READER: tuple[Fault, ...] = (
    Fault(
        "constant-is-shifted-too",
        "backends/sne_loihi/kernels.py",
        "drive[j] = _i32(_i32(drive[j] << shift) + same[j])",
        "drive[j] = _i32(_i32(drive[j] + same[j]) << shift)",
        (RANDOM,),
    ),
    Fault(
        "synops-after-the-sample",
        "sne_deploy/runtime/synops.py",
        "counts = sent(synapse.source, max(program.timesteps - lag, 0))",
        "counts = sent(synapse.source, program.timesteps)",
        (RANDOM,),
    ),
    Fault(
        "decay-of-current-as-of-voltage",
        "sne_deploy/neurons/dynamics.py",
        '"du": rounded(np.rint(group.du * unity) - 1, 0, formats.decay_max),',
        '"du": rounded(group.du * unity, 0, formats.decay_max),',
        ("tests/neurons/test_dynamics.py", "tests/passes/test_quantise.py"),
    ),
    Fault(
        "current-outlives-the-sample",
        "backends/sne_loihi/kernels.py",
        "    fired[:] = 0\n    for b in range(batch):\n        u = np.zeros(n, np.int32)\n",
        "    fired[:] = 0\n    u = np.zeros(n, np.int32)\n    for b in range(batch):\n",
        (RANDOM,),
    ),
    Fault(
        "soft-reset-by-threshold",
        "backends/sne_loihi/neurons/leaky.py",
        "_i32(v - max(vsub, _i32(0)))",
        "_i32(v - registers[VTH, k])",
        (RANDOM,),
    ),
    Fault(
        "delayed-reset-at-once",
        "backends/sne_loihi/neurons/leaky.py",
        "reset = _i32(0) if vsub == HARD else",
        "reset = _i32(0) if vsub < 0 else",
        (RANDOM, EDGES),
    ),
    Fault(
        "wraps-from-below-are-not-counted",
        "backends/sne_loihi/neurons/leaky.py",
        "    return raw != u, (not waits)",
        "    return raw > u, (not waits)",
        ("tests/backends/test_outside.py",),
    ),
    Fault(
        "refractory-step-forgotten-in-the-bounds",
        "sne_deploy/ir/bounds.py",
        "v_low, v_high = model.waited(model.membrane(v_low, u_low), model.membrane(v_high, u_high))",
        "v_low, v_high = model.membrane(v_low, u_low), model.membrane(v_high, u_high)",
        ("tests/ir/test_bounds.py", "tests/neurons/test_dynamics.py"),
    ),
    Fault(
        "absent-students-are-zero",
        "sne_deploy/runtime/head.py",
        "change = np.where(active[:, index, None], output - mean[part], 0.0)",
        "change = np.where(active[:, index, None], output, 0.0) - mean[part]",
        ("tests/runtime/test_head.py",),
    ),
    Fault(
        "order-as-ranks",
        "sne_deploy/runtime/run.py",
        "for index in policy.order or tuple(range(len(traces))):",
        "for index in np.argsort(policy.order) if policy.order else range(len(traces)):",
        ("tests/runtime/test_run.py",),
    ),
    Fault(
        "cycle-without-depths",
        "backends/sne_loihi/cycles.py",
        'link["n_in"], link["lag"] = operator.shape[1], plan.lag(operator)',
        'link["n_in"], link["lag"] = operator.shape[1], 1 + operator.synapse.delay',
        (RANDOM,),
    ),
    Fault(
        "idle-updates-for-nothing",
        "sne_deploy/energy/accounting.py",
        " + counts.updates_idle * price(idle)",
        "",
        ("tests/energy",),
    ),
)

FAULTS = (*CHOSEN, *BY_A_READER)
