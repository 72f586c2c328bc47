"""Core tables of Loihi 2 that Intel's compiler printed, and the layers that they belong to.

Facts from the notebooks of lava-nc/lava-dl, tutorials/lava/lib/dl/netx. Widths of weights are those of the
networks' files there (optimize_weight_bits of src/lava/lib/dl/netx/utils.py); of yolo_kp, whose file is not
in the repository, the widest that gives the words in the table.
"""

from __future__ import annotations

from dataclasses import dataclass

Extent = tuple[int, int, int]


@dataclass(frozen=True)
class Row:
    """A layer, and what the compiler made of it.

    Attributes
    ----------
    network, layer : str
        The notebook's folder; the layer.
    shape : tuple of int
        (c, h, w) of a map, (n,) else.
    inputs : int
        Channels of a map's source, neurons of another's; 0: the layer has no synapses.
    kernel : int
        Width and height; 0 where all-to-all.
    stride : (h, w)
    bits : int
        Of a weight.
    limit : int
        Words of synaptic memory that a core had for the compiler.
    cores : int
        In the table.
    tile : (c, h, w) or None
        In the table; None of layers that are no map.
    words : int
        Of synaptic memory on a core, in the table: of all-to-all layers the mean.
    """

    network: str
    layer: str
    shape: tuple[int, ...]
    inputs: int
    kernel: int
    stride: tuple[int, int]
    bits: int
    limit: int
    cores: int
    tile: Extent | None
    words: int


EARLY, LATE = 12000, 16000
PILOTNET = (
    Row("pilotnet_snn", "input", (3, 66, 200), 0, 0, (1, 1), 0, EARLY, 13, (3, 66, 16), 0),
    Row("pilotnet_snn", "conv1", (24, 32, 99), 3, 3, (2, 2), 5, EARLY, 25, (24, 32, 4), 81),
    Row("pilotnet_snn", "conv2", (36, 15, 49), 24, 3, (2, 2), 4, EARLY, 13, (36, 15, 4), 864),
    Row("pilotnet_snn", "conv3", (48, 7, 24), 36, 3, (2, 2), 4, EARLY, 3, (48, 7, 8), 1620),
    Row("pilotnet_snn", "conv4", (64, 4, 22), 48, 3, (2, 1), 4, EARLY, 3, (64, 4, 8), 2160),
    Row("pilotnet_snn", "conv5", (64, 2, 20), 64, 3, (1, 1), 4, EARLY, 2, (64, 2, 16), 2880),
    Row("pilotnet_snn", "fc1", (100,), 2560, 0, (1, 1), 3, EARLY, 12, None, 7253),
    Row("pilotnet_snn", "fc2", (50,), 100, 0, (1, 1), 4, EARLY, 1, None, 1300),
    Row("pilotnet_snn", "fc3", (10,), 50, 0, (1, 1), 5, EARLY, 1, None, 150),
    Row("pilotnet_snn", "fc4", (1,), 10, 0, (1, 1), 6, EARLY, 1, None, 10),
)
"""In the order of the network."""
OTHERS = (
    Row("pilotnet_sdnn", "conv1", (24, 32, 99), 3, 3, (2, 2), 6, EARLY, 25, (24, 32, 4), 81),
    Row("pilotnet_sdnn", "conv2", (36, 15, 49), 24, 3, (2, 2), 5, EARLY, 13, (36, 15, 4), 864),
    Row("pilotnet_sdnn", "conv3", (48, 7, 24), 36, 3, (2, 2), 4, EARLY, 3, (48, 7, 8), 1620),
    Row("pilotnet_sdnn", "conv4", (64, 4, 22), 48, 3, (2, 1), 5, EARLY, 3, (64, 4, 8), 2592),
    Row("pilotnet_sdnn", "conv5", (64, 2, 20), 64, 3, (1, 1), 4, EARLY, 2, (64, 2, 16), 2880),
    Row("pilotnet_sdnn", "fc1", (100,), 2560, 0, (1, 1), 4, EARLY, 12, None, 7253),
    Row("pilotnet_sdnn", "fc2", (50,), 100, 0, (1, 1), 6, EARLY, 1, None, 1500),
    Row("pilotnet_sdnn", "fc3", (10,), 50, 0, (1, 1), 5, EARLY, 1, None, 150),
    Row("pilotnet_sdnn", "fc4", (1,), 10, 0, (1, 1), 4, EARLY, 1, None, 10),
    Row("oxford", "1", (256,), 200, 0, (1, 1), 8, EARLY, 3, None, 5400),
    Row("oxford", "2", (200,), 256, 0, (1, 1), 7, EARLY, 2, None, 8064),
    Row("mnist", "1", (128,), 784, 0, (1, 1), 8, LATE, 3, None, 12544),
    Row("mnist", "2", (64,), 128, 0, (1, 1), 8, LATE, 1, None, 2688),
    Row("mnist", "3", (10,), 64, 0, (1, 1), 8, LATE, 1, None, 256),
    Row("yolo_kp", "1", (16, 224, 224), 3, 3, (2, 2), 7, LATE, 224, (16, 28, 8), 54),
    Row("yolo_kp", "2", (32, 112, 112), 16, 3, (2, 2), 7, LATE, 112, (32, 14, 8), 576),
    Row("yolo_kp", "3", (64, 56, 56), 32, 3, (2, 2), 5, LATE, 56, (64, 14, 4), 1728),
    Row("yolo_kp", "4", (128, 28, 28), 64, 3, (2, 2), 5, LATE, 28, (128, 7, 4), 6336),
    Row("yolo_kp", "5", (256, 28, 28), 128, 3, (1, 1), 5, LATE, 56, (128, 7, 4), 12672),
    Row("yolo_kp", "6", (256, 14, 14), 256, 3, (2, 2), 4, LATE, 16, (64, 7, 8), 11520),
    Row("yolo_kp", "7", (512, 14, 14), 256, 3, (1, 1), 5, LATE, 32, (64, 7, 8), 13824),
    Row("yolo_kp", "8", (256, 14, 14), 512, 1, (1, 1), 5, LATE, 14, (256, 7, 2), 10752),
    Row("yolo_kp", "9", (512, 14, 14), 256, 3, (1, 1), 5, LATE, 32, (64, 7, 8), 13824),
    Row("yolo_kp", "10", (48, 14, 14), 512, 1, (1, 1), 7, LATE, 4, (48, 14, 4), 3072),
)
