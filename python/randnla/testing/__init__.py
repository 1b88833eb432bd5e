# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Small networks and losses in plain NumPy, on which curvature and optimizers run without a framework."""

from .losses import SoftmaxCrossEntropy, SquaredError
from .networks import CNN, MLP, Backward, Network, Run

__all__ = ["CNN", "MLP", "Backward", "Network", "Run", "SoftmaxCrossEntropy", "SquaredError"]
