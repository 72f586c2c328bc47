"""The encoder module that a live module begins with, and what it says of an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sne_deploy.frontend.norse.encoders import ENCODER_KINDS, encoder_of
from sne_deploy.frontend.norse.walking import kind_of
from sne_deploy.model.parts import Encoder

if TYPE_CHECKING:
    import torch


def entry(module: torch.nn.Module, timesteps: int) -> tuple[Encoder | None, tuple[str, ...]]:
    """The encoder that a module's first encoder module is, if there is one, and a note about its steps."""
    found = _first(module)
    if found is None:
        return None, ()
    kind, part = found
    note = f"{kind}(seq_length={part.seq_length}) gives {timesteps} steps here, as timesteps= says"
    return encoder_of(kind, part), () if part.seq_length == timesteps else (note,)


def options_of(module: torch.nn.Module) -> dict[str, Any]:
    """Encoder and steps, as options for an ensemble of a module, where it brings them."""
    found = _first(module)
    if found is None:
        return {}
    return {"encoder": encoder_of(*found), "timesteps": int(found[1].seq_length)}


def _first(module: torch.nn.Module) -> tuple[str, Any] | None:
    kinds = ((kind_of(part), part) for part in module.modules())
    return next(((kind, part) for kind, part in kinds if kind in ENCODER_KINDS), None)
