"""Every public name is on a page of the reference: summary, parameters, attributes, what it returns."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import sne_deploy as sne
from tests.docs.pages import DOCS

SHOWN = re.compile(r"^\.\. auto(?:function|class|exception):: (\S+)$", re.MULTILINE)
PAGES = {page: SHOWN.findall(page.read_text("utf-8")) for page in sorted((DOCS / "python").glob("*.md"))}
NAMES = [name for names in PAGES.values() for name in names]


def functions(name: str) -> Iterator[tuple[str, Any]]:
    """A function, or the public functions and properties of a class."""
    found = resolve_name(name)
    if not inspect.isclass(found):
        yield name, found
        return
    for key, value in vars(found).items():
        if not key.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield f"{name}.{key}", value


FUNCTIONS = dict(pair for name in NAMES for pair in functions(name))
CLASSES = [name for name in NAMES if inspect.isclass(resolve_name(name))]


def test_every_public_name_is_on_one_page() -> None:
    public = {f"sne_deploy.{name}" for name in sne.__all__ if not name.startswith("__")}
    assert public <= set(NAMES)
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_and_gives(name: str) -> None:
    found = FUNCTIONS[name]
    if isinstance(found, property):
        assert said(found.fget), name
        return
    text = FunctionDoc(found)
    assert said(found), name
    signature = inspect.signature(found)
    taken = {parameter for parameter in signature.parameters if parameter != "self"}
    assert listed(text["Parameters"]) == taken
    if signature.return_annotation not in ("None", "Self", None):
        assert text["Returns"] or text["Yields"], f"{name} gives {signature.return_annotation}"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_what_it_holds(name: str) -> None:
    found: Any = resolve_name(name)
    assert said(found), name
    text = ClassDoc(found, config={"show_class_members": False})
    fields = {field.name for field in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else set()
    fields |= set(getattr(found, "model_fields", ()))
    assert fields <= listed(text["Attributes"]) | listed(text["Parameters"])


def said(found: Any) -> str:
    """The summary of its own docstring, not that of what it inherits from."""
    return (found.__doc__ or "").strip().split("\n")[0]


def listed(section: list[Any]) -> set[str]:
    return {name.strip().lstrip("*") for entry in section for name in entry.name.split(",")}
