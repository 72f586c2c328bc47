"""What our lowering to Lava gains over the naive one, factor by factor: ratios within one run.

``python -m benchmarks.lava_lowering [MODEL] [--out FILE] [--samples N] [--rounds R]``

1. *Streaming*: all samples back to back in one Lava run, against one Lava run per sample (each is built,
   started, stepped and stopped). Seconds per sample.
2. *Convolution*: what our synapse process computes in a step (gather, count, scale) against what the stock
   ``Conv`` process computes, on the same spikes; the sums must be equal. Seconds per step.
3. *Network*: the same two in the whole network, streamed alike; the spikes must be equal. Seconds per step.
   No target: the messages between Lava's processes cost 0.5 to 1 ms per step whatever is computed, more
   than a small convolution.

Variants are interleaved; medians over rounds, with the smallest and the largest. Lava runs in a child
process, because the parent uses torch to read the model.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conv_compute import time_convolution
from sne_deploy.ir.program import NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights
from sne_lava.job import Job, SynapseJob
from sne_lava.leftovers import kill_group
from sne_lava.lowering import lower, make_job

MODEL = Path(__file__).parents[1] / "examples" / "digits" / "model.pt"
TARGETS = {"streaming": 10.0, "convolution": 3.0, "network": None}
NAIVE_SAMPLES = 5
"""Samples that the one-run-per-sample variant simulates in a round."""
LIMIT_S = 1800.0
"""Lava waits forever for a process that failed; a measurement that takes longer than this has."""


@dataclass(frozen=True)
class Case:
    """One comparison: a job, and for convolutions the geometry of the synapses that ``Conv`` replaces."""

    name: str
    factor: str
    job: Job
    convs: dict[str, ConvWeights]


def main() -> int:
    """Print the table, write the figures; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, default=Path("lava_lowering.json"))
    parser.add_argument("--samples", type=int, default=64, help="samples in a streamed run")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cases = [*_student_cases(options.model, options.samples), *_layer_cases()]
    rows = _in_child(cases, options.rounds)
    _print(rows)
    document = {"targets": TARGETS, "samples": options.samples, "rounds": options.rounds, "rows": rows}
    options.out.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(row["ratio"] >= (row["target"] or 0.0) for row in rows) else 1


# --- what is measured -------------------------------------------------------------------------------


def _student_cases(model: Path, samples: int) -> list[Case]:
    """Every student of an ensemble streamed; those with convolutions also against ``Conv``."""
    import sne_deploy as sne
    from sne_deploy.data import load_data
    from sne_deploy.data.encode import encode

    ensemble = sne.load(model)
    data = load_data(
        "digits", input_shape=ensemble.input_shape, timesteps=ensemble.timesteps, encoder=ensemble.encoder
    )
    inputs = encode(ensemble.encoder, data.x[:samples], ensemble.timesteps, seed=0)
    cases = []
    with sne.compile(ensemble, target="lava", fidelity=False) as compiled:
        for program in compiled.programs:
            job = make_job(lower(program), inputs, "counts", None, 600.0)[0]
            cases.append(Case(f"student {program.name}", "streaming", job, {}))
            convs = _convolutions(program)
            if convs:
                name = f"student {program.name}"
                cases += [Case(name, factor, job, convs) for factor in ("convolution", "network")]
    return cases


def _convolutions(program: Program) -> dict[str, ConvWeights]:
    """The program's convolutions with ``weight_exp`` already in the kernel, which ``Conv`` would ignore."""
    return {
        synapse.name: synapse.weights.with_values(synapse.weights.kernel << synapse.weight_exp)
        for synapse in program.synapses
        if isinstance(synapse.weights, ConvWeights)
    }


def _layer_cases() -> list[Case]:
    """One convolution of a size that students have: 16x16x16 to 32x8x8, 3x3, stride 2, 10 % spikes."""
    rng = np.random.default_rng(0)
    kernel = (rng.integers(-60, 61, (32, 16, 3, 3)) * 2).astype(np.int32)
    conv = ConvWeights(kernel, (16, 16, 16), (32, 8, 8), stride=(2, 2), padding=(1, 1))
    registers = {"du": 4095, "dv": 400, "vth_mant": 300, "bias_mant": 0, "v_init": 0}
    arrays: dict[str, Any] = {name: np.asarray(value, np.int32) for name, value in registers.items()}
    group = NeuronGroup(
        "lif", "lif", (32, 8, 8), bias_exp=0, depth=1, scale=1.0, v_reset=np.zeros(()), **arrays
    )
    program = Program(
        name="layer",
        precision="fixed",
        timesteps=10,
        input=ProgramInput("input", (16, 16, 16), "spikes"),
        groups=(group,),
        synapses=(Synapse("conv", "input", "lif", conv),),
        outputs=("lif",),
        readout="count",
        hosts=(),
        graph=None,  # type: ignore[arg-type]  # lowering does not look at it
        dt_s=1e-3,
    )
    inputs = (rng.random((20, 10, 16, 16, 16)) < 0.1).astype(np.uint8)
    job = make_job(lower(program), inputs, "counts", None, 600.0)[0]
    name, convs = "layer 16x16x16 -> 32x8x8, 3x3/2", _convolutions(program)
    return [Case(name, factor, job, convs) for factor in ("convolution", "network")]


# --- measuring, in a process that has never used torch ----------------------------------------------


def _in_child(cases: list[Case], rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "cases"), Path(folder, "rows")
        given.write_bytes(pickle.dumps(([vars(case) for case in cases], rounds)))
        root = str(Path(__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path]), "OMP_NUM_THREADS": "1"}
        code = "import sys; from benchmarks.lava_lowering import measure; measure(*sys.argv[1:])"
        command = [sys.executable, "-c", code, str(given), str(taken)]
        with subprocess.Popen(command, env=environment, start_new_session=True) as child:
            try:
                status = child.wait(LIMIT_S)
            finally:
                kill_group(child.pid)  # Lava's processes would outlive a failed run
        if status != 0:
            raise RuntimeError(f"the measuring process ended with status {status}")
        rows: list[dict[str, Any]] = json.loads(taken.read_text())
        return rows


