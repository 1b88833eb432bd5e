# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the functions of this room return, beside the results the other rooms have, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from randnla._backend.results import Info, Result


@dataclass(frozen=True, eq=False, repr=False)
class ProductResult(Result):
    """A product of matrices (p, q).

    Examples
    --------
    >>> ProductResult(3.0)
    ProductResult(product: 3.0)
    """

    product: Any
    info: Info = field(default_factory=Info, kw_only=True)
