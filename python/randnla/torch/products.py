# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Products of vectors with the Hessian and the Gauss-Newton matrix of a loss, by differentiating twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

Tensors = Sequence[torch.Tensor]


def flat_products(
    along: Callable[[Tensors], Tensors], params: Tensors, *, chunk: int, dtype: torch.dtype
) -> Callable[[Any], Any]:
    """From a map of tangents, in the shapes of parameters, to one of arrays V (dim, k).

    Parameters
    ----------
    along : callable
        Takes and gives a tensor for every parameter; differentiable code that ``torch.vmap`` may batch.
    params : sequence of tensors
    chunk : int
        Columns taken at once by ``torch.vmap``; one by one where a layer cannot be batched.
    dtype : dtype
        Of the result.
    """
    sizes = [p.numel() for p in params]

    def one(column: torch.Tensor) -> torch.Tensor:
        parts = torch.split(column, sizes)
        tangents = [
            part.view(p.shape).to(device=p.device, dtype=p.dtype)
            for part, p in zip(parts, params, strict=True)
        ]
        return torch.cat([out.reshape(-1).to("cpu", dtype) for out in along(tangents)])

    def products(V: Any) -> Any:
        columns = torch.from_numpy(np.ascontiguousarray(V.T))
        if chunk > 1 and len(columns) > 1:
            try:
                return torch.vmap(one, chunk_size=chunk)(columns).numpy().T
            except RuntimeError:  # a layer that has no rule for batches, or no memory for them
                pass
        return torch.stack([one(column) for column in columns]).numpy().T

    return products


def hessian_along(gradient: Sequence[torch.Tensor | None], params: Tensors) -> Callable[[Tensors], Tensors]:
    """``H v`` from gradients that have a graph; parameters without a gradient have none of curvature."""
    live = [g for g in gradient if g is not None and g.requires_grad]

    def along(tangents: Tensors) -> Tensors:
        if not live:  # a loss that is linear in the parameters
            return [torch.zeros_like(t) for t in tangents]
        seeds = [t for g, t in zip(gradient, tangents, strict=True) if g is not None and g.requires_grad]
        return _grad(live, params, seeds)

    return along


def gauss_newton_along(
    loss: torch.Tensor, outputs: torch.Tensor, params: Tensors
) -> Callable[[Tensors], Tensors]:
    """``J^T H_L J v``: J the Jacobian of the outputs, H_L the Hessian of the loss in them."""
    (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
    dummy = torch.zeros_like(outputs, requires_grad=True)
    pulled = _grad([outputs], params, [dummy], create_graph=True)  # J^T dummy, linear in dummy
    live = [k for k, g in enumerate(pulled) if g.requires_grad]

    def along(tangents: Tensors) -> Tensors:
        if not slope.requires_grad:  # a loss that is linear in the outputs
            return [torch.zeros_like(t) for t in tangents]
        (pushed,) = _grad([pulled[k] for k in live], [dummy], [tangents[k] for k in live])
        (bent,) = _grad([slope], [outputs], [pushed])
        return _grad([outputs], params, [bent])

    return along


def _grad(
    outputs: Tensors, inputs: Tensors, seeds: Tensors, *, create_graph: bool = False
) -> list[torch.Tensor]:
    """Derivatives of outputs along seeds, zero where they do not depend on an input; the graph stays."""
    live = [p for p in inputs if p.requires_grad]  # others are constants
    given = torch.autograd.grad(
        list(outputs),
        live,
        list(seeds),
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    rest = iter(given)
    found = [next(rest) if p.requires_grad else None for p in inputs]
    return [torch.zeros_like(p) if g is None else g for p, g in zip(inputs, found, strict=True)]
