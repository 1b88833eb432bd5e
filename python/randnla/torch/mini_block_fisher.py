# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Mini-block Fisher matrices as an optimizer of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from randnla import curvature as engines
from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla.curvature.mini_blocks.partition import Partition, default_partition

_KINDS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_OF_NUMPY = (torch.float32, torch.float64)


class MiniBlockFisher(torch.optim.Optimizer):  # type: ignore[misc]
    """Natural gradients by small blocks of the averaged outer products of gradients.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) pairs, or of groups
        As in torch. Where names are given a bias goes with the weight of its module; else with the dense
        weight right before it, of as many outputs.
    lr : float, default 3e-3
        Of parameters with blocks.
    other_lr : float, default 1e-3
        Of the others, which follow Adam's rule.
    damping : Relative, Absolute, float or callable (step) -> either, default 1.0
    ema, momentum, stats_every, inv_every
        As of `randnla.curvature.MiniBlockFisher`.
    clip : RMSClip, KLClip or None, default RMSClip(1.0)
        The default bounds steps by the learning rate, as Adam's are: lengths of these natural gradients go
        with the inverse of those of gradients.
    weight_decay : float, default 0
        Parameters shrink by ``lr * weight_decay`` (``other_lr * weight_decay``) a step, as in AdamW.
    shared : bool, default True
        Whether all outputs of a dense layer have one matrix.
    largest : int, default 2048
        Order of the largest shared matrix; wider layers, as embeddings of long rows, follow Adam's rule.
    partition : callable (name, tensor) -> partition or None, optional
        A partition of `randnla.curvature` for a parameter on its own; None leaves it to the rules above. The
        name is that given in `params`, or the position as a string.
    host_copy : bool, default False
        Copy gradients of other devices to the host, and directions back. Without, they are refused.

    Attributes
    ----------
    engine : randnla.curvature.MiniBlockFisher or None
        None before the first step.
    skipped : int
        Steps with NaN or Inf in a gradient, which changed nothing.
    health : dict {name: Health}

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: as of the engine. A convolution has a block a pair of channels, a dense layer one a neuron.
    lr, other_lr and weight_decay may differ between groups; all else is of all of them. Groups cannot be
    added after the first step. Parameters without a gradient stay where they are, with those that go with
    them.

    *Cost*: as of the engine; gradients are read where they are.

    Examples
    --------
    >>> import torch
    >>> import randnla.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3))
    >>> optimizer = randnla.torch.MiniBlockFisher(model.parameters(), lr=0.01)
    >>> loss = torch.nn.functional.cross_entropy(model(torch.ones(2, 1, 4, 4)), torch.tensor([0, 1]))
    >>> loss.backward()
    >>> optimizer.step()
    >>> print(optimizer.report())
    layer  kind          shape          inverse      note
    0      ConvBlocks    4 x 1 x 3 x 3  4 of 9
    1      Elementwise   4              elementwise
    2      NeuronBlocks  3 x 16         shared by 3
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        *,
        other_lr: float = 1e-3,
        damping: Any = 1.0,
        ema: float = 0.95,
        momentum: float = 0.9,
        stats_every: Any = engines.Every(4, first=10),  # noqa: B008 (frozen)
        inv_every: Any = engines.Every(20, first=10),  # noqa: B008 (frozen)
        clip: Any = engines.RMSClip(1.0),  # noqa: B008 (frozen)
        weight_decay: float = 0.0,
        shared: bool = True,
        largest: int = 2048,
        partition: Callable[[str, torch.Tensor], Partition | None] | None = None,
        host_copy: bool = False,
    ) -> None:
        self.host_copy = validate.flag(host_copy, name="host_copy")
        self._shared = validate.flag(shared, name="shared")
        self._largest = validate.integer(largest, name="largest", low=1)
        self._own = validate.callback(partition, name="partition")
        self._settings = {
            "damping": damping,
            "ema": ema,
            "momentum": momentum,
            "stats_every": stats_every,
            "inv_every": inv_every,
            "clip": clip,
        }
        self.skipped = 0
        self.engine: engines.MiniBlockFisher | None = None
        self._units: dict[str, tuple[int, tuple[torch.Tensor, ...]]] = {}
        engines.MiniBlockFisher({"w": engines.Elementwise(1)}, **self._settings)  # refuses what does not fit
        super().__init__(params, {"lr": lr, "other_lr": other_lr, "weight_decay": weight_decay})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch, before the first step; raises InputError where a setting or parameter does not fit."""
        if self.engine is not None:
            raise InputError("param_group: expected all groups before the first step")
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            for name in ("lr", "other_lr", "weight_decay"):
                validate.real(group[name], name=name, low=0.0)
            for p in group["params"]:
                self._require_possible(p)
        except InputError:
            self.param_groups.pop()
            raise

    def _require_possible(self, p: torch.Tensor) -> None:
        if p.dtype not in _KINDS or p.layout != torch.strided:
            raise InputError(f"params: expected dense real tensors, got {p.dtype}, {p.layout}")
        if not (p.is_cpu or self.host_copy):
            raise InputError(
                f"params: expected tensors on the CPU, got one on {p.device}; host_copy=True copies "
                "gradients to the host and directions back"
            )

    def _build(self) -> engines.MiniBlockFisher:
        """The engine of all groups, made at the first step."""
        if self.engine is not None:
            return self.engine
        partition: dict[str, Partition] = {}
        count = 0
        for number, group in enumerate(self.param_groups):
            tensors = dict(zip(self._names(group, count), group["params"], strict=True))
            count += len(tensors)
            given = {name: self._own(name, p) for name, p in tensors.items()} if self._own else {}
            for name, part in given.items():
                if part is not None:
                    partition[name], self._units[name] = part, (number, (tensors[name],))
            rest = {name: tuple(p.shape) for name, p in tensors.items() if given.get(name) is None}
            found = default_partition(rest, _biases(rest), largest=self._largest, shared=self._shared)
            for names, part in found.items():
                partition[names[0]] = part
                self._units[names[0]] = number, tuple(tensors[name] for name in names)
        order = [name for name in self._every_name() if name in partition]
        wide = any(p.dtype == torch.float64 for group in self.param_groups for p in group["params"])
        self.engine = engines.MiniBlockFisher(
            {name: partition[name] for name in order},
            dtype=np.float64 if wide else np.float32,
            **self._settings,
        )
        return self.engine

    def _names(self, group: dict[str, Any], first: int) -> list[str]:
        names = group.get("param_names")
        return list(names) if names else [str(first + k) for k in range(len(group["params"]))]

    def _every_name(self) -> list[str]:
        names: list[str] = []
        for group in self.param_groups:
            names += self._names(group, len(names))
        return names

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> Any:
        """One step; where a gradient holds NaN or Inf nothing changes but `skipped`.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the loss anew, calls ``backward``, and returns the loss, which is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        engine = self._build()
        gradients = {}
        for name, (_, tensors) in self._units.items():
            if all(p.grad is not None for p in tensors):
                parts = tuple(self._on_host(p.grad) for p in tensors)
                gradients[name] = parts if len(parts) > 1 else parts[0]
        before = engine.step_count
        directions = engine.step(gradients, lr=self.param_groups[0]["lr"], reuse=True)
        if engine.step_count == before:
            self.skipped += 1
            return loss
        for name, made in directions.items():
            number, tensors = self._units[name]
            self._move(self.param_groups[number], name, tensors, made if isinstance(made, tuple) else (made,))
        return loss

    def _move(
        self, group: dict[str, Any], name: str, tensors: tuple[torch.Tensor, ...], made: tuple[Any, ...]
    ) -> None:
        assert self.engine is not None
        rate = group["other_lr" if self.engine.is_elementwise(name) else "lr"]
        for p, direction in zip(tensors, made, strict=True):
            if group["weight_decay"]:
                p.mul_(1.0 - rate * group["weight_decay"])
            p.add_(torch.from_numpy(direction).view(p.shape).to(p), alpha=-rate)

    def _on_host(self, gradient: Any) -> Any:
        if gradient.layout != torch.strided:
            raise InputError(f"params: expected dense gradients, got one of layout {gradient.layout}")
        host = gradient if gradient.is_cpu else gradient.cpu()
        # As an array right here where NumPy has the dtype: the engine would find out about every tensor.
        return host.numpy() if host.dtype in _OF_NUMPY else host

    # -- what is known of it -----------------------------------------------------------------------------

    @property
    def health(self) -> dict[str, engines.Health]:
        """How the blocks of every parameter are."""
        return self._build().health

    def report(self) -> engines.Report:
        """A printable table: how every parameter is treated."""
        made: engines.Report = self._build().report()
        return made

    # -- state -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """As in torch, with the state of the engine; from it `load_state_dict` goes on bit for bit."""
        state: dict[str, Any] = super().state_dict()
        state["skipped"] = self.skipped
        engine = self._build().state_dict()
        state["engine"] = {
            key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for key, value in engine.items()
        }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of the same parameters and settings.

        Raises
        ------
        StateError
            A part is missing or does not fit; nothing has changed then.
        """
        with plain_state.reading("state_dict"):
            self._load(dict(state_dict))

    def _load(self, rest: dict[str, Any]) -> None:
        engine, saved = rest.pop("engine", None), rest.get("param_groups", ())
        skipped = validate.integer(rest.pop("skipped", None), name="skipped", low=0)
        if not isinstance(engine, dict) or len(saved) != len(self.param_groups):
            raise StateError(f"engine, param_groups: expected those of {len(self.param_groups)} groups")
        for group in saved:
            for name in ("lr", "other_lr", "weight_decay"):
                validate.real(group[name], name=name, low=0.0)
        held = self._build()
        before = held.state_dict()
        held.load_state_dict(
            {k: v.numpy(force=True) if isinstance(v, torch.Tensor) else v for k, v in engine.items()}
        )
        try:
            super().load_state_dict(rest)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            held.load_state_dict(before)
            raise StateError(f"param_groups: {error}") from error
        self.skipped = skipped

    def __getstate__(self) -> dict[str, Any]:
        own = ("host_copy", "skipped", "engine", "_units", "_shared", "_largest", "_own", "_settings")
        return {**super().__getstate__(), **{key: self.__dict__[key] for key in own}}


def _biases(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Weights with the names of their biases: of one module, or else one right behind the other."""
    found = {}
    names = list(shapes)
    for weight, after in zip(names, [*names[1:], ""], strict=True):
        stem, dot, last = weight.rpartition(".")
        if weight.isdecimal():
            if after and len(shapes[weight]) == 2 and shapes[after] == shapes[weight][:1]:
                found[weight] = after
        elif last == "weight" and f"{stem}{dot}bias" in shapes:
            found[weight] = f"{stem}{dot}bias"
    return found