def measure(given: str, taken: str) -> None:
    """Measure the cases of one file into another."""
    from sne_lava.compat import import_lava

    import_lava()
    cases, rounds = pickle.loads(Path(given).read_bytes())  # noqa: S301  # written by the parent
    rows = []
    for case in (Case(**fields) for fields in cases):
        seconds: dict[str, list[float]] = {"naive": [], "ours": []}
        for _ in range(rounds):
            for variant, value in _round(case).items():
                seconds[variant].append(value)
        rows.append(_row(case, seconds))
    Path(taken).write_text(json.dumps(rows))


def _round(case: Case) -> dict[str, float]:
    if case.factor == "streaming":
        singles = [case.job.part(n, n + 1) for n in range(NAIVE_SAMPLES)]
        naive = statistics.fmean(_run(job)[0] for job in singles)
        return {"naive": naive, "ours": _run(case.job)[0] / case.job.samples}
    if case.factor == "convolution":
        return _compute(case)
    stock, ours = _run(case.job, case.convs), _run(case.job)
    for name, counts in ours[2].items():
        if not np.array_equal(counts.spikes, stock[2][name].spikes):
            raise RuntimeError(f"{case.name}: group {name!r} spikes otherwise with the stock Conv")
    return {"naive": stock[1] / case.job.steps, "ours": ours[1] / case.job.steps}


def _compute(case: Case) -> dict[str, float]:
    """Seconds per step inside the two processes, over all convolutions, on the spikes that they receive."""
    replaced = [synapse for synapse in case.job.synapses if synapse.name in case.convs]
    pairs = [
        time_convolution(case.convs[synapse.name], synapse, _spikes_into(case.job, synapse.source))
        for synapse in replaced
    ]
    return {"naive": sum(naive for naive, _ in pairs), "ours": sum(ours for _, ours in pairs)}


@cache
def _spikes_into(job: Job, source: str) -> np.ndarray:
    """Every step that a synapse receives from the input or a group: bool array of shape (steps, n)."""
    sizes = {job.input_name: job.input_size} | {group.name: group.size for group in job.groups}
    if source in {group.name for group in job.groups}:
        bits = _run(replace(job, record="spikes"))[2][source].spike_bits
    else:
        bits = job.spike_bits
    steps = np.asarray(bits).reshape(job.samples * job.timesteps, -1)
    return np.unpackbits(steps, axis=1, count=sizes[source]).astype(bool)


def _run(job: Job, convs: dict[str, ConvWeights] | None = None) -> tuple[float, float, Any]:
    """Seconds of the whole run and of its steps alone, and what the groups did."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    from sne_lava import network

    start = time.perf_counter()
    built = network.build(
        replace(job, synapses=tuple(s for s in job.synapses if s.name not in (convs or {})))
    )
    for synapse in job.synapses:
        if convs and synapse.name in convs:
            processes = {process.proc_params["label"]: process for process in built.processes}
            _connect_stock_conv(convs[synapse.name], synapse, processes)
    built.lead.create_runtime(run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    stepping = time.perf_counter()
    built.lead.run(RunSteps(num_steps=job.steps))
    stepped = time.perf_counter() - stepping
    counts = built.counts(job)
    built.lead.stop()
    return time.perf_counter() - start, stepped, counts


def _connect_stock_conv(conv: ConvWeights, synapse: SynapseJob, processes: dict[str, Any]) -> None:
    """Put the stock ``Conv`` where the synapse was."""
    from benchmarks.stock_conv.process import FlatConv

    c_in, in_h, in_w = conv.in_shape
    source = processes.get(f"group {synapse.source!r}") or processes[f"input {synapse.source!r}"]
    process = FlatConv(
        board=source.proc_params["board"],
        label=f"Conv {synapse.name!r}",
        weight=conv.kernel[:, :, ::-1, ::-1].transpose(0, 2, 3, 1),  # Conv flips kernels, torch does not
        input_shape=(in_h, in_w, c_in),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    )
    source.s_out.connect(process.s_in)
    process.a_out.connect(processes[f"group {synapse.target!r}"].a_in)


# --- the table --------------------------------------------------------------------------------------


def _row(case: Case, seconds: dict[str, list[float]]) -> dict[str, Any]:
    medians = {variant: statistics.median(values) for variant, values in seconds.items()}
    ratios = [naive / ours for naive, ours in zip(seconds["naive"], seconds["ours"], strict=True)]
    return {
        "name": case.name,
        "factor": case.factor,
        "unit": "s per sample" if case.factor == "streaming" else "s per step",
        "target": TARGETS[case.factor],
        "naive_s": medians["naive"],
        "ours_s": medians["ours"],
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    print(f"{'':<34}{'factor':<13}{'naive':>11}{'ours':>11}{'ratio':>8}   (range)        target")
    for row in rows:
        target = "-" if row["target"] is None else f"{row['target']:.0f}x"
        spread = f"({row['ratio_min']:.1f} to {row['ratio_max']:.1f})"
        times = f"{1e3 * row['naive_s']:>8.3f} ms{1e3 * row['ours_s']:>8.3f} ms{row['ratio']:>7.1f}x"
        print(f"{row['name']:<34}{row['factor']:<13}{times}   {spread:<15}{target}")
    print("naive and ours: milliseconds per sample (streaming) or per step (the others)")


if __name__ == "__main__":
    sys.exit(main())
