# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The CountSketch."""

from __future__ import annotations

from typing import ClassVar

from randnla._backend.kernels import sparse_maps
from randnla.sketching.column_sparse import ColumnSparseMap


class CountSketch(ColumnSparseMap):
    """One entry ``+-1`` in a random row of every column.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`.

    Notes
    -----
    *Algorithm*: Clarkson and Woodruff (2013). The cheapest map; needs d of order k^2 to embed every
    k-dimensional subspace, where `SparseSign` needs k log k.

    *Cost*: m n additions, one pass over the input.

    Examples
    --------
    >>> abs(CountSketch(5, 8, rng=0).to_dense()).sum(axis=0)
    array([1., 1., 1., 1., 1., 1., 1., 1.])
    """

    kind: ClassVar[sparse_maps.SparseKind] = "countsketch"
