# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""A network as the hypothesis of `randnla.manifold.solve_elliptic`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from randnla._backend import validate
from randnla._backend.errors import InputError

from .kfac import KFAC
from .sketchy_sgd import SketchySGD

OPTIMIZERS = ("adam", "sketchy", "kfac")
EVALUATED = 8192


class EllipticNetwork:
    """A small network u(x), fitted to the equations of a cloud of points by least squares.

    Parameters
    ----------
    width : int, default 50
        Of the hidden layers, with hyperbolic tangents between them.
    depth : int, default 2
        Number of hidden layers.
    steps : int, default 2000
        Each with all equations.
    optimizer : {"adam", "sketchy", "kfac"}
        "sketchy" is `SketchySGD`, which sets its own step sizes. "kfac" lets `KFAC` precondition the
        gradients that Adam is given; it knows the network alone, not the equations.
    lr : float, optional
        First step size, which falls to zero along a cosine; .01, of "sketchy" 1.

    Attributes
    ----------
    losses : list of float
        Mean squared misfits, relative to that of zero, step by step.

    Raises
    ------
    InputError
        An argument does not fit.

    Notes
    -----
    *Algorithm*: Liang, Jiang, Harlim and Yang (2024), with a smooth activation. Coordinates are centered and
    brought to mean square 1, u is sought in units of the right-hand side. *Cost*: a step is a pass of all
    points through the network and back, and 4 F k flops for F equations of k terms; "sketchy" takes twenty
    such passes a hundred steps more.

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.manifold import solve_elliptic
    >>> t = 2 * np.pi * np.arange(100) / 100
    >>> X, u = np.c_[np.cos(t), np.sin(t)], np.sin(t)
    >>> network = EllipticNetwork(width=10, depth=1, steps=500)
    >>> found = solve_elliptic(
    ...     X, 2 * u, a=1.0, neighbors=24, method="network", network=network, rng=0)
    >>> bool(np.abs(found.u - u).max() < 0.1)
    True
    """

    def __init__(
        self,
        *,
        width: int = 50,
        depth: int = 2,
        steps: int = 2000,
        optimizer: str = "adam",
        lr: float | None = None,
    ) -> None:
        self.width = validate.integer(width, name="width", low=1)
        self.depth = validate.integer(depth, name="depth", low=1)
        self.steps = validate.integer(steps, name="steps", low=0)
        self.optimizer = validate.choice(optimizer, OPTIMIZERS, name="optimizer")
        first = 1.0 if optimizer == "sketchy" else 1e-2
        self.lr = first if lr is None else validate.real(lr, name="lr")
        if self.lr <= 0:
            raise InputError(f"lr: expected a positive number, got {lr}")
        self.losses: list[float] = []
        self._model: Any = None
        self._center: Any = 0.0
        self._radius = self._unit = 1.0

    def fit(self, problem: Any, weight: float, seed: int) -> None:
        """Train anew on the equations of a problem, and on known values with this weight."""
        points = problem.points
        self._center = points.mean(axis=0)
        self._radius = float(np.sqrt(np.mean((points - self._center) ** 2)))
        right = problem.right()
        self._unit = float(np.sqrt(np.mean(right**2))) or 1.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            self._model = self._network(points.shape[1], right.shape[1])
            misfit = self._misfit(problem, weight, right)
            self._train(misfit, self._inputs(points), seed)

    def evaluate(self, points: Any) -> Any:
        """Values (M, k) at points (M, D)."""
        if self._model is None:
            raise InputError("network: expected one that was fitted, this one was not")
        parts = []
        with torch.no_grad():
            for start in range(0, len(points), EVALUATED):
                parts.append(self._model(self._inputs(points[start : start + EVALUATED])).numpy())
        return self._unit * np.concatenate(parts) if parts else np.zeros((0, 1))

    def _inputs(self, points: Any) -> torch.Tensor:
        return torch.from_numpy((points - self._center) / self._radius)

    def _network(self, inputs: int, outputs: int) -> torch.nn.Module:
        layers: list[torch.nn.Module] = []
        for size in [inputs] + [self.width] * (self.depth - 1):
            layers += [torch.nn.Linear(size, self.width), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers, torch.nn.Linear(self.width, outputs)).to(torch.float64)

    def _misfit(self, problem: Any, weight: float, right: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss of values at all points; products by gathered entries can be differentiated twice."""
        A = problem.rows().tocoo()
        rows, columns, data = (torch.from_numpy(np.ascontiguousarray(x)) for x in (A.row, A.col, A.data))
        rows, columns, data = rows.long(), columns.long(), data[:, None]
        target = torch.from_numpy(right / self._unit)
        fixed = torch.from_numpy(problem.fixed).long()
        known = torch.from_numpy(problem.values / self._unit)[:, None]
        volumes = torch.from_numpy(problem.volumes() / problem.volumes().sum())[:, None]
        size = len(target)

        def misfit(u: torch.Tensor) -> torch.Tensor:
            product = torch.zeros(size, u.shape[1], dtype=u.dtype).index_add(0, rows, data * u[columns])
            loss = ((product - target) ** 2).mean()
            if len(fixed):
                loss = loss + weight**2 * ((u[fixed] - known) ** 2).mean()
            elif problem.mean_free:
                loss = loss + weight**2 * ((volumes * u).sum(dim=0) ** 2).mean()
            return loss

        return misfit

    def _train(self, misfit: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, seed: int) -> None:
        model, parameters = self._model, list(self._model.parameters())
        pre: Any = None
        optimizer: Any = None
        if self.optimizer == "sketchy":
            optimizer = SketchySGD(parameters, lr=self.lr, rho=1e-2, momentum=0.5, rng=seed)
        elif self.optimizer == "kfac":
            pre = KFAC(model, "exact", likelihood="gaussian", damping=1e-2, rng=seed)
        if self.optimizer != "sketchy":
            optimizer = torch.optim.Adam(parameters, lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.steps))
        self.losses = []
        for _ in range(self.steps):
            if self.optimizer == "sketchy":
                loss = optimizer.step(lambda: misfit(model(inputs)))
            else:
                optimizer.zero_grad()
                loss = misfit(model(inputs))
                loss.backward()
                if pre is not None:
                    pre.step()
                optimizer.step()
            schedule.step()
            self.losses.append(float(loss.detach()))
