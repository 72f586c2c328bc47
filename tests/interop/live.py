"""Networks that the frameworks have just exported, against what the same frameworks computed; a table of it.

usage: python -m tests.interop.live DATA [--page docs/frameworks.md]

Reads what ``export.sh ENVIRONMENTS DATA --live`` wrote, compiles each graph for target ``norse`` with the
options that the page of frameworks names, and compares every spike and membrane. Ends with 1 where a network
differs that should not.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sne_deploy as sne
from sne_deploy.errors import SneError
from tests.interop.stored import Stored, load, names

MEMBRANE = 1e-6
RESETS = {
    "value": "value",
    "subtract": "subtract",
    "subtract_delayed": "subtract-delayed",
    "zero_delayed": "value-delayed",
    "none": "none",
}
"""As recordings name them, and as ``--reset`` does."""
BESIDES: Mapping[str, dict[str, Any]] = {
    "norse_box_iaf": {"dt_s": 1.0},
    "norse_iaf": {"dt_s": 1.0},
    "norse_fault_iaf_dt": {"dt_s": 1e-3},
    "norse_fault_thousandth": {"dt_s": 1e-6},
    "sinabs_fault_norm_input": {"gain": "full"},
}
"""What a network needs beside its framework's convention and its reset."""
LOST: Mapping[str, str] = {
    "norse_fault_none": "nothing but a torso is written",
    "norse_fault_v_reset": "v_reset is not written",
    "sinabs_fault_min_v_mem": "min_v_mem is not written",
    "sinabs_fault_multi_spike": "several spikes in a step: use SingleSpike",
    "sinabs_fault_reset_value": "the value of MembraneReset is not written",
    "sinabs_fault_tau_syn": "tau_syn is not written",
    "snntorch_fault_beta_one": "tau is infinite",
    "snntorch_fault_pool_padding": "the padding is not written",
    "snntorch_fault_subtract_twice": "subtracts twice at once: use reset_delay=True",
    "spikingjelly_fault_cuba_start": "starts at v_reset, decays to 0",
    "spikingjelly_fault_ties": "fires at the threshold itself",
    "rockpool_fault_multi_spike": "several spikes in a step: use max_spikes_per_dt=1",
}
"""What no option brings back, since the file does not hold it."""
BEGIN, END = "<!-- networks: written by make interop -->", "<!-- end of networks -->"


@dataclass(frozen=True)
class Row:
    """One network, compared."""

    name: str
    options: dict[str, Any]
    spikes: int
    differ: int | None
    said: str


def options_of(stored: Stored) -> dict[str, Any]:
    """What ``sne.load`` is told of a recording."""
    about = stored.about
    framework = next(f for f in ("mlx_snn", about["framework"]) if stored.name.startswith(f))
    options = about.get(
        "options", {"convention": framework.replace("_", "-"), "reset": RESETS[about["reset"]]}
    )
    return {**options, **BESIDES.get(stored.name, {})}


def compare(stored: Stored) -> Row:
    """Compile, run, count."""
    options = options_of(stored)
    spikes = sum(int(values.sum()) for values in stored.outputs.values() if values.dtype.kind != "f")
    try:
        ensemble = sne.load(stored.path, timesteps=stored.about["timesteps"], **options)
        with sne.compile(ensemble, target="norse") as network:
            student = network.run(stored.inputs, record="spikes").students[0]
    except SneError as error:
        return Row(stored.name, options, spikes, None, str(error))
    differ = 0
    for node, expected in stored.outputs.items():
        if expected.dtype.kind == "f":
            near = np.isclose(student.outputs, expected[:, -1], rtol=MEMBRANE, atol=MEMBRANE)
            differ += int((~near).sum())
        else:
            differ += int((student.spikes[node] != expected).sum())
    return Row(stored.name, options, spikes, differ, "")


def table(rows: list[tuple[Stored, Row]]) -> str:
    """Markdown."""
    lines = ["| framework | network | `sne.load` | spikes | differ |", "|---|---|---|---|---|"]
    for stored, row in rows:
        about = stored.about
        package = about["framework"].replace("_", "-")
        version = about["versions"].get(package, about["versions"].get(about["framework"], ""))
        shown = ", ".join(f"{key}={value!r}" for key, value in row.options.items())
        what = LOST.get(row.name)
        result = ("refused" if row.differ is None else str(row.differ)) + (f": {what}" if what else "")
        network = re.sub(
            r"in_features=|out_features=|, bias=True|kernel_size=|, stride=\(1, 1\)", "", about["network"]
        )
        lines.append(f"| {package} {version} | {network} | {shown} | {row.spikes} | {result} |")
    return "\n".join(lines)


def main() -> None:
    """Compare all of a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--page", type=Path, help="the page whose table is to be written anew")
    arguments = parser.parse_args()
    rows, wrong = [], []
    for name in names(folder=arguments.data):
        stored = load(name, arguments.data)
        row = compare(stored)
        rows.append((stored, row))
        if (row.differ != 0) != (name in LOST):
            wrong.append(name)
        sys.stdout.write(f"{name}: {row.differ} of {row.spikes} differ {row.said}\n")
    if arguments.page:
        text = arguments.page.read_text()
        made = f"{BEGIN}\n\n{table(rows)}\n\n{END}"
        arguments.page.write_text(
            re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)
        )
    if wrong:
        raise SystemExit(f"not as the page says: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
