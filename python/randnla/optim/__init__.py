# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers for training loops in plain NumPy."""

from .kfac import KFAC
from .mfac import MFAC
from .mini_block_fisher import MiniBlockFisher
from .protocols import Loss, Network
from .sketchy_katyusha import SketchyKatyusha
from .sketchy_saga import SketchySAGA
from .sketchy_sgd import SketchySGD
from .sketchy_svrg import SketchySVRG

__all__ = [
    "KFAC",
    "MFAC",
    "Loss",
    "MiniBlockFisher",
    "Network",
    "SketchyKatyusha",
    "SketchySAGA",
    "SketchySGD",
    "SketchySVRG",
]
