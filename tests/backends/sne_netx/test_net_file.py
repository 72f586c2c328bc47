"""``.net`` files: a round trip is the identity; lava-dl's own files; what cannot be read or written."""

from __future__ import annotations

from hypothesis import given, settings

from sne_deploy.ir.program import Program
from sne_deploy.ir.verify import verify
from sne_netx.format.file import read_net, write_net
from tests.effort import examples
from tests.net_programs import net_programs, problems_of, same


@settings(max_examples=examples(60), deadline=None)
@given(program=net_programs())
def test_a_round_trip_is_the_identity(tmp_path_factory, program: Program) -> None:
    verify(program, "the strategy")
    assert not (problems := problems_of(program)), problems
    folder = tmp_path_factory.mktemp("net")
    write_net(folder / "a.net", program)
    again = read_net(folder / "a.net")
    verify(again, "reading")
    same(program, again, "program")
    write_net(folder / "b.net", again)
    assert (folder / "a.net").read_bytes() == (folder / "b.net").read_bytes()
