"""Options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from sne_deploy.frontend.options import ReadOptions

# Sections of a command's help, in this order.
WHAT_TO_RUN = "What to run"
FOR_WHICH_CHIP = "For which chip"
WHICH_STUDENTS = "Which students"
WHAT_TO_COMPARE_WITH = "What to compare with"
POWER = "Power"
WHAT_TO_WRITE = "What to write"
HOW_TO_RUN = "How to run"
READING = "What the model's file does not say"

Model = Annotated[
    list[Path],
    typer.Argument(
        help="model.pt, a .sne file, one or several .nir or .net files, or a folder of those.",
        metavar="MODEL",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Where to run: lava, loihi, norse, netx, or an installed plug-in. Default: lava, or loihi "
        "where Lava is not installed.",
        metavar="TARGET",
        rich_help_panel=WHAT_TO_RUN,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        help="digits, mnist:DIR, cifar10:DIR (mnist:train:DIR for the other split), FILE.npz, X.npy:Y.npy.",
        metavar="DATA",
        rich_help_panel=WHAT_TO_RUN,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        help="Samples to run, from the first. Default: all; at most 500 on lava.",
        metavar="N",
        rich_help_panel=WHAT_TO_RUN,
    ),
]
BinWidth = Annotated[
    float | None,
    typer.Option(
        "--bin-width",
        help="Of a step, for a FILE.npz of events: in units of their times t.",
        metavar="X",
        rich_help_panel=WHAT_TO_RUN,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="fixed (Loihi's integers) or float. Default: fixed where the target has it.",
        metavar="PRECISION",
        rich_help_panel=FOR_WHICH_CHIP,
    ),
]
WeightBits = Annotated[
    int | None,
    typer.Option(
        help="Bits of a fixed-point weight: 2 to 8, or 16 for two synapses per weight. Default: the chip's.",
        metavar="BITS",
        rich_help_panel=FOR_WHICH_CHIP,
    ),
]
Hardware = Annotated[
    str | None,
    typer.Option(
        help="A chip: loihi1, loihi2, or a TOML file of its own. Default: that of a .sne file, else loihi1.",
        metavar="CHIP",
        rich_help_panel=FOR_WHICH_CHIP,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        help="Which students run: static, confidence or gate. Default: the model's own.",
        metavar="POLICY",
        rich_help_panel=WHICH_STUDENTS,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="In (0, 1]: confidence at which no more students run; probability of a gate's student.",
        metavar="X",
        rich_help_panel=WHICH_STUDENTS,
    ),
]
Students = Annotated[
    int | None,
    typer.Option(
        "--students",
        help="How many run (policy confidence: at most), from the first of the order.",
        metavar="N",
        rich_help_panel=WHICH_STUDENTS,
    ),
]
Measure = Annotated[
    str | None,
    typer.Option(
        "--measure",
        help="Confidence as max_probability, margin or entropy of the head's softmax.",
        metavar="MEASURE",
        rich_help_panel=WHICH_STUDENTS,
    ),
]
Teacher = Annotated[
    Path | None,
    typer.Option(
        help="The teacher as ONNX, to compare with on the same samples.",
        metavar="FILE.onnx",
        rich_help_panel=WHAT_TO_COMPARE_WITH,
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        help="Other processors for the teacher: all, boards, published, arithmetic, names, a FILE.toml; "
        "several with commas.",
        metavar="PROCESSORS",
        rich_help_panel=WHAT_TO_COMPARE_WITH,
    ),
]
CompareOnnx = Annotated[
    list[Path] | None,
    typer.Option(
        "--compare-onnx",
        help="Another network for those processors; repeatable.",
        metavar="FILE.onnx",
        rich_help_panel=WHAT_TO_COMPARE_WITH,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for report.json, the page report.html, students/NAME.nir, with netx NAME.net.",
        metavar="DIR",
        rich_help_panel=WHAT_TO_WRITE,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        help="File for what was compiled, such as net.sne: to run again, or compare, as it is.",
        metavar="FILE.sne",
        rich_help_panel=WHAT_TO_WRITE,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Seed of random encoders. Default: that of a .sne file, else 0.",
        min=0,
        metavar="N",
        rich_help_panel=HOW_TO_RUN,
    ),
]
Verify = Annotated[
    int,
    typer.Option(
        help="Samples to compare bit for bit with lava (on target lava: with loihi).",
        min=0,
        metavar="N",
        rich_help_panel=WHAT_TO_COMPARE_WITH,
    ),
]
Fidelity = Annotated[
    bool,
    typer.Option(
        "--fidelity/--no-fidelity",
        help="Compare a fixed-point run with floating point, or spare its time and memory.",
        rich_help_panel=WHAT_TO_COMPARE_WITH,
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Inferences a second, for the lines of power; else as many as there is time for.",
        metavar="X",
        rich_help_panel=POWER,
    ),
]
X86 = Annotated[
    int | None,
    typer.Option(
        "--x86",
        help="Embedded processors in use; else one for each chip.",
        min=0,
        metavar="N",
        rich_help_panel=POWER,
    ),
]
Powered = Annotated[
    str,
    typer.Option(
        help="Cores that leak: all of the chips in use, or those used.",
        metavar="CORES",
        rich_help_panel=POWER,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Processes to run on, instead of in this one.", metavar="N", rich_help_panel=HOW_TO_RUN
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Dask scheduler to run on, such as tcp://host:8786.", metavar="URL", rich_help_panel=HOW_TO_RUN
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        help="Give up when the scheduler has had no workers for so long. Default: wait for some.",
        min=0,
        metavar="SECONDS",
        rich_help_panel=HOW_TO_RUN,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="PyTorch device for target loihi, such as cuda.", metavar="DEVICE", rich_help_panel=HOW_TO_RUN
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--no-resume",
        help="Go on where the same command was interrupted, or throw away what it has done.",
        rich_help_panel=HOW_TO_RUN,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
"""Read by what turns errors into lines, which also sees those of parsing."""


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"sne-deploy {version('sne-deploy')}")  # noqa: T201  the command line may print
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True)
]

_READING: Mapping[str, Any] = {
    "timesteps": Annotated[
        int | None,
        typer.Option(
            help="Steps per sample, for .nir and .net models that do not say.",
            metavar="N",
            rich_help_panel=READING,
        ),
    ],
    "dt_s": Annotated[
        float | None,
        typer.Option(
            "--dt-s",
            help="Seconds per step, for .nir models that do not say.",
            metavar="X",
            rich_help_panel=READING,
        ),
    ],
    "reset": Annotated[
        list[str] | None,
        typer.Option(
            help="What a spike does to v in .nir models that do not say: value (NIR's own), value-delayed, "
            "subtract, subtract-delayed (snnTorch's default), none; NODE=MODE for one node, repeatable.",
            metavar="MODE",
            rich_help_panel=READING,
        ),
    ],
    "decay": Annotated[
        str | None,
        typer.Option(
            help="exponential: in .nir models of Sinabs and Rockpool, which decay by exp(-dt / tau) a step.",
            metavar="MODE",
            rich_help_panel=READING,
        ),
    ],
    "gain": Annotated[
        str | None,
        typer.Option(
            help="Of .nir models whose exporter left input gains out: full (mlx-snn, Spyx, Rockpool), or "
            "current (Norse).",
            metavar="MODE",
            rich_help_panel=READING,
        ),
    ],
    "convention": Annotated[
        str | None,
        typer.Option(
            help="The framework whose own export wrote .nir models: snntorch, sinabs, spikingjelly, "
            "rockpool, spyx, mlx-snn or norse. Its step, reset, decay and gain, where no other option gives "
            "them.",
            metavar="FRAMEWORK",
            rich_help_panel=READING,
        ),
    ],
    "readout": Annotated[
        str | None,
        typer.Option(
            help="How neurons that integrate are read, in .nir and .net models that do not say: v_last, "
            "v_mean, v_max. Default: v_last.",
            metavar="READOUT",
            rich_help_panel=READING,
        ),
    ],
    "encoder": Annotated[
        str | None,
        typer.Option(
            help="What a sample is, for models that do not say: spikes; constant, an image as a current at "
            "every step; bernoulli, probabilities of a spike; graded, counts or a signal in time. "
            "Default: spikes.",
            metavar="ENCODER",
            rich_help_panel=READING,
        ),
    ],
    "input_range": Annotated[
        str | None,
        typer.Option(
            help="LO,HI: the range of such values. Default: 0,1.", metavar="LO,HI", rich_help_panel=READING
        ),
    ],
    "input_shape": Annotated[
        str | None,
        typer.Option(
            help="Shape of one step's input, such as 2,34,34, for .nir models without one.",
            metavar="SHAPE",
            rich_help_panel=READING,
        ),
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
