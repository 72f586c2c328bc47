"""A closed pickle machine: reads the data in a hostile pickle without ever calling what it names.

It knows few opcodes and only the names that a :class:`Dialect` lists, each with a handler of our own;
everything is counted before it is built. Nothing is imported, no class of the file's choosing is made.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[..., Any]


class PickleError(ValueError):
    """The pickle is damaged, asks for something outside its dialect, or is too large."""


class UnknownGlobalError(PickleError):
    """The pickle names a class or function outside its dialect: ``args[0]``."""


class Buildable:
    """A value of our own that a BUILD opcode may complete."""

    def build(self, state: Any) -> None:
        """Take the state that the pickle gives."""
        raise NotImplementedError


@dataclass(frozen=True)
class Global:
    """A class or function that the pickle names, as ``module name``; only ever a label here."""

    name: str


@dataclass(frozen=True)
class Dialect:
    """What one kind of file may say, and how much of it.

    Attributes
    ----------
    handlers : mapping
        ``"module name"`` to the function of ours that stands for it, or None where it is only a label.
    persistent : callable or None
        Stands for persistent_load.
    max_opcodes, max_nodes, max_depth : int
        ``max_nodes`` counts what a walk would visit: a tuple that appears twice counts twice.
    """

    handlers: Mapping[str, Handler | None]
    persistent: Handler | None = None
    max_opcodes: int = 1_000_000
    max_nodes: int = 1_000_000
    max_depth: int = 32


@dataclass
class _Item:
    value: Any
    shareable: bool
    nodes: int = 1
    depth: int = 0


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_LITERALS = (*_NUMBERS, "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES")
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Mapping[str, type] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SHAREABLE = (str, bytes, int, float, type(None), Global, Buildable)


def read_pickle(data: bytes, dialect: Dialect) -> Any:
    """Interpret a pickle as plain data.

    Parameters
    ----------
    data : bytes
        A whole pickle; its size is the caller's to bound.
    dialect : Dialect

    Returns
    -------
    Nested dict, list, tuple, str, bytes, int, float, bool and None, and what the handlers returned. No
    list and no dict appears in it twice.

    Raises
    ------
    PickleError
        Damaged, outside the dialect, or over one of its limits.
    """
    machine = _Machine(dialect)
    stream = io.BytesIO(data)
    for _ in range(dialect.max_opcodes):
        code = stream.read(1)
        opcode = _OPCODES.get(code.decode("latin-1"))
        if not code or opcode is None:
            raise PickleError("the pickle ends early or is damaged")
        if opcode.name == "STOP":
            return machine.result()
        step = machine.steps.get(opcode.name)
        if step is None:
            raise PickleError(f"pickle opcode {opcode.name} has no place in plain data")
        try:
            step(opcode.arg.reader(stream) if opcode.arg is not None else None)
        except PickleError:
            raise
        except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise PickleError(f"the pickle is damaged at {opcode.name}") from error
    raise PickleError(f"more than {dialect.max_opcodes} pickle opcodes")


@dataclass
class _Machine:
    dialect: Dialect
    stack: list[_Item] = field(default_factory=list)
    marks: list[list[_Item]] = field(default_factory=list)
    memo: dict[int, _Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps: dict[str, Handler] = dict.fromkeys(_LITERALS, self._push)
        steps.update({name: lambda _, v=value: self._push(v) for name, value in _CONSTANTS.items()})
        steps.update({name: lambda _, t=kind: self._push(t()) for name, kind in _EMPTY.items()})
        steps.update({name: lambda _, n=size: self._tuple(n) for name, size in _TUPLES.items()})
        steps |= {"PROTO": lambda _: None, "FRAME": lambda _: None, "MARK": lambda _: self._mark()}
        steps |= {"TUPLE": lambda _: self._marked_tuple(), "MEMOIZE": lambda _: self._put(len(self.memo))}
        steps |= {
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "BINGET": self._get,
            "LONG_BINGET": self._get,
        }
        steps |= {"APPEND": lambda _: self._append([self.stack.pop()])}
        steps |= {"APPENDS": lambda _: self._append(self._pop_mark())}
        steps |= {
            "SETITEM": lambda _: self._set(self._pop(2)),
            "SETITEMS": lambda _: self._set(self._pop_mark()),
        }
        steps |= {"GLOBAL": self._global, "STACK_GLOBAL": lambda _: self._stack_global()}
        steps |= {"REDUCE": lambda _: self._reduce(), "BUILD": lambda _: self._build()}
        steps |= {"BINPERSID": lambda _: self._persistent()}
        steps |= dict.fromkeys(
            ("BINSTRING", "SHORT_BINSTRING"), lambda text: self._push(text.encode("latin-1"))
        )
        self.steps = steps

    def result(self) -> Any:
        if len(self.stack) != 1 or self.marks:
            raise PickleError("the pickle ends early or is damaged")
        return self.stack[0].value

    def _push(self, value: Any) -> None:
        self.stack.append(_Item(value, (type(value) is tuple and not value) or isinstance(value, _SHAREABLE)))

    def _pop(self, count: int) -> list[_Item]:
        if len(self.stack) < count:
            raise PickleError("the pickle is damaged")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop_mark(self) -> list[_Item]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _grow(self, item: _Item, children: list[_Item]) -> None:
        item.nodes += sum(child.nodes for child in children)
        item.depth = max([item.depth, *(child.depth + 1 for child in children)])
        if item.nodes > self.dialect.max_nodes:
            raise PickleError(f"containers that expand to more than {self.dialect.max_nodes} values")
        if item.depth > self.dialect.max_depth:
            raise PickleError(f"containers nested deeper than {self.dialect.max_depth}")

    def _push_tuple(self, items: list[_Item]) -> None:
        whole = _Item(tuple(item.value for item in items), all(item.shareable for item in items))
        self._grow(whole, items)
        self.stack.append(whole)

    def _tuple(self, size: int) -> None:
        self._push_tuple(self._pop(size))

    def _marked_tuple(self) -> None:
        self._push_tuple(self._pop_mark())

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        item = self.memo[index]
        if not item.shareable:
            raise PickleError("a container or tensor that appears twice, or inside itself")
        self.stack.append(item)

    def _append(self, items: list[_Item]) -> None:
        target = self.stack[-1]
        if type(target.value) is not list:
            raise PickleError("the pickle is damaged: APPEND to what is not a list")
        self._grow(target, items)
        target.value.extend(item.value for item in items)

    def _set(self, items: list[_Item]) -> None:
        target = self.stack[-1]
        if type(target.value) is not dict or len(items) % 2:
            raise PickleError("SETITEM on what is not a plain dict")
        self._grow(target, items)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key.value, (str, bytes)) or key.value in target.value:
                raise PickleError("a dict key that is not text, or appears twice")
            target.value[key.value] = value.value

    def _global(self, name: str) -> None:
        if name not in self.dialect.handlers:
            raise UnknownGlobalError(name.replace(" ", "."))
        self._push(Global(name))

    def _stack_global(self) -> None:
        module, name = self._pop(2)
        self._global(f"{module.value} {name.value}")

    def _reduce(self) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function.value, Global) or type(arguments.value) is not tuple:
            raise PickleError("a call of what is not a function")
        handler = self.dialect.handlers[function.value.name]
        if handler is None:
            raise PickleError(f"a call of {function.value.name.replace(' ', '.')}")
        self._push(handler(*arguments.value))

    def _build(self) -> None:
        (state,) = self._pop(1)
        target = self.stack[-1].value
        if not isinstance(target, Buildable):
            raise PickleError("pickle opcode BUILD has no place in plain data")
        target.build(state.value)

    def _persistent(self) -> None:
        (identity,) = self._pop(1)
        if self.dialect.persistent is None:
            raise PickleError("pickle opcode BINPERSID has no place in plain data")
        self._push(self.dialect.persistent(identity.value))
