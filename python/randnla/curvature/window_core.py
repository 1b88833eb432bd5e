# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The small matrices of Woodbury's identity with a window of gradients: damped inverses of Gram matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from randnla._backend.kernels import dense, qr
from randnla.operators.base import Array


@dataclass(frozen=True)
class WindowCore:
    """``(K + m damping I)^-1`` of the Gram matrix K of m gradients, as ``W W^H``.

    Attributes
    ----------
    root : (m, r) array
        W; by path "eigh" of the eigenvalues that are kept.
    kept : (r,) array or None
        These eigenvalues, damped, of path "eigh".
    logdet : float
        Logarithm of the determinant of ``K + m damping I``.
    """

    root: Array
    kept: Array | None
    logdet: float

    @property
    def path(self) -> str:
        """How the inverse was formed."""
        return "cholesky" if self.kept is None else "eigh"

    def inner(self, products: Array) -> Array:
        """``W^H`` times products with the gradients."""
        return dense.gemm(self.root.conj().T, products)

    def weights(self, products: Array, damping: float) -> Array:
        """Of the gradients in ``F^-1 x``, x / damping apart, from their products with x."""
        return dense.gemm(self.root, self.inner(products)) / -damping

    def weights_of_rest(self, inner: Array, products: Array, damping: float) -> Array:
        """The same by path "eigh", from `inner` of x and products with ``(I - P) x``."""
        assert self.kept is not None
        along = len(self.root) * inner / self.kept[:, None]
        return dense.gemm(self.root, along - self.inner(products) / damping)


def core_of(gram: Array, damping: float) -> WindowCore:
    """By Cholesky, or by eigenvectors where damping is less than two digits above rounding of `gram`."""
    m = len(gram)
    # Rounding of the Gram matrix and of its factor is some eps of the trace: two digits are to be left.
    eps = np.finfo(np.float64).eps
    if damping > 256 * eps * float(np.trace(gram).real):
        shifted = gram.copy()
        shifted[np.diag_indices(m)] += m * damping
        R = qr.small_cholesky(shifted)
        if R is not None:
            root = qr.triangular_solve_right(np.eye(m, dtype=R.dtype), R)
            return WindowCore(root, None, 2.0 * float(np.log(np.diagonal(R).real).sum()))
    w, V = qr.small_eigh(np.ascontiguousarray(gram))
    kept = w > 8 * m * eps * float(w.max(initial=0.0))
    w = np.where(kept, w, 0.0) + m * damping
    root = np.ascontiguousarray(V[:, kept] / np.sqrt(w[kept]))
    return WindowCore(root, w[kept], float(np.log(w).sum()))


def triangular_core(gram: Array, damping: float) -> WindowCore:
    """M-FAC's dynamic form: ``K / damping + m I = L diag(q) L^H`` without pivoting, pivots at least m.

    Rows of ``L^-1 G / damping`` are the vectors v of the recursion, so that W is
    ``L^-H diag(q damping)^-1/2``. In exact numbers every pivot is at least m: one below is rounding.
    """
    m = len(gram)
    S = gram / damping
    S[np.diag_indices(m)] += m
    L, q = np.eye(m, dtype=S.dtype), np.empty(m)
    for j in range(m):
        q[j] = max(float(S[j, j].real), float(m))
        L[j + 1 :, j] = S[j + 1 :, j] / q[j]
        S[j + 1 :, j + 1 :] -= np.outer(L[j + 1 :, j], S[j, j + 1 :])
    inverse = qr.triangular_solve_right(np.eye(m, dtype=S.dtype), np.ascontiguousarray(L.conj().T))
    root = np.ascontiguousarray(inverse / np.sqrt(q * damping))
    return WindowCore(root, None, float(np.log(q).sum()) + m * math.log(damping))
