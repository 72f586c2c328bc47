"""Run @NAME@.net, which lies beside this script, with lava-dl's netx on samples of your own.

    python @DRIVER@ samples.npy outputs.npy

samples.npy holds an array of shape (N@SHAPE@): each sample is a constant input. What netx's input layer
gets of it at every step is ``clip(rint((matrix @ x + bias) * register_scale))``; the numbers are in the .net
file, in the group "sne_deploy/host". outputs.npy becomes an array of shape (N, outputs), per sample: spikes
of the last layer, or its v, as "sne_deploy/readout" says ("v_mean": the sum over the steps).

It needs lava-nc 0.10.0, lava-dl 0.6.0, NumPy, SciPy and h5py; on Python 3.11 and later, or with NumPy 2.4,
also sne-deploy, which makes Lava importable there.
"""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import sparse


def main(samples_path: str, outputs_path: str) -> None:
    """Drive the network through all samples, one stream, reset between them."""
    net_path = Path(__file__).resolve().parent / "@NAME@.net"
    with h5py.File(net_path, "r") as file:
        extra = file["sne_deploy"]
        steps = int(extra["timesteps"][()])
        readout = extra["readout"].asstr()[()]
        last = len(extra["groups"]) - 1
        currents = host_currents(extra["host"], np.load(samples_path, allow_pickle=False))

    netx = import_netx()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    count = len(currents)
    net = netx.hdf5.Network(net_config=str(net_path), reset_interval=steps, reset_offset=0)
    shape = net.in_layer.shape  # (w, h, c), or (n,)
    images = currents.reshape((count, *shape[::-1])).transpose((*range(len(shape), 0, -1), 0))
    data = np.repeat(images, steps, axis=-1)
    total = count * steps + last
    source = Source(data=np.concatenate([data, np.zeros((*shape, last), data.dtype)], axis=-1))
    source.s_out.connect(net.in_layer.neuron.a_in)
    sink = Sink(shape=net.out_layer.shape, buffer=total)
    net.out_layer.neuron.s_out.connect(sink.a_in)

    loops = {depth: layer for depth, layer in enumerate(net.layers) if hasattr(layer, "synapse_rec")}
    pauses = {total}
    delays = [d for d, layer in enumerate(net.layers) if hasattr(getattr(layer, "synapse", None), "delays")]
    pauses |= {n * steps + depth for depth in loops for n in range(count) if n * steps + depth > 0}
    pauses |= {n * steps + depth - 1 for depth in delays for n in range(1, count)}
    if readout != "count":
        every = [steps] if readout == "v_last" else range(1, steps + 1)
        pauses |= {n * steps + last + t for n in range(count) for t in every}
    readings = {}
    now = 0
    for pause in sorted(pauses):
        source.run(condition=RunSteps(num_steps=pause - now), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
        now = pause
        for depth, layer in loops.items():
            if now >= depth and (now - depth) % steps == 0:  # the layer's next sample begins: nothing waits
                layer.synapse_rec.a_buff.set(np.zeros(layer.synapse_rec.a_buff.shape))
        for depth in delays:
            if (
                now > depth and (now + 1 - depth) % steps == 0
            ):  # what is delayed into the next sample is dropped
                waiting = np.array(net.layers[depth].synapse.a_buff.get())
                waiting[:, 1:] = 0
                net.layers[depth].synapse.a_buff.set(waiting)
        if readout != "count":
            readings[now] = net.out_layer.neuron.v.get().astype(np.int64)
    spikes = sink.data.get().reshape(-1, total)
    source.stop()

    outputs = []
    for n in range(count):
        if readout == "count":
            first = n * steps + last
            outputs.append(in_order(spikes[:, first : first + steps].sum(axis=1), net.out_layer.shape))
            continue
        v = [readings[n * steps + last + t] for t in range(1, steps + 1) if n * steps + last + t in readings]
        outputs.append({"v_last": v[-1], "v_mean": np.sum(v, axis=0), "v_max": np.max(v, axis=0)}[readout])
    np.save(outputs_path, np.asarray(outputs).astype(np.int64))


def host_currents(host: Any, samples: Any) -> Any:
    """What the input layer gets at every step: int array of shape (N, n), C order over (c, h, w)."""
    bias = host["bias"][()]
    x = samples.reshape(len(samples), -1).astype(np.float64)
    parts = (host["data"][()], host["indices"][()], host["indptr"][()])
    matrix = sparse.csr_matrix(parts, shape=(len(bias), x.shape[1]))
    c = np.rint((np.asarray(matrix @ x.T).T + bias) * host["register_scale"][()])
    limit = int(host["register_limit"][()])
    return np.clip(c, -limit, limit).astype(np.int32)


def in_order(values: Any, shape: Any) -> Any:
    """From netx's order (w, h, c) to C order over (c, h, w)."""
    return values.reshape(shape).transpose().reshape(-1)


def import_netx() -> Any:
    """lava-dl's netx; through sne-deploy where that is installed."""
    try:
        from sne_netx.importing import import_netx_alone
    except ImportError:
        from lava.lib.dl import netx

        return netx
    return import_netx_alone()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
