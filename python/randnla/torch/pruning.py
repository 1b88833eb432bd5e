# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Pruning of the weights of a module, with gradients from a loader and a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from randnla import curvature
from randnla._backend import validate
from randnla._backend.errors import InputError
from randnla.curvature import PruneResult

_NORMS = ("BatchNorm", "LayerNorm", "GroupNorm", "RMSNorm", "InstanceNorm", "LocalResponseNorm")


def prune(
    model: nn.Module,
    sparsity: Any,
    data: Iterable[Any] | None = None,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    *,
    count: int = 512,
    batch: int | None = 16,
    parameters: Iterable[str] | Callable[[str, nn.Parameter], bool] | None = None,
    mask: Mapping[str, torch.Tensor] | None = None,
    buffers: bool = False,
    **options: Any,
) -> PruneResult:
    """Prune the weights of a module in place, by `randnla.curvature.prune`.

    Parameters
    ----------
    model : Module
        On the CPU, in the mode that gradients are to be taken in: `eval` where there is dropout or batch
        normalization. Nothing of it changes before all is computed.
    sparsity : float, or mapping {name: float}
    data : iterable of (inputs, targets), optional
        As a DataLoader; gone through again and again, once if it is an iterator. Inputs may be a tuple of
        arguments. Not needed for "magnitude".
    loss : callable (outputs, targets) -> scalar, optional
        The mean over the samples.
    count : int, default 512
        Gradients that every step looks at.
    batch : int or None, default 16
        Samples that a gradient is the mean of: batches of `data` are split. None takes them as they come.
    parameters : names, or callable (name, parameter) -> bool, optional
        What is pruned. By default weights of two axes and more that require a gradient, but those of
        normalizations and parametrizations.
    mask : mapping {name: tensor of bool}, optional
        False where a weight is pruned already; names may be missing. By default what an earlier call
        with `buffers` left.
    buffers : bool, default False
        Store the masks in the modules, as buffers named "weight_mask" and the like.
    **options
        Of `randnla.curvature.prune`: method, steps, schedule, damping, block, update, scope, groups,
        group_saliency.

    Returns
    -------
    PruneResult
        `mask` and `update` are mappings {name of a parameter: tensor}.

    Raises
    ------
    InputError, NonFiniteError, BreakdownError
        As `randnla.curvature.prune`; the module is as before.

    Notes
    -----
    Training afterwards moves pruned weights from zero, unless they are multiplied by the mask after every
    step of the optimizer.

    *Cost*: that of `randnla.curvature.prune`, and `count` forward and backward passes a step of "mfac".

    Examples
    --------
    >>> import torch
    >>> from randnla.torch import prune
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Linear(10, 2)
    >>> data = [(torch.randn(64, 10), torch.randint(0, 2, (64,)))]
    >>> mask, update = prune(model, 0.75, data, torch.nn.functional.cross_entropy, count=32)
    >>> int((model.weight == 0).sum())
    15
    """
    validate.flag(buffers, name="buffers")
    inner: nn.Module = getattr(model, "_orig_mod", model)
    chosen = _chosen(inner, parameters)
    options = {**options, "mask": _masks(inner, chosen, mask)}
    gradients = None
    if options.get("method", "mfac") != "magnitude":
        gradients = _Gradients(inner, chosen, data, loss, count, batch)
    result = curvature.prune({name: p.detach() for name, p in chosen.items()}, gradients, sparsity, **options)
    with torch.no_grad():
        for name, p in chosen.items():
            p.add_(result.update[name].to(p.dtype))
            p.masked_fill_(~result.mask[name], 0)
    if buffers:
        for name in chosen:
            owner, leaf = _owner(inner, name)
            owner.register_buffer(f"{leaf}_mask", result.mask[name])
    return result


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf


def _chosen(
    model: nn.Module, parameters: Iterable[str] | Callable[[str, nn.Parameter], bool] | None
) -> dict[str, nn.Parameter]:
    named = dict(model.named_parameters())
    if parameters is None:
        found = {name: p for name, p in named.items() if _is_weight(model, name, p)}
    elif callable(parameters):
        found = {name: p for name, p in named.items() if parameters(name, p)}
    else:
        names = [parameters] if isinstance(parameters, str) else list(parameters)
        unknown = [name for name in names if name not in named]
        if unknown:
            raise InputError(f"parameters: expected names of parameters of the model, got {unknown[0]!r}")
        found = {name: named[name] for name in names}
    if not found:
        raise InputError("parameters: expected at least one to prune, got none")
    return found


