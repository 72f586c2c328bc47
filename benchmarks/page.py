"""docs/performance.md, made from a benchmark document and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from experiments.markdown import table
from sne_deploy.bench import number

Row = tuple[str, ...]
GOALS: tuple[tuple[str, str, float, tuple[float, ...], str], ...] = (
    ("stock-built", "abc", 1000, (0.1, 0.5), "stock Lava built and run per sample, at least {:,g}x on ({})"),
    ("stock-paused", "ab", 1000, (0.1, 0.5), "stock Lava, one run per sample, at least {:,g}x on ({})"),
    ("stock-paused", "c", 200, (0.1,), "stock Lava, one run per sample, at least {:,g}x on ({})"),
    ("stock-paused", "c", 100, (0.5,), "stock Lava, one run per sample, at least {:,g}x on ({})"),
    ("stock-streamed", "a", 300, (0.1, 0.5), "stock Lava, streamed, at least {:,g}x on ({})"),
    ("stock-streamed", "b", 1000, (0.1, 0.5), "stock Lava, streamed, at least {:,g}x on ({})"),
    ("plain", "ab", 1 / 1.5, (0.1, 0.5), "plain float32 layers, at most 1.5x their time on ({1})"),
)
"""Contestant, networks, least ratio to ``loihi``, activities, text."""


def performance_page(document: dict[str, Any]) -> str:
    """The page, as Markdown; a function of the document alone."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield TITLE
    yield from _setting(document)
    yield METHOD
    goals = [row for goal in GOALS for row in _goal_rows(document, *goal)]
    if goals and not document["quick"]:
        yield from _section("Goals", ("goal", "case", "measured", "reached"), goals)
    for case in document["cases"]:
        yield from _section(
            case_name(case), CASE_HEAD, map(_result_row, case["results"]), _case_title(case) + ".\n"
        )
    if missing := _left_out(document):
        yield from _section("Not measured", ("contestant", "where", "reason"), missing)
    yield from _startup(document["startup"])
    yield from _profile(document["profile"])
    yield from _scaling(document["scaling"])


def _section(title: str, head: Row, rows: Any, text: str = "", level: str = "##") -> Iterator[str]:
    yield f"{level} {title}\n"
    if text:
        yield text
    yield from table(head, rows)


TITLE = """\
# Performance

Made from `docs/performance.json`, what `python -m benchmarks` measured, by `python -m benchmarks \
--from-json docs/performance.json --page docs/performance.md`; not edited by hand.
"""


