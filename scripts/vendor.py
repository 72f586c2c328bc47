"""Write the JavaScript that pages draw with, and what their tests check with, from npm: the pinned versions.

python scripts/vendor.py
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Package:
    """A package of npm, its version, its licence, and which of its files to keep."""

    name: str
    version: str
    license: str
    file: str


FOLDERS = {
    "sne_deploy/page/vendor": (
        Package("vega", "6.4.0", "BSD-3-Clause", "build/vega.min.js"),
        Package("vega-lite", "6.4.3", "BSD-3-Clause", "build/vega-lite.min.js"),
        Package("vega-interpreter", "2.3.2", "BSD-3-Clause", "build/vega-interpreter.js"),
    ),
    "tests/page/vendor": (Package("axe-core", "4.14.1", "MPL-2.0", "axe.min.js"),),
}


def vendored(package: Package, folder: Path) -> dict[str, str]:
    """Fetch one package, keep its file and its licence; its line in ``vendor.json``."""
    with tempfile.TemporaryDirectory() as temporary:
        asked = ["npm", "pack", "--json", f"{package.name}@{package.version}"]
        told = subprocess.run(asked, cwd=temporary, check=True, capture_output=True, text=True).stdout
        (packed,) = json.loads(told)
        with tarfile.open(Path(temporary) / packed["filename"]) as tar:
            content, licence = (_member(tar, name) for name in (package.file, "LICENSE"))
    name = Path(package.file).name
    (folder / name).write_bytes(content)
    (folder / f"LICENSE-{package.name}").write_bytes(licence)
    return {
        "package": package.name,
        "version": package.version,
        "license": package.license,
        "integrity": packed["integrity"],
        "file": name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    found = tar.extractfile(f"package/{name}")
    if found is None:
        raise SystemExit(f"the package has no {name}")
    return found.read()


def main() -> None:
    """Write each folder and its ``vendor.json``."""
    for folder, packages in FOLDERS.items():
        lines = [vendored(package, ROOT / folder) for package in packages]
        (ROOT / folder / "vendor.json").write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
