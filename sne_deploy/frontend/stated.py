"""What a file says of its use, and what a user says of it: one of them, or both alike."""

from __future__ import annotations

from sne_deploy.errors import InputError
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.ir.readout import READOUTS, Readout
from sne_deploy.model.parts import Encoder


def agreed_readout(name: str, stored: Readout | None, options: ReadOptions, default: Readout) -> Readout:
    """How a network is read: as the file or the user says, else the default, which says what its output is.

    Raises
    ------
    InputError
        No such readout, a contradiction, or one that does not fit the output.
    """
    given = options.readout
    if given is not None and given not in READOUTS:
        raise InputError(f"readout {given!r} is not one of {', '.join(READOUTS)}")
    if stored is not None and given is not None and given != stored:
        raise InputError(f"{name}: readout {given} was given, but the file says {stored}; leave it out")
    readout = given or stored or default
    if (readout == "count") != (default == "count"):
        does, remedy = ("spike", "count") if default == "count" else ("integrate", "v_last, v_mean or v_max")
        raise InputError(f"{name}: readout {readout}, but its outputs {does}; give {remedy}, or leave it out")
    return readout


def agreed_encoder(name: str, stored: Encoder | None, options: ReadOptions) -> Encoder:
    """What a network takes: as the file or the user says, else spikes.

    Graded input takes all that spikes are, and more: for a file that says spikes it is no contradiction.

    Raises
    ------
    InputError
        No such encoder, a range without one, or a contradiction.
    """
    kind, limits = options.encoder, options.input_range
    if kind is None and stored is None:
        if limits is not None:
            raise InputError(
                f"{name}: input_range {_range(limits)} is of values, and it takes spikes; give --encoder "
                "(or encoder=) too: constant, bernoulli or graded"
            )
        return Encoder("spikes")
    chosen = kind if kind is not None else stored.kind  # type: ignore[union-attr]  # one of them is known
    if chosen == "spikes" and limits is not None:
        raise InputError(
            f"{name}: input_range {_range(limits)} was given, but spikes are 0 and 1; leave it out"
        )
    widened = stored is not None and stored.kind == "spikes" and chosen == "graded"
    known = (0.0, 1.0) if stored is None or widened else stored.input_range
    scale = stored.scale if stored is not None and stored.kind == chosen else 1.0
    given = Encoder(chosen, known if limits is None else limits, scale)
    if stored is None or widened or given == stored:
        return given
    raise InputError(f"{name}: {_text(given)} was given, but the file says {_text(stored)}; leave it out")


def _text(encoder: Encoder) -> str:
    ends = "" if encoder.kind == "spikes" else f" in {_range(encoder.input_range)}"
    return f"encoder {encoder.kind}{ends}"


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g},{limits[1]:g}"
