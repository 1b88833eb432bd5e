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

from .attention import SeenForward
from .likelihood import Likelihood, vectors_of
from .modules import Covered, gradient_of, input_of


@dataclass
class Use:
    """One call of a module: its input, where its output is in the graph, and gradients there."""

    module: nn.Module
    a: torch.Tensor
    shape: torch.Size
    edge: GradientEdge | None
    g: list[torch.Tensor] = field(default_factory=list)

    def add(self, gradient: torch.Tensor | None) -> None:
        """Another backward pass through the same graph: the gradient of the sum of the losses."""
        if gradient is not None:
            gradient = gradient.reshape(self.shape)
            self.g = [gradient if not self.g else self.g[0] + gradient]


class Capture:
    """Hooks on a model that see one forward pass after the other.

    Parameters
    ----------
    model : Module
        As the user calls it. Whatever of it is compiled runs uncompiled while hooks are attached.
    covered : sequence of Covered
    fisher : {"mc", "empirical", "ggn"}
    likelihood : str or callable
    sampler : callable (number, device) -> torch.Generator
        Of the labels of a forward pass, counted from 0 in every step. No other random number is drawn.
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
        sampler: Callable[[int, torch.device], torch.Generator],
        output: Callable[[Any], torch.Tensor] | None,
    ) -> None:
        self._outer = model
        self._model: nn.Module = getattr(model, "_orig_mod", model)
        self._covered, self._fisher, self._likelihood = list(covered), fisher, likelihood
        self._sampler, self._output = sampler, output
        self._handles: list[Any] = []
        self._replaced: list[tuple[dict[str, Any], str, Any]] = []
        self._current: dict[str, list[Use]] | None = None  # None outside of a forward pass
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
            if not item.role:
                for module in item.modules:
                    hook = _untraced(self._seen(item.name, module))
                    self._handles.append(module.register_forward_hook(hook, with_kwargs=True))
        self._handles.append(self._model.register_forward_pre_hook(_untraced(self._begin), prepend=True))
        self._handles.append(self._model.register_forward_hook(_untraced(self._end)))
        for module in {id(m): m for item in self._covered if item.role for m in item.modules}.values():
            self._replace(module, "forward", SeenForward(module, self._projection(module)))
        for module in self._outer.modules():
            # Compiled code would not run the hooks: on these steps modules are called as they were written.
            if "_orig_mod" in module._modules and "forward" in module.__dict__:
                self._replace(module, "forward", module._modules["_orig_mod"].__call__)
            if module.__dict__.get("_compiled_call_impl") is not None:
                self._replace(module, "_compiled_call_impl", None)

    def _replace(self, module: nn.Module, key: str, value: Any) -> None:
        self._replaced.append((module.__dict__, key, module.__dict__.get(key)))
        module.__dict__[key] = value

    def detach(self) -> None:
        """Take the hooks away, and forget what they saw."""
        for handle in self._handles:
            handle.remove()
        for attributes, key, value in reversed(self._replaced):
            if value is None:
                del attributes[key]
            else:
                attributes[key] = value
        self._handles, self._replaced = [], []
        self.forget()

    def forget(self) -> None:
        """Drop all references."""
        self._current, self.passes = None, []

    def _begin(self, module: nn.Module, args: Any) -> None:
        if module is self._model:  # a deep copy of the model carries its hooks along
            self._current = {} if module.training and torch.is_grad_enabled() else None

    def _seen(self, name: str, expected: nn.Module) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if module is expected:
                self._use(name, module, args[0] if args else next(iter(kwargs.values())), output)

        return hook

    def _projection(self, module: nn.Module) -> Callable[[str, torch.Tensor, torch.Tensor], None]:
        names = {
            item.role: item.name
            for item in self._covered
            if item.role and any(m is module for m in item.modules)
        }

        def see(role: str, a: torch.Tensor, output: torch.Tensor) -> None:
            if role in names:
                self._use(names[role], module, a, output)

        return see

    def _use(self, name: str, module: nn.Module, a: torch.Tensor, output: Any) -> None:
        if self._current is None or not (isinstance(output, torch.Tensor) and output.requires_grad):
            return
        edge = _edge_of(output)
        with torch.no_grad():
            use = Use(module, input_of(module, a), output.shape, edge)
        if self._fisher == "empirical":
            use.edge = None
            number = edge.output_nr
            edge.node.register_prehook(lambda gradients: use.add(gradients[number]))
        self._current.setdefault(name, []).append(use)

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is not self._model:
            return
        uses, self._current = self._current, None
        if not uses:
            return
        if self._fisher != "empirical":
            self._differentiate(output, [use for of_layer in uses.values() for use in of_layer])
        self.passes.append(uses)

    def _differentiate(self, output: Any, uses: Sequence[Use]) -> None:
        """Gradients of the summed loss with labels of the model's own, at the outputs of all layers."""
        edges = [use.edge for use in uses if use.edge is not None]
        device = uses[0].a.device
        # A forward hook runs under the autocast of the forward pass, which a backward pass must not.
        with torch.autocast(device.type, enabled=False):
            z, vectors = vectors_of(
                output,
                self._likelihood,
                picked=self._output,
                exact=self._fisher == "ggn",
                generator=self._sampler(len(self.passes), device),
            )
            for vector in vectors:
                given = torch.autograd.grad(z, edges, vector, retain_graph=True, allow_unused=True)
                for use, g in zip(uses, given, strict=True):
                    if g is not None:
                        use.g.append(g.reshape(use.shape))
        for use in uses:
            use.edge = None


