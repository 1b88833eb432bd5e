# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The subsampled randomized Hadamard transform."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from randnla._backend.kernels import device_maps, trig
from randnla.sketching.base import Array
from randnla.sketching.trigonometric import TrigMap


class SRHT(TrigMap):
    """``sqrt(1/d) R H D``: random signs, a Hadamard transform, d of its coordinates.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`; d is at most M, the power of two at or above m.

    Notes
    -----
    *Algorithm*: Ailon and Chazelle (2009), Tropp (2011). H is the Hadamard matrix in Sylvester order; the
    input is padded with zeros to M rows, a few columns at a time. Coordinates are drawn without
    replacement.

    *Cost*: M log2(M) n additions whatever d, one pass over the input; of memory, a padded column or
    16 MB a thread, whichever is more.

    Examples
    --------
    >>> import numpy as np
    >>> S = SRHT(3, 5, rng=0)
    >>> np.allclose(abs(S.to_dense()), 1 / np.sqrt(3))
    True
    """

    kind: ClassVar[str] = "srht"

    @property
    def order(self) -> int:
        """The power of two at or above m."""
        return trig.hadamard_order(self.m)

    def _has_device_kernel(self, *, adjoint: bool) -> bool:
        return self._cols == (0, self.m) and self.order <= device_maps.hadamard_limit(self.dtype.itemsize)

    def _transform(self, A: Array, out: Array, *, adjoint: bool) -> None:
        trig.apply_hadamard(
            A,
            out,
            seed=self.seed,
            stream=self.stream,
            d=self.d,
            row_start=self._rows[0],
            m=self.m,
            adjoint=adjoint,
        )

    def _entries(self, frequencies: Array, columns: Array) -> Array:
        # Sylvester's H[i, j] = (-1)^(ones of i & j).
        odd = np.bitwise_count(frequencies & columns) & 1
        scale = self.dtype.type(math.sqrt(1.0 / self.d))
        return np.asarray(np.where(odd, -scale, scale))
