"""The state of a training between two epochs, on disk: a killed run goes on exactly where it was."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sne_deploy.distill.training.epochs import Epoch
from sne_deploy.errors import InputError
from sne_deploy.files import open_regular, write_whole
from sne_deploy.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor, nn, optim


@dataclass(frozen=True)
class ResumePoint:
    """A file that holds parameters, optimiser, random state and all epochs after the last whole one.

    Attributes
    ----------
    path : Path
        Written anew after each epoch, atomically.
    fingerprint : str
        Of everything that the training depends on; a file with another one is refused.
    on_start : callable, optional
        Called once with the epochs that are done already, before the next one.
    """

    path: Path
    fingerprint: str
    on_start: Callable[[Sequence[Epoch]], None] | None = None

    def restore(self, module: nn.Module, optimizer: optim.Optimizer) -> list[Epoch]:
        """Put back what was kept, random state included; the epochs that are done.

        Raises
        ------
        InputError
            The file is damaged, or of another training.
        """
        import torch

        done: list[Epoch] = []
        if self.path.exists():
            state = self.read()
            try:
                module.load_state_dict(state["module"])
                optimizer.load_state_dict(state["optimizer"])
                torch.set_rng_state(state["random"])
                if "device_random" in state:
                    torch.cuda.set_rng_state(state["device_random"], _device(module))
                done = [Epoch.of(values) for values in state["epochs"]]
            except Exception as error:  # noqa: BLE001  as many as there are entries that could be wrong
                raise self.damaged(error) from None
        if self.on_start is not None:
            self.on_start(done)
        return done

    def keep(self, module: nn.Module, optimizer: optim.Optimizer, done: Sequence[Epoch]) -> None:
        """Write the state after an epoch; see :meth:`write`."""
        import torch

        state: dict[str, Any] = {
            "module": module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "epochs": [epoch.as_dict() for epoch in done],
        }
        if _device(module).type == "cuda":
            state["device_random"] = torch.cuda.get_rng_state(_device(module))
        self.write(state)

    def write(self, state: dict[str, Any]) -> None:
        """Write a state and the fingerprint, atomically.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        import torch

        content = io.BytesIO()  # torch makes errors of its own of a full disk
        torch.save({"fingerprint": self.fingerprint, **state}, content)
        write_whole(self.path, content.getbuffer())

    def read(self) -> dict[str, Any]:
        """The state in the file, refused as :meth:`restore` says."""
        import torch

        try:
            with open_regular(self.path) as stream:
                state = torch.load(stream, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001  torch says in many ways that a file is none of its own
            raise self.damaged(error) from None
        if not isinstance(state, dict):
            raise self.damaged(TypeError("no dictionary"))
        if state.get("fingerprint") != self.fingerprint:
            raise InputError(
                f"{self.path}: belongs to another experiment; delete it, or choose another --out"
            )
        return state

    def damaged(self, error: Exception) -> InputError:
        """The file does not hold what it should."""
        reason = one_line(str(error).splitlines()[0][:200]) if str(error) else type(error).__name__
        return InputError(f"{self.path}: is damaged ({reason}); delete it to train that part again")


def kept_tensor(point: ResumePoint, compute: Callable[[], Tensor]) -> Tensor:
    """What ``compute`` gave when it was asked first; kept in the point's file, refused as other states."""
    import torch

    if point.path.exists():
        found = point.read().get("tensor")
        if not isinstance(found, torch.Tensor):
            raise point.damaged(TypeError("no tensor"))
        return found
    made = compute()
    point.write({"tensor": made.cpu()})
    return made


def _device(module: nn.Module) -> torch.device:
    """Where a module computes."""
    parameters: list[Tensor] = list(module.parameters())
    return parameters[0].device
