"""Options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from sne_deploy.frontend.options import ReadOptions

Model = Annotated[
    list[Path],
    typer.Argument(
        help="model.pt, a .sne file, one or several .nir or .net files, or a folder of those.",
        metavar="MODEL",
    ),
]
Target = Annotated[str, typer.Option(help="Where to run: lava, loihi, norse, netx, or an installed plug-in.")]
Data = Annotated[
    str,
    typer.Option(
        help="digits, mnist:DIR, cifar10:DIR (mnist:train:DIR for the other split), FILE.npz, or X.npy:Y.npy."
    ),
]
Samples = Annotated[
    int | None, typer.Option(help="Samples to run, from the first. Default: all; at most 500 on lava.")
]
BinWidth = Annotated[
    float | None,
    typer.Option("--bin-width", help="Of a step, for a FILE.npz of events: in units of their times t."),
]
Precision = Annotated[
    str | None,
    typer.Option(help="fixed (Loihi's integers) or float. Default: fixed where the target has it."),
]
WeightBits = Annotated[
    int | None,
    typer.Option(
        help="Bits of a fixed-point weight: 2 to 8, or 16 for two synapses per weight. Default: the chip's."
    ),
]
Hardware = Annotated[str, typer.Option(help="A chip: loihi1, loihi2, or a TOML file of its own.")]
Policy = Annotated[
    str | None,
    typer.Option(help="Which students run: static, confidence or gate. Default: the model's own."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="In (0, 1]: confidence at which no more students run; probability of a gate's student."
    ),
]
Students = Annotated[
    int | None,
    typer.Option(
        "--students", help="How many run (policy confidence: at most), from the first of the order."
    ),
]
Measure = Annotated[
    str | None,
    typer.Option("--measure", help="Confidence as max_probability, margin or entropy of the head's softmax."),
]
Teacher = Annotated[
    Path | None, typer.Option(help="The teacher as ONNX, to compare with on the same samples.")
]
Compare = Annotated[
    str | None,
    typer.Option(
        help="Other processors for the teacher: all, boards, published, arithmetic, names, a FILE.toml; "
        "several with commas."
    ),
]
CompareOnnx = Annotated[
    list[Path] | None,
    typer.Option("--compare-onnx", help="Another network for those processors; repeatable."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for report.json, students/NAME.nir, with netx NAME.net."),
]
Save = Annotated[
    Path | None,
    typer.Option(help="File for what was compiled, such as net.sne: to run again, or compare, as it is."),
]
Seed = Annotated[int, typer.Option(help="Seed of random encoders.", min=0)]
Verify = Annotated[
    int, typer.Option(help="Samples to compare bit for bit with lava (on target lava: with loihi).", min=0)
]
Rate = Annotated[
    float | None,
    typer.Option(help="Inferences a second, for the lines of power; else as many as there is time for."),
]
X86 = Annotated[
    int | None, typer.Option("--x86", help="Embedded processors in use; else one for each chip.", min=0)
]
Powered = Annotated[str, typer.Option(help="Cores that leak: all of the chips in use, or those used.")]
Workers = Annotated[int | None, typer.Option(help="Processes to run on, instead of in this one.")]
Scheduler = Annotated[str | None, typer.Option(help="Dask scheduler to run on, such as tcp://host:8786.")]
Device = Annotated[str | None, typer.Option(help="PyTorch device for target loihi, such as cuda.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
"""Read by what turns errors into lines, which also sees those of parsing."""

_READING: Mapping[str, Any] = {
    "timesteps": Annotated[
        int | None, typer.Option(help="Steps per sample, for .nir and .net models that do not say.")
    ],
    "dt_s": Annotated[
        float | None, typer.Option("--dt-s", help="Seconds per step, for .nir models that do not say.")
    ],
    "reset": Annotated[
        list[str] | None,
        typer.Option(
            help="What a spike does to v in .nir models that do not say: value (NIR's own), value-delayed, "
            "subtract, subtract-delayed (snnTorch's default), none; NODE=MODE for one node, repeatable."
        ),
    ],
    "decay": Annotated[
        str | None,
        typer.Option(
            help="exponential: in .nir models of Sinabs and Rockpool, which decay by exp(-dt / tau) per step."
        ),
    ],
    "gain": Annotated[
        str | None,
        typer.Option(
            help="Of .nir models whose exporter left input gains out: full (mlx-snn, Spyx, Rockpool), or "
            "current (Norse)."
        ),
    ],
    "convention": Annotated[
        str | None,
        typer.Option(
            help="The framework whose own export wrote .nir models: snntorch, sinabs, spikingjelly, "
            "rockpool, spyx, mlx-snn or norse. Its step, reset, decay and gain, where no other option gives "
            "them."
        ),
    ],
    "readout": Annotated[
        str | None,
        typer.Option(
            help="How neurons that integrate are read, in .nir and .net models that do not say: v_last, "
            "v_mean, v_max. Default: v_last."
        ),
    ],
    "encoder": Annotated[
        str | None,
        typer.Option(
            help="What a sample is, for models that do not say: spikes; constant, an image as a current at "
            "every step; bernoulli, probabilities of a spike; graded, counts or a signal in time. "
            "Default: spikes."
        ),
    ],
    "input_range": Annotated[
        str | None,
        typer.Option(help="LO,HI: the range of such values. Default: 0,1.", metavar="LO,HI"),
    ],
    "input_shape": Annotated[
        str | None,
        typer.Option(help="Shape of one step's input, such as 2,34,34, for .nir models without one."),
    ],
}
"""The fields of ReadOptions, as options of a command."""


def sizes(input_shape: str | None) -> tuple[int, ...] | None:
    """A shape such as ``2,34,34``; None where there is none."""
    from sne_deploy.errors import InputError

    if input_shape is None:
        return None
    try:
        found = tuple(int(part) for part in input_shape.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise InputError(f"--input-shape {input_shape!r} is no shape; give sizes above 0, such as 2,34,34")
    return found


def resets(given: list[str] | None) -> Any:
    """A mode for all nodes, or modes by nodes' names, of ``MODE`` and ``NODE=MODE``; None where none is."""
    from sne_deploy.errors import InputError

    named: dict[str, str] = {}
    for text in given or ():
        name, equals, mode = text.rpartition("=")
        key = name if equals else "*"
        if key in named:
            raise InputError(f"--reset {text!r:.100}: there is a reset for that before; give one")
        named[key] = mode
    return (named["*"] if set(named) == {"*"} else named) if named else None


def limits(input_range: str | None) -> tuple[float, float] | None:
    """A range such as ``-1,1``; None where there is none."""
    from sne_deploy.errors import InputError

    if input_range is None:
        return None
    try:
        low, high = (float(part) for part in input_range.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise InputError(f"--input-range {input_range!r} is no range; give two numbers, the lower first: 0,8")
    return low, high


_PARSED: Mapping[str, Callable[[Any], Any]] = {
    "input_shape": sizes,
    "reset": resets,
    "input_range": limits,
}
"""Those that are not what was typed."""


def with_reading(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``reading`` is made of options, one for each field of ReadOptions."""
    hints = get_type_hints(command, include_extras=True)
    own = dict(inspect.signature(command).parameters)
    del own["reading"]
    debug = own.pop("debug")  # shown last
    options = {
        name: inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
        for name in _READING
    }
    hints |= _READING

    @wraps(command)
    def run(**given: Any) -> None:
        said = {name: given.pop(name) for name in _READING}
        said |= {name: parse(said[name]) for name, parse in _PARSED.items()}
        command(**given, reading=ReadOptions(**said))

    parameters = [*own.values(), *options.values(), debug]
    typed = [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]
    run.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
    return run
