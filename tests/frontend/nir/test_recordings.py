"""The time step that the constants of other frameworks' exports imply."""

from __future__ import annotations

import pytest

from sne_deploy.errors import InputError
from sne_deploy.frontend.models import load_model
from sne_deploy.frontend.nir.conventions import check_time_step, time_step_hint
from sne_deploy.frontend.nir.file import read_nir
from sne_deploy.frontend.options import ReadOptions
from tests.interop.stored import load, names

UNIT_GAIN = {"sinabs_lif_subtract", "sinabs_lif_zero", "spikingjelly_lif", "spikingjelly_conv1d"}
"""Their input decays with the membrane: r = 1, which says nothing of dt."""


@pytest.mark.parametrize("name", names(fault=False))
def test_a_time_step_that_the_constants_imply_is_the_frameworks(name: str) -> None:
    stored = load(name)
    graph = read_nir(stored.path)
    hint = time_step_hint(graph)
    silent = name in UNIT_GAIN or (name.startswith("norse") and "iaf" not in name)
    assert hint == (None if silent else stored.about["dt_s"])
    with pytest.raises(InputError, match=r"how long a step is; give --dt-s \(or dt_s=\) in seconds") as error:
        load_model(stored.path, ReadOptions(timesteps=1))
    assert (hint is None) == ("imply" not in str(error.value))
    if hint is not None:
        assert f"its constants imply dt = {hint:g} s: give --dt-s {hint:g}" in str(error.value)
        assert check_time_step(graph, hint) == ()
