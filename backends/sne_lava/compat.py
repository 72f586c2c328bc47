"""Importing Lava 0.10.0, the last release, on Python 3.10 to 3.13.

Upstream is archived and declares Python 3.10 alone. Two things in it do not survive newer interpreters
or company, and both happen while its modules are executed:

- ``lava.magma.compiler.var_model`` uses dataclass instances as field defaults. Since Python 3.11 such a
  default must be hashable, and a plain dataclass is not: the import ends in a ``ValueError``.
- ``lava.magma.runtime.message_infrastructure.multiprocessing`` calls ``set_start_method("fork")`` for the
  whole program: every other user of multiprocessing then forks, and the import fails where a start
  method had been chosen before.

Nothing is patched. A finder in ``sys.meta_path`` answers for modules named ``lava`` and ``lava.*`` only,
and executes them with an ``__import__`` of their own, which gives them stand-ins for two modules:
``dataclasses``, whose ``dataclass`` adds a hash to Lava's own classes (3.11 and later), and
``multiprocessing``, which is the fork context. The real modules, every other package (also one that Lava
imports) and every other thread never see a difference, whether the import succeeds or not.

What this does not contain is what Lava does when it *runs*: each process object adds a handler to the
root logger, and each Lava process is a fork of the caller. Run Lava in a process of its own.
"""

from __future__ import annotations

import builtins
import dataclasses
import importlib
import multiprocessing
import multiprocessing.managers
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from sne_lava.installed import require_lava, require_netx

_OBJECT_DETECTION = "lava.lib.dl.slayer.object_detection"


def import_lava() -> ModuleType:
    """Make Lava importable for the rest of the program, and return the package ``lava``.

    Calling it again changes nothing. Afterwards plain imports of any Lava module work, also those that
    Lava does itself when it compiles or runs.

    Returns
    -------
    ModuleType
        The namespace package ``lava``; no module inside it has been executed yet.

    Raises
    ------
    TargetError
        If lava-nc or something that it needs is not installed.

    Examples
    --------
    >>> import_lava()  # doctest: +SKIP
    >>> from lava.proc.lif.process import LIF  # doctest: +SKIP
    """
    require_lava()
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    return importlib.import_module("lava")


def import_netx() -> ModuleType:
    """Import ``lava.lib.dl.netx`` without the object detection (torchvision, OpenCV) it never uses.

    netx needs ``lava.lib.dl.slayer``, which imports all of its parts. Object detection is replaced by an
    empty module during this import alone; importing it later gives the real one.

    Returns
    -------
    ModuleType
        ``lava.lib.dl.netx``.

    Raises
    ------
    TargetError
        As `import_lava`, and if lava-dl or something that netx needs is not installed.
    """
    import_lava()
    require_netx()
    if _OBJECT_DETECTION in sys.modules:
        return importlib.import_module("lava.lib.dl.netx")
    stub = ModuleType(_OBJECT_DETECTION)
    sys.modules[_OBJECT_DETECTION] = stub
    try:
        return importlib.import_module("lava.lib.dl.netx")
    finally:
        del sys.modules[_OBJECT_DETECTION]
        _drop_attribute("lava.lib.dl.slayer", "object_detection", stub)


def _drop_attribute(module_name: str, attribute: str, value: object) -> None:
    """Remove an attribute of an imported module, if it is still the given object."""
    module = sys.modules.get(module_name)
    if module is not None and getattr(module, attribute, None) is value:
        delattr(module, attribute)


# --- The finder and the loader ----------------------------------------------------------------------


def _is_lava(name: str) -> bool:
    return name == "lava" or name.startswith("lava.")


class _LavaFinder(MetaPathFinder):
    """Finds Lava's modules as the other finders do, and wraps their loaders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_lava(fullname):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and spec.has_location:
                    spec.loader = _LavaLoader(spec.loader)
                return spec
        return None


class _LavaLoader(Loader):
    """Executes a module with Lava's own ``__import__``; everything else is the wrapped loader's."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # exec() runs a module with the __builtins__ that it finds in the module's namespace (documented
        # there); its functions keep them, so an import inside a function is answered alike.
        vars(module)["__builtins__"] = _lava_builtins()
        self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


_FINDER = _LavaFinder()


# --- What Lava's modules see ------------------------------------------------------------------------


@cache
def _lava_builtins() -> dict[str, Any]:
    return {**vars(builtins), "__import__": _lava_import}


def _lava_import(
    name: str,
    globals: dict[str, Any] | None = None,  # noqa: A002 - the names of builtins.__import__
    locals: dict[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    """``__import__`` for Lava's modules: the same modules, but for the stand-ins."""
    module = builtins.__import__(name, globals, locals, fromlist, level)
    return _stand_ins().get(module.__name__, module)


@cache
def _stand_ins() -> dict[str, ModuleType]:
    """Return the modules that Lava sees instead of the real ones, by name."""
    modules: dict[str, ModuleType] = {}
    if sys.version_info >= (3, 11):
        modules["dataclasses"] = _StandIn(dataclasses, {"dataclass": _lava_dataclass})
    if "fork" in multiprocessing.get_all_start_methods():
        modules["multiprocessing"] = _StandIn(multiprocessing, _fork_context())
    return modules


class _StandIn(ModuleType):
    """A module with some attributes of its own; the rest, looked up late, are the real module's."""

    def __init__(self, real: ModuleType, attributes: dict[str, object]) -> None:
        super().__init__(real.__name__, f"Lava's view of {real.__name__}.")
        vars(self).update(attributes)
        self.__wrapped__ = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


def _lava_dataclass(cls: type | None = None, /, **options: Any) -> Any:
    """``dataclasses.dataclass``, adding a hash to those of Lava's classes that would have none."""

    def decorate(cls: type) -> type:
        adds_hash = _is_lava(cls.__module__) and not _explicit_hash(cls)
        if adds_hash and options.get("eq", True) and not options.get("frozen", False):
            return _plain_dataclass(**{"unsafe_hash": True, **options})(cls)
        return _plain_dataclass(**options)(cls)

    return decorate if cls is None else decorate(cls)


def _plain_dataclass(**options: Any) -> Callable[[type], type]:
    decorator: Callable[[type], type] = dataclasses.dataclass(**options)
    return decorator


def _explicit_hash(cls: type) -> bool:
    """Whether a class body defines a hash: the standard library refuses to replace that one."""
    own = vars(cls)
    return "__hash__" in own and not (own["__hash__"] is None and "__eq__" in own)


def _fork_context() -> dict[str, object]:
    """Return the public names of the fork context, and what Lava uses beside them, bound to it."""
    context = multiprocessing.get_context("fork")

    class SharedMemoryManager(multiprocessing.managers.SharedMemoryManager):
        """The standard one, whose server is forked whatever the program's start method."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{"ctx": context, **options})

    def set_start_method(method: str) -> None:
        if method != "fork":
            raise ValueError(f"Lava asked for the start method {method}; it works with fork only")

    names = {name: getattr(context, name) for name in dir(context) if not name.startswith("_")}
    managers = _StandIn(multiprocessing.managers, {"SharedMemoryManager": SharedMemoryManager})
    return {**names, "managers": managers, "set_start_method": set_start_method}
