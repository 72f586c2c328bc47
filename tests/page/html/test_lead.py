"""The sentence and the tiles, against the report that they tell."""

from __future__ import annotations

import re

import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.page.html.lead import sentence, tiles
from sne_deploy.report.chip_view import per_s
from sne_deploy.report.units import percent


def run(target: str, samples: int = 12, *, policy: ActivationPolicy | None = None):
    _, _, x, y = digits_split()
    with sne.compile("examples/digits/model.pt", target, policy=policy) as compiled:
        return compiled.run(x[:samples], y[:samples]).report


def plain(html: str) -> str:
    return re.sub("<[^>]+>", "", html)


def test_a_rate_says_whose_it_is():
    report = run("loihi")
    assert report.operation.rate_per_s < report.ensemble.throughput_per_s / 2
    both = per_s(report.ensemble.throughput_per_s), per_s(report.operation.rate_per_s)
    assert "neurocores at most {} /s, with the host {} /s".format(*both) in plain(tiles(report))
    chosen = report.operation.model_copy(update={"back_to_back": False})
    assert "with the host" not in tiles(report.model_copy(update={"operation": chosen}))


@pytest.mark.parametrize(("threshold", "told"), [(0.5, True), (None, False)])
def test_floating_point_is_said_to_have_the_policy_where_that_asks_fewer(threshold, told):
    policy = ActivationPolicy() if threshold is None else ActivationPolicy("confidence", (), threshold)
    report = run("loihi", policy=policy)
    shown = percent(report.fidelity.float_accuracy)
    how = " with the same policy" if told else ""
    assert f"(in floating point{how} {shown})" in plain(sentence(report))


def test_an_energy_without_updates_says_so():
    for said in (sentence, tiles):
        assert "without neuron updates" in plain(said(run("norse")))
        assert "without neuron updates" not in plain(said(run("loihi")))


def test_one_sample_is_one():
    assert "1 sample of arrays is classified correctly" in plain(sentence(run("loihi", 1)))
    assert "12 samples of arrays are classified correctly" in plain(sentence(run("loihi")))
