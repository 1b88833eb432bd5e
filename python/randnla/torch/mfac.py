# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""M-FAC as an optimizer of PyTorch."""

from __future__ import annotations

from typing import Any

from randnla import curvature
from randnla._backend.errors import InputError, StateError

from .optimizer import FlatOptimizer


class MFAC(FlatOptimizer):
    """Steps along ``(damping I + (1/m) sum g g^T)^-1 g`` of the last m gradients, with momentum.

    Parameters
    ----------
    params : iterable of parameters, or of groups
        Every group has a window of its own, and may have its own values of all that follows but host_copy.
    lr : float, default 1e-3
    window : int, default 512
        Gradients held.
    damping : float, default 1e-5
        May be changed in the group at any time.
    momentum : float in [0, 1), default 0.9
        Of the velocity ``v = momentum v + direction``, ``w = w - lr v``.
    weight_decay : float, default 0
        Times the parameters, added to the gradient before it enters the window.
    block : int, optional
        The curvature is taken to be block diagonal, with blocks of this order.
    storage : {"float16", "bfloat16"}, optional
        What gradients are held in, half the memory; of parameters up to float32.
    host_copy : bool, default False
        Copy gradients of other devices to the host and steps back. Without, they are refused.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frantar, Kurtic and Alistarh (2021), the M-FAC optimizer, by `randnla.curvature.MFAC`.
    Two things are not as in the authors' code. Their window starts as zeros and the average is over its size,
    so that the first direction is ``m g / (m damping + |g|^2)``, m times what it is here: the average is over
    the gradients held, and the steps grow to their size while the window fills, as g^T direction is below the
    number of gradients held. And their velocity is an average, ``momentum v + (1 - momentum) direction``:
    their step size is lr / (1 - momentum) here.

    *Cost*: three passes over the window a step, and O(window^3) operations in float64. Memory of the window
    times the number of parameters.

    Examples
    --------
    >>> import torch
    >>> import randnla.torch
    >>> model = torch.nn.Linear(8, 3)
    >>> optimizer = randnla.torch.MFAC(model.parameters(), lr=1e-2, window=16, damping=1e-3)
    >>> x, y = torch.ones(4, 8), torch.tensor([0, 1, 2, 0])
    >>> loss = torch.nn.functional.cross_entropy(model(x), y)
    >>> loss.backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        *,
        window: int = 512,
        damping: float = 1e-5,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        block: int | None = None,
        storage: str | None = None,
        host_copy: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "window": window,
            "damping": damping,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "block": block,
            "storage": storage,
        }
        super().__init__(params, defaults, host_copy=host_copy)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        self._engine(group, 1, "float32")

    def _engine(self, group: dict[str, Any], dim: int, dtype: Any) -> curvature.MFAC:
        settings = {name: group[name] for name in ("block", "storage")}
        return curvature.MFAC(dim, group["window"], group["damping"], dtype=dtype, **settings)

    def _direction(self, engine: curvature.MFAC, g: Any, group: dict[str, Any]) -> Any:
        if engine.damping != group["damping"]:
            engine.damping = group["damping"]
        return engine.direction(g)

    def _restored(self, state: dict[str, Any], group: dict[str, Any]) -> curvature.MFAC:
        made = curvature.MFAC.from_state_dict(state)
        dim = sum(p.numel() for p in group["params"])
        try:
            like = self._engine(group, 1, made.dtype)
        except (InputError, KeyError) as error:
            raise StateError(f"param_groups: {error}") from error
        here, there = (dim, like.window, like.block), (made.dim, made.window, made.block)
        if here != there:
            raise StateError(f"window: expected dim, window and block {here}, got {there}")
        return made

    @property
    def health(self) -> dict[int, curvature.Health]:
        """How the curvature of each group is, by its position."""
        return {i: flat.engine.health for i, flat in self._flats.items()}
