"""``python -m tests.torture.guided_child KIND RUNS SEED CORPUS CRASHES``: mutate as the code says.

Atheris, that is libFuzzer, keeps every input that reaches new branches of ``sne_deploy`` and goes on from
there; half of the mutations are those of :mod:`tests.torture.files.mutate`, which know words, lines and
archives. It ends with the first input that is neither read nor refused, which is then in CRASHES.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["sne_deploy"], enable_loader_override=False):
    from sne_deploy.errors import SneError
    from tests.torture.files.kind import Kind
    from tests.torture.files.mutate import mutated
    from tests.torture.files.readers import readers

MOST_BYTES = 1 << 18
SECONDS, MOST_MIB = 20.0, 2500
"""Of processor time: the machine may be busy, so libFuzzer's own clock has a day."""


def main(kind: str, runs: str, seed: str, corpus: str, crashes: str) -> None:
    """Fuzz, and never return."""
    with atheris.instrument_imports(include=["sne_deploy"], enable_loader_override=False):
        name, read = readers()[kind]
    seeds = tuple(path.read_bytes() for path in sorted(Path(corpus).iterdir()))
    path = Path(tempfile.mkdtemp(dir=Path(corpus).parent)) / name

    def once(data: bytes) -> None:
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read(path)
        except SneError as error:
            text = str(error)
            if not text.isprintable():
                raise AssertionError(f"a terminal obeys {text!r}") from error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        rng = np.random.default_rng(number)
        if len(data) > 1 and rng.random() < 0.5:
            return _known(Kind(name, (data,), lambda _: 0), rng, seeds)[:most]
        return atheris.Mutate(data, most)

    signal.signal(signal.SIGPROF, _too_long)
    options = [f"-runs={runs}", f"-seed={seed}", f"-max_len={MOST_BYTES}", f"-artifact_prefix={crashes}/"]
    options += ["-timeout=86400", f"-rss_limit_mb={MOST_MIB}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, corpus], once, custom_mutator=mutate)
    atheris.Fuzz()


def _too_long(*_: object) -> None:
    raise TimeoutError(f"took longer than {SECONDS:.0f} s")


def _known(kind: Kind, rng: np.random.Generator, seeds: tuple[bytes, ...]) -> bytes:
    """A mutation that knows the format; where the file is too bad for that, of a good one."""
    try:
        return mutated(kind, rng)
    except Exception:  # noqa: BLE001  a zip file or a text that is none any more
        return mutated(Kind(kind.name, seeds, kind.read), rng)


if __name__ == "__main__":
    main(*sys.argv[1:])
