# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers for training loops in plain NumPy."""

from .kfac import KFAC
from .protocols import Loss, Network

__all__ = ["KFAC", "Loss", "Network"]
