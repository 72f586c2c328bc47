"""What a convolution's process computes in one step: Lava's stock function against our gather."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from sne_deploy.ir.weights import ConvWeights
from sne_lava.gather import ColumnGather
from sne_lava.job import SynapseJob


def time_convolution(conv: ConvWeights, synapse: SynapseJob, spikes: Any) -> tuple[float, float]:
    """Time both on the same spikes, step by step, and check that they give the same sums.

    Parameters
    ----------
    conv : ConvWeights
        The kernel as the stock function takes it, ``weight_exp`` included.
    synapse : SynapseJob
        The same weights as a CSR matrix.
    spikes : bool array of shape (steps, n_in)

    Returns
    -------
    stock_s, ours_s : float
        Mean seconds per step; ours includes counting SynOps.
    """
    from lava.proc.conv import utils

    gather = ColumnGather(synapse.weights)
    # Conv flips kernels, torch does not.
    kernel = np.ascontiguousarray(conv.kernel[:, :, ::-1, ::-1].transpose(0, 2, 3, 1), dtype=np.int32)
    described = (kernel.shape[1:3], conv.stride, conv.padding, conv.dilation)
    geometry = [np.array(pair, np.int8) for pair in described]
    stock_s = ours_s = 0.0
    synops = 0
    for step in spikes:
        maps = np.ascontiguousarray(step.reshape(conv.in_shape).transpose(1, 2, 0))
        start = time.perf_counter()
        stock = utils.signed_clamp(utils.conv(maps, kernel, *geometry, conv.groups), bits=24)
        middle = time.perf_counter()
        active = np.flatnonzero(step)
        synops += int(gather.fan_out[active].sum())
        ours = np.left_shift(gather(active).astype(np.int32), synapse.weight_exp)
        end = time.perf_counter()
        stock_s, ours_s = stock_s + middle - start, ours_s + end - middle
        if not np.array_equal(stock.transpose(2, 0, 1).reshape(-1), ours):
            raise RuntimeError(f"synapse {synapse.name!r} sums otherwise with the stock Conv")
    if synops == 0:
        raise RuntimeError(f"synapse {synapse.name!r} received no spikes: nothing was measured")
    return stock_s / len(spikes), ours_s / len(spikes)
