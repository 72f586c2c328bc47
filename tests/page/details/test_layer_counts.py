"""Layers' counts add up to the report's totals."""

from __future__ import annotations

from dataclasses import replace

import pytest

import sne_deploy as sne
from sne_deploy.data import digits_split
from sne_deploy.model.ensemble import ActivationPolicy
from sne_deploy.page.details.energy import layer_counts


@pytest.mark.parametrize("target", ["loihi", "norse"])
def test_layers_add_up_to_the_report(target: str) -> None:
    _, _, x, y = digits_split()
    policy = ActivationPolicy("confidence", (), 0.5)
    with sne.compile("examples/digits/model.pt", target, policy=policy, fidelity=False) as compiled:
        result = compiled.run(x[:12], y[:12])
    for counts, student in zip(result.details.layer_counts, result.report.students, strict=True):
        assert counts.name == student.name
        assert [each.name for each in counts.layers] == [each.name for each in student.layers]
        for name in ("synops", "updates_active", "updates_idle", "spikes"):
            values = [getattr(each, name) for each in counts.layers]
            total = getattr(student.totals, name)
            assert (None if None in values else sum(values)) == total
        for name in ("messages", "hops_east_west", "hops_north_south"):
            values = [getattr(each, name) for each in counts.layers]
            if student.traffic is None:
                assert set(values) == {None}
            else:
                assert sum(values) == getattr(student.traffic, name)
    assert (target == "loihi") == (result.report.students[0].traffic is not None)


def test_messages_of_every_distance_are_a_layer_s() -> None:
    """The digits are on one chip: distances are made up here."""
    _, _, x, y = digits_split()
    with sne.compile("examples/digits/model.pt", "loihi", fidelity=False) as compiled:
        source = compiled.run(x[:2], y[:2]).source
    students = []
    for student in source.run.students:
        assert student.placed is not None
        sent = {layer.name: (1, 20, 300, 4000, 5, 6) for layer in student.layers}
        students.append(replace(student, placed=replace(student.placed, sent_by=sent)))
    for each in layer_counts(replace(source, run=replace(source.run, students=tuple(students)))):
        for layer in each.layers:
            assert (layer.messages, layer.hops_east_west, layer.hops_north_south) == (4321, 5, 6)
