# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Inputs of layers and gradients of their outputs, by hooks that exist on statistics steps only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from randnla._backend.errors import InputError

from .likelihood import Likelihood, output_factors, sampled_vector
from .modules import Covered, gradient_of, input_of


@dataclass
class Use:
    """One call of a module: its input, where its output is in the graph, and gradients there."""

    a: torch.Tensor
    edge: GradientEdge
    g: list[torch.Tensor] = field(default_factory=list)


class Capture:
    """Hooks on a model that see one forward pass after the other.

    Parameters
    ----------
    model : Module
        As the user calls it; a compiled one runs uncompiled while hooks are attached.
    covered : sequence of Covered
    fisher : {"mc", "empirical", "ggn"}
    likelihood : str or callable
    generator : torch.Generator
        Of sampled labels; no other random number is drawn.
    output : callable, optional
        Picks the tensor of logits or means from what the model returns.

    Notes
    -----
    Only references are kept. Gradients are taken at the node that made an output, so that operations in place
    behind it do no harm.
    """

    def __init__(
        self,
        model: nn.Module,
        covered: Sequence[Covered],
        *,
        fisher: str,
        likelihood: Likelihood,
        generator: torch.Generator,
        output: Callable[[Any], torch.Tensor] | None,
    ) -> None:
        self._outer = model
        self._model: nn.Module = getattr(model, "_orig_mod", model)
        self._covered, self._fisher, self._likelihood = list(covered), fisher, likelihood
        self._generator, self._output = generator, output
        self._handles: list[Any] = []
        self._compiled: Any = None
        self._current: dict[str, list[Use]] = {}
        self.passes: list[dict[str, list[Use]]] = []

    @property
    def attached(self) -> bool:
        """Whether there are hooks."""
        return bool(self._handles)

    def attach(self) -> None:
        """Put the hooks in place, on a model without them."""
        if self.attached:
            return
        for item in self._covered:
            self._handles.append(item.module.register_forward_hook(self._seen(item.name), always_call=False))
        self._handles.append(self._model.register_forward_pre_hook(self._begin, prepend=True))
        self._handles.append(self._model.register_forward_hook(self._end))
        if self._outer is not self._model:
            # Compiled code would not run the hooks: on these steps the module is called as it was written.
            self._compiled = self._outer.__dict__["forward"]
            self._outer.__dict__["forward"] = self._model.__call__

    def detach(self) -> None:
        """Take the hooks away, and forget what they saw."""
        if not self.attached:
            return
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._outer is not self._model:
            self._outer.__dict__["forward"] = self._compiled
        self.forget()

    def forget(self) -> None:
        """Drop all references."""
        self._current, self.passes = {}, []

    def _begin(self, module: nn.Module, args: Any) -> None:
        self._current = {}

    def _seen(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            wanted = torch.is_grad_enabled() and isinstance(output, torch.Tensor) and output.requires_grad
            if not wanted:
                return
            use = Use(input_of(module, args[0]), get_gradient_edge(output))
            if self._fisher == "empirical":
                number = use.edge.output_nr
                use.edge.node.register_prehook(lambda grads: use.g.append(grads[number]))
            self._current.setdefault(name, []).append(use)

        return hook

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        uses, self._current = self._current, {}
        if not uses:
            return
        if self._fisher != "empirical":
            self._differentiate(output, [use for of_layer in uses.values() for use in of_layer])
        self.passes.append(uses)

    def _differentiate(self, output: Any, uses: Sequence[Use]) -> None:
        """Gradients of the summed loss with labels of the model's own, at the outputs of all layers."""
        edges = [use.edge for use in uses]
        if callable(self._likelihood):
            loss = self._likelihood(output, self._generator)
            _give(uses, torch.autograd.grad(loss, edges, retain_graph=True, allow_unused=True))
            return
        z = self._output(output) if self._output is not None else output
        if not isinstance(z, torch.Tensor):
            raise InputError(
                f"output: expected a model that returns a tensor, or output=, got {type(z).__name__}"
            )
        if self._fisher == "ggn":
            vectors = list(output_factors(z, self._likelihood))
            vectors = [vector * len(vectors) ** 0.5 for vector in vectors]
        else:
            vectors = [sampled_vector(z, self._likelihood, self._generator)]
        for vector in vectors:
            given = torch.autograd.grad(z, edges, vector.to(z.dtype), retain_graph=True, allow_unused=True)
            _give(uses, given)


def _give(uses: Sequence[Use], gradients: Sequence[torch.Tensor | None]) -> None:
    for use, g in zip(uses, gradients, strict=True):
        if g is not None:
            use.g.append(g)


def arrays_of(
    item: Covered, passes: Sequence[dict[str, list[Use]]], scale: float
) -> tuple[list[torch.Tensor], list[torch.Tensor], int] | None:
    """Inputs and gradients of a layer over all passes, as `KFAC.accumulate` takes them; None of no use.

    Several forward passes are parts of one batch; several uses in a pass are those of a shared layer; several
    gradients of a use (of the generalized Gauss-Newton matrix) are as many samples.
    """
    count = max((len(seen.get(item.name, ())) for seen in passes), default=0)
    by_use: list[tuple[torch.Tensor, torch.Tensor]] = []
    for k in range(count):
        a, g = [], []
        for seen in passes:
            uses = seen.get(item.name, [])
            if k < len(uses):
                a += [uses[k].a] * len(uses[k].g)
                g += [gradient_of(item.module, part) for part in uses[k].g]
        if g:
            by_use.append((_joined(a), _joined(g)))
    if not by_use:
        return None
    samples = len(by_use[0][0])
    if scale != 1.0:
        by_use = [(a, g.to(torch.promote_types(g.dtype, torch.float32)) * scale) for a, g in by_use]
    return [a for a, _ in by_use], [g for _, g in by_use], samples


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
