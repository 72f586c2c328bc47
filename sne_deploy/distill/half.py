"""Maps of 16 bits in a torch module: what is used is what a file stores in half the size."""

from __future__ import annotations

import torch
from torch import nn

from sne_deploy.errors import RunError
from sne_deploy.teacher.half import LARGEST


def halve_maps(module: nn.Module, key: str) -> None:
    """Round a module's matrices and kernels to binary16, in tensors of the type that they had.

    Vectors, such as biases and the scales of batch norms, which are small, stay as they are.

    Raises
    ------
    RunError
        A weight is larger than 16 bits hold; names the ``key`` that asks for them.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                if not parameter.abs().max() <= LARGEST:
                    raise RunError(
                        f"{key} 'float16': weight {name} is beyond {LARGEST:g}, the largest of 16 bits; set "
                        f"{key} to 'float32'"
                    )
                parameter.copy_(parameter.half())
