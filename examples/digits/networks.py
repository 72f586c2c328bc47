"""The teacher and the four students of the digits example. Input: images of shape (N, 1, 8, 8)."""

from __future__ import annotations

import torch
from norse import torch as norse
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.distill.teacher.network import Teacher

FEATURES = 64
DT_S = 0.001
ALPHA = 10.0
"""Steepness of the surrogate gradient, 1 / (ALPHA |v - v_th| + 1)^2."""


def teacher() -> Teacher:
    """Two convolutions and a linear layer, 64 features after the last ReLU."""
    features = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, FEATURES),
        nn.ReLU(),
    )
    return Teacher(features, nn.Linear(FEATURES, 10))


def lif_box(decay: float, v_rest: float = 0.0) -> norse.LIFBoxCell:
    """Make a cell without synaptic current; its membrane loses ``decay`` per step towards ``v_rest``."""
    return norse.LIFBoxCell(
        LIFBoxParameters(
            tau_mem_inv=torch.tensor(decay / DT_S),
            v_leak=torch.tensor(v_rest),
            v_th=torch.tensor(1.0),
            v_reset=torch.tensor(v_rest),
            alpha=torch.tensor(ALPHA),
        ),
        dt=DT_S,
    )


def lif_parameters(decay: float, synaptic_decay: float) -> norse.LIFParameters:
    """Set the parameters of a cell with synaptic current."""
    return norse.LIFParameters(
        tau_syn_inv=torch.tensor(synaptic_decay / DT_S),
        tau_mem_inv=torch.tensor(decay / DT_S),
        v_leak=torch.tensor(0.0),
        v_th=torch.tensor(1.0),
        v_reset=torch.tensor(0.0),
        alpha=torch.tensor(ALPHA),
    )


def li_box(decay: float) -> norse.LIBoxCell:
    """Make a leaky readout without synaptic current."""
    parameters = LIBoxParameters(tau_mem_inv=torch.tensor(decay / DT_S), v_leak=torch.tensor(0.0))
    return norse.LIBoxCell(parameters, dt=DT_S)


def li(decay: float, synaptic_decay: float) -> norse.LICell:
    """Make a leaky readout with synaptic current."""
    parameters = norse.LIParameters(
        tau_syn_inv=torch.tensor(synaptic_decay / DT_S),
        tau_mem_inv=torch.tensor(decay / DT_S),
        v_leak=torch.tensor(0.0),
    )
    return norse.LICell(parameters, dt=DT_S)


def conv_student(outputs: int) -> nn.Sequential:
    """Two convolutions with pooling between them."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        lif_box(0.5),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3),
        lif_box(0.5),
        nn.Flatten(),
        nn.Linear(16 * 2 * 2, outputs),
        li_box(0.25),
    )


def dense_student(outputs: int) -> nn.Sequential:
    """Two dense layers; the second one rests and resets below zero."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        lif_box(0.25),
        nn.Linear(64, 48),
        lif_box(0.5, v_rest=-0.25),
        nn.Linear(48, outputs),
        li_box(0.25),
    )


def current_student(outputs: int) -> nn.Sequential:
    """Dense, with synaptic currents after the first layer."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        lif_box(0.5),
        nn.Linear(64, 48),
        norse.LIFCell(lif_parameters(0.5, 0.5), dt=DT_S),
        nn.Linear(48, outputs),
        li(0.25, 0.5),
    )


def recurrent_student(outputs: int) -> nn.Sequential:
    """One recurrent layer."""
    cell = norse.LIFRecurrentCell(64, 48, p=lif_parameters(0.25, 0.5), dt=DT_S)
    with torch.no_grad():  # Norse draws both with a variance that ignores the number of inputs
        cell.input_weights.copy_(torch.randn(48, 64) * 0.15)
        cell.recurrent_weights.mul_(0.25)
    return nn.Sequential(nn.Flatten(), cell, nn.Linear(48, outputs), li_box(0.25))


STUDENTS = {
    "conv": conv_student,
    "dense": dense_student,
    "current": current_student,
    "recurrent": recurrent_student,
}