def _untraced(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that a function compiled around the model runs as it is: it sees tensors and no tracers."""
    made: Callable[..., Any] = torch.compiler.disable(hook)
    return made


def _edge_of(output: torch.Tensor) -> GradientEdge:
    """Where the gradient of an output arrives, whatever is done in place behind it.

    What changes a view in place gives it another node, behind that of its base: a Linear layer with a bias
    returns a view of a matrix for inputs of three axes and more.
    """
    base = output._base if output._is_view() else None
    if base is None or not base.requires_grad or base.numel() != output.numel():
        return get_gradient_edge(output)
    return get_gradient_edge(base if base.is_contiguous() and output.is_contiguous() else output)


def arrays_of(
    name: str, passes: Sequence[dict[str, list[Use]]], scale: Callable[[int], float]
) -> tuple[list[torch.Tensor], list[torch.Tensor], int] | None:
    """Inputs and gradients of a layer over all passes, as `KFAC.accumulate` takes them; None of no use.

    Several forward passes are parts of one batch; several uses in a pass are those of a shared layer; several
    gradients of a use (of the generalized Gauss-Newton matrix) are as many samples. Of passes that use a
    shared layer at other positions (sequences of several lengths), those count that have most samples.

    Parameters
    ----------
    name : str
    passes : sequence of dict {name: uses}
    scale : callable (samples) -> float
        What gradients of a pass with as many samples are multiplied by.
    """
    of_use: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
    of_passes = [seen[name] for seen in passes if name in seen]
    if any(len(uses) > 1 for uses in of_passes):
        of_passes = _alike(of_passes)
    for uses in of_passes:
        for k, use in enumerate(uses):
            if k == len(of_use):
                of_use.append([])
            factor = scale(len(use.a))
            for g in use.g:
                made = gradient_of(use.module, use.a, g)
                if factor != 1.0:
                    made = made.to(torch.promote_types(made.dtype, torch.float32)) * factor
                of_use[k].append((use.a, made))
    of_use = [pairs for pairs in of_use if pairs]
    if not of_use:
        return None
    samples = sum(len(a) for a, _ in of_use[0])
    if len(of_use) == 1:
        return [a for a, _ in of_use[0]], [g for _, g in of_use[0]], samples
    return (
        [_joined([a for a, _ in pairs]) for pairs in of_use],
        [_joined([g for _, g in pairs]) for pairs in of_use],
        samples,
    )


def _alike(passes: list[list[Use]]) -> list[list[Use]]:
    """The largest group of passes that a batch can be made of."""
    groups: dict[Any, list[list[Use]]] = {}
    for uses in passes:
        groups.setdefault(tuple(use.a.shape[1:] for use in uses), []).append(uses)
    return max(groups.values(), key=lambda group: sum(len(uses[0].a) for uses in group), default=[])


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
