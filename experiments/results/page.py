"""The whole page, and its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.reproduction.rows import Document
from experiments.results import ablation, bits, companions, divisions, models, noise, trainings
from experiments.results.text import ENSEMBLE, TEMPERATURES, Section
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[2] / "docs"
INTRODUCTION = """\
# Results

Accuracy, spikes, operations and energies of the examples, as deployed: integers on target `loihi`. Written
by `python -m experiments.results` from the rows in `docs/results/*.json`, not by hand; each section names the
command that makes its rows. Choices (temperatures, weights of losses, orders, thresholds) were made on
validation data. SynOps and energies mean what [figures.md](figures.md) says.
"""
EARLIER = "**The model here is an earlier one than that under *The model*, which is not measured here yet.**"
Make = Callable[[Document], Section]
BESIDE = ("cifar10-twins", "cifar10-family")
"""What the plot of CIFAR-10's model shows too."""


@dataclass(frozen=True)
class Page:
    """The text, and what draws each plot, by file name."""

    text: str
    plots: dict[str, Callable[[], Figure]]


def _places(beside: Sequence[Document]) -> dict[str, dict[str, tuple[str, Make]]]:
    """By title of a chapter: documents in their order, each with its title and what makes its section."""
    fewer, noisy = ("Fewer bits", bits.of_the_model), ("Noise", noise.noise)
    for_bits = ("Training for fewer bits", bits.trained)
    separated = "Dividing the features of a teacher that separates them"
    return {
        "MNIST": {
            "mnist-variants": ("Losses and spikes", trainings.losses),
            "mnist-model": ("The model", models.model),
            "mnist-bits": fewer,
            "mnist-quantisation": for_bits,
            "mnist-noise": noisy,
        },
        "CIFAR-10": {
            "cifar10-model": ("The model", partial(models.model, beside=beside)),
            "cifar10-partition": ("Dividing the features", divisions.division),
            "cifar10-partition-full": ("Dividing the committed teacher's features", divisions.division),
            "cifar10-decorrelation": (separated, divisions.division),
            "cifar10-bits": fewer,
            "cifar10-quantisation": for_bits,
            "cifar10-noise": noisy,
            "cifar10-hardening": ("Training with corruptions", noise.hardening),
            "cifar10-ablation": ("What every option is worth", ablation.ablation),
            "cifar10-twins": ("The same with ReLUs", companions.companions),
            "cifar10-family": ("Smaller networks without spikes", companions.companions),
        },
    }


def make_page(documents: Sequence[Document]) -> Page:
    """The page of some documents; a study without one is named as not measured.

    Raises
    ------
    InputError
        A document that has no place on the page.
    """
    known = {document.name: document for document in documents}
    beside = [known[name] for name in BESIDE if name in known]
    places = _places([one for one in beside if not _earlier(one, known.get("cifar10-model"))])
    if unplaced := set(known).difference(*places.values()):
        raise InputError(
            f"no section of docs/results.md shows {', '.join(sorted(unplaced))}; delete the files"
        )
    lines = [INTRODUCTION]
    plots: dict[str, Callable[[], Figure]] = {}
    for chapter, group in places.items():
        lines += [f"## {chapter}", ""]
        for name, (title, make) in group.items():
            section = _made(name, make, known.get(name))
            earlier = _earlier(known.get(name), known.get(f"{name.partition('-')[0]}-model"))
            lines += [f"### {title}", "", *([EARLIER, ""] if earlier else []), *section.lines]
            plots |= section.plots
    references = (f"- {key}: {citation}" for key, citation in (ENSEMBLE, TEMPERATURES))
    lines += ["## Published figures", "", *references]
    return Page("\n".join(lines) + "\n", plots)


def _earlier(document: Document | None, model: Document | None) -> bool:
    """Whether it measures another model than the section of the model does."""
    if document is None or model is None:
        return False
    return any(row.variant == "model" for row in document.rows) and document.subject != model.subject


def _made(name: str, make: Make, document: Document | None) -> Section:
    if document is None:
        example, _, study = name.partition("-")
        return Section((f"Not measured yet: `python -m experiments.{example} --only {study}`.", ""))
    try:
        return make(document)
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"docs/results/{name}.json lacks {error} or has it in another form; make it again: "
            f"{document.command}"
        ) from error


def files(documents: Sequence[Document], docs: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the page and its text."""
    from experiments.results.plots import svg

    page = make_page(documents)
    yield docs / "results.md", page.text
    for name, draw in page.plots.items():
        yield docs / "results" / name, svg(draw())
