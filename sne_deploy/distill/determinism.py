"""State of torch and of modules, set for a while and put back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextlib.contextmanager
def deterministic(seed: int, threads: int | None = None) -> Iterator[None]:
    """Seed torch, fix its thread count and refuse non-deterministic kernels; restore all of it on leaving.

    The same seed, thread count and versions on the same machine give the same numbers. Another machine
    may pick other vector kernels, whose sums round differently.

    Parameters
    ----------
    seed : int
    threads : int or None
        None leaves the thread count alone.
    """
    import torch

    threads_before = torch.get_num_threads()
    strict_before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        try:
            if threads is not None:
                torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            torch.manual_seed(seed)
            yield
        finally:
            torch.use_deterministic_algorithms(strict_before)
            torch.set_num_threads(threads_before)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and all within it in evaluation mode; restore each one's own mode on leaving."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
