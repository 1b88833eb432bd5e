# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What the separation of a matrix gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import scipy.sparse

from randnla._backend.results import Info, Result

from .access import Access, sparse_errors


@dataclass(frozen=True, eq=False, repr=False)
class RPCAResult(Result):
    """``D ~ L + S``: L a `LowRank` in factored form, S sparse.

    Attributes
    ----------
    L : LowRank
        ``U diag(s) V^H`` with orthonormal U (m, r) and V (n, r), s descending.
    S : scipy.sparse.csr_array of shape (m, n)
        The gross errors that were seen: all of them where the method reads all of D, those of the sampled
        rows and columns for the methods that read no more (`outliers` finds the others).
    threshold : float
        Entries of D - L beyond it are gross errors.
    outlier_share : float
        Share of gross errors among the entries of fresh rows and columns, which no step has used.
    info : Info

    Examples
    --------
    >>> import numpy as np
    >>> from randnla.robust import rpca
    >>> D = np.outer(np.arange(1.0, 41), np.ones(30))
    >>> D[3, 5] += 100
    >>> L, S = rpca(D, 1, rng=0)
    >>> bool(abs(L.to_dense()[3, 5] - 4) < 1e-4)
    True
    """

    L: Any
    S: Any
    threshold: float = field(default=0.0, kw_only=True)
    outlier_share: float = field(default=0.0, kw_only=True)
    info: Info = field(default_factory=Info, kw_only=True)

    _not_factors: ClassVar[tuple[str, ...]] = ("threshold", "outlier_share", "info")

    def outliers(self, D: Any) -> scipy.sparse.csr_array:
        """All gross errors, by one pass over `D` in blocks of rows: D - L where it exceeds `threshold`.

        Raises
        ------
        InputError
            `D` does not have the shape of L.
        """
        return sparse_errors(Access(D, shape=self.L.shape), self.L.U * self.L.C, self.L.V, self.threshold)
