"""What the page says first: the answer in one sentence, and its chief figures."""

from __future__ import annotations

from collections.abc import Iterator

from sne_deploy.page.html.markup import Html, joined, tag, value
from sne_deploy.report.chip_view import per_s
from sne_deploy.report.schema import ReportModel
from sne_deploy.report.units import ABSENT, count, joules, percent, seconds

_NO_UPDATES = "without neuron updates"
"""What an energy lacks on targets that have no registers to update."""


def lead(report: ReportModel) -> Html:
    """What is dead, the sentence, the verdicts against other processors, and the tiles."""
    return joined([*_dead(report), sentence(report), *_verdicts(report), _warned(report), tiles(report)])


def sentence(report: ReportModel) -> Html:
    """Accuracy, energy with its interval, the teacher's, and whether the ensemble fits on a chip."""
    parts = [*_accuracy(report), Html(", "), *_energy(report), Html("; "), *_fits(report), Html(".")]
    return tag("p", *parts, class_="lead")


def _accuracy(report: ReportModel) -> Iterator[str]:
    ensemble, teacher, fidelity = report.ensemble, report.teacher, report.fidelity
    one = report.data.samples == 1
    samples = joined([value(f"{report.data.samples:,}", "data.samples"), " sample" if one else " samples"])
    if ensemble.accuracy is None:
        yield from (samples, f" of {report.data.name} without labels, so that no accuracy is known")
        return
    yield from (tag("strong", value(percent(ensemble.accuracy), "ensemble.accuracy")), " of ", samples)
    yield f" of {report.data.name} {'is' if one else 'are'} classified correctly"
    others = []
    if teacher is not None and teacher.accuracy is not None:
        others.append(joined(["teacher ", value(percent(teacher.accuracy), "teacher.accuracy")]))
    if fidelity is not None and fidelity.float_accuracy is not None:
        shown = value(percent(fidelity.float_accuracy), "fidelity.float_accuracy")
        chosen = ensemble.mean_active_students != len(report.students)
        others.append(joined([f"in floating point{' with the same policy' if chosen else ''} ", shown]))
    if others:
        yield from (" (", Html(", ".join(others)), ")")


def _energy(report: ReportModel) -> Iterator[str]:
    energy, teacher = report.ensemble.energy_per_sample_j, report.teacher
    if energy.total is None:
        yield "for an energy that is not known on this target"
        return
    path = "ensemble.energy_per_sample_j.total"
    yield from ("for ", tag("strong", value(joules(energy.total), path)), " an inference")
    if energy.interval is not None:
        yield f" (neurocores {_interval(energy.interval)})"
    if "updates" in energy.total_excludes:
        yield f" {_NO_UPDATES}"
    if teacher is not None:
        yield from (
            ", where the teacher's arithmetic alone takes ",
            value(joules(teacher.energy_j), "teacher.energy_j"),
        )


def _fits(report: ReportModel) -> Iterator[str]:
    mapping = report.mapping
    if mapping is None:
        yield f"whether it fits on a chip is not known: {report.unplaced or 'it is not placed on cores'}"
        return
    cores = joined(
        [value(f"{mapping.cores:,}", "mapping.cores"), " core" if mapping.cores == 1 else " cores"]
    )
    if mapping.chips == 1:
        yield from ("it fits on ", tag("strong", "one chip"), ", where it takes ", cores)
    else:
        yield from (
            "it takes ",
            tag("strong", value(f"{mapping.chips:,}", "mapping.chips"), " chips"),
            ", ",
            cores,
        )


def _interval(bounds: tuple[float, float]) -> str:
    low, high = (joules(bound) for bound in bounds)
    number, unit = low.split(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def _dead(report: ReportModel) -> Iterator[Html]:
    if report.dead:
        items = (tag("li", text) for text in report.dead)
        heading = tag("h2", "The figures of this run mean nothing", id="dead")
        yield tag("section", heading, tag("ul", *items), class_="alarm", aria_labelledby="dead")


def _verdicts(report: ReportModel) -> Iterator[Html]:
    """Question and answer, and what the answer rests on, as the table's notes have them."""
    for network in () if report.comparison is None else report.comparison.networks:
        question, _, answer = network.verdict.partition("? ")
        short, _, why = answer.partition(": ")
        asked = tag("p", _upper(question), "? ", tag("strong", f"{_upper(short)}."))
        yield tag(
            "div", asked, tag("ul", *(tag("li", clause) for clause in why.split("; "))), class_="answer"
        )


def _upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _warned(report: ReportModel) -> Html:
    several = len(report.warnings) - len(report.dead or ())
    if not several:
        return Html("")
    link = tag("a", f"{several:,} warning{'' if several == 1 else 's'}", href="#warnings")
    return tag("p", link, " on this run.")


def tiles(report: ReportModel) -> Html:
    """The chief figures, each with what it is to be read beside."""
    ensemble, energy = report.ensemble, report.ensemble.energy_per_sample_j
    teacher = report.teacher
    beside = "" if teacher is None else f"teacher {percent(teacher.accuracy)}"
    interval = _NO_UPDATES if "updates" in energy.total_excludes else ""
    if energy.interval is not None:
        interval = f"neurocores {_interval(energy.interval)}"
    chips = (
        "not placed" if ensemble.chips is None else f"on {ensemble.chips:,} chip{'s' * (ensemble.chips != 1)}"
    )
    asked = f"{ensemble.mean_active_students:.2f}".rstrip("0").rstrip(".")
    shown = [
        ("Accuracy", percent(ensemble.accuracy), "accuracy", beside),
        ("Energy an inference", joules(energy.total), "energy_per_sample_j.total", interval),
        (
            "SynOps an inference",
            count(ensemble.synops_per_sample),
            "synops_per_sample",
            f"{count(ensemble.spikes_per_sample)} spikes",
        ),
        ("Latency", seconds(ensemble.latency_s), "latency_s", _most(report)),
        ("Cores", count(ensemble.cores), "cores", chips),
        ("Students asked", asked, "mean_active_students", f"of {len(report.students)}"),
    ]
    parts = [
        tag(
            "div",
            tag("dt", name),
            tag("dd", tag("span", value(figure, f"ensemble.{path}"), class_="figure")),
            tag("dd", note, class_="note") if note else Html(""),
        )
        for name, figure, path, note in shown
        if figure != ABSENT
    ]
    return tag("dl", *parts, class_="tiles")


def _most(report: ReportModel) -> str:
    """Inferences a second: of the neurocores, and of the whole where no rate was chosen."""
    throughput, operation = report.ensemble.throughput_per_s, report.operation
    if throughput is None:
        return ""
    said = f"neurocores at most {per_s(throughput)} /s"
    if operation is None or not operation.back_to_back or operation.rate_per_s is None:
        return said
    return f"{said}, with the host {per_s(operation.rate_per_s)} /s"
