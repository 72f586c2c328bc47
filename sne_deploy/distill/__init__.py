"""Distillation: a teacher's features, divided among spiking students, joined by a linear head.

The package can be called: ``sne_deploy.distill(experiment, out)`` runs an experiment. A function of that name
cannot stand beside a subpackage, whose import replaces it; a module's class may be replaced, which Python
documents ("customizing module attribute access").
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import nn

    from sne_deploy.distill.command import Trained
    from sne_deploy.distill.experiment import Experiment
    from sne_deploy.distill.stages import EpochLog

    Path = str | os.PathLike[str]


class CallablePackage(ModuleType):
    """The package, as a function too."""

    def __call__(
        self,
        experiment: Experiment | Mapping[str, Any] | Path,
        out: Path,
        *,
        teacher: nn.Module | Path | None = None,
        data: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        device: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        work: Path | None = None,
        log: EpochLog | None = None,
    ) -> Trained:
        """Distil an ensemble of spiking students from a teacher; a killed run goes on where it was.

        Parameters
        ----------
        experiment : Experiment, dict or path
            The description: what a TOML file holds, or the file.
        out : path
            A folder for ``model.pt``, ``teacher.onnx``, ``training.jsonl`` and the report.
        teacher : nn.Module or path, optional
            Instead of the description's: a trained module whose last one is ``nn.Linear``, or a
            :class:`sne_deploy.distill.teacher.Teacher`; or an ONNX file. A module is copied, never changed.
        data : (x, y), optional
            Instead of the description's: images of shape (N, C, H, W) or (N, H, W), or vectors (N, F), each
            value in [0, 1]; labels of shape (N,) from 0. ``data.validation`` of them are kept for choices.
        test : (x, y), optional
            What the result is measured on; without it, on the validation samples, and the report says so.
        device, seed, threads : optional
            Instead of the description's.
        work : path, optional
            Where the stages keep their state; ``out/work`` if left out.
        log : callable, optional
            Called as log(stage, epoch from 1, epochs, mean of every loss term).

        Returns
        -------
        Trained
            The ensemble, the files, and the figures on the test split as deployed on target ``loihi``.

        Raises
        ------
        InputError, DataError, UnsupportedError, OutputError
            Something given does not fit, in one line that names it.
        RunError
            A training diverged.
        """
        from sne_deploy.distill.command import distill_given

        return distill_given(
            experiment,
            out,
            teacher=teacher,
            data=data,
            test=test,
            changes={"device": device, "seed": seed, "threads": threads},
            work=work,
            log=log,
        )


sys.modules[__name__].__class__ = CallablePackage
