"""Norse's encoder modules: what stands before a network is the ensemble's encoder, not a layer of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sne_deploy.errors import InputError
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.model.parts import Encoder

RATES = ("PoissonEncoder",)
"""They draw spikes with the probability f_max dt x."""
CURRENTS = ("ConstantCurrentLIFEncoder",)
"""They give x to LIFBox neurons as a constant current."""
ENCODER_KINDS = (*RATES, *CURRENTS)


def encoder_of(kind: str, module: Any) -> Encoder:
    """What an encoder module is to an ensemble."""
    if kind in RATES:
        return Encoder("bernoulli", scale=float(module.f_max) * float(module.dt))
    return Encoder("constant")


def encoder_problem(kind: str | None, kinds_before: Sequence[str | None]) -> str | None:
    """Why an encoder module cannot stand where it does, behind modules of these kinds."""
    changed = [
        k
        for k in kinds_before
        if k is not None and (k not in LAYER_KINDS or not LAYER_KINDS[k].sends_what_it_takes)
    ]
    if kind in RATES and changed:
        return (
            f"it comes behind {changed[-1]}, but what it draws has to enter the network; apply what is "
            "before it to the data, and give the network from it on"
        )
    if kind in CURRENTS and changed:
        return (
            f"it comes behind {changed[-1]}; use LIFBoxCell there, with the same parameters, and "
            "encoder='constant' where the input is"
        )
    return None


def agreed(names: Sequence[str], found: Sequence[Encoder | None], given: Encoder | None) -> Encoder:
    """The one encoder of students whose modules bring these, and of a user who may have given one.

    Raises
    ------
    InputError
        They contradict each other.
    """
    for name, encoder in zip(names, found, strict=True):
        if given is None or encoder is None:
            continue
        if (encoder.kind, encoder.scale) != (given.kind, given.scale):
            raise InputError(
                f"student {name!r} begins with an encoder module, which is {_text(encoder)}, but "
                f"{_text(given)} was given; leave it out, or give the network without the module"
            )
    if given is not None:
        return given
    if len(set(found)) > 1:
        texts = (f"{n!r} {'none' if e is None else _text(e)}" for n, e in zip(names, found, strict=True))
        raise InputError(
            f"students begin with different encoder modules: {', '.join(texts)}; give all of them the same"
        )
    return found[0] or Encoder("spikes")


def _text(encoder: Encoder) -> str:
    scale = "" if encoder.scale == 1 else f" with scale {encoder.scale:g}"
    return f"encoder {encoder.kind!r}{scale}"
