# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What optimizers in PyTorch have in common that see nothing but gradients: a group is one flat vector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from randnla._backend import state as plain_state
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.kernels import dense

_KINDS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


@dataclass
class Flat:
    """What is kept of a group: its engine, the vector its gradients are gathered in, the velocity."""

    engine: Any
    gradient: torch.Tensor
    velocity: torch.Tensor | None = None


class FlatOptimizer(torch.optim.Optimizer):  # type: ignore[misc]
    """Base of optimizers: ``v = momentum v + direction(g + weight_decay w)``, ``w = w - lr v`` a group.

    A subclass has `_engine`, `_direction` and `_restored`; settings of groups are in `defaults`, of which
    lr, momentum and weight_decay are checked here. Parameters without a gradient stay where they are.
    """

    def __init__(self, params: Any, defaults: dict[str, Any], *, host_copy: bool = False) -> None:
        self.host_copy = validate.flag(host_copy, name="host_copy")
        self.skipped = 0  # steps with NaN or Inf in a gradient, which changed nothing
        self._flats: dict[int, Flat] = {}
        super().__init__(params, defaults)

    # -- what a subclass knows -----------------------------------------------------------------------------

    def _engine(self, group: dict[str, Any], dim: int, dtype: Any) -> Any:
        """A new engine for the vector of a group; it has a `state_dict`."""
        raise NotImplementedError

    def _direction(self, engine: Any, g: Any, group: dict[str, Any]) -> Any:
        """The direction (dim,) of a finite gradient, an array; None leaves the group as it is."""
        raise NotImplementedError

    def _restored(self, state: dict[str, Any], group: dict[str, Any]) -> Any:
        """An engine from its state; StateError where that is not one."""
        raise NotImplementedError

    # -- steps ---------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; raises InputError where a setting or a parameter does not fit."""
        super().add_param_group(param_group)
        try:
            self._check(self.param_groups[-1])
        except InputError:
            self.param_groups.pop()
            raise

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "weight_decay"):
            validate.real(group[name], name=name, low=0.0)
        if validate.real(group["momentum"], name="momentum", low=0.0) >= 1:
            raise InputError(f"momentum: expected a number in [0, 1), got {group['momentum']}")
        for p in group["params"]:
            if p.dtype not in _KINDS or p.layout != torch.strided:
                raise InputError(f"params: expected dense real tensors, got {p.dtype}, {p.layout}")
            if not (p.is_cpu or self.host_copy):
                raise InputError(
                    f"params: expected tensors on the CPU, got one on {p.device}; host_copy=True copies "
                    "gradients to the host and steps back"
                )

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
        groups = {
            i: group
            for i, group in enumerate(self.param_groups)
            if any(p.grad is not None for p in group["params"])
        }
        gradients = {i: self._gathered(i, group) for i, group in groups.items()}
        if not all(dense.screen(g.numpy()[None]).finite for g in gradients.values()):
            self.skipped += 1
            return loss
        for i, group in groups.items():
            flat = self._flats[i]
            made = self._direction(flat.engine, gradients[i].numpy(), group)
            if made is None:
                continue
            v = torch.as_tensor(made)
            if group["momentum"]:
                if flat.velocity is None:
                    flat.velocity = torch.zeros_like(flat.gradient)
                v = flat.velocity.mul_(group["momentum"]).add_(v)
            for p, part in _parts(group, v):
                if p.grad is not None:
                    p.add_(part.to(p.device), alpha=-group["lr"])
        return loss

    def _gathered(self, i: int, group: dict[str, Any]) -> torch.Tensor:
        """The gradient of a group with its weight decay, in the memory kept for it."""
        if i not in self._flats:
            dim, dtype = _dim(group), _dtype(group)
            engine = self._engine(group, dim, np.float64 if dtype == torch.float64 else np.float32)
            self._flats[i] = Flat(engine, torch.zeros(dim, dtype=dtype))
        gathered = self._flats[i].gradient
        for p, part in _parts(group, gathered):
            if p.grad is None:
                part.zero_()
                continue
            if p.grad.layout != torch.strided:
                raise InputError(f"params: expected dense gradients, got one of layout {p.grad.layout}")
            part.copy_(p.grad)
            if group["weight_decay"]:
                part.add_(p.to(part), alpha=group["weight_decay"])
        return gathered

    # -- state ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """As in torch, with "skipped", and "flats": engine and velocity of every group, by its position."""
        state: dict[str, Any] = super().state_dict()
        state["skipped"] = self.skipped
        state["flats"] = {
            i: {
                "velocity": None if flat.velocity is None else flat.velocity.clone(),
                "engine": {key: _tensor(value) for key, value in flat.engine.state_dict().items()},
            }
            for i, flat in self._flats.items()
        }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state of the same groups, bit for bit.

        Raises
        ------
        StateError
            A group or its engine does not fit; nothing has changed then.
        """
        with plain_state.reading("state_dict"):
            self._load(dict(state_dict))

    def _load(self, rest: dict[str, Any]) -> None:
        flats = rest.pop("flats", None)
        skipped = validate.integer(rest.pop("skipped", None), name="skipped", low=0)
        saved = rest.get("param_groups", ())
        if not isinstance(flats, dict) or len(saved) != len(self.param_groups):
            raise StateError(f"flats, param_groups: expected those of {len(self.param_groups)} groups")
        for group, own in zip(saved, self.param_groups, strict=True):
            self._check({**group, "params": own["params"]})
        made: dict[int, Flat] = {}
        for i, flat in flats.items():
            if i not in range(len(saved)):
                raise StateError(f"flats: expected positions of {len(saved)} groups, got {i}")
            group = self.param_groups[i]
            if len(saved[i]["params"]) != len(group["params"]):
                raise StateError(f"param_groups: another number of parameters in group {i}")
            engine = {key: _array(value) for key, value in flat["engine"].items()}
            gradient = torch.zeros(_dim(group), dtype=_dtype(group))
            velocity = None if flat["velocity"] is None else flat["velocity"].clone()
            if velocity is not None and (velocity.shape, velocity.dtype) != (gradient.shape, gradient.dtype):
                raise StateError(f"velocity: expected {tuple(gradient.shape)} in group {i}")
            made[i] = Flat(
                self._restored(engine, {**saved[i], "params": group["params"]}), gradient, velocity
            )
        super().load_state_dict(rest)
        self._flats, self.skipped = made, skipped

    def __getstate__(self) -> dict[str, Any]:
        own = {key: self.__dict__[key] for key in ("host_copy", "skipped", "_flats")}
        return {**super().__getstate__(), **own}


def _dim(group: dict[str, Any]) -> int:
    return sum(p.numel() for p in group["params"])


def _dtype(group: dict[str, Any]) -> torch.dtype:
    """What a group is worked in."""
    return torch.float64 if any(p.dtype == torch.float64 for p in group["params"]) else torch.float32


def _parts(group: dict[str, Any], flat: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Every parameter with its part of a vector, in its shape."""
    start = 0
    for p in group["params"]:
        yield p, flat[start : start + p.numel()].view(p.shape)
        start += p.numel()


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def _array(value: Any) -> Any:
    return value.numpy(force=True) if isinstance(value, torch.Tensor) else value
