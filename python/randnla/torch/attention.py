# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""`MultiheadAttention` with projections that can be seen: PyTorch computes them inside one function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import MethodType, SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

See = Callable[[str, torch.Tensor, torch.Tensor], None]


class SeenForward:
    """A replacement of ``module.forward`` that shows every projection, and takes and returns what that does.

    Parameters
    ----------
    module : MultiheadAttention
    see : callable (role, input, output)
        Of each projection, the samples on the first axis.

    Notes
    -----
    The projections are done here. What is between them is left to PyTorch, by the module's own `forward` on a
    copy of the module whose projections are identities: products with those are exact, and masks, dropout and
    its random numbers are as they were.
    """

    def __init__(self, module: nn.MultiheadAttention, see: See) -> None:
        self._module, self._see = module, see
        self._run: Callable[..., Any] = torch.compiler.disable(self._forward)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy of the model gets the forward pass of its own class, on its own parameters."""
        return MethodType(type(self._module).forward, memo.get(id(self._module), self._module))

    def _forward(self, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        module = self._module
        if not (torch.is_grad_enabled() and module.training):
            return type(module).forward(module, query, key, value, *args, **kwargs)
        batched = query.dim() == 3

        def projected(role: str, x: torch.Tensor, weight: torch.Tensor, bias: Any) -> torch.Tensor:
            first = _samples_first(x, module, batched=batched)
            z = linear(first, weight, bias)
            self._see(role, first, z)
            return _samples_first(z, module, batched=True) if batched else z.squeeze(0)

        given = {"q": query, "k": key, "v": value}
        inner = [projected(role, given[role], *part) for role, part in _projections(module).items()]
        blended, weights = type(module).forward(_between(module, inner[0]), *inner, *args, **kwargs)
        out = module.out_proj
        return projected("out_proj", blended, out.weight, out.bias), weights


def _samples_first(x: torch.Tensor, module: nn.MultiheadAttention, *, batched: bool) -> torch.Tensor:
    """To the layout (samples, time, width), or back from it."""
    if not batched:
        return x.unsqueeze(0)
    return x if module.batch_first else x.transpose(0, 1)


def _projections(module: nn.MultiheadAttention) -> dict[str, tuple[torch.Tensor, torch.Tensor | None]]:
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.chunk(3)
    else:
        weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    return dict(zip("qkv", zip(weights, biases, strict=True), strict=True))


def _between(module: nn.MultiheadAttention, like: torch.Tensor) -> nn.MultiheadAttention:
    """The module with identities for projections."""
    one = torch.eye(module.embed_dim, dtype=like.dtype, device=like.device)
    bare = copy.copy(module)
    bare.__dict__.pop("forward", None)
    bare.__dict__ |= {
        "_parameters": {**module._parameters, "in_proj_weight": one.repeat(3, 1), "in_proj_bias": None},
        "_modules": {},
        "out_proj": SimpleNamespace(weight=one, bias=None),
        "_qkv_same_embed_dim": True,
    }
    return bare
