# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Natural gradients from the samples of a batch, between the backward pass of a model and any optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from randnla._backend.errors import InputError

from .kfac import KFAC


class SENG(KFAC):
    """Preconditions the gradients of a model in place, by `randnla.curvature.SENG`.

    Parameters
    ----------
    model : Module
        As it is called in training; give the compiled one where there is one.
    damping : Absolute, Relative, float or callable (step) -> either, default Absolute(1.0)
    rank : int or None, default 16
        Terms kept of the gradient of a sample of a convolution, or another layer used several times.
    sketch : int or None, default None
        Coordinates of either side that Gram matrices and products are computed from. None takes all.
    window, stats_every, inv_every
        As of `randnla.curvature.SENG`.
    fisher : {"empirical", "mc", "ggn"}, default "empirical"
        Gradients of the loss as its backward pass has them, or as of `KFAC`.
    **settings
        Of `KFAC`: likelihood, reduction, output, skip, sharing, host_copy, rng, clip, ...

    Attributes
    ----------
    engine : randnla.curvature.SENG

    Raises
    ------
    InputError
        An argument does not fit, or there is no layer to cover.

    Notes
    -----
    As of `KFAC`. Gradients of parameters that are not covered are divided by one plus the number of the
    damping.

    Examples
    --------
    >>> import torch
    >>> import randnla.torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> pre = randnla.torch.SENG(model)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> x, y = torch.ones(4, 8), torch.tensor([0, 1, 2, 0])
    >>> loss = torch.nn.functional.cross_entropy(model(x), y)
    >>> loss.backward()
    >>> pre.step()
    >>> optimizer.step()
    """

    def __init__(
        self, model: nn.Module, *, rank: int | None = 16, fisher: str = "empirical", **settings: Any
    ) -> None:
        if "curvature" in settings:
            raise InputError(f"curvature: not a setting of SENG, got {settings['curvature']!r}")
        super().__init__(model, "seng", rank=rank, fisher=fisher, **settings)
        inner: nn.Module = getattr(model, "_orig_mod", model)
        covered = {id(slot.parameter) for item in self._covered for slot in item.slots}
        self._others = [p for p in inner.parameters() if id(p) not in covered]

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def step(self, *, lr: float = 1.0, loss_scale: float = 1.0) -> None:
        """Rewrite ``.grad`` of all parameters; see `KFAC.step`."""
        before = self.engine.step_count
        damping = self.engine.damping.value
        super().step(lr=lr, loss_scale=loss_scale)
        if self.engine.step_count > before:
            with torch.no_grad():
                for p in self._others:
                    if p.grad is not None:
                        p.grad.div_(1.0 + damping)
