"""What every process model of this backend shares: its failure is reported, its Vars are shared arrays."""

from __future__ import annotations

import traceback
from typing import Any


class ReportingModel:
    """Mix-in for a ``PyLoihiProcessModel``; put it first among the bases.

    ``proc_params`` holds ``board`` (:class:`sne_lava.arrays.Board`), ``label`` (how a failure names the
    process) and ``shared``: Var name to the shared array that becomes that Var's storage. The one process
    with ``leads`` also reports the steps.
    """

    proc_params: Any
    time_step: int

    def start(self) -> None:
        """Put the Vars into shared memory, then start as stock."""
        for name, array in self.proc_params["shared"].items():
            setattr(self, name, array)
        super().start()  # type: ignore[misc]  # the stock model follows in the class order

    def _spike(self) -> None:
        if self.proc_params.get("leads", False):
            self.proc_params["board"].step[0] = self.time_step
        try:
            super()._spike()  # type: ignore[misc]  # the stock model follows in the class order
        except Exception as error:
            where = traceback.format_exc(limit=-3)
            self.proc_params["board"].report(
                f"{self.proc_params['label']}: {type(error).__name__}: {error}\n{where}"
            )
            raise
