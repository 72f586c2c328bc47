"""Lava imports and runs on every supported Python, and nobody else notices.

Each test that imports Lava does so in an interpreter of its own: what matters is what a fresh one sees.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sne_lava import compat

needs_lava = pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="lava-nc is not installed")
needs_netx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("lava", "torch", "matplotlib")),
    reason="lava-dl and what netx needs is not installed",
)

STATE = """
import dataclasses, logging, multiprocessing, os, signal, sys, threading, warnings
import numpy, scipy.sparse, scipy.signal, networkx, asteval  # whatever they change is their own affair

def state():
    return {
        "dataclass": dataclasses.dataclass,
        "dataclasses": dict(vars(dataclasses)),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "multiprocessing": [getattr(multiprocessing, name) for name in multiprocessing.__all__],
        "builtins": {k: v for k, v in vars(__import__("builtins")).items() if k != "_"},
        "handlers": list(logging.getLogger().handlers),
        "level": logging.getLogger().level,
        "filters": list(warnings.filters),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "environment": dict(os.environ),
        "path": list(sys.path),
        "threads": threading.enumerate(),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook),
        "errors": numpy.geterr(),
    }
"""

RUN_LIF = """
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF

source = Source(data=np.ones((1, 5), dtype=int))
dense = Dense(weights=np.array([[4.0]]))
lif = LIF(shape=(1,), vth=10, du=4095, dv=0)
sink = Sink(shape=(1,), buffer=5)
source.s_out.connect(dense.s_in)
dense.a_out.connect(lif.a_in)
lif.s_out.connect(sink.a_in)
lif.run(RunSteps(num_steps=5), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
try:
    spikes, membrane = sink.data.get(), lif.v.get()
finally:
    lif.stop()
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Run code in a fresh interpreter that has tmp_path on its path; return its output, or fail."""

    def run(code: str, *options: str) -> str:
        program = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{textwrap.dedent(code)}"
        done = subprocess.run(
            [sys.executable, *options, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def write_module(root: Path, name: str, code: str) -> None:
    """Write a module; under ``lava`` it joins the installed namespace package."""
    path = root.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code))


@needs_lava
def test_every_lava_module_imports_and_leaves_the_program_as_it_was(run: Callable[..., str]) -> None:
    output = run(
        STATE
        + """
import importlib, pathlib
before = state()
from sne_lava.compat import import_lava
import_lava()
count = 0
for root in ("lava.magma", "lava.proc"):
    for folder in map(pathlib.Path, importlib.import_module(root).__path__):
        for file in sorted(folder.rglob("*.py")):
            names = [root, *file.relative_to(folder).with_suffix("").parts]
            importlib.import_module(".".join(names).removesuffix(".__init__"))
            count += 1
after = state()
changed = [name for name in before if before[name] != after[name]]
assert not changed, changed
print(count)
"""
    )
    assert int(output) > 100


@needs_lava
def test_five_steps_of_a_lif_neuron(run: Callable[..., str]) -> None:
    # A weight of 4 is 4 << 6 = 256 in the membrane from the second step on; the threshold is 10 << 6 = 640.
    code = (
        "from sne_lava.compat import import_lava\nimport_lava()\n"
        + RUN_LIF
        + "print(spikes.tolist(), membrane.tolist())"
    )
    assert run(code) == "[[0.0, 0.0, 0.0, 1.0, 0.0]] [256.0]\n"


@needs_lava
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_lava_runs_beside_another_start_method(run: Callable[..., str], method: str) -> None:
    code = f"""
import multiprocessing
multiprocessing.set_start_method({method!r})
from sne_lava.compat import import_lava
import_lava()
{RUN_LIF}
print(spikes.tolist(), multiprocessing.get_start_method())
"""
    assert run(code) == f"[[0.0, 0.0, 0.0, 1.0, 0.0]] {method}\n"


@needs_lava
def test_the_program_can_still_choose_a_start_method_afterwards(run: Callable[..., str]) -> None:
    code = """
    import multiprocessing
    from sne_lava.compat import import_lava
    import_lava()
    import lava.magma.runtime.runtime
    multiprocessing.set_start_method("spawn")
    print(multiprocessing.get_start_method())
    """
    assert run(code) == "spawn\n"


@needs_lava
def test_importing_lava_raises_no_warning(run: Callable[..., str]) -> None:
    code = """
    from sne_lava.compat import import_lava
    import_lava()
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.lif.process import LIFReset
    from lava.proc.sparse.process import Sparse
    """
    run(code, "-W", "error")


@needs_lava
def test_a_failing_import_leaves_nothing_behind(run: Callable[..., str], tmp_path: Path) -> None:
    write_module(tmp_path, "lava.probe_fails", "import dataclasses\nraise RuntimeError('halfway')")
    code = (
        STATE
        + """
from sne_lava.compat import import_lava
before = state()
import_lava()
try:
    import lava.probe_fails
except RuntimeError as error:
    print(error)
assert state() == before
assert "lava.probe_fails" not in sys.modules
"""
    )
    assert run(code) == "halfway\n"


@needs_lava
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 accepts an unhashable default")
def test_the_rule_for_defaults_still_holds_outside_lava(run: Callable[..., str], tmp_path: Path) -> None:
    body = """
    from dataclasses import dataclass
    @dataclass
    class Inner:
        x: int = 0
    try:
        @dataclass
        class Outer:
            inner: Inner = Inner()
        outcome = "accepted"
    except ValueError:
        outcome = "refused"
    """
    write_module(tmp_path, "third_party", body)
    write_module(tmp_path, "lava_lookalike", body)
    write_module(tmp_path, "lava.probe", body + "    import third_party\n")
    write_module(
        tmp_path,
        "star",
        "from lava.probe import *\n"
        + textwrap.dedent(body).replace("from dataclasses import dataclass\n", ""),
    )
    code = """
    import dataclasses
    original = dataclasses.dataclass
    from sne_lava.compat import import_lava
    import_lava()
    import lava.probe, third_party, lava_lookalike, star
    assert third_party.dataclass is original, "a package that Lava imports got Lava's decorator"
    print(lava.probe.outcome, third_party.outcome, lava_lookalike.outcome, star.outcome)
    """
    assert run(code) == "accepted refused refused refused\n"


@needs_lava
def test_a_thread_that_imports_at_the_same_time_sees_the_original(
    run: Callable[..., str], tmp_path: Path
) -> None:
    write_module(
        tmp_path,
        "lava.probe_waits",
        """
        import dataclasses, threading
        seen = []
        def look():
            import third_party_of_thread as other
            seen.append(other.dataclasses.dataclass)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        """,
    )
    write_module(tmp_path, "third_party_of_thread", "import dataclasses\n")
    code = """
    import dataclasses
    from sne_lava.compat import import_lava
    import_lava()
    import lava.probe_waits
    assert lava.probe_waits.seen == [dataclasses.dataclass]
    """
    run(code)


@needs_lava
def test_importing_it_twice_adds_one_finder(run: Callable[..., str]) -> None:
    code = """
    import sys
    from sne_lava.compat import import_lava
    before = list(sys.meta_path)
    import_lava()
    import_lava()
    assert len(sys.meta_path) == len(before) + 1
    """
    run(code)


@needs_lava
def test_source_and_file_of_a_lava_module_are_found(run: Callable[..., str]) -> None:
    # Lava's compiler looks for process models in the files beside a process.
    code = """
    import inspect
    from sne_lava.compat import import_lava
    import_lava()
    from lava.proc.lif import process
    assert "class LIF(" in inspect.getsource(process)
    assert process.__spec__.loader.get_filename("lava.proc.lif.process") == process.__file__
    """
    run(code)


@needs_netx
def test_netx_imports_without_object_detection(run: Callable[..., str]) -> None:
    code = """
    import sys
    from sne_lava.compat import import_netx
    netx = import_netx()
    assert netx is import_netx() and netx.hdf5.Network
    assert not {"torchvision", "cv2"} & set(sys.modules)
    name = "lava.lib.dl.slayer.object_detection"
    assert name not in sys.modules, "a later import must give the real one"
    assert not hasattr(sys.modules["lava.lib.dl.slayer"], "object_detection")
    """
    run(code)


@pytest.mark.parametrize(
    ("missing", "first"),
    [(["lava"], ""), (["lava", "networkx", "asteval"], "pip install 'networkx<3' asteval && ")],
)
def test_without_lava_one_line_says_what_to_install(
    run: Callable[..., str], missing: list[str], first: str
) -> None:
    code = f"""
    import sys
    sys.modules.update(dict.fromkeys({missing!r}))
    before = list(sys.meta_path)
    from sne_deploy.errors import TargetError
    from sne_lava.compat import import_lava
    try:
        import_lava()
    except TargetError as error:
        print(error)
    assert sys.meta_path == before
    """
    assert run(code) == (
        f"target lava: lava-nc is not installed; install it with: {first}"
        "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
        "; or use --target loihi, the same integers without Lava\n"
    )


@needs_lava
def test_with_lava_alone_one_line_says_what_to_install(run: Callable[..., str]) -> None:
    code = """
    import sys
    sys.modules.update(dict.fromkeys(["networkx", "asteval"]))
    from sne_deploy.errors import TargetError
    from sne_lava.compat import import_lava
    try:
        import_lava()
        raise AssertionError
    except TargetError as error:
        print(error)
    """
    assert run(code) == (
        "target lava: lava-nc needs networkx, asteval, not installed here; "
        "install with: pip install 'networkx<3' asteval; "
        "or use --target loihi, the same integers without Lava\n"
    )


@needs_lava
def test_netx_without_lava_dl_says_what_to_install(run: Callable[..., str]) -> None:
    code = """
    import sys
    sys.modules["lava.lib"] = None
    from sne_deploy.errors import TargetError
    from sne_lava.compat import import_netx
    try:
        import_netx()
    except TargetError as error:
        print(error)
    """
    assert run(code).endswith("pip install --no-deps --ignore-requires-python lava-dl==0.6.0\n")


# --- The decorator that Lava's classes get ----------------------------------------------------------

OPTIONS = st.dictionaries(
    st.sampled_from(["init", "repr", "eq", "order", "unsafe_hash", "frozen", "slots", "kw_only"]),
    st.booleans(),
)


def outcome(decorator: Callable[..., Any], module: str, options: dict[str, bool], hash_: str) -> Any:
    """Decorate a new class; return its parameters and whether it hashes, or the error."""
    body: dict[str, Any] = {"__annotations__": {"x": int}, "x": 1, "__module__": module}
    if hash_ == "own":
        body["__hash__"] = lambda _: 7
    elif hash_ == "none":
        body["__hash__"] = None
    try:
        cls = decorator(**options)(type("Probe", (), body))
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return SimpleNamespace(cls=cls, parameters=cls.__dataclass_params__, hashes=cls.__hash__ is not None)


@given(options=OPTIONS, hash_=st.sampled_from(["inherited", "own", "none"]))
def test_other_classes_get_the_standard_decorator(options: dict[str, bool], hash_: str) -> None:
    expected = outcome(dataclasses.dataclass, "elsewhere", options, hash_)
    got = outcome(compat._lava_dataclass, "elsewhere", options, hash_)
    if isinstance(expected, tuple):
        assert got == expected
    else:
        assert repr(got.parameters) == repr(expected.parameters)
        assert got.hashes == expected.hashes


@given(options=OPTIONS, hash_=st.sampled_from(["inherited", "own", "none"]))
def test_classes_of_lava_differ_in_having_a_hash_alone(options: dict[str, bool], hash_: str) -> None:
    expected = outcome(dataclasses.dataclass, "lava.probe", options, hash_)
    got = outcome(compat._lava_dataclass, "lava.probe", options, hash_)
    if isinstance(expected, tuple):
        assert got == expected
        return
    asked = options.get("unsafe_hash") is not None
    assert got.hashes == expected.hashes or (got.hashes and hash_ == "inherited" and not asked)
    if hash_ == "inherited" and not asked and options.get("eq", True) and not options.get("frozen", False):
        assert got.hashes
        if options.get("init", True):
            assert hash(got.cls()) == hash(got.cls())


def test_the_decorator_works_with_and_without_parentheses() -> None:
    for bare, module in itertools.product([True, False], ["lava", "lava.a.b", "lavaland"]):
        cls = type("Probe", (), {"__annotations__": {"x": int}, "x": 1, "__module__": module})
        cls = compat._lava_dataclass(cls) if bare else compat._lava_dataclass()(cls)
        assert (cls.__hash__ is not None) == (module != "lavaland")
