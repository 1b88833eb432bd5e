# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""SketchySGD for PyTorch: the Hessian of a batch by double backward, sketched by the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from randnla import curvature as engines
from randnla._backend import validate
from randnla._backend.errors import InputError, StateError
from randnla._backend.rng import seed_from

from .optimizer import FlatOptimizer
from .products import flat_products, gauss_newton_along, hessian_along

CURVATURES = ("hessian", "ggn")
RATES = ("auto", "fixed")


class SketchySGD(FlatOptimizer):
    """Stochastic gradients preconditioned by a Nystrom sketch of the Hessian of a batch.

    Parameters
    ----------
    params : iterable of tensors or groups
        A group has a sketch of its own: the blocks of the Hessian between groups are left out.
    lr : float, default 1
        Multiple of the step size that the curvature gives; with ``rate="fixed"`` the step size itself.
    rank : int, default 10
        Of the sketch.
    rho : float, default 0.1
        Added to the sketch; may be set anew in a group at any time. What the sketch leaves out of a network's
        Hessian is seldom below 1e-3, the default for linear models: steps would only be the shorter.
    rate : {"auto", "fixed"}, default "auto"
    momentum : float, default 0
        ``v = momentum v + step``.
    weight_decay : float, default 0
        Of a penalty ``weight_decay / 2 |w|^2``.
    curvature : {"hessian", "ggn"}, default "hessian"
        What is sketched. Hessians of networks are indefinite as a rule: where one is found to be, the
        Gauss-Newton matrix takes its place if `closure` gives the outputs, else the absolute values of its
        Ritz pairs do; `health` says so. With ``rate="auto"`` the step size is bounded by the Hessian itself
        either way: by the Gauss-Newton matrix, steps may diverge.
    update_every : int, default 100
        Steps from one sketch to the next; about an epoch.
    chunk : int, default 8
        Products with the Hessian that are made at once, by ``torch.vmap``.
    rng : None, int, SeedSequence or Generator
    host_copy : bool, default False
        Take tensors on other devices, by copies to the host.

    Attributes
    ----------
    health : list of Health
        Of every group that has taken a step.
    learning_rates : list of float
        Those of the curvature.
    skipped : int
        Steps with NaN or Inf in a gradient, which changed nothing.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Frangella, Rathore, Zhao and Udell (2022, SketchySGD), with the learning rate of
    `randnla.curvature.SketchySGD`. The authors' variant for networks shifts by a bare machine epsilon; here
    the shift follows the norm of the sketch.

    *Cost*: a step adds 4 p r flops on the host. A sketch takes rank + 10 products with the Hessian, each some
    two gradients, and (2 rank + 10) p numbers.

    Examples
    --------
    >>> import torch
    >>> from randnla.torch import SketchySGD
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> x = torch.randn(64, 5)
    >>> y = torch.sin(x.sum(dim=1, keepdim=True))
    >>> model = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    >>> optimizer = SketchySGD(model.parameters(), update_every=5, rng=0)
    >>> def closure():  # no backward: the optimizer differentiates, once or twice
    ...     outputs = model(x)
    ...     return torch.nn.functional.mse_loss(outputs, y), outputs
    >>> losses = [optimizer.step(closure).item() for _ in range(40)]
    >>> losses[-1] < losses[0] / 4
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        *,
        rank: int = 10,
        rho: float = 0.1,
        rate: str = "auto",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        curvature: str = "hessian",
        update_every: int = 100,
        chunk: int = 8,
        rng: Any = None,
        host_copy: bool = False,
    ) -> None:
        self.chunk = validate.integer(chunk, name="chunk", low=1)
        self.seed = seed_from(rng)
        defaults = {
            "lr": lr,
            "rank": rank,
            "rho": rho,
            "rate": rate,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "curvature": curvature,
            "update_every": update_every,
            "count": 0,
        }
        super().__init__(params, defaults, host_copy=host_copy)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("rank", "update_every"):
            validate.integer(group[name], name=name, low=1)
        validate.integer(group["count"], name="count", low=0)
        validate.choice(group["rate"], RATES, name="rate")
        validate.choice(group["curvature"], CURVATURES, name="curvature")
        engines.Nystrom(1, group["rho"], rng=0)  # names rho where it does not fit

    @property
    def health(self) -> list[engines.Health]:
        """How the curvature of every group is."""
        return [flat.engine.health for flat in self._flats.values()]

    @property
    def learning_rates(self) -> list[float]:
        """Step sizes that the curvature of every group gives."""
        return [flat.engine.learning_rate for flat in self._flats.values()]

    # -- steps ---------------------------------------------------------------------------------------------

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None, fresh: Any = None) -> Any:
        """One step.

        Parameters
        ----------
        closure : callable
            The loss of a batch, or (loss, outputs) where the loss is a function of a tensor of outputs, which
            the Gauss-Newton matrix needs. It does not call ``backward``: gradients are taken here.
        fresh : callable, optional
            The same of another batch, for the step size; called only where a sketch is due. Unless given, the
            batch itself serves.

        Returns
        -------
        tensor
            The loss, without its graph. Where it or a gradient is NaN or Inf nothing changes but `skipped`.

        Raises
        ------
        InputError
            There is no closure, or it does not give what the curvature needs.
        """
        if not callable(closure):
            raise InputError(
                f"closure: expected a callable that gives the loss, got {type(closure).__name__}"
            )
        due = [group["count"] % group["update_every"] == 0 for group in self.param_groups]
        loss, outputs, gradients = self._differentiated(closure, graph=any(due))
        finite = all(bool(torch.isfinite(g).all()) for part in gradients for g in part if g is not None)
        if not (finite and bool(torch.isfinite(loss))):
            self.skipped += 1
            return loss.detach()
        for group, part in zip(self.param_groups, gradients, strict=True):
            for p, g in zip(group["params"], part, strict=True):
                p.grad = None if g is None else g.detach()
        other = self._differentiated(fresh, graph=True)[2] if any(due) and fresh is not None else None
        for i, group in enumerate(self.param_groups):
            if due[i] and any(g is not None for g in gradients[i]):
                self._sketch(i, loss, outputs, gradients[i], None if other is None else other[i])
            group["count"] += 1
        super().step()
        return loss.detach()

    def _differentiated(self, closure: Any, *, graph: bool) -> tuple[Any, Any, list[list[Any]]]:
        """Loss, outputs or None, and the gradients of every group."""
        with torch.enable_grad():
            made = closure()
            loss, outputs = made if isinstance(made, tuple) else (made, None)
            if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
                raise InputError("closure: expected a loss of one number with a graph, or (loss, outputs)")
            params = [p for group in self.param_groups for p in group["params"]]
            live = [p for p in params if p.requires_grad]
            given = iter(torch.autograd.grad(loss, live, create_graph=graph, allow_unused=True))
            found = [next(given) if p.requires_grad else None for p in params]
        return loss, outputs, [[found.pop(0) for _ in group["params"]] for group in self.param_groups]

    def _sketch(self, i: int, loss: Any, outputs: Any, gradient: list[Any], other: Any) -> None:
        group = self.param_groups[i]
        with torch.no_grad():
            self._gathered(i, group)  # makes the engine of a group
        flat, params = self._flats[i], group["params"]
        options: dict[str, Any] = {"chunk": self.chunk, "dtype": flat.gradient.dtype}
        hessian = flat_products(hessian_along(gradient, params), params, **options)
        newton = None
        with torch.enable_grad():
            if outputs is not None:
                newton = flat_products(gauss_newton_along(loss, outputs, params), params, **options)
            elif group["curvature"] == "ggn":
                raise InputError("closure: expected (loss, outputs) for curvature='ggn', got a loss alone")
        fresh = None
        if other is not None:
            fresh = flat_products(hessian_along(other, params), params, **options)
        engine = flat.engine
        engine.rho, engine.ridge = group["rho"], float(group["weight_decay"])
        dtype = np.float64 if flat.gradient.dtype == torch.float64 else np.float32
        size = {"dim": flat.gradient.numel(), "dtype": dtype}
        if group["curvature"] == "ggn":
            engine.update(hvp=newton, fresh=fresh if fresh is not None else hessian, **size)
        else:
            engine.update(hvp=hessian, ggn=newton, fresh=fresh, **size)

    # -- the engine of a group -----------------------------------------------------------------------------

    def _engine(self, group: dict[str, Any], dim: int, dtype: Any) -> Any:
        return engines.SketchySGD(
            group["rank"], group["rho"], ridge=float(group["weight_decay"]), rng=self.seed
        )

    def _direction(self, engine: Any, g: Any, group: dict[str, Any]) -> Any:
        engine.rho = group["rho"]
        try:
            made = engine.direction(g)
        except InputError:  # it overflows
            return None
        if group["rate"] == "auto":
            with np.errstate(over="ignore"):
                made = made * g.dtype.type(engine.learning_rate)
        return made if np.isfinite(made).all() else None

    def _restored(self, state: dict[str, Any], group: dict[str, Any]) -> Any:
        made = engines.SketchySGD.from_state_dict(state)
        dim = sum(p.numel() for p in group["params"])
        if made.dim not in (0, dim):
            raise StateError(f"dim: expected the {dim} numbers of the group, got {made.dim}")
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "chunk": self.chunk, "seed": self.seed}
