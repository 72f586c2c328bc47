"""Check that the main job ran from the installed wheel, outside the tree, and that its report adds up.

Called by test_wheel.sh with the path of report.json and the root of the source tree.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path

from sne_deploy.report.file import load_report

MINIMUM_ACCURACY = 0.9


def main(report_file: Path, tree: Path) -> None:
    """Raise SystemExit with one line if something is wrong."""
    for entry in entry_points(group="sne_deploy.backends"):
        entry.load()
    roots = ["sne_deploy", *{entry.module for entry in entry_points(group="sne_deploy.backends")}]
    for name in roots:
        source = Path(importlib.import_module(name).__file__ or "").resolve()
        if not source.is_relative_to(Path(sys.prefix).resolve()) or source.is_relative_to(tree.resolve()):
            raise SystemExit(f"test-wheel: {name} was imported from {source}, not from the wheel")
    if any(Path(entry).resolve() == tree.resolve() for entry in sys.path):
        raise SystemExit(f"test-wheel: {tree} is on the module search path")
    packages = {file.parts[0] for file in distribution("sne-deploy").files or () if file.suffix == ".py"}
    if packages != set(roots):
        raise SystemExit(f"test-wheel: the wheel holds {sorted(packages)}, not {sorted(roots)} alone")
    licences = [str(file) for file in distribution("sne-deploy").files or () if file.name == "LICENSE"]
    if not licences:
        raise SystemExit("test-wheel: the wheel contains no LICENSE")

    accuracy = load_report(report_file).ensemble.accuracy
    if accuracy is None or accuracy < MINIMUM_ACCURACY:
        raise SystemExit(f"test-wheel: accuracy is {accuracy}, expected at least {MINIMUM_ACCURACY}")
    print(f"test-wheel: {', '.join(roots)} from the wheel, accuracy {accuracy:.3f}, the report adds up")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
