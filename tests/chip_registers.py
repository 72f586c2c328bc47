"""The registers that most tests compile for."""

from __future__ import annotations

from sne_deploy.chips.chip import load_chip

LOIHI1 = load_chip("loihi1").registers
