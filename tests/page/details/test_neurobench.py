"""NeuroBench's metrics: equal to what its own package computes, where both can; elsewhere by brute force."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import norse.torch as snn
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.ir.program import ALWAYS_ON
from sne_deploy.ir.weights import ConvWeights
from sne_deploy.page.details.neurobench import NeurobenchModel, connections, neurobench
from sne_deploy.page.html.neurobench import neurobench_section
from tests.effort import examples
from tests.page.details import neurobench_networks as networks

PACKAGES = ("neurobench==2.3.0", "snntorch==1.0.0")
"""The second is imported by the first's metrics; the rest of what it asks for, they do without."""
UNREACHABLE = re.compile("connection|timed out|temporary failure|name resolution|network is", re.IGNORECASE)


@pytest.fixture(scope="module")
def package() -> Path:
    """A folder of its own with the packages, and nothing that they ask for; made where it is missing."""
    folder = Path(sys.prefix) / "neurobench" / "-".join(PACKAGES)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--retries",
            "1",
            "--timeout",
            "20",
        ]
        target = Path(made) / "packages"
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--target", target, *PACKAGES],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            reason = f"{' and '.join(PACKAGES)} cannot be had: {done.stderr.strip()[-500:]}"
            if os.environ.get("CI") and not UNREACHABLE.search(done.stderr):
                pytest.fail(reason)
            pytest.skip(reason)
        if not folder.is_dir():
            target.rename(folder)
    return folder


def values(found: NeurobenchModel) -> dict[str, float | None]:
    """Of the only student."""
    return {metric.name: metric.students[0] for metric in found.metrics}