def _is_weight(model: nn.Module, name: str, p: nn.Parameter) -> bool:
    owner, _ = _owner(model, name)
    kind = type(owner).__name__
    skipped = any(norm in kind for norm in _NORMS) or kind == "ParametrizationList"
    return p.requires_grad and p.is_floating_point() and p.ndim >= 2 and not skipped


def _masks(
    model: nn.Module, chosen: Mapping[str, nn.Parameter], given: Mapping[str, torch.Tensor] | None
) -> dict[str, torch.Tensor]:
    masks = {}
    for name in given or ():
        if name not in chosen:
            raise InputError(f"mask: expected names of parameters that are pruned, got {name!r}")
    for name, p in chosen.items():
        owner, leaf = _owner(model, name)
        stored = getattr(owner, f"{leaf}_mask", None) if given is None else given.get(name)
        masks[name] = torch.ones(p.shape, dtype=torch.bool) if stored is None else stored
    return masks


class _Gradients:
    """Mean gradients of small batches at any weights, the module left as it is."""

    def __init__(
        self,
        model: nn.Module,
        chosen: Mapping[str, nn.Parameter],
        data: Iterable[Any] | None,
        loss: Callable[[Any, Any], torch.Tensor] | None,
        count: int,
        batch: int | None,
    ) -> None:
        if data is None or loss is None:
            raise InputError('data, loss: expected both, for any method but "magnitude"')
        self._model, self._loss = model, loss
        self._names = tuple(chosen)
        self._count = validate.integer(count, name="count", low=1)
        self._batch = None if batch is None else validate.integer(batch, name="batch", low=1)
        self._pieces = self._split(data)
        self._size = sum(p.numel() for p in chosen.values())

    def _split(self, data: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        once = iter(data) is data
        while True:
            empty = True
            for item in data:
                if not isinstance(item, list | tuple) or len(item) != 2:
                    raise InputError(f"data: expected pairs (inputs, targets), got {type(item).__name__}")
                for piece in _pieces(item[0], item[1], self._batch):
                    empty = False
                    yield piece
            if once or empty:
                return

    def __call__(self, weights: dict[str, torch.Tensor], mask: Any) -> npt.NDArray[Any]:
        """Gradients (count, d), fewer where the data end."""
        first = next(iter(weights.values()))
        rows: npt.NDArray[Any] = np.empty((self._count, self._size), np.asarray(first).dtype)
        fixed = {name: p.detach() for name, p in self._model.named_parameters() if name not in weights}
        like = dict(self._model.named_parameters())
        moving = {name: weights[name].to(like[name].dtype).requires_grad_() for name in self._names}
        done = 0
        with torch.enable_grad():
            while done < self._count and (piece := next(self._pieces, None)) is not None:
                inputs, targets = piece
                buffers = {name: b.clone() for name, b in self._model.named_buffers()}
                args = inputs if isinstance(inputs, tuple) else (inputs,)
                outputs = torch.func.functional_call(self._model, {**fixed, **moving, **buffers}, args)
                parts = torch.autograd.grad(
                    self._loss(outputs, targets), list(moving.values()), allow_unused=True
                )
                place = 0
                for part, w in zip(parts, moving.values(), strict=True):
                    row = rows[done, place : place + w.numel()]
                    row[:] = 0 if part is None else part.reshape(-1).to(first.dtype).numpy()
                    place += w.numel()
                done += 1
        if done == 0:
            raise InputError("data: expected at least one batch for every step, got none")
        return rows[:done]


def _pieces(inputs: Any, targets: Any, batch: int | None) -> Iterator[tuple[Any, Any]]:
    """Both in pieces of so many samples."""
    if batch is None:
        yield inputs, targets
        return
    first = inputs[0] if isinstance(inputs, tuple) else inputs
    for start in range(0, len(first), batch):
        part = slice(start, start + batch)
        cut = tuple(x[part] for x in inputs) if isinstance(inputs, tuple) else inputs[part]
        yield cut, targets[part]
