"""What was found: the points, the front, what each student adds; picking a point and keeping it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from sne_deploy import arguments as argument
from sne_deploy.brief import briefly
from sne_deploy.energy.accounting import Part
from sne_deploy.errors import InputError
from sne_deploy.exploration.leave_one_out import LeftOut
from sne_deploy.exploration.points import NO_LIMITS, Limits, Point, Points
from sne_deploy.exploration.schema import SCHEMA_VERSION, ExplorationModel
from sne_deploy.exploration.search import Search
from sne_deploy.exploration.standing import Standing
from sne_deploy.files import write_whole
from sne_deploy.model.ensemble import ActivationPolicy, Ensemble
from sne_deploy.policies.outcome import places


@briefly
@dataclass(frozen=True, eq=False, repr=False)
class Exploration:
    """Every policy that was tried, on recorded runs.

    Attributes
    ----------
    ensemble : Ensemble
    model, data, chosen_on, target, hardware : str
        ``chosen_on``: the samples that points are chosen on.
    search : Search
    orders : int
        How many orders of all students were tried.
    all_orders : bool
        Whether these are all there are.
    points : Points
    energy_excludes : tuple of str
        The parts that the energies leave out, as a report's ``total_excludes``.
    leave_one_out : tuple of (ActivationPolicy, tuple of LeftOut)
        Of all students together, and of the model's own policy where that is a cascade or some students.
    standing : Standing or None
        Power that no policy changes, with the weight bits that take the most; None where the students are on
        no cores.
    wall_s : float
    """

    ensemble: Ensemble
    model: str
    data: str
    chosen_on: str
    target: str
    hardware: str
    search: Search
    orders: int
    all_orders: bool
    points: Points
    energy_excludes: tuple[Part, ...]
    leave_one_out: tuple[tuple[ActivationPolicy, tuple[LeftOut, ...]], ...]
    standing: Standing | None
    wall_s: float

    @property
    def names(self) -> tuple[str, ...]:
        """The students'."""
        return tuple(student.name for student in self.ensemble.students)

    @property
    def front(self) -> tuple[Point, ...]:
        """The points that no other dominates on the samples that choose, by rising energy."""
        return tuple(self.points[int(index)] for index in self.points.front)

    @property
    def own(self) -> Point:
        """The model's own policy."""
        return self.points[self.points.own.index(True)]

    def pick(
        self,
        *,
        target_accuracy: float | str | None = None,
        energy_budget: float | str | None = None,
        latency_budget: float | str | None = None,
    ) -> Point:
        """Pick the best point within the limits, judged on the samples that choose.

        The one with the least energy where an accuracy is asked for, else the most accurate.

        Parameters
        ----------
        target_accuracy : float, text or None
            At least: a fraction, or a text such as ``"98%"``.
        energy_budget, latency_budget : float, text or None
            At most, mean per sample: in joules and seconds, or texts such as ``"2uJ"`` and ``"1.5ms"``.

        Returns
        -------
        Point

        Raises
        ------
        InputError
            No limit, or none within them: it names the nearest.
        """
        return self.points[self.points.pick(Limits.read(target_accuracy, energy_budget, latency_budget))]

    def with_policy(self, point: Point) -> Ensemble:
        """The ensemble with a point's policy, nothing else changed; its provenance says whence that is.

        Parameters
        ----------
        point : Point

        Returns
        -------
        Ensemble
        """
        kept = {
            "model": self.model,
            "data": self.data,
            "chosen_on": self.chosen_on,
            "target": self.target,
            "hardware": self.hardware,
            "weight_bits": point.weight_bits,
            "measured": asdict(point.measured),
            "whole": asdict(point.whole),
            "version": version("sne-deploy"),
        }
        provenance = {**self.ensemble.provenance, "explored": kept}
        return replace(self.ensemble, policy=point.policy, provenance=provenance)

    def write(self, point: Point, path: str | os.PathLike[str]) -> None:
        """Write a ``model.pt`` with a point's policy, whole or not at all.

        Parameters
        ----------
        point : Point
        path : path

        Raises
        ------
        CheckpointError
            The students did not come from a ``model.pt`` or from modules, which alone can be kept in one.
        OutputError
            The file cannot be written.
        """
        self.with_policy(point).save(argument.file_path("path", path))

    def document(
        self, point: Point | None = None, limits: Limits = NO_LIMITS, written: str | None = None
    ) -> ExplorationModel:
        """Everything but the points beside the front, as it is written.

        Parameters
        ----------
        point : Point or None
            The one that was picked.
        limits : Limits
            Within which it was.
        written : str or None
            The file that it was written to.

        Returns
        -------
        ExplorationModel
        """
        chosen = None
        if point is not None:
            chosen = {**asdict(limits), "point": self._point(point), "written": written}
        return ExplorationModel.model_validate(
            {
                "schema_version": SCHEMA_VERSION,
                "model": self.model,
                "data": self.data,
                "chosen_on": self.chosen_on,
                "target": self.target,
                "hardware": self.hardware,
                "searched": {
                    "points": len(self.points),
                    "weight_bits": tuple(dict.fromkeys(self.points.weight_bits)),
                    "measures": self.search.measures,
                    "orders": self.orders,
                    "all_orders": self.all_orders,
                },
                "energy_excludes": self.energy_excludes,
                "front": tuple(self._point(each) for each in self.front),
                "chosen": chosen,
                "leave_one_out": tuple(
                    {
                        "policy": self._choice(policy),
                        "students": tuple(
                            {**asdict(each), "student": self.names[each.student]} for each in students
                        ),
                    }
                    for policy, students in self.leave_one_out
                ),
                "standing": self._standing(),
                "wall_s": self.wall_s,
            }
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the front, and what each student adds, as JSON; see ``exploration/explore.schema.json``.

        Parameters
        ----------
        path : path
        """
        write_document(self.document(), path)

    def _standing(self) -> dict[str, Any] | None:
        lines = self.standing
        if lines is None:
            return None
        return {**asdict(lines), "x86_j": lines.x86_j, "static_j": lines.static_j}

    def _choice(self, policy: ActivationPolicy) -> dict[str, Any]:
        return {
            "kind": policy.kind,
            "students": tuple(self.names[k] for k in places(policy, len(self.names))),
            "threshold": None if policy.kind == "static" else policy.threshold,
            "measure": policy.measure if policy.kind == "confidence" else None,
        }

    def _point(self, point: Point) -> dict[str, Any]:
        figures = {name: asdict(getattr(point, name)) for name in ("chosen_on", "measured", "whole")}
        return {
            "policy": self._choice(point.policy),
            "weight_bits": point.weight_bits,
            "own": point.own,
            **figures,
        }


def document_text(document: ExplorationModel) -> str:
    """The file's text."""
    return json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def write_document(document: ExplorationModel, path: str | os.PathLike[str]) -> None:
    """Write it whole, or not at all.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_whole(argument.file_path("path", path), document_text(document).encode())


def check_writable(ensemble: Ensemble) -> None:
    """Refuse, before anything runs, what no ``model.pt`` can hold.

    Raises
    ------
    InputError
        It names the student.
    """
    for student in ensemble.students:
        if not isinstance(student.network, tuple):
            raise InputError(
                f"student {student.name!r} did not come from a model.pt, which alone can be written with a "
                "policy; leave --write out, and give the policy to sne compile as options"
            )
