"""``python -m tests.torture [PART ...] [--long | --count N | --only I] [--seed S] [--resume] [--out DIR]``.

Without arguments a short version of every part, about a minute in all. Prints every failure with the command
that repeats it, keeps the results of each part in FOLDER/PART.json, and ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sne_deploy.files import write_whole
from tests.torture.campaign import campaign, line
from tests.torture.part import Part, parts

OUT = Path("out/reliability")


def main(arguments: list[str]) -> int:
    """The exit status."""
    _hear_signals()
    known = parts()
    asked = _asked(arguments, known)
    if asked.list:
        for part in known.values():
            _say(f"{part.name}: {part.promise}")
        return 0
    failed = 0
    for name in asked.part or known:
        part = known[name]
        path = asked.out / f"{name}.json"
        before = _before(path, asked.seed) if asked.resume else None
        indices = _indices(part, asked)[before["count"] if before else 0 :]
        results = campaign(part, indices, asked.seed, _say, before, partial(_keep, path))
        _keep(path, results)
        _say(line(results))
        failed += results["failed"]
    return int(failed > 0)


def _hear_signals() -> None:
    """What is tried would inherit that a signal is ignored, as below nohup and in a shell's background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _before(path: Path, seed: int) -> dict[str, Any] | None:
    """What was kept of the same trials, each of which the seed and its index make."""
    if not path.exists():
        return None
    before: dict[str, Any] = json.loads(path.read_bytes())
    return before if before["seed"] == seed and before["unit"] == "trials" else None


def _keep(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())


def _asked(arguments: list[str], known: dict[str, Part]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"of {', '.join(known)}; default: all")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--count", type=int, help="how many trials")
    length.add_argument("--long", action="store_true", help="as many as stand on the page; can take hours")
    length.add_argument("--only", type=int, metavar="INDEX", help="one trial again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on after the trials that FOLDER has")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"default: {OUT}")
    parser.add_argument("--list", action="store_true", help="what each part promises")
    asked = parser.parse_args(arguments)
    wrong = [name for name in asked.part if name not in known]
    if wrong:
        parser.error(f"no part is called {wrong[0]!r}; there are {', '.join(known)}")
    if asked.count is not None and asked.count < 1:
        parser.error(f"--count {asked.count}: at least 1")
    return asked


def _indices(part: Part, asked: argparse.Namespace) -> Sequence[int]:
    if asked.only is not None:
        return [asked.only]
    return range(asked.count or (part.full if asked.long else part.short))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