def test_the_package_computes_the_same_of_the_same_network(package, tmp_path) -> None:
    rng = np.random.default_rng(0)
    ours = {}
    for name, (make, readout) in networks.NETWORKS.items():
        x = (rng.random((networks.SAMPLES, networks.STEPS, 2, 8, 8)) < 0.3).astype(np.uint8)
        y = rng.integers(0, 10, networks.SAMPLES)
        np.savez(tmp_path / name, x=x, y=y)
        network = make()
        ensemble = sne.ensemble(
            [snn.SequentialState(*network)], input_shape=(2, 8, 8), timesteps=networks.STEPS, readout=readout
        )
        with sne.compile(ensemble, target="norse") as compiled:
            ours[name] = values(neurobench(compiled.run(x, y).source))
    done = subprocess.run(
        [sys.executable, networks.__file__, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": f"{package}"},
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads((tmp_path / "measured.json").read_text())
    for name, found in ours.items():
        expected = theirs[name]
        assert found.pop("MembraneUpdates") is None
        assert round(found.pop("ConnectionSparsity"), 4) == expected.pop("ConnectionSparsity")
        assert found.pop("ClassificationAccuracy") == pytest.approx(expected.pop("ClassificationAccuracy"))
        assert found == expected, name
        assert 0.02 < found["Effective_ACs"] / found["Dense"] < 0.5
        assert 0.5 < found["ActivationSparsity"] < 0.99


@pytest.fixture(scope="module")
def result():
    """Input on the host, current, recurrence; a cascade: students ran on 20, 11, 3 and 1 samples."""
    _, _, x, y = digits_split()
    ensemble = sne.load("examples/digits/model.pt")
    policy = sne.ActivationPolicy("confidence", threshold=0.7)
    with sne.compile(ensemble, target="loihi", fidelity=False, policy=policy) as compiled:
        return compiled.run(x[:20], y[:20], record="spikes")


def per_sample(total: int, student) -> float:
    return total / int(student.active.sum())


def test_operations_are_those_of_a_loop_over_synapses_and_spikes(result) -> None:
    found = neurobench(result.source)
    by_name = {metric.name: metric for metric in found.metrics}
    sums = dict.fromkeys(("Effective_MACs", "Effective_ACs", "Dense"), 0)
    for index, student in enumerate(result.run.students):
        program, rows = student.program, np.flatnonzero(student.active)
        acs = macs = dense = 0
        for host in program.hosts:
            table = host.matrix.toarray()
            for n in rows:
                inputs = result.source.data.x[n].reshape(-1)
                macs += int(np.sum((table != 0) & (inputs != 0)))
                dense += int(np.sum(table != 0))
        for synapse in program.synapses:
            if synapse.source == ALWAYS_ON:
                continue
            exist = synapse.weights.matrix().toarray() != 0
            possible = synapse.weights.with_values(np.ones_like(synapse.weights.values)).matrix().nnz
            spikes = student.spikes[synapse.source]
            for n in rows:
                for t in range(program.timesteps - program.lag(synapse)):
                    acs += int(exist[:, spikes[n, t].reshape(-1)].sum())
                    dense += possible
        for name, total in (("Effective_MACs", macs), ("Effective_ACs", acs), ("Dense", dense)):
            assert by_name[name].students[index] == per_sample(total, student), (student.name, name)
            sums[name] += total
    head = int(result.run.head_macs.sum() + result.run.gate_macs.sum())
    assert by_name["Effective_MACs"].ensemble == (sums["Effective_MACs"] + head) / 20
    assert by_name["Effective_ACs"].ensemble == sums["Effective_ACs"] / 20
    assert by_name["Dense"].ensemble == (sums["Dense"] + head) / 20
    assert 0 < by_name["Effective_ACs"].ensemble <= result.report.ensemble.synops_per_sample


def test_the_others_are_the_reports_the_placements_and_the_weights(result) -> None:
    found = neurobench(result.source)
    by_name = {metric.name: metric for metric in found.metrics}
    placement = result.source.placement
    whole = [0, 0]
    for index, (student, reported) in enumerate(
        zip(result.run.students, result.report.students, strict=True)
    ):
        bits = sum(
            placement.cores[core].uses["synapse_memory_bits"].used
            for core in placement.cores_of(student.name)
        )
        assert by_name["Footprint"].students[index] == bits / 8
        assert by_name["ClassificationAccuracy"].students[index] == reported.accuracy
        assert by_name["MembraneUpdates"].students[index] == reported.updates_active_per_sample
        spiking = [student.spikes[g.name][student.active] for g in student.program.groups if g.spiking]
        silent = sum(int(np.sum(~each)) for each in spiking) / sum(each.size for each in spiking)
        assert by_name["ActivationSparsity"].students[index] == silent
        stored = [s.weights.values for s in student.program.synapses if s.source != ALWAYS_ON]
        zeros, size = sum(int(np.sum(each == 0)) for each in stored), sum(each.size for each in stored)
        assert by_name["ConnectionSparsity"].students[index] == zeros / size
        whole = [whole[0] + zeros, whole[1] + size]
    assert by_name["ConnectionSparsity"].ensemble == whole[0] / whole[1]
    assert by_name["ClassificationAccuracy"].ensemble == result.accuracy
    assert by_name["ParameterCount"].ensemble == sum(by_name["ParameterCount"].students)
    assert NeurobenchModel.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("seed", range(examples(20)))
def test_connections_are_the_taps_inside_the_border(seed) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 3))
    ins, outs = (groups * int(n) for n in rng.integers(1, 3, 2))
    size, kernel, stride, dilation = rng.integers([4, 1, 1, 1], [9, 4, 3, 3], (2, 4)).T
    padding = rng.integers(0, 3, 2)
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if (out < 1).any():
        return
    pairs = {"stride": stride, "padding": padding, "dilation": dilation}
    weights = ConvWeights(
        np.zeros((outs, ins // groups, *kernel)),
        (ins, *map(int, size)),
        (outs, *map(int, out)),
        groups=groups,
        **{name: tuple(map(int, pair)) for name, pair in pairs.items()},
    )
    assert connections(weights) == weights.with_values(np.ones(weights.kernel.shape)).matrix().nnz


def test_the_page_has_a_row_for_each_metric_and_says_what_it_counts(result) -> None:
    found = result.details.neurobench
    text = neurobench_section(result.details).content
    cells = re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", text)
    rows = [cells[k : k + 6] for k in range(0, len(cells), 6)]
    assert rows[0] == ["metric", *found.students, "ensemble"]
    assert [row[0] for row in rows[1:]] == [metric.name for metric in found.metrics]
    for row, metric in zip(rows[1:], found.metrics, strict=True):
        for shown, value in zip(row[1:], (*metric.students, metric.ensemble), strict=True):
            number = float(re.sub(r"[,% ]", "", shown)) / (100 if "%" in shown else 1)
            assert number == pytest.approx(value, abs=0.051 if value > 1 else 5.1e-4)
        assert html.escape(metric.counts) in text
    assert neurobench_section(None) is None
