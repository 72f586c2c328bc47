"""Recordings as they lie in ``data``: see ``recording.py`` for what is in them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt

from tests.interop.simulation import Rules

Array = npt.NDArray[Any]
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Stored:
    """One recording.

    Attributes
    ----------
    name : str
    about : dict
        The metadata.
    inputs : uint8 (N, T, ...)
    outputs : dict of str to array (N, T, ...)
        Node -> bool spikes, uint8 counts or float32 membranes.
    """

    name: str
    about: dict[str, Any]
    inputs: Array
    outputs: dict[str, Array]
    folder: Path = DATA

    @property
    def path(self) -> Path:
        """The graph."""
        return self.folder / f"{self.name}.nir"

    @property
    def rules(self) -> Rules:
        """How the framework stepped, in the simulation's words."""
        repair = {key: value for key, value in self.about["repair"].items() if key not in ("nodes", "dt_s")}
        dt_s = self.about["repair"].get("dt_s", self.about["dt_s"])
        return Rules(dt_s=dt_s, reset=self.about["reset"], fires_at=self.about["fires_at"], **repair)

    @cached_property
    def graph(self) -> nir.NIRGraph:
        """The graph as its file says it."""
        return nir.read(self.path, type_check=False)

    @cached_property
    def repaired_graph(self) -> nir.NIRGraph:
        """The graph with what the export left out or got wrong."""
        graph = nir.read(self.path, type_check=False)
        for name, fields in self.about["repair"].get("nodes", {}).items():
            graph.nodes[name] = _repaired(graph.nodes[name], fields)
        return graph


def _repaired(node: Any, fields: dict[str, Any]) -> Any:
    """The node with these fields, everywhere the same number; ``type`` makes it another kind of node."""
    kind = getattr(nir, fields.get("type", type(node).__name__))
    known = {key.name: getattr(node, key.name) for key in dataclasses.fields(kind) if hasattr(node, key.name)}
    shape = np.shape(getattr(node, "v_threshold", 0.0))
    new = {key: np.full(shape, value) for key, value in fields.items() if key != "type"}
    return kind(**{key: value for key, value in (known | new).items() if not key.endswith("put_type")})


def load(name: str, folder: Path = DATA) -> Stored:
    """Read one recording."""
    with np.load(folder / f"{name}.npz") as file:
        about = json.loads(str(file["metadata"]))
        head = (about["samples"], about["timesteps"])
        inputs = _bits(file["input"], (*head, *about["input_shape"])).astype(np.uint8)
        outputs = {}
        for node, layer in about["layers"].items():
            values = file[f"{layer['records']}/{node}"]
            bits = layer["records"] == "spikes"
            outputs[node] = _bits(values, (*head, *layer["shape"])) if bits else values
    return Stored(name, about, inputs, outputs, folder)


def _bits(packed: Array, shape: tuple[int, ...]) -> Array:
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)


def names(fault: bool | None = None, folder: Path = DATA) -> list[str]:
    """All recordings, or those with or without a fault."""
    found = sorted(path.stem for path in folder.glob("*.npz"))
    return [name for name in found if fault is None or ("_fault_" in name) == fault]
