"""The whole page, and its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.reproduction.rows import Document, read_documents
from experiments.results import bits, companions, models, noise, partition, variants
from experiments.results.published import references
from experiments.results.text import Section
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[2] / "docs"
INTRODUCTION = """\
# Results

Accuracy, spikes, operations and energies of the examples, as deployed: integers on target `loihi`. Written
by `python -m experiments.results` from the rows in `docs/results/*.json`, not by hand; each section names the
command that makes its rows. Choices (temperatures, weights of losses, orders, thresholds) were made on
validation data. SynOps and energies mean what [the README](../README.md#what-the-figures-mean) says."""


@dataclass(frozen=True)
class Place:
    """Where a study stands on the page."""

    example: str
    study: str
    title: str
    make: Callable[[Document], Section]


@dataclass(frozen=True)
class Page:
    """The text, and what draws each plot, by file name."""

    text: str
    plots: dict[str, Callable[[], Figure]]


def make_page(documents: Sequence[Document]) -> Page:
    """The page of some documents; a study without one is named as not measured.

    Raises
    ------
    InputError
        A document that has no place on the page.
    """
    known = {document.name: document for document in documents}
    places = _places(known.get("cifar10-companions"))
    unplaced = set(known) - {f"{place.example}-{place.study}" for _, group in places for place in group}
    if unplaced:
        raise InputError(
            f"no section of docs/results.md shows {', '.join(sorted(unplaced))}; delete the files"
        )
    lines = [INTRODUCTION, ""]
    plots: dict[str, Callable[[], Figure]] = {}
    for title, group in places:
        lines += [f"## {title}", ""]
        for place in group:
            section = _placed(place, known.get(f"{place.example}-{place.study}"))
            lines += section.lines
            plots |= section.plots
    lines += ["## Published figures", "", *references()]
    return Page("\n".join(lines) + "\n", plots)


def _placed(place: Place, document: Document | None) -> Section:
    head = (f"### {place.title}", "")
    if document is None:
        command = f"python -m experiments.{place.example} --only {place.study}"
        return Section((*head, f"Not measured yet: `{command}`.", ""))
    made = _made(place, document)
    return Section((*head, *made.lines), made.plots)


def _made(place: Place, document: Document) -> Section:
    try:
        return place.make(document)
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"docs/results/{document.name}.json lacks {error} or has it in another form; make it again: "
            f"{document.command}"
        ) from error


def _places(beside: Document | None) -> list[tuple[str, list[Place]]]:
    both = [("quantisation", "Fewer bits", bits.section), ("noise", "Noise", noise.section)]
    mnist: list[tuple[str, str, Callable[[Document], Section]]] = [
        ("variants", "Losses and spikes", variants.section),
        ("model", "The model", models.section),
        *both,
    ]
    cifar10: list[tuple[str, str, Callable[[Document], Section]]] = [
        ("model", "The model", partial(models.section, companions=beside)),
        ("partition", "Dividing the features", partition.section),
        ("decorrelation", "Dividing the features of a teacher that separates them", partition.section),
        *both,
        ("companions", "The same without spikes", companions.section),
    ]
    return [
        ("MNIST", [Place("mnist", *place) for place in mnist]),
        ("CIFAR-10", [Place("cifar10", *place) for place in cifar10]),
    ]


def files(documents: Sequence[Document], docs: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the page and its text."""
    from experiments.results.plots import svg

    page = make_page(documents)
    yield docs / "results.md", page.text
    for name, draw in page.plots.items():
        yield docs / "results" / name, svg(draw())


def documents_of(docs: Path) -> list[Document]:
    """The committed rows."""
    return read_documents(docs / "results")
