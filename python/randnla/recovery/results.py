# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the learning of an operator gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class TransitionResult(Result):
    """``A ~ U diag(s) V^H``, the operator, as a `LowRank`.

    Examples
    --------
    >>> TransitionResult(3.0)
    TransitionResult(A: 3.0)
    """

    A: Any
    info: Info = field(default_factory=Info, kw_only=True)
