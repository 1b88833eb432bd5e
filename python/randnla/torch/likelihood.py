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


def vectors_of(
    output: Any,
    likelihood: Likelihood,
    *,
    picked: Callable[[Any], torch.Tensor] | None,
    exact: bool,
    generator: torch.Generator,
) -> tuple[torch.Tensor, Iterator[torch.Tensor | None]]:
    """A tensor to differentiate, and vectors to start backward passes at it from.

    Raises
    ------
    InputError
        The output is no tensor, or of a shape that "ggn" does not take.
    """
    if callable(likelihood):
        return likelihood(output, generator), iter([None])
    z = tensor_of(output, picked)
    if not exact:
        return z, iter([sampled_vector(z, likelihood, generator).to(z.dtype)])
    # Every vector stands for as many samples as there are: their mean is to be the sum of outer products.
    return z, ((v * z.shape[1] ** 0.5).to(z.dtype) for v in output_factors(z, likelihood))


def tensor_of(output: Any, picked: Callable[[Any], torch.Tensor] | None) -> torch.Tensor:
    """The logits or means in what a model returns.

    Raises
    ------
    InputError
        It is no tensor.
    """
    z = picked(output) if picked is not None else output
    if not isinstance(z, torch.Tensor):
        raise InputError(
            f"output: expected a callable that picks a tensor from the {type(z).__name__} returned"
        )
    return z


def _wide(output: torch.Tensor) -> torch.Tensor:
    return output.detach().to(torch.promote_types(output.dtype, torch.float32))


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
    z = _wide(output)
    if likelihood == "gaussian":
        return torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
    if not torch.isfinite(z).all():
        return torch.full_like(z, torch.nan)  # there is nothing to draw from: the engine refuses the batch
    if likelihood == "bernoulli":
        p = torch.sigmoid(z)
        return p - torch.bernoulli(p, generator=generator)
    p = torch.softmax(z, dim=-1)
    flat = p.reshape(-1, p.shape[-1])
    drawn = torch.multinomial(flat, 1, generator=generator)
    return flat.scatter_add(1, drawn, torch.full_like(drawn, -1, dtype=flat.dtype)).reshape(p.shape)


def output_factors(output: torch.Tensor, likelihood: str) -> Iterator[torch.Tensor]:
    """Vectors v_c, of the shape of the output, ``sum_c v_c v_c^T`` the Hessian of the loss in it.

    One for each class, or each output.

    Raises
    ------
    InputError
        The output has more than one axis beside that of the samples.
    """
    z = _wide(output)
    if z.ndim != 2:
        raise InputError(f"fisher: 'ggn' takes outputs of shape (samples, classes), got {tuple(z.shape)}")
    if likelihood == "categorical":
        # diag(p) - p p^T = sum_c p_c (e_c - p)(e_c - p)^T.
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


def inner_in_output(output: torch.Tensor, likelihood: str, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``sum over samples of u^T F_R v``, F_R the Fisher matrix of a sample's output, in float64."""
    z, u, v = (x.detach().to(torch.float64) for x in (output, u, v))
    if likelihood == "gaussian":
        return (u * v).sum()
    if likelihood == "bernoulli":
        return (torch.sigmoid(z) * torch.sigmoid(-z) * u * v).sum()
    p = torch.softmax(z, dim=-1)
    # Centered, so that what all classes have in common cancels before and not after it is squared.
    u, v = (x - (p * x).sum(dim=-1, keepdim=True) for x in (u, v))
    return (p * u * v).sum()
