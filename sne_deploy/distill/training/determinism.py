"""State of torch and of modules, set for a while and put back."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn


@contextlib.contextmanager
def deterministic(seed: int, threads: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Seed torch, fix its thread count and refuse non-deterministic kernels; restore all of it on leaving.

    The same seed, thread count and versions on the same machine give the same numbers. Another machine
    may pick other vector kernels, whose sums round differently. A GPU has operations whose gradients add up
    in any order (max pooling): there, runs agree closely, not to the bit.

    Parameters
    ----------
    seed : int
    threads : int or None
        None leaves the thread count alone.
    device : str
        Type of the device that computes.
    """
    import torch

    threads_before = torch.get_num_threads()
    memory: Any = torch.utils.deterministic
    strict_before = torch.are_deterministic_algorithms_enabled()
    filled_before = memory.fill_uninitialized_memory
    warn_before = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        try:
            if threads is not None:
                torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=device != "cpu")
            memory.fill_uninitialized_memory = False  # nothing reads what it has not written
            torch.manual_seed(seed)
            with contextlib.nullcontext() if device == "cpu" else _known_to_vary():
                yield
        finally:
            memory.fill_uninitialized_memory = filled_before
            torch.use_deterministic_algorithms(strict_before, warn_only=warn_before)
            torch.set_num_threads(threads_before)


@contextlib.contextmanager
def _known_to_vary() -> Iterator[None]:
    """Silence torch's warning, once per operation, that its gradients are not deterministic."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*deterministic", category=UserWarning)
        yield


def open_device(name: str) -> torch.device:
    """Find the device to train on, and prepare what makes it repeatable.

    Raises
    ------
    InputError
        PyTorch does not know it, or cannot compute on it here.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when CUDA is first used
    try:
        device = torch.device(name)
        if float(torch.ones(1, device=device).sum()) != 1.0:
            raise RuntimeError("it does not compute")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"device {name!r} cannot be used: {reason}; use cpu") from None
    return device


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
