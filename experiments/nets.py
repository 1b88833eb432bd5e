# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Networks and optimizers in PyTorch, compared at equal initial weights and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import randnla.torch
from randnla.curvature import Damping, Exact, Relative, RMSClip

# Kinds of methods by name: what `randnla.torch.KFAC` is given, or None for a plain optimizer of PyTorch.
METHODS: dict[str, dict[str, Any] | None] = {
    "K-FAC, eigen": {"curvature": "exact", "damping": Exact},
    "K-FAC, Cholesky": {"curvature": "exact", "damping": Relative},
    "RS-KFAC": {"curvature": "rs", "damping": Relative},
    "SRE-KFAC": {"curvature": "sre", "damping": Relative},
    "B-KFAC": {"curvature": "brand", "damping": Relative},
    "SGD, momentum": None,
    "Adam": None,
}
COLORS = dict(
    zip(METHODS, ("#d9680f", "#c8a400", "#1f5fa8", "#5aa9e6", "#2f8f5b", "#8a929b", "#4b4f55"), strict=True)
)


@dataclass(frozen=True)
class Schedule:
    """How often curvature is looked at, and how it is damped.

    Attributes
    ----------
    stats_every, inv_every, rank : int
    clip : float
        Of `RMSClip`, as in the paper on randomized K-FAC.
    relative, exact : float
        Numbers of the `Relative` and of the `Exact` damping.
    """

    stats_every: int = 10
    inv_every: int = 30
    rank: int = 220
    clip: float = 0.07
    relative: float = 0.1
    exact: float = 0.01

    def damping(self, kind: type[Damping]) -> Damping:
        """A damping of a kind."""
        return kind(self.exact if kind is Exact else self.relative)


def mlp(inputs: int, width: int, seed: int) -> nn.Module:
    """inputs-width-width-10."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def vgg(side: int, width: int, seed: int) -> nn.Module:
    """Two pairs of 3 x 3 convolutions of width and 2 width channels, each pooled, and two dense layers."""
    torch.manual_seed(seed)
    steps: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
    depth = 1
    for channels in (width, 2 * width):
        for before in (depth, channels):
            steps += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        steps.append(nn.MaxPool2d(2))
        depth = channels
    wide = depth * (side // 4) ** 2
    steps += [nn.Flatten(), nn.Linear(wide, 8 * width), nn.ReLU(), nn.Linear(8 * width, 10)]
    return nn.Sequential(*steps)


def network(kind: str, side: int, width: int, seed: int) -> nn.Module:
    """An "mlp" or a "vgg"."""
    return mlp(side * side, width, seed) if kind == "mlp" else vgg(side, width, seed)


def trained_by(
    method: str, model: nn.Module, rate: float, schedule: Schedule, seed: int
) -> tuple[torch.optim.Optimizer, randnla.torch.KFAC | None]:
    """The optimizer, and what preconditions the gradients before it."""
    settings = METHODS[method]
    if settings is None:
        if method == "Adam":
            return torch.optim.Adam(model.parameters(), rate), None
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9), None
    pre = randnla.torch.KFAC(
        model,
        settings["curvature"],
        rank=schedule.rank,
        damping=schedule.damping(settings["damping"]),
        stats_every=schedule.stats_every,
        inv_every=schedule.inv_every,
        clip=RMSClip(schedule.clip),
        rng=seed,
    )
    return torch.optim.SGD(model.parameters(), rate), pre
