# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the learning of an operator gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class TransitionResult(Result):
    """``A ~ U diag(s) V^H``, the operator, as a `LowRank`.

    Attributes
    ----------
    A : LowRank
    misfit : float
        Root mean square of the powers of A less the samples, over that of the samples, each power over
        ``growth**(t - 1)``.
    info : Info

    Examples
    --------
    >>> TransitionResult(3.0)
    TransitionResult(A: 3.0)
    """

    A: Any
    misfit: float = field(default=0.0, kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors: ClassVar[tuple[str, ...]] = ("misfit", "info")
