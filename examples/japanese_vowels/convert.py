"""Write train.npz and test.npz from the data set's files, as they lie in the wheel of the package aeon.

    pip download --no-deps aeon==1.6.0
    python examples/japanese_vowels/convert.py aeon-1.6.0-py3-none-any.whl

Each has ``x`` (float32, utterances x 29 steps x 12 coefficients, zeros after an utterance's end), ``y``
(int64, the speaker, from 0) and ``lengths`` (int64). The same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MEMBER = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
STEPS, COEFFICIENTS = 29, 12


def utterances(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and lengths of a ``.ts`` file: an utterance a line, channels and then its label between colons."""
    lines = text[text.lower().index("@data") :].split("\n")[1:]
    rows = [line.strip().split(":") for line in lines if line.strip()]
    x = np.zeros((len(rows), STEPS, COEFFICIENTS), np.float32)
    lengths = np.zeros(len(rows), np.int64)
    for row, (*channels, _) in enumerate(rows):
        series = np.array([channel.split(",") for channel in channels], np.float64)
        lengths[row] = series.shape[1]
        x[row, : lengths[row]] = series.T
    return x, np.array([int(row[-1]) - 1 for row in rows], np.int64), lengths


def main() -> None:
    """Convert both splits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, metavar="WHEEL")
    parser.add_argument("--out", type=Path, metavar="DIR", default=HERE)
    options = parser.parse_args()
    with zipfile.ZipFile(options.wheel) as archive:
        for split in ("train", "test"):
            x, y, lengths = utterances(archive.read(MEMBER.format(split.upper())).decode())
            np.savez_compressed(options.out / f"{split}.npz", x=x, y=y, lengths=lengths)
            print(f"{split}: {len(x)} utterances of {lengths.min()} to {lengths.max()} steps")


if __name__ == "__main__":
    main()
