# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What functions of matrices return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class FunctionResult(Result):
    """``x ~ f(A) b``, of the shape of b, and the account of the run."""

    x: Any
    info: Info = field(default_factory=Info, kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class RootResult(Result):
    """A root ``X`` (n, n) or the inverse of one, Hermitian, and the account of the run."""

    X: Any
    info: Info = field(default_factory=Info, kw_only=True)
