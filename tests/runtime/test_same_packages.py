"""What workers must have as this process has it."""

from __future__ import annotations

import pytest

from sne_deploy.errors import InputError
from sne_deploy.runtime.same_packages import ASK_S, differing, refuse_other_packages, what_is_missing

OURS = {"Python": "3.11.7", "sne-deploy": "0.1.0", "numpy": "2.1.0", "torch": "2.3.0+cpu", "lava-nc": None}


@pytest.mark.parametrize(
    ("theirs", "problem"),
    [
        ({}, ""),
        ({"Python": "3.11.2", "torch": "2.3.0+cu121", "lava-nc": "0.10.0"}, ""),
        ({"torch": None}, ""),
        ({"Python": "3.12.7"}, "has Python 3.12.7, and this process Python 3.11.7"),
        ({"numpy": "2.1.1"}, "has numpy 2.1.1, and this process numpy 2.1.0"),
        ({"sne-deploy": None}, "has no sne-deploy, and this process sne-deploy 0.1.0"),
        ({"sne-deploy": "0.1.1"}, "has sne-deploy 0.1.1, and this process sne-deploy 0.1.0"),
    ],
)
def test_what_differs_is_named_on_both_sides(theirs, problem):
    found = differing(OURS, {**OURS, **theirs})
    assert [text.partition(";")[0] for text in found] == ([problem] if problem else [])


class Client:
    """Workers that are this process, but for what is said here of one of them."""

    def __init__(self, **other):
        self.other = other

    def run_on_scheduler(self, function, *given, callback_timeout):
        assert callback_timeout == ASK_S
        return function(*given)

    def run(self, function, *given, workers, on_error, callback_timeout):
        found = {worker: function(*given) for worker in workers}
        if self.other.get("hangs"):
            raise TimeoutError
        if isinstance(found[workers[-1]], dict):
            found[workers[-1]] |= self.other.get("installed", {})
        elif function is what_is_missing:
            found[workers[-1]] = self.other.get("missing")
        return found | self.other.get("gone", {})


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({}, None),
        ({"gone": {"a": OSError("closed")}}, None),
        ({"installed": {"numpy": "0.1"}}, "worker b has numpy 0.1, and this process numpy"),
        ({"missing": "unknown target 'loihi'"}, "worker b: unknown target 'loihi'"),
        ({"hangs": True}, "do not say within 30 s what they have installed"),
    ],
)
def test_workers_are_refused_in_one_line(other, problem):
    if problem is None:
        refuse_other_packages(Client(**other), ["a", "b"], ("loihi",))
        return
    with pytest.raises(InputError, match=problem):
        refuse_other_packages(Client(**other), ["a", "b"], ("loihi",))


def test_a_target_that_is_not_there():
    assert what_is_missing(("loihi",)) is None
    assert "unknown target 'none'" in (what_is_missing(("loihi", "none")) or "")
