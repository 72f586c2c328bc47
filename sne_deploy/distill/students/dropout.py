"""Which students are absent in training, so that the head learns to work with any subset.

Drawn for every batch anew, from torch's global generator: who is present on each sample, at least one
student, as a bool tensor of shape (samples, students).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

DropoutName = Literal["none", "constant", "uniform", "order"]
StudentDropout = Callable[[int, int], "Tensor"]
"""Called as draw(samples, students)."""


def everyone(samples: int, students: int) -> Tensor:
    """All are present."""
    import torch

    return torch.ones(samples, students, dtype=torch.bool)


def constant(samples: int, students: int, probability: float = 0.25) -> Tensor:
    """Each is absent with the same probability, in [0, 1); where all would be, one of them stays.

    Raises
    ------
    InputError
        The probability is out of range.
    """
    import torch

    if not 0.0 <= probability < 1.0:
        raise InputError(f"student dropout: probability {probability} must be in [0, 1)")
    present = torch.rand(samples, students) >= probability
    spared = torch.nn.functional.one_hot(torch.randint(students, (samples,)), students).bool()
    return torch.where(present.any(dim=1, keepdim=True), present, spared)


def uniform_subsets(samples: int, students: int) -> Tensor:
    """1, 2, ... all students equally often; which ones is uniform too."""
    import torch

    sizes = torch.randint(1, students + 1, (samples, 1))
    ranks = torch.rand(samples, students).argsort(dim=1).argsort(dim=1)
    return ranks < sizes


def first_students(samples: int, students: int, order: tuple[int, ...] = ()) -> Tensor:
    """The first 1, 2, ... all students equally often, in an order; empty: the ensemble's own.

    Raises
    ------
    InputError
        The order is not one of these students.
    """
    import torch

    order = order or tuple(range(students))
    if sorted(order) != list(range(students)):
        raise InputError(f"student dropout: order {order} is not a permutation of 0..{students - 1}")
    ranks = torch.tensor(order).argsort()
    return ranks < torch.randint(1, students + 1, (samples, 1))


BY_NAME: dict[DropoutName, StudentDropout] = {
    "none": everyone,
    "constant": constant,
    "uniform": uniform_subsets,
    "order": first_students,
}
"""As experiments name them."""
