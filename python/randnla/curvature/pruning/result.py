# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What pruning returns: the mask, the update, and the account of the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from randnla._backend.results import Result


@dataclass(frozen=True, kw_only=True)
class PruneInfo:
    """How a mask came about.

    Attributes
    ----------
    method, update : str
        As asked for.
    steps : int
        Times that weights were chosen; steps that would choose none are left out.
    size, pruned : int
        Weights in all, and those that are zero in the end, the ones pruned before counted in.
    sparsity : float
        ``pruned / size``.
    sparsities : dict {name: float}
        The same of every array.
    groups, groups_pruned : int or None
        Where weights go in groups.
    gradients : int
        Gradients that were looked at, over all steps.
    block : int or None
        Rows of a block of the Fisher matrix.
    damping : float or None
    predicted_increase : float or None
        Of the loss, by the quadratic model: the sum over the steps of ``1/2 delta^T F delta``, delta what the
        step did to the weights. None for "magnitude", which has no model.
    increases : tuple of float
        The terms of this sum.
    health : str
        "" while all is well, else what was done about it.
    """

    method: str
    update: str
    steps: int
    size: int
    pruned: int
    sparsity: float
    sparsities: dict[str, float]
    groups: int | None = None
    groups_pruned: int | None = None
    gradients: int = 0
    block: int | None = None
    damping: float | None = None
    predicted_increase: float | None = None
    increases: tuple[float, ...] = ()
    health: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain Python values, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        known = {key: value for key, value in self.to_dict().items() if value not in (None, "", ())}
        width = max(map(len, known))
        return "\n".join(f"{key:<{width}}  {_shown(value)}" for key, value in known.items())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    return str(value)


@dataclass(frozen=True, eq=False, repr=False)
class PruneResult(Result):
    """Which weights stay, and what is to be added to all: ``weights + update`` is zero where `mask` is False.

    Attributes
    ----------
    mask : arrays of bool in the structure of the weights
        True where a weight stays.
    update : arrays in the structure, the shapes and the kind of the weights
        Minus the weight itself where it is pruned.
    info : PruneInfo

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.curvature import prune
    >>> mask, update = prune(np.array([3.0, -1.0]), None, 0.5, method="magnitude")
    >>> mask
    array([ True, False])
    """

    mask: Any
    update: Any
    info: PruneInfo = field(kw_only=True)

    _not_factors: ClassVar[tuple[str, ...]] = ("info",)
