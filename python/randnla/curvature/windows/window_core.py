# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The small matrices of Woodbury's identity with a window of gradients: damped inverses of Gram matrices."""

from __future__ import annotations

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
    """M-FAC's dynamic form: ``K + m damping I = R^H R`` without pivoting.

    With ``K / damping + m I = L diag(q) L^H`` as there, rows of ``L^-1 G / damping`` are the vectors v of the
    recursion and R is ``diag(q damping)^1/2 L^H``, so that W is R^-1. In exact numbers every q is at least m;
    where one is below by more than rounding the recursion has no digit left, and `core_of` takes over.
    """
    m = len(gram)
    shifted = gram.copy()
    shifted[np.diag_indices(m)] += m * damping
    R = qr.small_cholesky(shifted)
    if R is None or (m and float(np.diagonal(R).real.min()) ** 2 < 0.5 * m * damping):
        return core_of(gram, damping)
    root = qr.triangular_solve_right(np.eye(m, dtype=R.dtype), R)
    return WindowCore(root, None, 2.0 * float(np.log(np.diagonal(R).real).sum()))
