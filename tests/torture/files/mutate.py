"""Good files of any kind made bad: bytes, entries of archives, words and lines."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np

from tests.damage import Damage
from tests.torture.files.kind import Kind

_WORDS = (
    "0 1 -1 1e400 -1e400 nan inf -inf 1e-320 1e308 true null {} [] '' . 0.5 2 3 7 255 65536 2147483648 a.b.c "
    "9223372036854775808 [[x]] 1979-05-27 = #"
)
ODD = (
    *_WORDS.split(),
    *("9" * 400, "0x" + "f" * 100, "[" * 2000, '"' + "x" * 5000 + '"', '"tcp://x"'),
    *('"\\u001b[31m"', "\x1b]0;gone\x07", "\udcff"),
)


def mutated(kind: Kind, rng: np.random.Generator) -> bytes:
    """A good file, made bad."""
    data = kind.seeds[int(rng.integers(len(kind.seeds)))]
    others = list(kind.seeds)
    if kind.name.endswith((".toml", ".json")):
        return _text(data, rng)
    if data.startswith(b"PK") and rng.random() < 0.75:  # with checksums that fit
        return _zip(data, rng)
    return Damage(data, others, np.arange(len(data)), rng).apply()[0]


def _zip(data: bytes, rng: np.random.Generator) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        entries = old.infolist()
        chosen = int(rng.integers(len(entries)))
        for index, entry in enumerate(entries):
            content = old.read(entry)
            if index == chosen and content:
                head = np.arange(min(len(content), 400))
                content = Damage(content, [content], head, rng).apply()[0]
            new.writestr(entry, content)
    return made.getvalue()


def _text(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode()
    for _ in range(int(rng.choice((1, 1, 2, 4)))):
        spots = [match.span() for match in re.finditer(r'-?\d[\d.e+-]*|"[^"\n]*"|\b\w+\b', text)]
        start, end = spots[int(rng.integers(len(spots)))] if spots else (0, 0)
        lines = text.splitlines()
        here = int(rng.integers(max(1, len(lines))))
        way = int(rng.integers(6))
        if way <= 2:
            text = text[:start] + ODD[int(rng.integers(len(ODD)))] + text[end:]
        elif way == 3:
            text = "\n".join(lines[:here] + lines[here + 1 :])
        elif way == 4:
            text = "\n".join([*lines[:here], lines[int(rng.integers(len(lines)))], *lines[here:]])
        else:
            text = text[:start] + text[end:]
        if not text:
            break
    return text.encode("utf-8", "surrogateescape")
