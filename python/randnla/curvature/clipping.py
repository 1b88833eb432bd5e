# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""How long a preconditioned step may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from randnla._backend import validate
from randnla._backend.kernels.dense import Array


@dataclass(frozen=True)
class KLClip:
    """All directions times ``min(1, sqrt(kappa / (lr^2 sum <direction, gradient>)))``, which bounds the KL.

    Parameters
    ----------
    kappa : float, default 1e-3
        Twice the divergence that the quadratic model allows.

    Notes
    -----
    Ba, Grosse and Martens (2017). Where rounding has left the sum zero or negative nothing is clipped.
    """

    kappa: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "kappa", validate.real(self.kappa, name="kappa", low=0.0))

    def scales(
        self, directions: Mapping[str, Array], gradients: Mapping[str, Array], lr: float
    ) -> dict[str, float]:
        """A factor for each layer."""
        total = sum(inner(directions[name], gradients[name]) for name in directions) * lr * lr
        factor = min(1.0, math.sqrt(self.kappa / total)) if total > 0 else 1.0
        return dict.fromkeys(directions, factor)


@dataclass(frozen=True)
class RMSClip:
    """Every layer's direction by ``min(1, limit / root mean square)``, as randomized K-FAC does (Puiu, 2022).

    Parameters
    ----------
    limit : float, default 0.07
    """

    limit: float = 0.07

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", validate.real(self.limit, name="limit", low=0.0))

    def scales(
        self, directions: Mapping[str, Array], gradients: Mapping[str, Array], lr: float
    ) -> dict[str, float]:
        """A factor for each layer."""
        rms = {name: math.sqrt(inner(D, D) / max(1, D.size)) for name, D in directions.items()}
        return {name: min(1.0, self.limit / value) if value > 0 else 1.0 for name, value in rms.items()}


def inner(X: Array, Y: Array) -> float:
    """``<X, Y>`` of real arrays, summed over rows in their dtype (where that overflows, in float64)."""
    total = float(np.einsum("ij,ij->i", X, Y).sum(dtype=np.float64))
    if math.isfinite(total):
        return total
    return float(np.einsum("ij,ij->i", X, Y, dtype=np.float64).sum())
