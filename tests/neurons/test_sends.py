"""What a spike carries is in the Program, and only binary spikes are implemented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.errors import UnsupportedError, VerificationError
from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from tests.small_programs import one_layer

pytestmark = pytest.mark.usefixtures("warm_lava")


def graded() -> Program:
    program = one_layer([[2, 4], [6, 8]], "mixed")
    (group,) = program.groups
    assert group.sends == "binary"
    return replace(program, groups=(replace(group, sends="graded"),))


def test_the_verifier_refuses_others_by_name() -> None:
    verify(one_layer([[2, 4], [6, 8]], "mixed"), after="test")
    with pytest.raises(VerificationError, match=r"'g' sends graded spikes, of which only binary ones"):
        verify(graded(), after="test")


@pytest.mark.parametrize("target", ["loihi", "lava", "netx"])
def test_targets_refuse_others_by_name(target: str) -> None:
    with pytest.raises(UnsupportedError, match=r"group 'g' sends graded spikes; spikes are binary here"):
        load_backend(target).compile(graded(), RunOptions())
