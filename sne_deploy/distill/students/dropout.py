"""Which students are absent in training, so that the head learns to work with any subset.

A schedule draws, for every batch anew, who is present on each sample: at least one student.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

DropoutName = Literal["none", "constant", "uniform", "order"]


class StudentDropout(Protocol):
    """A way to draw who is present."""

    def draw(self, samples: int, students: int) -> Tensor:
        """Return a bool tensor of shape (samples, students), from torch's global generator."""
        ...


@dataclass(frozen=True)
class NoDropout:
    """Everyone is present."""

    def draw(self, samples: int, students: int) -> Tensor:
        """All true."""
        import torch

        return torch.ones(samples, students, dtype=torch.bool)


@dataclass(frozen=True)
class ConstantDropout:
    """Each student is absent with the same probability; where all would be, one of them stays.

    Attributes
    ----------
    probability : float
        In [0, 1).
    """

    probability: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability < 1.0:
            raise InputError(f"student dropout: probability {self.probability} must be in [0, 1)")

    def draw(self, samples: int, students: int) -> Tensor:
        """Independent draws, and a uniform one of the students where all are absent."""
        import torch

        present = torch.rand(samples, students) >= self.probability
        spared = torch.nn.functional.one_hot(torch.randint(students, (samples,)), students).bool()
        return torch.where(present.any(dim=1, keepdim=True), present, spared)


@dataclass(frozen=True)
class UniformSubsets:
    """So many students as 1, 2, ... all of them, equally often; which ones is uniform too."""

    def draw(self, samples: int, students: int) -> Tensor:
        """Uniform sizes, then uniform subsets of each size."""
        import torch

        sizes = torch.randint(1, students + 1, (samples, 1))
        ranks = torch.rand(samples, students).argsort(dim=1).argsort(dim=1)
        return ranks < sizes


@dataclass(frozen=True)
class FirstStudents:
    """The first 1, 2, ... all students in the order in which the policy runs them, equally often.

    Attributes
    ----------
    order : tuple of int
        Student indices; empty: the ensemble's own order.
    """

    order: tuple[int, ...] = ()

    def draw(self, samples: int, students: int) -> Tensor:
        """Uniform sizes.

        Raises
        ------
        InputError
            The order is not one of these students.
        """
        import torch

        order = self.order or tuple(range(students))
        if sorted(order) != list(range(students)):
            raise InputError(f"student dropout: order {order} is not a permutation of 0..{students - 1}")
        ranks = torch.tensor(order).argsort()
        return ranks < torch.randint(1, students + 1, (samples, 1))


BY_NAME: dict[DropoutName, StudentDropout] = {
    "none": NoDropout(),
    "constant": ConstantDropout(),
    "uniform": UniformSubsets(),
    "order": FirstStudents(),
}
"""As experiments name them."""
