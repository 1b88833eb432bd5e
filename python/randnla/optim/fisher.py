# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Fisher matrix of a batch: what its Kronecker factors average, and its products with directions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .protocols import Array, Loss, Network, Parameters

FISHERS = ("mc", "empirical", "ggn")


def statistics_of(
    network: Network, loss: Loss, run: Any, backward: Any, fisher: str, rng: np.random.Generator
) -> dict[str, tuple[Any, Any]]:
    """Inputs and output gradients of every layer, as `randnla.curvature.KFAC.accumulate` takes them.

    Parameters
    ----------
    backward
        Of the targets of the batch, which are those of "empirical".
    fisher : {"mc", "empirical", "ggn"}
        mc: one target a sample, drawn from the model. ggn: a backward pass for every column of the loss's
        Hessian factors, which leaves no noise.
    rng : Generator
        Of the targets drawn.
    """
    if fisher == "empirical":
        return dict(backward.statistics)
    if fisher == "mc":
        drawn = loss.sample_labels(run.outputs, rng)
        return dict(network.backward(run, loss.slopes(run.outputs, drawn)).statistics)
    factors = loss.hessian_factors(run.outputs)
    columns = factors.shape[2]
    # r copies of a batch count as r n samples: the mean over them of r g g^T is the sum over columns.
    passes = [network.backward(run, math.sqrt(columns) * factors[:, :, k]).statistics for k in range(columns)]
    return {
        name: ([one[name][0] for one in passes], [one[name][1] for one in passes]) for name in network.layers
    }


def fisher_form(network: Network, loss: Loss, run: Any, directions: Sequence[Parameters]) -> Array:
    """``<u, F v>`` for all pairs of directions, with the exact Fisher matrix of the batch.

    F is the mean over samples of ``J^T S S^T J``, J the Jacobian of the outputs, S the factor of the loss's
    Hessian in them. One derivative along each direction.
    """
    factors = loss.hessian_factors(run.outputs)
    moved = [np.einsum("nkr,nk->nr", factors, network.jvp(run, d)).astype(np.float64) for d in directions]
    return np.array([[float(np.sum(u * v)) for v in moved] for u in moved]) / len(run.outputs)
