"""What each student adds, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from sne_deploy.distill.policy.fitting import Brought


def brought_view(found: Sequence[Brought]) -> Group:
    """For the terminal: students in the order in which they run."""
    table = Table(box=box.HORIZONTALS, show_edge=False, pad_edge=False)
    for index, head in enumerate(
        ("student", "alone", "operations", "with those above", "operations", "added")
    ):
        table.add_column(head, justify="right" if index else "left")
    before = 0.0
    for one in found:
        added = f"{100 * (one.accuracy - before):+.2f}" if before else ""
        table.add_row(
            f"student{one.student}",
            f"{100 * one.accuracy_alone:.2f} %",
            f"{one.operations_alone:,.0f}",
            f"{100 * one.accuracy:.2f} %",
            f"{one.operations:,.0f}",
            added,
        )
        before = one.accuracy
    return Group(
        Text("\nwhat each student adds, in the order in which they run, where all of them run", style="bold"),
        table,
        Text("validation samples, as deployed integers; operations are SynOps and host MACs of a sample"),
    )
