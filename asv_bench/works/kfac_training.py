# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Thirty steps of training by K-FAC through PyTorch, beside asdl on the same network and schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

from conditions import MissingError

from randnla.curvature import Tikhonov

from .base import Bar, Case, Contender, Work
from .kfac import BATCH, STEPS, WIDTHS

EVERY = 10  # steps from one batch of statistics to the next; inverses are renewed every STEPS
RATE = DAMPING = 0.01
Step = Callable[[Any, Any], Any]


def _network() -> Any:
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for m, n in pairwise(WIDTHS):
        layers += [torch.nn.Linear(m, n), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _ours(curvature: str) -> Step:
    import torch

    from randnla.torch import KFAC

    model = _network()
    pre = KFAC(model, curvature, damping=Tikhonov(DAMPING), stats_every=EVERY, inv_every=STEPS, rng=0)
    optimizer = torch.optim.SGD(model.parameters(), RATE)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        pre.step(lr=RATE)
        optimizer.step()
        return loss.detach()

    return step


def _asdl() -> Step:
    try:
        from asdl.precondition import KfacGradientMaker, PreconditioningConfig
    except ImportError as error:
        raise MissingError("asdl") from error
    import torch

    model = _network()
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    config = PreconditioningConfig(
        data_size=BATCH,
        damping=DAMPING,
        curvature_upd_interval=EVERY,
        preconditioner_upd_interval=STEPS,
        ema_decay=0.05,
    )
    maker = KfacGradientMaker(model, config, fisher_type="fisher_mc")

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        maker.setup_loss_call(torch.nn.functional.cross_entropy, maker.setup_model_call(model, x), y)
        # It marks ranges for a profiler of CUDA devices, which CPU builds of PyTorch refuse.
        with mock.patch.object(torch.cuda.nvtx, "range", return_value=contextlib.nullcontext()):
            _, loss = maker.forward_and_backward()
        optimizer.step()
        return loss.detach()

    return step


def _period(step: Step) -> Contender:
    """Steps from one refresh to the next, with passes, statistics and updates; the loss of the last batch."""
    import torch

    from randnla.datasets import load_fashion_mnist

    try:
        images, labels = map(torch.from_numpy, load_fashion_mnist())
    except FileNotFoundError as missing:
        raise MissingError(str(missing)) from missing
    count = 0

    def run() -> float:
        nonlocal count
        loss: Any = 0.0
        for _ in range(STEPS):
            start = count * BATCH % (len(images) - BATCH)
            loss = step(images[start : start + BATCH], labels[start : start + BATCH])
            count += 1
        return float(loss)

    return run


def _training() -> Case:
    def contenders() -> dict[str, Contender]:
        return {"asdl": _period(_asdl()), "ours, Cholesky": _period(_ours("exact"))}

    return Case(_period(_ours("rs")), contenders, lambda who, loss: float(loss))


WORKS = [
    Work(
        "thirty steps of training by K-FAC",
        "float32",
        "784-2048-2048-10 n=256 r=220+10",
        lambda _: _training(),
        Bar("time", 0.5, ("asdl",)),
        quick=False,
        rounds=3,
        seconds=75.0,
        note="the errors are losses of the last batch; all damp as Tikhonov; asdl has Cholesky factors",
    )
]
