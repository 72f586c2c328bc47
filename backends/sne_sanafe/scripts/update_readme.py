"""Write the figures in README.md: from the root.

``python backends/sne_sanafe/scripts/update_readme.py MNIST_DIR``.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import sne_deploy as sne
from sne_deploy.data import load_data
from sne_sanafe import compare
from sne_sanafe.table import text

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->"


def main() -> None:
    """Compare the two committed ensembles that fit on one chip."""
    runs = [("examples/digits/model.pt", "digits", "digits", 200)]
    runs.append(("examples/mnist/model.pt", f"mnist:{sys.argv[1]}", "mnist:DIR", 200))
    parts = [f"SANA-FE {version('sanafe')}.\n"]
    for model, data, shown, samples in runs:
        ensemble = sne.load(model)
        x = load_data(
            data, input_shape=ensemble.input_shape, timesteps=ensemble.timesteps, encoder=ensemble.encoder
        ).x[:samples]
        with sne.compile(ensemble, target="loihi") as compiled:
            found = text(compare(compiled, x))
        parts.append(f"    $ sne-sanafe {model} --data {shown} --samples {samples}")
        parts.append("".join(f"    {line}".rstrip() + "\n" for line in found.splitlines()))
    page = README.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    README.write_text(before + BEGIN + "\n".join(parts) + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
