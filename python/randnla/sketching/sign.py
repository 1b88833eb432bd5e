# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sign (Rademacher) map."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from randnla._backend.kernels import fixed_point, streams
from randnla.sketching.base import Array
from randnla.sketching.dense_map import DenseMap


class Sign(DenseMap):
    """Independent entries ``+-1/sqrt(d)`` with equal probability.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`.

    Notes
    -----
    *Algorithm*: one random bit an entry, from Philox4x32-10. Embeds as a Gaussian map does
    (Achlioptas, 2003) and is cheaper to generate.

    Products of float32 arrays are sums of integers (`/guide/fixed_point`): exact but for the 24 bits that
    an entry of the input keeps of the largest in its column among 256 rows, and with the same bits on
    every instruction set and in the device kernels, for every layout and number of threads. The error is
    that of a column, not of an entry: what lies 2^-24 below the largest entry of its block does not count.

    *Cost*: 2 d m n flops for an (m, n) input (6 d m n operations on bytes in float32); at most 32 MB of
    the map at a time.

    Examples
    --------
    >>> abs(Sign(4, 3, rng=0).to_dense())
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """

    kind: ClassVar[streams.DenseKind] = "sign"

    def _run(self, A: Array, out: Array, *, adjoint: bool) -> None:
        if A.dtype != np.float32:
            super()._run(A, out, adjoint=adjoint)
            return
        fixed_point.apply_sign_map(
            A,
            out,
            seed=self.seed,
            stream=self.stream,
            row_start=self._rows[0],
            col_start=self._cols[0],
            scale=self._scale,
            adjoint=adjoint,
        )
