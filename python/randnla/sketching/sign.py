# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The sign (Rademacher) map."""

from __future__ import annotations

from typing import ClassVar

from randnla._backend.kernels import streams
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

    *Cost*: 2 d m n flops for an (m, n) input; at most 32 MB of the map at a time.

    Examples
    --------
    >>> abs(Sign(4, 3, rng=0).to_dense())
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]])
    """

    kind: ClassVar[streams.DenseKind] = "sign"
