"""Compile ensembles of spiking neural networks from PyTorch to Loihi.

::

    import sne_deploy as sne
    ensemble = sne.load("model.pt")
    with sne.compile(ensemble, target="lava") as compiled:
        result = compiled.run(x, y)
    result.save("out/")
    result = sne.estimate(module, x, y)  # the same in one call, on loihi

    trained = sne.train("experiment.toml", "out/")
    tuned = sne.tune(module, x, y)  # trained further on the integers of loihi
"""

TYPE_CHECKING = False  # nothing is imported here: until a command's first line, Ctrl-C prints a traceback
if TYPE_CHECKING:
    from typing import Any

    from sne_deploy.api import Compiled, compile, ensemble, estimate, load, load_compiled  # noqa: A004  its name here
    from sne_deploy.distill.command import train
    from sne_deploy.distill.tuning import Tuned, tune
    from sne_deploy.errors import SneError
    from sne_deploy.exploration.explore import explore
    from sne_deploy.model.ensemble import ActivationPolicy, Encoder, Ensemble, Head, Layer, Student
    from sne_deploy.result import Result

__all__ = [
    "ActivationPolicy",
    "Compiled",
    "Encoder",
    "Ensemble",
    "Head",
    "Layer",
    "Result",
    "SneError",
    "Student",
    "Tuned",
    "compile",
    "ensemble",
    "estimate",
    "explore",
    "load",
    "load_compiled",
    "train",
    "tune",
]
_HOME = {
    **dict.fromkeys(
        ("Compiled", "compile", "ensemble", "estimate", "load", "load_compiled"), "sne_deploy.api"
    ),
    **dict.fromkeys(
        ("ActivationPolicy", "Encoder", "Ensemble", "Head", "Layer", "Student"), "sne_deploy.model.ensemble"
    ),
    "Result": "sne_deploy.result",
    "SneError": "sne_deploy.errors",
    "explore": "sne_deploy.exploration.explore",
    "train": "sne_deploy.distill.command",
    **dict.fromkeys(("Tuned", "tune"), "sne_deploy.distill.tuning"),
}


def __getattr__(name: str) -> "Any":
    """Import what is asked for, when it is asked for: ``--help`` must not wait for NumPy."""
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module 'sne_deploy' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List what can be imported, though it is not yet."""
    return sorted({*globals(), *__all__})
