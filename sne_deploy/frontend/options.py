"""What a user may say of a model's files that the files do not say themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sne_deploy.frontend.nir.decay import DecayMode
    from sne_deploy.frontend.nir.gain import GainMode
    from sne_deploy.frontend.nir.resets import Resets
    from sne_deploy.ir.readout import Readout
    from sne_deploy.model.parts import EncoderKind


@dataclass(frozen=True)
class ReadOptions:
    """Of :func:`sne_deploy.api.load` and of the commands; None where nothing was said.

    Attributes
    ----------
    timesteps : int or None
        Steps per sample, for ``.nir`` files, which do not say, and ``.net`` files that do not.
    dt_s : float or None
        Seconds per step, for NIR graphs whose metadata does not say, and ``.net`` files.
    input_shape : tuple of int or None
        One sample at one step, for NIR graphs that do not say or are in doubt, and ``.net`` files that begin
        with a convolution.
    reset : ResetMode, mapping of str to ResetMode, or None
        What a spike does to the membrane, for NIR graphs whose metadata does not say: ``"value"`` (v_reset),
        ``"subtract"`` (the threshold), either ``"-delayed"`` by a step, or ``"none"``; by nodes' names, with
        ``"*"`` for all others. None: NIR's own, ``"value"``.
    decay : DecayMode or None
        ``"exponential"``: of NIR graphs whose framework decays by exp(-dt / tau) in a step (Sinabs,
        Rockpool).
    gain : GainMode or None
        ``"full"``, ``"current"``: of NIR graphs whose exporter left the gains of inputs out (mlx-snn, Spyx,
        Rockpool; Norse); see :func:`sne_deploy.frontend.nir.gain.with_gain`.
    convention : str or None
        The framework that exported a NIR graph, one of
        :data:`sne_deploy.frontend.nir.frameworks.CONVENTIONS`: its step, reset, decay and gain, each where
        neither the graph nor another option says it.
    readout : Readout or None
        How neurons that integrate are read: ``"v_last"``, ``"v_mean"`` or ``"v_max"``; None: as the file
        says, else at the last step. Outputs that spike are counted.
    encoder : EncoderKind or None
        What a sample is: ``"spikes"``, ``"constant"``, ``"bernoulli"`` or ``"graded"``; None: as the file
        says, else spikes.
    input_range : (float, float) or None
        In which every value of a sample lies, for the other encoders; None: as the file says, else 0 to 1.
    """

    timesteps: int | None = None
    dt_s: float | None = None
    input_shape: tuple[int, ...] | None = None
    reset: Resets | None = None
    decay: DecayMode | None = None
    gain: GainMode | None = None
    convention: str | None = None
    readout: Readout | None = None
    encoder: EncoderKind | None = None
    input_range: tuple[float, float] | None = None

    def given(self) -> Iterator[tuple[str, Any]]:
        """Name and value of each option that was given."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value
