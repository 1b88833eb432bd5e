# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The subsampled randomized cosine transform."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from randnla._backend.kernels import trig
from randnla._backend.kernels.turns import cosine
from randnla.sketching.base import Array
from randnla.sketching.trigonometric import TrigMap


class SRFT(TrigMap):
    """``sqrt(m/d) R C D``: random signs, a cosine transform of any length, d of its coordinates.

    Parameters
    ----------
    d, m, rng, dtype, stream
        As for `RandomMap`; d is at most m.

    Notes
    -----
    *Algorithm*: Halko, Martinsson, Tropp (2011), section 4.6, with the orthonormal DCT-II in place of the
    Fourier transform: real data stay real and no length needs padding. Products go through `scipy.fft`
    and agree with ``to_dense()``, which evaluates cosines, to rounding.

    *Cost*: O(m log m) n flops whatever d. Memory: at most 32 MB and six columns. Where m is long and has a
    prime factor above its square root, `scipy.fft` alone would hold 22: the convolution behind such a
    transform then goes in blocks, at up to 2.6 times its time. `SRHT` is faster for such lengths.

    Examples
    --------
    >>> import numpy as np
    >>> S = SRFT(7, 7, rng=0)
    >>> np.allclose(S.to_dense().T @ S.to_dense(), np.eye(7))
    True
    """

    kind: ClassVar[str] = "srft"

    @property
    def order(self) -> int:
        """The length m itself."""
        return self.m

    def _transform(self, A: Array, out: Array, *, adjoint: bool) -> None:
        trig.apply_cosine(
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
        # C[k, j] = sqrt(2/m) cos(pi k (2j + 1) / 2m), sqrt(1/m) for k = 0; reduced mod the period 4m of
        # the numerator in integers, so that long transforms lose no digits.
        turns = (frequencies * (2 * columns + 1)) % (4 * self.m)
        entries = cosine(turns, self.m) * math.sqrt(2.0 / self.d)
        entries[frequencies[:, 0] == 0] = math.sqrt(1.0 / self.d)
        return np.asarray(entries, dtype=self.dtype)
