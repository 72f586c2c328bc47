"""Measure the committed ensemble, its teacher and the linear classifier, and put the figures into README.md.

python -m examples.japanese_vowels.figures [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import sne_deploy as sne
from examples.japanese_vowels.baseline import linear_classifier
from sne_deploy.data import load_data
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import load_experiment
from sne_deploy.files import atomic_path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
BEGIN, END = "<!-- figures: written by examples/japanese_vowels/figures.py -->\n", "<!-- end of figures -->"


def figures() -> str:
    """A table: validation samples or cross-validation, and the test split."""
    ensemble, experiment = sne.load(HERE / "model.pt"), load_experiment(HERE / "experiment.toml")
    kept = load_splits(experiment.data, experiment.seed, timesteps=ensemble.timesteps)
    assert kept.validation_lengths is not None  # noqa: S101  series have lengths
    takes = {"input_shape": ensemble.input_shape, "timesteps": ensemble.timesteps}
    test = load_data(str(HERE / "test.npz"), **takes, encoder=ensemble.encoder)
    with sne.compile(ensemble, "loihi") as compiled:
        validated = compiled.run(
            kept.x_validation.numpy(), kept.y_validation, lengths=kept.validation_lengths.numpy()
        ).report
        report = compiled.run(test.x, test.y, lengths=test.lengths, teacher=HERE / "teacher.onnx").report
    linear = linear_classifier()
    samples, held = len(test), len(kept.y_validation)

    def of(accuracy: float | None, count: int) -> str:
        assert accuracy is not None  # noqa: S101  there are labels
        return f"{100 * accuracy:.2f} %, {round(accuracy * count)} of {count}"

    energy = report.ensemble.energy_per_sample_j
    rows = [
        (
            "linear classifier",
            f"{100 * linear.cross_validation:.2f} % by cross-validation",
            of(linear.test, samples),
        ),
        (
            "ensemble, float",
            of(validated.fidelity.float_accuracy, held),
            of(report.fidelity.float_accuracy, samples),
        ),
        ("ensemble, integers", of(validated.ensemble.accuracy, held), of(report.ensemble.accuracy, samples)),
        *((one.name, "", of(one.accuracy, samples)) for one in report.students),
        ("teacher", "", of(report.teacher.accuracy, samples)),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"| | left out of training | test |\n|---|---|---|\n{table}\n\n"
        f"An utterance takes {report.ensemble.synops_per_sample:,.0f} synaptic operations and "
        f"{1e6 * energy.total:.2f} uJ of Loihi's neurocores and the host's arithmetic; the teacher "
        f"{report.teacher.macs:,} multiply-accumulates.\n"
    )


def main() -> int:
    """Write the page, or with ``--check`` compare it."""
    page = PAGE.read_text("utf-8")
    block = f"{BEGIN}\n{figures()}\n{END}"
    made = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: block, page, flags=re.DOTALL)
    if "--check" in sys.argv[1:]:
        print(
            "up to date"
            if made == page
            else f"{PAGE} differs; run python -m examples.japanese_vowels.figures"
        )
        return int(made != page)
    with atomic_path(PAGE) as temporary:
        temporary.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
