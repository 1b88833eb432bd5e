# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Gaussian map."""

from __future__ import annotations

from typing import ClassVar

from randnla._backend.kernels import streams
from randnla.sketching.dense_map import DenseMap


class Gaussian(DenseMap):
    """Independent normal entries of variance 1/d.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`.

    Notes
    -----
    *Algorithm*: Box-Muller on Philox4x32-10; float64 entries carry 53-bit uniforms. ``d |Sx|^2 / |x|^2``
    has exactly the chi-square law with d degrees of freedom.

    *Cost*: 2 d m n flops for an (m, n) input; the map is generated in panels, at most 32 MB at a time.

    References
    ----------
    Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53 (2011), section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> S = Gaussian(4, 100, rng=0)
    >>> (S @ np.ones((100, 2))).shape
    (4, 2)
    >>> bool((S[1:3, 10:20].to_dense() == S.to_dense()[1:3, 10:20]).all())
    True
    """

    kind: ClassVar[streams.DenseKind] = "gaussian"
