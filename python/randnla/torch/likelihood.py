# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What a model's output is a distribution of, and the vectors whose outer products are its Fisher matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from randnla._backend.errors import InputError

LIKELIHOODS = ("categorical", "bernoulli", "gaussian")
Likelihood = str | Callable[[Any, torch.Generator], torch.Tensor]


def sampled_vector(output: torch.Tensor, likelihood: str, generator: torch.Generator) -> torch.Tensor:
    """The gradient, with respect to the output, of the loss with labels drawn from the output itself.

    Parameters
    ----------
    output : tensor
        Logits with the classes last; logits; means of unit variance.
    likelihood : {"categorical", "bernoulli", "gaussian"}
    generator : torch.Generator

    Returns
    -------
    tensor of the shape of the output, float32 or wider, without a history
    """
    z = output.detach().to(torch.promote_types(output.dtype, torch.float32))
    if likelihood == "gaussian":
        return torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
    if likelihood == "bernoulli":
        p = torch.sigmoid(z)
        return p - torch.bernoulli(p, generator=generator)
    p = torch.softmax(z, dim=-1)
    flat = p.reshape(-1, p.shape[-1])
    drawn = torch.multinomial(flat, 1, generator=generator)
    return flat.scatter_add(1, drawn, torch.full_like(drawn, -1, dtype=flat.dtype)).reshape(p.shape)


def output_factors(output: torch.Tensor, likelihood: str) -> Iterator[torch.Tensor]:
    """Vectors v_c, of the shape of the output, with ``sum_c v_c v_c^T`` the Hessian of the loss in the output.

    One for each class, or each output: the Hessian of every sample is block diagonal over its other axes.

    Raises
    ------
    InputError
        The output has more than one axis beside that of the samples.
    """
    z = output.detach().to(torch.promote_types(output.dtype, torch.float32))
    if z.ndim != 2:
        raise InputError(f"fisher: 'ggn' takes outputs of shape (samples, classes), got {tuple(z.shape)}")
    if likelihood == "categorical":
        p = torch.softmax(z, dim=-1)
        for c in range(z.shape[1]):
            column = -p * p[:, c : c + 1].sqrt()
            column[:, c] += p[:, c].sqrt()
            yield column
        return
    width = torch.ones_like(z) if likelihood == "gaussian" else (torch.sigmoid(z) * torch.sigmoid(-z)).sqrt()
    for c in range(z.shape[1]):
        column = torch.zeros_like(z)
        column[:, c] = width[:, c]
        yield column