def _setting(document: dict[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items() if value)
    before, after = (
        " ".join(f"{value:g}" for value in document[when]) for when in ("load_before", "load_after")
    )
    yield (
        f"{document['date']}: {machine['cpu']}, {machine['cores']} cores, "
        f"{', '.join(machine['instructions']) or 'no wide vector instructions'}, "
        f"{machine['memory_gib']} GiB, {machine['system']}. {document['threads']} threads for everybody, "
        f"seed {document['seed']}. Load averages {before} before and {after} "
        f"after; the run took {document['wall_s'] / 60:.0f} min. {versions}.\n"
    )
    if document["quick"]:
        yield "**This is a quick run on tiny networks: its figures say nothing about speed.**\n"


METHOD = """\
Bernoulli inputs; one threshold per layer, tuned for hidden rates of 5 to 15 %. All contestants get the same
networks and inputs and are measured in turns, round by round, after a warm-up. The tables show the median,
the lowest and the highest round, and the same of the ratio to `loihi` *within* a round. Those that take
batches run at the best of their batch sizes.

`loihi` gets spikes as bytes and returns exact counts of spikes, synaptic operations and neuron updates per
sample. The PyTorch layers get their inputs already in their number format, with the steps folded into the
batch, and have no neurons, no state and no counts. Norse has its own neurons and no counts. Lava streamed,
and with a run per sample, does not pay for starting its processes; *built per sample* does, for every
sample. *Same counts*: the output's spike counts are those of `loihi`, which everybody who computes Loihi's
integers must reach. nengo-loihi's emulator is another model of the chip: it wraps a step's synaptic input at
21 bits, where Lava does not, so it differs where that happens.
"""


def _goal_rows(
    document: dict[str, Any], key: str, networks: str, least: float, rates: Sequence[float], text: str
) -> Iterator[Row]:
    for case in document["cases"]:
        if case["name"] not in networks or case["input_rate"] not in rates:
            continue
        ratio = next((r["ratio"] for r in case["results"] if r["contestant"] == key), None)
        if ratio is not None:
            value = ratio["median"]
            shown = f"{number(value)}x" if least >= 1 else f"{number(1 / value)}x their time"
            label = text.format(least, ", ".join(networks))
            yield (label, case_name(case), shown, "yes" if value >= least else "no")


def case_name(case: dict[str, Any]) -> str:
    """``a at 10 %``."""
    return f"{case['name']} at {100 * case['input_rate']:g} %"


def _case_title(case: dict[str, Any]) -> str:
    rates = ", ".join(f"{100 * rate:.1f} %" for rate in case["rates"].values())
    return (
        f"({case['name']}) {case['description']}; {case['synapses']:,} synapses; "
        f"input {100 * case['input_rate']:g} %, layers {rates}"
    )


CASE_HEAD: Row = (
    "", "samples", "us per sample and step", "(low to high)", "x loihi", "(low to high)", "same counts",
)  # fmt: skip


def _result_row(result: dict[str, Any]) -> Row:
    if result["us"] is None:
        return (result["label"], "", "not measured", "", "", "", "")
    spreads = [
        text
        for spread in (result["us"], result["ratio"])
        for text in (number(spread["median"]), f"{number(spread['low'])} to {number(spread['high'])}")
    ]
    exact = {True: "yes", False: "NO", None: ""}[result["exact"]]
    return (result["label"], f"{result['samples']:,}", *spreads, exact)


def _left_out(document: dict[str, Any]) -> list[Row]:
    """Contestant, cases, and why it was not measured there; equal reasons together."""
    found: dict[tuple[str, str], list[str]] = {}
    for case in document["cases"]:
        for result in case["results"]:
            if result["reason"] is not None:
                found.setdefault((result["label"], result["reason"]), []).append(case_name(case))
    return [(label, ", ".join(cases), reason) for (label, reason), cases in found.items()]


def _startup(startup: dict[str, dict[str, float]]) -> Iterator[str]:
    columns = ("import_s", "compile_s", "first_run_s", "second_run_s")
    yield from _section(
        "Start-up of `loihi`",
        ("", "import", "compile the network", "first run", "second run"),
        [
            (when.replace("_", " "), *(f"{values[column]:.3f}" for column in columns))
            for when, values in startup.items()
        ],
        "Seconds, in a fresh process. The very first run on a machine compiles the kernels; they are then "
        "kept on disk. The first run of a process also measures this machine for the cost model.\n",
    )


def _profile(profile: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = []
    for entry in profile:
        shares = "; ".join(
            f"{100 * s['share']:.0f} % {s['what']} (`{s['function']}`)" for s in entry["shares"]
        )
        rates = (
            number(entry["rate_giga_per_s"][key])
            for key in ("synops", "dense_multiply_adds", "neuron_updates")
        )
        rows.append((case_name(entry), number(entry["us"]), shares, *rates))
    yield from _section(
        "What bounds `loihi`",
        ("case", "us, one thread", "where the time goes", "Gsynop/s", "dense Gmac/s", "Gupdate/s"),
        rows,
        "On one thread: shares of the running time by function of the simulator, "
        "and the arithmetic that was done per second: synaptic operations that happened, the multiply-adds "
        "that a dense computation would have needed for the same, neuron updates.\n",
    )
    yield BOUNDS


BOUNDS = """\
A neuron update is about 48 vector instructions on 16 neurons at a time (two decays that round toward zero
take most of them), and reads and writes 37 bytes, nearly all in the first-level cache: it is bound by
instructions. An event adds rows of 16-bit weights onto 32-bit sums, 16 at a time: wide rows run at the speed
of the cache that holds the weights, narrow ones (the first convolution's 16 channels) are bound by finding
the row and by waiting for sums that were just written. A matrix product runs at the speed of the processor's
8-bit multiply-adds, whatever the activity. Which of them is used is chosen per layer and chunk from costs
that are measured once per process, in the thread's own time, so that other load does not change them.
"""


def _scaling(scaling: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    if not scaling:
        return
    yield "## How cost grows\n"
    yield (
        f"Dense {scaling['batch'][0]['inputs']} - width - width / 2 - 10, one of batch size, width, input "
        "rate and steps varied, each point in a process of its own. Peak memory is what a run needs beyond "
        "its inputs; it contains the results.\n"
    )
    for sweep, points in scaling.items():
        head = (sweep, "us per sample and step", "ms in all", "peak memory, MiB", "of it per sample, KiB")
        yield from _section(sweep, head, [_point_row(sweep, point) for point in points], level="###")


def _point_row(sweep: str, point: dict[str, Any]) -> Row:
    value = f"{100 * point['rate']:g} %" if sweep == "rate" else f"{point[sweep]:,}"
    per_sample = 1024 * point["peak_mib"] / point["batch"]
    return (value, *map(number, (point["us"], point["ms"], point["peak_mib"], per_sample)))
