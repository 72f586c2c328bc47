"""Store the weights of a teacher's ONNX file in 16 bits; print what that changes, as JSON.

usage: python -m experiments.half_teacher EXPERIMENT.toml IN.onnx OUT.onnx [--data-folder FOLDER]

Accuracies are on the experiment's validation data. Students are then trained from OUT.onnx and compared with
it: ``sne train EXPERIMENT.toml --teacher OUT.onnx``, ``sne-compile model.pt --teacher OUT.onnx``. Where a
teacher is trained, ``[teacher] weights = "float16"`` does the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import load_experiment
from sne_deploy.distill.teacher.half import halve_onnx
from sne_deploy.errors import SneError


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert, measure, and give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.half_teacher", description="Store a teacher's weights in 16 bits."
    )
    for name in ("experiment", "source", "target"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--data-folder", help="where the data set lies")
    given = parser.parse_args(arguments)
    try:
        changes = {} if given.data_folder is None else {"data.folder": given.data_folder}
        experiment = load_experiment(given.experiment, changes)
        data = load_splits(experiment.data, experiment.seed)
        held_out = data.x_validation.numpy(), data.y_validation
        print(json.dumps(asdict(halve_onnx(given.source, given.target, *held_out)), indent=1))
    except SneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
