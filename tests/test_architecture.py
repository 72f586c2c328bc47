"""The direction of imports, as docs/architecture.md lists the rooms: from above to below, and no circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BACKENDS = {"sne_lava": set(), "sne_loihi": set(), "sne_norse": set(), "sne_netx": {"sne_lava"}}
"""Each backend, and those of the others on which it builds."""
LABORATORY = {"experiments", "benchmarks", "examples", "scripts", "tests"}


WRITING = re.compile(
    r"\.write_(?:text|bytes)\(|\bopen\((?:[^()]*, )?\"[wax]|\bmk[sd]temp\("
    r"|Temporary(?:File|Directory)\(|os\.replace\("
)
OF_THEIR_OWN = {
    "sne_deploy.files": "is the way to write",
    "sne_lava.child": "its supervisor removes the simulation's folder, whoever is killed",
    "sne_netx.simulation": "writes into that folder",
}
"""What writes otherwise than through ``files.py``, and why."""


def modules() -> dict[str, Path]:
    """Every module of the wheel."""
    found = {}
    for root, packages in ((ROOT, ["sne_deploy"]), (ROOT / "backends", list(BACKENDS))):
        for path in (path for package in packages for path in (root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """What a file imports, in functions too; not what it imports for its annotations alone."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: relative imports are not followed here"
            assert node.level == 0, f"{path}: relative imports are not followed here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            waiting += ast.iter_child_nodes(node)


def graph() -> dict[str, set[str]]:
    """The modules of the wheel that each module imports; a name in a module counts as the module."""
    known = modules()
    found = {}
    for name, path in known.items():
        targets = (next((t for t in (i, i.rpartition(".")[0]) if t in known), "") for i in imports(path))
        found[name] = {target for target in targets if target} - {name}
    return found


def room(module: str) -> str:
    """The room of a module, as the page calls it."""
    package, _, rest = module.partition(".")
    if package != "sne_deploy":
        return package
    name = rest.partition(".")[0] or "__init__"
    return f"{name}/" if (ROOT / "sne_deploy" / name).is_dir() else f"{name}.py"


def rooms() -> list[set[str]]:
    """The rows of the page's table of rooms, from the top: the rooms in each."""
    table = PAGE.read_text(encoding="utf-8").partition("## The rooms")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return [set(re.findall(r"`([^`]*)`", cell)) for cell in cells]


def test_the_page_lists_every_room_once():
    folders = {path.name for path in (ROOT / "backends").iterdir() if list(path.glob("*.py"))}
    assert folders == set(BACKENDS)
    listed = [name for row in rooms() for name in row]
    assert sorted(listed) == sorted({room(module) for module in modules()} | set(BACKENDS))


def test_a_room_imports_what_is_below_it_only():
    level = {name: index for index, row in enumerate(rooms()) for name in row}
    level |= dict.fromkeys(BACKENDS, level["runtime/"] - 1)
    wrong = [
        f"{source} imports {target}"
        for source, targets in graph().items()
        for target in targets
        if room(source) != room(target)
        and room(target) not in BACKENDS
        and level[room(target)] <= level[room(source)]
    ]
    assert wrong == []


def test_the_core_imports_no_backend_and_backends_only_what_they_build_on():
    wrong = [
        f"{source} imports {target}"
        for source, targets in graph().items()
        for target in targets
        if room(target) in BACKENDS
        and room(target) != room(source)
        and room(target) not in BACKENDS.get(room(source), set())
    ]
    assert wrong == []


def test_chips_neurons_and_ir_import_each_other_downwards_and_nothing_above():
    below = {"chips/": {"errors.py", "files.py", "toml.py"}, "neurons/": {"chips/", "errors.py", "files.py"}}
    below["ir/"] = {*below["neurons/"], "neurons/", "brief.py"}
    for source, targets in graph().items():
        allowed = below.get(room(source))
        if allowed is not None:
            assert {room(target) for target in targets} - {room(source)} <= allowed, source


def test_nothing_in_the_wheel_imports_the_laboratory():
    for name, path in modules().items():
        packages = {target.partition(".")[0] for target in imports(path)}
        assert not set(packages & LABORATORY), name


def test_no_file_imports_itself_by_way_of_others():
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the circle


def test_files_are_written_in_one_way():
    """What is written by name is a path that ``atomic_path`` or ``staged_folder`` gave, and called so."""
    wrong = [
        f"{name}: {line.strip()}"
        for name, path in modules().items()
        if name not in OF_THEIR_OWN
        for line in path.read_text(encoding="utf-8").splitlines()
        if WRITING.search(line) and not re.search(r"\btemporary\.(?:write_bytes|open)\(", line)
    ]
    assert wrong == []
