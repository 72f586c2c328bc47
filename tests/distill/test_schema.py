"""What the tables of an experiment file share."""

from __future__ import annotations

from typing import Annotated

from sne_deploy.distill.schema.base import LATER, Model


class _Inner(Model):
    old: int = 1
    new: Annotated[float, LATER] = 0.5


class _Outer(Model):
    inner: _Inner = _Inner()
    table: Annotated[_Inner | None, LATER] = None


def test_a_later_key_is_written_where_it_is_not_at_its_default() -> None:
    assert _Outer().model_dump(mode="json") == {"inner": {"old": 1}}
    changed = _Outer(inner=_Inner(new=2.0), table=_Inner(old=3))
    written = {"inner": {"old": 1, "new": 2.0}, "table": {"old": 3}}
    assert changed.model_dump(mode="json") == written
    assert changed.model_dump(include={"table"}) == {"table": {"old": 3}}
    assert _Outer.model_validate(written) == changed
