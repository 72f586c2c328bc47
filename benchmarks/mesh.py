"""What placing cores by weighted hops is worth, against the plain order and against chance.

``python -m benchmarks.mesh MODEL... [--hardware CHIP] [--rounds R]``

MODEL is what ``sne.load`` takes. Every neuron spikes once. Costs are of all messages: borders between chips
crossed, and energy of hops within chips (nJ). ``random`` is the mean of R random places on as many chips.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy import sparse

import sne_deploy as sne
from sne_deploy.chips.chip import load_chip
from sne_deploy.mapping.mesh import Mesh
from sne_deploy.mapping.placement import Site
from sne_deploy.mapping.sites import cost, place, row_major


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--hardware", default="loihi1")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    mesh = Mesh.of(load_chip(given.hardware))
    head = f"{'model':28}{'cores':>6}{'chips':>6}{'borders':>10}{'row-major':>10}{'random':>10}"
    print(f"{head}{'hops nJ':>11}{'row-major':>11}{'random':>11}{'CPU s':>8}")
    for path in given.models:
        messages = traffic(path, given.hardware)
        cores = messages.shape[0]
        started = time.process_time()
        sites = place(messages, mesh)
        seconds = time.process_time() - started
        rng = np.random.default_rng(0)
        shuffled = [cost(messages, anywhere(rng, cores, mesh), mesh) for _ in range(given.rounds)]
        found = [
            cost(messages, sites, mesh),
            cost(messages, row_major(cores, mesh), mesh),
            np.mean(shuffled, 0),
        ]
        borders = "".join(f"{each[0]:10.0f}" for each in found)
        energy = "".join(f"{each[1] * 1e9:11.3f}" for each in found)
        chips = max(site.chip for site in sites) + 1
        print(f"{str(path)[-27:]:28}{cores:6}{chips:6}{borders}{energy}{seconds:8.2f}")


def traffic(path: Path, hardware: str) -> sparse.csr_matrix:
    """Messages from core to core if each neuron of the mapped model spikes once."""
    from sne_deploy.mapping.mapper import STRATEGIES
    from sne_deploy.mapping.resources import measure

    chip = load_chip(hardware)
    programs = sne.compile(sne.load(path), target="loihi", hardware=hardware).programs
    return measure(programs, STRATEGIES["packed"](programs, chip), chip).traffic


def anywhere(rng: np.random.Generator, cores: int, mesh: Mesh) -> tuple[Site, ...]:
    """Places drawn at random on the chips that hold them."""
    full = mesh.cores or cores
    places = rng.permutation(-(-cores // full) * full)[:cores]
    return tuple(mesh.site(int(place) // full, int(place) % full) for place in places)


if __name__ == "__main__":
    main()
