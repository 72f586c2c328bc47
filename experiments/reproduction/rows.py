"""A study's rows as a document: what is committed under ``docs/results`` and what the page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sne_deploy.errors import InputError
from sne_deploy.files import write_whole

Figures = dict[str, Any]
Read = TypeVar("Read", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(_Model):
    """One finished run.

    ``wall_s`` is the time of its trainings and measurements, in all attempts; stages that another run had
    trained already took none.
    """

    study: str
    variant: str
    seed: int
    digest: str
    changes: dict[str, Any]
    wall_s: float
    figures: Figures


class Candidate(_Model):
    """A variant that could have been chosen: means over the seeds on the validation data."""

    variant: str
    accuracy: float
    spikes: float
    wall_s: float = 0.0


class Choice(_Model):
    """A choice that was made on validation data.

    ``met``: whether some candidate kept the rule; else the one that came closest was taken.
    """

    what: str
    rule: str
    candidates: tuple[Candidate, ...]
    chosen: str
    met: bool


class Document(_Model):
    """One study.

    ``base``: the experiment file, the example's where it is None; ``changes``: what differs from it in all
    runs. ``data_note``: said beside every figure. ``subject``: digests of the model and its teacher that the
    rows of variant ``model`` are of.
    ``command``: makes the rows again.
    """

    format: Literal[1] = 1
    example: str
    study: str
    setting: str
    changes: dict[str, Any]
    seeds: tuple[int, ...]
    command: str
    data_note: str | None
    subject: str
    machine: str
    versions: dict[str, str | None]
    choices: tuple[Choice, ...]
    rows: tuple[Record, ...]
    base: str | None = None

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.example}-{self.study}"

    def variant(self, name: str) -> list[Record]:
        """The rows of a variant, in the order of seeds."""
        return [row for row in self.rows if row.variant == name]

    @property
    def wall_s(self) -> float:
        """Seconds of everything that was done for it."""
        candidates = {one.variant: one.wall_s for choice in self.choices for one in choice.candidates}
        return sum(row.wall_s for row in self.rows) + sum(candidates.values())

    @property
    def variants(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(row.variant for row in self.rows))


def read_record(path: Path) -> Record:
    """Read a finished run; a file that is none is named."""
    return _read(Record, path, "record of a run", "delete it to do the run again")


def write_document(document: Document, folder: Path) -> Path:
    """Write a document; the same content gives the same bytes."""
    path = folder / f"{document.name}.json"
    return write_whole(path, (document.model_dump_json(indent=1) + "\n").encode())


def read_documents(folder: Path) -> list[Document]:
    """Every document of a folder, by name; a file that is none is named."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = _read(Document, path, "document of rows", "make it again")
        if path.stem != document.name:
            raise InputError(f"{path}: holds {document.name}; rename the file")
        found.append(document)
    return found


def _read(kind: type[Read], path: Path, what: str, remedy: str) -> Read:
    try:
        return kind.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: is no {what} ({reason}); {remedy}") from None


def choose_sparse(what: str, candidates: Sequence[Candidate], reference: Candidate, fewer: float) -> Choice:
    """Highest validation accuracy at a part ``fewer`` of the reference's spikes saved; else fewest spikes."""
    enough = [one for one in candidates if one.spikes <= (1 - fewer) * reference.spikes]
    if enough:
        chosen = max(enough, key=lambda one: (one.accuracy, -one.spikes))
    else:
        chosen = min(candidates, key=lambda one: (one.spikes, -one.accuracy))
    return Choice(
        what=what,
        rule=f"highest validation accuracy at {100 * fewer:g} % fewer spikes than {reference.variant}",
        candidates=tuple(candidates),
        chosen=chosen.variant,
        met=bool(enough),
    )


def choose_best(what: str, candidates: Sequence[Candidate]) -> Choice:
    """Highest validation accuracy; of equal ones that with fewest spikes."""
    chosen = max(candidates, key=lambda one: (one.accuracy, -one.spikes))
    return Choice(
        what=what,
        rule="highest validation accuracy, then fewest spikes",
        candidates=tuple(candidates),
        chosen=chosen.variant,
        met=True,
    )
