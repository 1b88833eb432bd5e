# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Which modules are covered, as which layers, and what their inputs are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from randnla.curvature import Conv1d, Conv2d, Dense, Embedding, ScaleShift

NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Covered:
    """A module that is preconditioned.

    Attributes
    ----------
    name : str
        In the model.
    module : Module
    layer : layer of randnla.curvature
    parameters : tuple of Parameter
        Weight and bias, or the one there is.
    """

    name: str
    module: nn.Module
    layer: Any
    parameters: tuple[nn.Parameter, ...]

    def gradient(self) -> Any:
        """Of the parameters, None where one of them has none."""
        parts = tuple(p.grad for p in self.parameters)
        if any(part is None for part in parts):
            return None
        pair = len(parts) == 2 or isinstance(self.layer, ScaleShift)
        return parts if pair else parts[0]


@dataclass(frozen=True)
class Skipped:
    """A module, or parameters, left to the optimizer, and why."""

    name: str
    kind: str
    shape: tuple[int, ...]
    why: str


def layer_of(module: nn.Module, *, sharing: str) -> tuple[Any, str]:
    """The layer a module is, or None and the reason."""
    bias = getattr(module, "bias", None) is not None
    if isinstance(module, nn.Linear):
        return Dense(module.in_features, module.out_features, bias=bias, sharing=sharing), ""
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        if module.groups != 1:
            return None, f"convolution in {module.groups} groups"
        if module.padding_mode != "zeros":
            return None, f"padding mode {module.padding_mode}"
        kind = Conv1d if isinstance(module, nn.Conv1d) else Conv2d
        made = kind(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            module.stride,
            module.padding,
            module.dilation,
            bias,
            sharing,
        )
        return made, ""
    if isinstance(module, nn.Embedding):
        if module.sparse or module.max_norm is not None or module.scale_grad_by_freq:
            return None, "an embedding with sparse, renormalized or rescaled gradients"
        return Embedding(module.num_embeddings, module.embedding_dim), ""
    if isinstance(module, NORMALIZATIONS):
        if module.weight is None:
            return None, "no parameters"
        last = isinstance(module, nn.LayerNorm)
        size = math.prod(module.normalized_shape) if last else module.weight.numel()  # type: ignore[operator]
        return ScaleShift(size, -1 if last else 1, scale=True, shift=bias), ""
    return None, f"no curvature for {type(module).__name__}"


def input_of(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the layer's gradient is an outer product with: the input, normalized where the module does that."""
    with torch.no_grad():
        if isinstance(module, nn.LayerNorm):
            normal = nn.functional.layer_norm(x, module.normalized_shape, eps=module.eps)
            return normal.flatten(x.ndim - len(module.normalized_shape))
        if isinstance(module, nn.GroupNorm):
            return nn.functional.group_norm(x, module.num_groups, eps=module.eps)
        if isinstance(module, NORMALIZATIONS):
            fixed = not module.training and module.running_mean is not None
            stored = (module.running_mean, module.running_var) if fixed else (None, None)
            return nn.functional.batch_norm(x, *stored, training=not fixed, eps=module.eps)
    return x.detach()


def gradient_of(module: nn.Module, g: torch.Tensor) -> torch.Tensor:
    """The gradient with respect to the output, in the shape of `input_of`."""
    if isinstance(module, nn.LayerNorm):
        return g.flatten(g.ndim - len(module.normalized_shape))
    return g


def covered_by(
    model: nn.Module, skip: tuple[str, ...], *, sharing: str
) -> tuple[list[Covered], list[Skipped]]:
    """All modules with parameters of their own, covered or skipped."""
    covered, skipped = [], []
    seen: set[int] = set()
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if not own or id(module) in seen:
            continue
        seen.add(id(module))
        shape = tuple(next(iter(own.values())).shape)
        kind = type(module).__name__
        layer, why = layer_of(module, sharing=sharing)
        if any(name == s or name.startswith(f"{s}.") for s in skip):
            layer, why = None, "as asked"
        elif layer is not None and not all(p.requires_grad for p in own.values()):
            layer, why = None, "a parameter does not require a gradient"
        elif layer is not None and set(own) - {"weight", "bias"}:
            layer, why = None, "parametrized or with parameters of its own"
        elif layer is not None and any(id(p) in seen for p in own.values()):
            layer, why = None, "shares a parameter with a layer before"
        if layer is None:
            skipped.append(Skipped(name, kind, shape, why))
            continue
        parameters = tuple(own[key] for key in ("weight", "bias") if key in own)
        seen.update(map(id, parameters))
        covered.append(Covered(name, module, layer, parameters))
    return covered, skipped
