"""Skip connections as torch modules; see :mod:`sne_deploy.model.layers.skips`.

Importing this module imports torch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sne_deploy.errors import UnsupportedError


class SkipConv2d(nn.Conv2d):
    """A convolution without bias of earlier spikes, added to what comes in; ``over`` so many neurons."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        *,
        over: int,
        device: Any = None,
    ) -> None:
        super().__init__(n_in, n_out, kernel, stride, padding, dilation, groups, bias=False, device=device)
        self.over = over

    def forward(self, source: Tensor, onto: Tensor | None = None) -> Tensor:
        """``onto``, (N, ...), and the map of spikes from the ``source``."""
        return _onto(self, onto) + super().forward(source)


class SkipLinear(nn.Linear):
    """A linear map without bias of earlier spikes, added to what comes in; ``over`` so many neurons."""

    def __init__(self, n_in: int, n_out: int, *, over: int, device: Any = None) -> None:
        super().__init__(n_in, n_out, bias=False, device=device)
        self.over = over

    def forward(self, source: Tensor, onto: Tensor | None = None) -> Tensor:
        """As :meth:`SkipConv2d.forward`."""
        return _onto(self, onto) + super().forward(source)


def _onto(skip: nn.Module, onto: Tensor | None) -> Tensor:
    """Refuse what no container of torch's or Norse's gives it: the spikes of another layer."""
    if onto is None:
        problem = (
            f"{type(skip).__name__} takes spikes of an earlier layer, which no Sequential hands it; run it "
            "by sne_deploy.distill.students.simulate.simulate, or compile it"
        )
        raise UnsupportedError("run the module", [problem])
    return onto


SKIP_CLASSES: dict[str, Any] = {"SkipConv2d": SkipConv2d, "SkipLinear": SkipLinear}
