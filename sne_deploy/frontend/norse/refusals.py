"""Why a module cannot become a layer, and what to do about it: one line for each family of modules."""

from __future__ import annotations

from collections.abc import Mapping

from sne_deploy.frontend.norse.reading import CELL_OF_LAYER
from sne_deploy.model.layers.registry import LAYER_KINDS

LIST = "sne inspect --layers"
_OUTSIDE = "give the network without it, and as data what it makes: "
_SPIKES = "sne.ensemble(..., encoder='spikes') and x = encoder(torch.as_tensor(data)).transpose(0, 1).numpy()"
QUANTISED = (
    "it is quantised by torch; give the network as it was before, which is quantised here for the chip"
)
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "its threshold adapts, which no neuron here does; use {plain} and train again": (
        "LSNNCell",
        "LSNNRecurrentCell",
        "LSNN",
        "LSNNRecurrent",
    ),
    "its neurons are refractory, which none here are; use {plain} with parameters p.lif and train again": (
        "LIFRefracCell",
        "LIFRefracRecurrentCell",
        "LIFRefracRecurrent",
    ),
    "its neurons are refractory and not linear; use {plain} and train again": (
        "LIFAdExRefracCell",
        "LIFAdExRefracRecurrentCell",
        "LIFAdExRefracRecurrent",
        "LIFMCRefracRecurrentCell",
    ),
    "its membrane has another equation than those of the chip; use {plain} and train again": (
        "LIFAdExCell",
        "LIFAdExRecurrentCell",
        "LIFAdEx",
        "LIFAdExRecurrent",
        "LIFExCell",
        "LIFExRecurrentCell",
        "LIFEx",
        "LIFExRecurrent",
        "LIFMCRecurrentCell",
        "LIFCorrelation",
        "CobaLIFCell",
        "IzhikevichCell",
        "IzhikevichRecurrentCell",
        "Izhikevich",
        "IzhikevichRecurrent",
    ),
    f"it draws spikes in another way than encoder 'bernoulli' does; {_OUTSIDE}{_SPIKES}": (
        "SpikeLatencyLIFEncoder",
        "SpikeLatencyEncoder",
    ),
    "it draws spikes of both signs; use two inputs for each, PoissonEncoder of x and of -x, both cut "
    "off at 0, the second with the negative weights": (
        "SignedPoissonEncoder",
        "SignedPoissonEncoderStep",
    ),
    "it is PoissonEncoder of one step; use PoissonEncoder(timesteps, f_max, dt)": ("PoissonEncoderStep",),
    f"it makes several real numbers of one, without spikes; {_OUTSIDE}"
    "sne.ensemble(..., encoder='constant') and x = encoder(torch.as_tensor(data)).numpy()": (
        "PopulationEncoder",
    ),
    "it changes real numbers where a chip has spikes; use a spiking cell, such as LIFCell, and train again": (
        "ReLU",
        "ReLU6",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "SELU",
        "GELU",
        "SiLU",
        "Sigmoid",
        "Tanh",
        "Hardtanh",
        "Softplus",
    ),
    "it is of use in training and for probabilities; leave it out, the class is the same": (
        "Softmax",
        "LogSoftmax",
    ),
    "its statistics are those of each input, which a chip does not compute; use BatchNorm and train again": (
        "LayerNorm",
        "GroupNorm",
        "InstanceNorm1d",
        "InstanceNorm2d",
    ),
    "it only sums spikes for the loss; leave it out": ("RegularizationCell",),
    "zeros around a map are part of a convolution; leave it out, and give the Conv behind it padding=": (
        "ZeroPad1d",
        "ZeroPad2d",
    ),
    "it gives the largest value of windows that follow from the input's size; use MaxPool with "
    "kernel_size= the input's size divided by output_size": ("AdaptiveMaxPool1d", "AdaptiveMaxPool2d"),
    "it makes a map larger, which no layer here does; use a Conv or a Linear and train again": (
        "ConvTranspose1d",
        "ConvTranspose2d",
        "Upsample",
        "UpsamplingNearest2d",
        "UpsamplingBilinear2d",
        "PixelShuffle",
    ),
    "its units are no spiking neurons; use LIFRecurrent and train again": (
        "RNN",
        "LSTM",
        "GRU",
        "RNNCell",
        "LSTMCell",
        "GRUCell",
    ),
    "attention multiplies signals with each other, which no layer here does; use layers of spiking cells and "
    "train again": (
        "MultiheadAttention",
        "Transformer",
        "TransformerEncoder",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
    ),
    "it has no forward; give nn.Sequential(*d.values()) for one network, list(d.values()) for an ensemble": (
        "ModuleDict",
    ),
    QUANTISED: (
        "DynamicQuantizedLinear",
        "DynamicQuantizedLSTM",
        "DynamicQuantizedGRU",
        "QuantizedLinear",
        "QuantizedConv2d",
    ),
}
_REASONS = {kind: reason for reason, kinds in _FAMILIES.items() for kind in kinds}


def reason_of(kind: str) -> str:
    """Why no layer stands for a class of torch's or Norse's, by its name; and what to do."""
    plain = "LIFRecurrent" if "Recurrent" in kind else "LIF"
    cell = "Cell" if kind.endswith("Cell") else ""
    unknown = f"no such layer is supported; `{LIST}` lists those that are"
    return _REASONS.get(kind, unknown).replace("{plain}", plain + cell)


def supported() -> str:
    """Every class that is read, in lines: torch's, then Norse's."""
    torchs = [kind for kind in LAYER_KINDS if not kind.endswith("Cell")]
    norses = [*(kind for kind in LAYER_KINDS if kind.endswith("Cell")), "LILinearCell", *CELL_OF_LAYER]
    return "\n".join(
        (
            "Layers of torch.nn:     " + ", ".join((*torchs, "Identity")),
            "Layers of norse.torch:  " + ", ".join(norses),
            "Encoders in front:      ConstantCurrentLIFEncoder, PoissonEncoder",
            "Containers:             Sequential, SequentialState, Lift",
        )
    )
