"""A report beside other processors: from what it says itself, before and after it was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import sne_deploy as sne
from sne_deploy.energy.processor import find_processors
from sne_deploy.errors import HardwareError, InputError, VerificationError
from sne_deploy.report.check import check_report
from sne_deploy.report.chip_figures import chip_figures
from sne_deploy.report.compare import compared, other_networks
from sne_deploy.report.comparison import Network
from sne_deploy.report.file import Report, load_report
from tests.command_line import command
from tests.networks import lif_box
from tests.teacher_in_process import teachers_in_this_process


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 inputs, 10 classes: 640 multiply-accumulates."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.ones((64, 10), np.float32), "w")],
    )
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def ensemble() -> Any:
    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), lif_box(v_th=0.1))
    return sne.ensemble([module], input_shape=(1, 8, 8), timesteps=4, encoder=sne.Encoder("constant"))


X = np.random.default_rng(2).random((3, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def report(ensemble: Any, network: Path) -> Report:
    with teachers_in_this_process(), sne.compile(ensemble, target="loihi") as compiled:
        made: Report = compiled.run(X, teacher=network, compare="all", compare_onnx=[network]).report
    return made


def test_the_teacher_and_another_network_are_on_every_processor(report: Report) -> None:
    found = report.comparison
    assert found is not None
    assert [(each.name, each.macs) for each in found.networks] == [("the teacher", 640), ("small.onnx", 640)]
    assert [each.name for each in found.processors] == list(find_processors("all"))
    assert all(len(each.rows) == len(found.processors) for each in found.networks)
    assert report.operation is not None
    assert found.rate_per_s == report.operation.rate_per_s


def test_the_figures_are_those_of_the_report(report: Report) -> None:
    found, ensemble = chip_figures(report), report.ensemble
    energy = ensemble.energy_per_sample_j
    assert found.host_j == energy.host
    assert found.neurocore_j.value + found.host_j == pytest.approx(energy.total, rel=1e-12)
    assert (found.neurocore_j.low, found.neurocore_j.high) == energy.interval
    for figure, line in ((found.x86_w, ensemble.power.x86), (found.static_w, ensemble.power.static)):
        assert (figure.value, (figure.low, figure.high)) == (line.power_w, line.power_interval_w)
    assert found.throughput_per_s.high == ensemble.throughput_per_s
    assert found.throughput_per_s.value == pytest.approx(report.operation.rate_per_s, rel=1e-12)


def test_a_saved_report_gives_the_same_without_a_run(report: Report, tmp_path: Path) -> None:
    report.model_copy(update={"comparison": None}).save(tmp_path)
    again = compared(load_report(tmp_path), "all", [Network("small.onnx", 640)])
    assert again == report
    again.save(tmp_path)
    assert load_report(tmp_path) == report


def test_a_comparison_of_other_figures_than_the_reports_does_not_check(report: Report) -> None:
    teacher, found = report.teacher, report.comparison
    assert teacher is not None
    assert found is not None
    check_report(report)
    elsewhere = compared(
        report.model_copy(update={"teacher": teacher.model_copy(update={"macs": 641})}), "all"
    ).comparison
    with pytest.raises(VerificationError, match="the teacher's multiply-accumulates are not the report's"):
        check_report(report.model_copy(update={"comparison": elsewhere}))
    chip = replace(found.chip, host_j=2 * found.chip.host_j)
    with pytest.raises(VerificationError, match="the chip's figures are not the report's"):
        check_report(report.model_copy(update={"comparison": found.model_copy(update={"chip": chip})}))


def test_no_network_and_no_updates_are_refused(report: Report) -> None:
    alone = report.model_copy(update={"teacher": None, "comparison": None})
    with pytest.raises(InputError, match=r"no network to compare with; run with --teacher FILE.onnx"):
        compared(alone, "all")
    assert compared(alone, "all", [Network("other", 5)]).comparison is not None
    with pytest.raises(HardwareError, match="unknown processor 'tpu'"):
        compared(report, "tpu")


def test_floating_point_has_no_updates_to_compare(ensemble: Any, network: Path) -> None:
    with sne.compile(ensemble, target="norse") as compiled:
        for asked in ({"compare": "all"}, {"compare_onnx": [network]}):
            with pytest.raises(InputError, match=r"needs the neuron updates .* run with --target loihi"):
                compiled.run(X, **asked)
        made = compiled.run(X).report
    with pytest.raises(InputError, match="needs the neuron updates"):
        compared(made, "all", [Network("other", 5)])


def test_what_is_wrong_is_found_before_the_run(ensemble: Any, network: Path) -> None:
    with sne.compile(ensemble, target="loihi") as compiled:
        with pytest.raises(InputError, match="no network to compare with"):
            compiled.run(X, compare="all")
        with pytest.raises(HardwareError, match="unknown processor"):
            compiled.run(X, compare="tpu", compare_onnx=[network])
        with pytest.raises(InputError, match="cannot read teacher"):
            compiled.run(X, compare_onnx=[network.with_name("none.onnx")])


def test_another_network_alone_is_compared_with_all(network: Path) -> None:
    with teachers_in_this_process():
        assert other_networks([network]) == (Network("small.onnx", 640),)


def test_the_command_compares_a_saved_report(report: Report, tmp_path: Path) -> None:
    report.model_copy(update={"comparison": None}).save(tmp_path)
    found = command("report", tmp_path, "--compare", "arithmetic,stm32u385", "--rate", "10", name="sne")
    assert found.status == 0
    assert "the teacher, 640 MAC, at 10.0 inferences/s" in found.stdout
    assert "is the chip worth it against the teacher?" in " ".join(found.stdout.split())
    assert [line.split()[0] for line in found.stdout.splitlines() if line.startswith((" 7nm", " 45nm"))] == [
        "45nm-fp32", "45nm-int8", "7nm-fp32", "7nm-int8",
    ]  # fmt: skip
    refused = command("report", tmp_path, "--rate", "10", name="sne")
    assert (refused.status, refused.stdout) == (2, "")
    assert "--rate is that of a comparison; add --compare" in refused.stderr


def test_the_command_compares_what_it_runs(ensemble: Any, network: Path, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "model.pt")
    asked = ("--target", "loihi", "--samples", 2, "--rate", 100, "--compare-onnx", network)
    with teachers_in_this_process():
        found = command(tmp_path / "model.pt", *asked, "--compare", "boards", "--out", tmp_path)
    assert found.status == 0
    comparison = load_report(tmp_path).comparison
    assert comparison is not None
    assert (comparison.rate_per_s, len(comparison.processors)) == (100.0, len(find_processors("boards")))
    assert comparison.networks[0].name == "small.onnx"
