# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the decompositions of tensors return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class CPResult(Result):
    """A sum of outer products of columns: weights (r,) that decrease, factors (d_k, r) one a mode.

    Columns of the factors have norm 1 and, but for those of the last mode, a positive entry of largest
    magnitude; weights are not negative, and 0 for a component that degenerated.
    """

    weights: Any
    factors: tuple[Any, ...]
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The tensor that the factors stand for."""
        out = self.factors[0] * self.weights
        for factor in self.factors[1:-1]:
            out = (out[:, None, :] * factor).reshape(len(out) * len(factor), out.shape[1])
        return (out @ self.factors[-1].T).reshape(tuple(factor.shape[0] for factor in self.factors))


@dataclass(frozen=True, eq=False, repr=False)
class TuckerResult(Result):
    """``T ~ core x_0 factors[0] x_1 factors[1] ...``: core (r_0, ...), orthonormal factors (d_k, r_k)."""

    core: Any
    factors: tuple[Any, ...]
    info: Info = field(default_factory=Info, kw_only=True)

    def to_dense(self) -> Any:
        """The tensor that core and factors stand for."""
        out = self.core
        # Each product moves the first axis to the end: after all of them the order is the old one.
        for factor in self.factors:
            rest = tuple(out.shape[1:])
            out = (out.reshape(out.shape[0], -1).T @ factor.T).reshape((*rest, factor.shape[0]))
        return out
